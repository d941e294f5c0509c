# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Whatever bytes come, from either side: a message that is handled, or one clean refusal."""

from __future__ import annotations

import contextlib
import typing
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any, TypeVar, cast

import pytest
from grpc import StatusCode
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie_common import errors
from coterie_common.crypto.masks.ephemeral import EphemeralSecret
from coterie_common.errors import CoterieError, MalformedMessage, StaleRound, StorageError
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol import acceptance as a
from coterie_common.protocol import masked_reply as k
from coterie_common.protocol import messages as m
from coterie_common.protocol.encrypted_reply import Contribution, EncryptedReply, KeyPart
from coterie_common.protocol.reason import is_one_line
from coterie_common.rpc.receiving import receive
from coterie_common.rpc.status import STATUS
from coterie_common.wire import operator as operator_wire
from coterie_common.wire.federation import (
    aggregator_message_from_wire,
    aggregator_message_to_wire,
    party_message_from_wire,
    party_message_to_wire,
)
from coterie_common.wire.pb import operator_pb2
from coterie_common.wire.strict import parse_any
from coterie_common.wire.types import frame_from_bytes, frame_from_wire
from tests.support.asynchronous import asynchronous
from tests.support.message_strategies import mutated
from tests.support.rounds import make_query

T = TypeVar("T")

JOB, ALPHA = JobId("job-1"), PartyId("alpha")
RECEIPT = m.ModelReceipt(job_id=JOB, party_id=ALPHA, model_digest=bytes(32), signature=bytes(64))
REJECTION = m.Rejection(code="stale-round", detail="", job_id="", round_number=0)
QUERY = make_query(b'{"length":6}')
CONTRIBUTION = Contribution(
    party_id=ALPHA,
    key_part=KeyPart(ciphertexts=(b"\x01" * 40, b"\x02" * 40), proof=b"\x03" * 8),
    padded_digest=bytes(32),
    signature=bytes(64),
)
ENCAPSULATION = a.Encapsulation(
    job_id=JOB,
    sender=ALPHA,
    recipient=PartyId("beta"),
    acceptances=(bytes(32), bytes(32)),
    ciphertext=bytes(1088),
    signature=bytes(64),
)
ACCEPTANCE = a.JobReply(
    job_id=JOB,
    party_id=ALPHA,
    spec_digest=bytes(32),
    terms_digest=bytes(32),
    decision=a.Decision.ACCEPTED,
    code="",
    detail="",
    signature=bytes(64),
    ephemeral_key=EphemeralSecret(bytes(96)).public.encoded,
)
OF_PARTY: list[m.PartyMessage] = [
    m.Hello(protocol_version=1, party_id=ALPHA, roster_serial=3, roster_digest=bytes(32)),
    a.JobReply(
        job_id=JOB,
        party_id=ALPHA,
        spec_digest=bytes(32),
        terms_digest=bytes(32),
        decision=a.Decision.REFUSED,
        code="budget-exhausted",
        detail="ε 1 asked, 0.5 left",
        signature=bytes(64),
    ),
    a.Encapsulations(job_id=JOB, party_id=ALPHA, encapsulations=(ENCAPSULATION,)),
    k.MaskedReply(
        job_id=JOB,
        round_number=2,
        session_id=bytes(32),
        party_id=ALPHA,
        masked=k.MaskedPart(values=b"\x06" * 64),
        padded_digest=bytes(32),
        signature=bytes(64),
    ),
    m.PaddedPart(job_id=JOB, round_number=2, session_id=bytes(32), party_id=ALPHA, size=400),
    EncryptedReply(job_id=JOB, round_number=2, session_id=bytes(32), contribution=CONTRIBUTION),
    m.PartialDecryption(
        job_id=JOB,
        round_number=2,
        session_id=bytes(32),
        transcript_digest=bytes(32),
        party_id=ALPHA,
        values=(b"\x04" * 40,) * 3,
        proof=b"\x05" * 9,
        transcript_signature=bytes(64),
        signature=bytes(64),
    ),
    RECEIPT,
    REJECTION,
]
OF_AGGREGATOR: list[m.AggregatorMessage] = [
    m.Welcome(protocol_version=1, roster_serial=3, roster_digest=bytes(32)),
    m.JobProposal(job_id=JOB, roster_digest=bytes(32), spec=b"{}", terms=b"[[],[]]", signature=bytes(64)),
    a.Acceptances(job_id=JOB, replies=(ACCEPTANCE,), signature=bytes(64)),
    a.RelayedEncapsulations(job_id=JOB, encapsulations=(ENCAPSULATION,)),
    replace(QUERY, previous=k.ReplyList(session_id=bytes(32), replies=((ALPHA, bytes(32)),))),
    m.DecryptionRequest(fields=QUERY.fields, contributions=(CONTRIBUTION,), signature=bytes(64)),
    m.ModelDelivery(job_id=JOB, model=b'{"a":[[1]]}', signature=bytes(64)),
    m.JobEnd(job_id=JOB, outcome=m.JobOutcome.FAILED, reason="nobody came", signature=bytes(64)),
    REJECTION,
]
SIDES: dict[str, tuple[list[Any], Callable[[Any], Any], Callable[[Any], Any], Any]] = {
    "party": (OF_PARTY, party_message_to_wire, party_message_from_wire, m.PartyMessage),
    "aggregator": (OF_AGGREGATOR, aggregator_message_to_wire, aggregator_message_from_wire, m.AggregatorMessage),
}
WIRES = {side: [to_wire(message) for message in messages] for side, (messages, to_wire, _, _) in SIDES.items()}


def finish(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run what waits for nothing, without an event loop for each example."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast(T, end.value)
    raise AssertionError("it waits for something")


def test_there_is_a_message_of_every_kind():
    for messages, _, _, kinds in SIDES.values():
        assert {type(message) for message in messages} == set(typing.get_args(kinds))


async def handle_nothing(message: Any) -> None:
    pass


@pytest.mark.parametrize("side", SIDES)
@given(data=st.data())
@settings(max_examples=150)
def test_mutated_message_is_handled_or_refused_and_its_refusal_can_be_sent(side, data):
    _, to_wire, from_wire, kinds = SIDES[side]
    wire = data.draw(mutated(st.sampled_from(WIRES[side])))
    handled: list[Any] = []

    async def handle(message: Any) -> None:
        handled.append(message)

    refused = finish(receive(wire, from_wire, handle))
    if refused is None:
        assert isinstance(handled[0], typing.get_args(kinds))
        assert to_wire(handled[0]) == wire
        return
    assert type(refused.error) is MalformedMessage
    assert handled == []
    assert refused.message is None
    answer = refused.answer
    assert answer is not None
    assert is_one_line(answer.detail)
    assert party_message_from_wire(party_message_to_wire(answer)) == answer
    assert aggregator_message_from_wire(aggregator_message_to_wire(answer)) == answer


REQUESTS: list[tuple[Any, Callable[[Any], Any], bytes]] = [
    (operator_pb2.SubmitJobRequest, operator_wire.submission_from_wire, b'\x0a\x08{"a":[]}'),
    (operator_pb2.WatchJobRequest, operator_wire.job_id_from_wire, b"\x0a\x05job-1"),
    (operator_pb2.CancelJobRequest, operator_wire.job_id_from_wire, b"\x0a\x05job-1"),
    (operator_pb2.FetchModelRequest, operator_wire.job_id_from_wire, b"\x0a\x05job-1"),
]


@pytest.mark.parametrize(("kind", "from_wire", "wire"), REQUESTS)
@given(data=st.data())
@settings(max_examples=60)
def test_mutated_request_is_understood_or_malformed(kind, from_wire, wire, data):
    changed = data.draw(mutated(st.just(wire)))
    with contextlib.suppress(MalformedMessage):
        assert from_wire(parse_any(kind.FromString, changed, "the request"))


@given(mutated(st.just(b"\x0a\x26\x08\x03\x12\x20" + bytes(32) + b"\x18\x00\x12\x03abc")))
@settings(max_examples=100)
def test_mutated_frame_is_a_frame_or_malformed(data):
    with contextlib.suppress(MalformedMessage):
        assert frame_from_wire(frame_from_bytes(data)).chunk


@pytest.mark.parametrize("failure", [RecursionError, ValueError, OverflowError, KeyError, MemoryError])
@asynchronous
async def test_whatever_a_converter_raises_is_a_refusal(failure):
    def from_wire(data: Any) -> m.PartyMessage:
        raise failure("secret")

    refused = await receive(b"x", from_wire, handle_nothing)
    assert refused is not None
    assert refused.answer == m.Rejection(
        code="malformed-message", detail="the message cannot be read", job_id="", round_number=0
    )


@asynchronous
async def test_error_that_may_be_told_is_answered_with_its_words_and_another_goes_up():
    failures: list[Exception] = [StaleRound("round 3 is over"), StorageError("disk /secret"), RuntimeError("secret")]

    async def handle(message: Any) -> None:
        raise failures.pop(0)

    wire = party_message_to_wire(RECEIPT)
    refused = await receive(wire, party_message_from_wire, handle)
    assert refused is not None
    assert refused.message == RECEIPT
    assert refused.answer == m.Rejection(code="stale-round", detail="round 3 is over", job_id="job-1", round_number=0)
    for kind in (StorageError, RuntimeError):
        with pytest.raises(kind):
            await receive(wire, party_message_from_wire, handle)


@asynchronous
async def test_rejection_is_never_answered():
    async def handle(message: Any) -> None:
        raise StaleRound("round 3 is over")

    refused = await receive(party_message_to_wire(REJECTION), party_message_from_wire, handle)
    assert refused is not None
    assert refused.answer is None


def test_words_may_be_told_exactly_where_the_status_is_not_internal():
    for kind, status in STATUS.items():
        assert kind.may_be_told == (status is not StatusCode.INTERNAL), kind
    families = (errors.PeerError, errors.RefusedError, errors.TransientError, errors.NotFound)
    assert not CoterieError.may_be_told
    assert not errors.ConfigurationError.may_be_told
    assert all(family.may_be_told for family in families)
