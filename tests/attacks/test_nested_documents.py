# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A lying aggregator sends texts that are nested so deep that reading them would end the party's process.

Before nesting was counted on the bytes, each of these depths but the first ended it: where json's own scanner, its
encoder and Python's functions give up differs.
"""

from __future__ import annotations

import pytest

from coterie_common.identifiers import JobId
from coterie_common.protocol.acceptance import Decision, JobReply
from coterie_common.protocol.messages import Rejection
from coterie_common.protocol.session import body_digest
from coterie_common.wire.federation import aggregator_message_to_wire
from coterie_common.wire.pb import federation_pb2 as pb
from tests.support.asynchronous import asynchronous
from tests.support.malicious_aggregator import MaliciousAggregator, attacking

DEPTHS = (66, 335, 497, 660, 985, 7_000)


def nested(depth: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * depth + closing * depth


def with_terms(attacker: MaliciousAggregator, terms: bytes, *, is_request: bool) -> bytes:
    envelope = pb.AggregatorEnvelope.FromString(aggregator_message_to_wire(attacker.query()))
    fields = envelope.query.fields
    fields.terms = terms
    if is_request:
        envelope = pb.AggregatorEnvelope(decryption_request=pb.DecryptionRequest(fields=fields, signature=bytes(64)))
    return envelope.SerializeToString()


@pytest.mark.parametrize(("opening", "closing"), [(b"[", b"]"), (b'{"a":', b"}")], ids=["lists", "objects"])
@asynchronous
async def test_nested_text_anywhere_in_a_message_is_refused_and_the_party_goes_on(tmp_path, opening, closing):
    async with attacking(tmp_path) as attacker:
        for depth in DEPTHS:
            text = nested(depth, opening, closing)
            for is_request in (False, True):
                answer = await attacker.tell(with_terms(attacker, text[: 15 << 10], is_request=is_request))
                assert isinstance(answer, Rejection)
                assert (answer.code, answer.job_id) == ("malformed-message", "")
            for where in (["spec"], ["terms"], ["spec", "terms"]):
                job_id = JobId(f"nested-{depth}-{'-'.join(where)}")
                answer = await attacker.tell(attacker.proposal(job_id=job_id, **dict.fromkeys(where, text)))
                assert isinstance(answer, Rejection | JobReply)
                if isinstance(answer, JobReply):
                    assert answer.decision is Decision.REFUSED
                assert answer.code in ("malformed-message", "invalid-job")
        await attacker.accepted()
        for depth in DEPTHS:
            body = nested(depth, opening, closing)
            fields = attacker.fields(body_digest=body_digest(body))
            answer = await attacker.tell(attacker.query(fields, body))
            assert isinstance(answer, Rejection)
            assert answer.code == "malformed-message"
            answer = await attacker.tell(attacker.delivery(body))
            assert isinstance(answer, Rejection)
            assert answer.code == "malformed-message"
        await attacker.answered()
        assert not attacker.running.failures
