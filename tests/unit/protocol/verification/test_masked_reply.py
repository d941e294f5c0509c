# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest

from coterie_common.errors import PeerError
from coterie_common.identifiers import PartyId
from coterie_common.protocol.masked_reply import MaskedPart, MaskedReply
from coterie_common.protocol.padded_part import NOTHING_PADDED, PaddedFacts, padded_digest
from coterie_common.protocol.sealing.choice import make_complete_sealing
from coterie_common.protocol.sealing.complete import CompleteSealing
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.terms import RoundTerms, SealingKind
from coterie_common.protocol.verification.check import run_checks
from coterie_common.protocol.verification.masked_reply import (
    MASKED_REPLY_CHECKS,
    MaskedReplyReceived,
    verify_masked_reply,
)
from tests.support.federation import JOB, digest_of, make_federation, with_encoding
from tests.support.pair_secrets import secrets_of
from tests.support.seeded_random import SeededRandom

FEDERATION = make_federation()
COHORT = tuple(sorted(FEDERATION.parties))
SENDER, OTHER = COHORT[0], COHORT[1]
PARTIES = len(COHORT)


def fields_of(terms: RoundTerms) -> SessionFields:
    return FEDERATION.fields(
        terms=terms.in_shares(PARTIES - 1), round_quorum=PARTIES, acceptances=digest_of("acceptances")
    )


DIRECT = fields_of(replace(FEDERATION.terms(), sealing=SealingKind.COMPLETE))
PADDED = fields_of(replace(with_encoding(FEDERATION.terms(), length=3000), sealing=SealingKind.COMPLETE_PADDED))


def sealing_of(fields: SessionFields, party_id: PartyId | None = None) -> CompleteSealing:
    masks = None if party_id is None else secrets_of(COHORT)[party_id].masks_for(fields.session_id, COHORT)
    return make_complete_sealing(fields.terms, PARTIES, masks)


def reply_to(fields: SessionFields, party_id: PartyId = SENDER, **changes: Any) -> tuple[MaskedReply, bytes]:
    """A reply that its sender signed, with something else in it, and the padded part that comes with it."""
    zeros = np.zeros(fields.terms.encoding.length, np.int64)
    sealed = sealing_of(fields, party_id).seal(zeros, fields.session_id, party_id, SeededRandom("reply"))
    made = MaskedReply(
        job_id=JOB,
        round_number=1,
        session_id=fields.session_id,
        party_id=party_id,
        masked=sealed.key_part,
        padded_digest=sealed.padded_digest,
        signature=UNSIGNED,
    )
    return replace(made, **changes).signed_by(FEDERATION.party_keys[party_id]), sealed.padded


def received(fields: SessionFields, reply: MaskedReply, padded: bytes) -> MaskedReplyReceived:
    facts = PaddedFacts(len(padded), padded_digest(padded))
    return MaskedReplyReceived(
        reply=reply, padded=facts, fields=fields, roster=FEDERATION.roster, sealing=sealing_of(fields)
    )


@dataclass(frozen=True)
class Bad:
    check: int
    name: str
    code: str
    make: Callable[[], MaskedReplyReceived]


def direct(**changes: Any) -> MaskedReplyReceived:
    return received(DIRECT, *reply_to(DIRECT, **changes))


def padded_part(change: Callable[[bytes], bytes]) -> MaskedReplyReceived:
    reply, padded = reply_to(PADDED)
    return received(PADDED, reply, change(padded))


def signed_by_another() -> MaskedReplyReceived:
    reply, padded = reply_to(DIRECT)
    return received(DIRECT, replace(reply, signature=reply_to(DIRECT, OTHER)[0].signature), padded)


def not_asked() -> MaskedReplyReceived:
    fields = replace(DIRECT, cohort=COHORT[1:], round_quorum=PARTIES - 1)
    reply, padded = reply_to(DIRECT, session_id=fields.session_id)
    return received(fields, reply, padded)


def of_another_length() -> MaskedReplyReceived:
    reply, padded = reply_to(PADDED, padded_digest=padded_digest(bytes(8)))
    del padded
    return received(PADDED, reply, bytes(8))


BAD = [
    Bad(1, "to another query", "parameter-mismatch", lambda: direct(session_id=digest_of("another"))),
    Bad(2, "of somebody who was not asked", "not-in-cohort", not_asked),
    Bad(3, "with a padded part of another length", "malformed-message", of_another_length),
    Bad(4, "with another padded part", "malformed-message", lambda: padded_part(lambda part: part[:-1] + b"\1")),
    Bad(5, "signed by another", "invalid-signature", signed_by_another),
    Bad(
        6,
        "with a masked part of another length",
        "malformed-message",
        lambda: direct(masked=MaskedPart(values=b"8" * 8)),
    ),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_reply_with_one_thing_wrong_names_its_sender(bad):
    wrong = bad.make()
    with pytest.raises(PeerError) as refusal:
        verify_masked_reply(wrong.reply, wrong.padded, wrong.fields, wrong.roster, wrong.sealing)
    assert (refusal.value.code, refusal.value.culprits) == (bad.code, (SENDER,))


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_reply_with_one_thing_wrong_passes_without_its_check(bad):
    run_checks((check for check in MASKED_REPLY_CHECKS if check.number != bad.check), bad.make())


def test_every_check_is_exercised():
    assert {bad.check for bad in BAD} == {check.number for check in MASKED_REPLY_CHECKS}


@pytest.mark.parametrize("fields", [DIRECT, PADDED], ids=["direct", "padded"])
def test_honest_reply_passes(fields):
    honest = received(fields, *reply_to(fields))
    verify_masked_reply(honest.reply, honest.padded, honest.fields, honest.roster, honest.sealing)


def test_padded_part_beside_a_vector_that_is_masked_directly_is_malformed():
    reply, _ = reply_to(DIRECT, padded_digest=padded_digest(b"part"))
    wrong = received(DIRECT, reply, b"part")
    with pytest.raises(PeerError) as refusal:
        verify_masked_reply(wrong.reply, wrong.padded, wrong.fields, wrong.roster, wrong.sealing)
    assert refusal.value.code == "malformed-message"
    assert reply_to(DIRECT)[0].padded_digest == NOTHING_PADDED
