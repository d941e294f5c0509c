# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import CoterieError, PeerError
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.acceptance import (
    Acceptances,
    Decision,
    Encapsulation,
    Encapsulations,
    JobReply,
    RelayedEncapsulations,
)
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.verification.acceptance import (
    ACCEPTANCES_CHECKS,
    AcceptancesReceived,
    verify_acceptances,
)
from coterie_common.protocol.verification.check import run_checks
from coterie_common.protocol.verification.encapsulation import (
    ENCAPSULATION_CHECKS,
    EncapsulationReceived,
    verify_encapsulations,
    verify_relayed,
)
from tests.support.agreements import ROSTER_AND_KEYS, accepted_by, agreement_between, relayed_acceptances, secret_of
from tests.support.federation import JOB, digest_of
from tests.support.seeded_random import SeededRandom

FEDERATION = ROSTER_AND_KEYS
COHORT = tuple(sorted(FEDERATION.parties))
OWN, OTHER = COHORT[1], COHORT[3]
OUTSIDER = SigningKey.generate(SeededRandom("outsider"))
ACCEPTED = {party_id: accepted_by(party_id) for party_id in COHORT}


def relayed(**changes: JobReply | None) -> Acceptances:
    """The acceptances of everybody, some of them changed, or left out."""
    named = {**ACCEPTED, **{PartyId(name.replace("_", "-")): reply for name, reply in changes.items()}}
    return relayed_acceptances(tuple(named[party_id] for party_id in sorted(named) if named[party_id] is not None))  # type: ignore[misc]


def resigned(reply: JobReply, **changes: Any) -> JobReply:
    """A reply that its own party signed, with something else in it."""
    changed = replace(reply, **changes)
    return changed.signed_by(FEDERATION.party_keys[changed.party_id])


def with_other(change: Callable[[JobReply], JobReply | None]) -> Acceptances:
    return relayed(**{OTHER.replace("-", "_"): change(ACCEPTED[OTHER])})


@dataclass(frozen=True)
class Bad:
    check: int
    name: str
    code: str
    make: Callable[[], Acceptances]


BAD = [
    Bad(1, "not signed", "invalid-signature", lambda: replace(relayed(), signature=bytes(64))),
    Bad(1, "signed by another", "invalid-signature", lambda: relayed().signed_by(OUTSIDER)),
    Bad(
        2,
        "without the own one",
        "equivocation",
        lambda: relayed(**{OWN.replace("-", "_"): None}),
    ),
    Bad(
        2,
        "with the own one of another time",
        "equivocation",
        lambda: relayed(
            **{OWN.replace("-", "_"): resigned(ACCEPTED[OWN], ephemeral_key=secret_of("another time").public.encoded)}
        ),
    ),
    Bad(
        3,
        "in another order",
        "malformed-message",
        lambda: relayed_acceptances(tuple(reversed(relayed().replies))),
    ),
    Bad(
        3,
        "of fewer than the quorum",
        "not-in-cohort",
        lambda: relayed_acceptances(tuple(ACCEPTED[party_id] for party_id in COHORT[:3])),
    ),
    Bad(5, "of another job", "parameter-mismatch", lambda: with_other(lambda r: resigned(r, job_id=JobId("job-2")))),
    Bad(
        5,
        "of other terms",
        "parameter-mismatch",
        lambda: with_other(lambda r: resigned(r, terms_digest=digest_of("other terms"))),
    ),
    Bad(
        5,
        "that refuses",
        "parameter-mismatch",
        lambda: with_other(lambda r: resigned(r, decision=Decision.REFUSED, code="consent-denied")),
    ),
    Bad(
        6,
        "with another's keys",
        "malformed-message",
        lambda: with_other(lambda r: resigned(r, ephemeral_key=ACCEPTED[OWN].ephemeral_key)),
    ),
    Bad(4, "that nobody signed", "invalid-signature", lambda: with_other(lambda r: replace(r, signature=bytes(64)))),
    Bad(
        4,
        "with keys of the aggregator's",
        "invalid-signature",
        lambda: with_other(lambda r: replace(r, ephemeral_key=secret_of("the aggregator").public.encoded)),
    ),
    Bad(
        4,
        "signed by another party",
        "invalid-signature",
        lambda: with_other(lambda r: replace(r, signature=ACCEPTED[OWN].signature)),
    ),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_acceptances_with_one_thing_wrong_raise_with_their_code(bad):
    with pytest.raises(CoterieError) as refusal:
        verify_acceptances(bad.make(), ACCEPTED[OWN], FEDERATION.roster)
    assert refusal.value.code == bad.code


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_acceptances_with_one_thing_wrong_pass_without_its_check(bad):
    # Nothing else would have caught it.
    others = tuple(check for check in ACCEPTANCES_CHECKS if check.number != bad.check)
    run_checks(others, AcceptancesReceived(acceptances=bad.make(), own=ACCEPTED[OWN], roster=FEDERATION.roster))


def test_every_check_of_acceptances_is_exercised():
    assert {bad.check for bad in BAD} == {check.number for check in ACCEPTANCES_CHECKS}


SMALL_ORDER = bytes(32) + ACCEPTED[OTHER].ephemeral_key[32:]


@pytest.mark.parametrize(
    "key",
    [b"", bytes(1215), b"\xff" * 1216, SMALL_ORDER],
    ids=["none", "too short", "out of range", "a point of small order"],
)
def test_ill_formed_keys_that_a_party_signed_name_it(key):
    with pytest.raises(PeerError) as refusal:
        verify_acceptances(with_other(lambda r: resigned(r, ephemeral_key=key)), ACCEPTED[OWN], FEDERATION.roster)
    assert (refusal.value.code, refusal.value.culprits) == ("malformed-message", (OTHER,))


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda r: replace(r, terms_digest=digest_of("other terms")), "invalid-signature"),
        (lambda r: replace(r, ephemeral_key=SMALL_ORDER), "invalid-signature"),
        # What an honest party signed when it was asked something else.
        (lambda r: resigned(r, job_id=JobId("job-2")), "parameter-mismatch"),
        (lambda r: resigned(r, terms_digest=digest_of("other terms")), "parameter-mismatch"),
        (lambda r: resigned(r, decision=Decision.REFUSED, code="consent-denied"), "parameter-mismatch"),
        (lambda r: resigned(r, ephemeral_key=ACCEPTED[COHORT[0]].ephemeral_key), "malformed-message"),
        (lambda r: resigned(r, ephemeral_key=ACCEPTED[COHORT[4]].ephemeral_key), "malformed-message"),
    ],
    ids=[
        "altered terms",
        "altered keys",
        "another job",
        "other terms",
        "a refusal",
        "keys of one before",
        "keys of one after",
    ],
)
def test_acceptances_that_the_aggregator_may_have_spoilt_name_nobody(make, code):
    with pytest.raises(PeerError) as refusal:
        verify_acceptances(with_other(make), ACCEPTED[OWN], FEDERATION.roster)
    assert (refusal.value.code, refusal.value.culprits) == (code, ())


def test_acceptances_relayed_for_another_job_name_nobody():
    elsewhere = replace(relayed(), job_id=JobId("job-2")).signed_by(FEDERATION.aggregator_key)
    with pytest.raises(PeerError) as refusal:
        verify_acceptances(elsewhere, ACCEPTED[OWN], FEDERATION.roster)
    assert (refusal.value.code, refusal.value.culprits) == ("parameter-mismatch", ())


def test_honest_acceptances_name_the_cohort_and_its_keys():
    agreement = verify_acceptances(relayed(), ACCEPTED[OWN], FEDERATION.roster)
    assert agreement.cohort == COHORT
    assert agreement.digest == relayed().digest
    assert agreement.participants[OTHER].key == secret_of(OTHER).public
    fewer = verify_acceptances(relayed(**{OTHER.replace("-", "_"): None}), ACCEPTED[OWN], FEDERATION.roster)
    assert fewer.cohort == tuple(each for each in COHORT if each != OTHER)
    assert fewer.digest != agreement.digest


# Encapsulations.

AGREEMENT = agreement_between(COHORT)
MADE = {
    party_id: AGREEMENT.encapsulate(party_id, secret_of(party_id), FEDERATION.party_keys[party_id])
    for party_id in COHORT
}


def to(recipient: PartyId) -> RelayedEncapsulations:
    sent = [each for sender in COHORT for each in MADE[sender][0] if each.recipient == recipient]
    return RelayedEncapsulations(job_id=JOB, encapsulations=tuple(sent))


def test_every_two_parties_share_one_secret():
    pairs = {
        party_id: MADE[party_id][1]
        | AGREEMENT.decapsulate(
            party_id, secret_of(party_id), verify_relayed(to(party_id), party_id, AGREEMENT, FEDERATION.roster)
        )
        for party_id in COHORT
    }
    revealed = {(one, other): pairs[one][other].reveal() for one in COHORT for other in COHORT if one != other}
    assert all(revealed[one, other] == revealed[other, one] for one, other in revealed)
    assert len(set(revealed.values())) == len(COHORT) * (len(COHORT) - 1) // 2


def test_aggregator_accepts_what_everybody_encapsulated():
    for party_id in COHORT:
        message = Encapsulations(job_id=JOB, party_id=party_id, encapsulations=MADE[party_id][0])
        verify_encapsulations(message, AGREEMENT, FEDERATION.roster)


FIRST, LAST = COHORT[0], COHORT[-1]
HONEST = MADE[FIRST][0][-1]


def remade(**changes: Any) -> Encapsulation:
    return replace(HONEST, **changes).signed_by(FEDERATION.party_keys[FIRST])


WRONG = [
    (1, "parameter-mismatch", remade(job_id=JobId("job-2"))),
    (1, "parameter-mismatch", remade(recipient=COHORT[2])),
    (2, "parameter-mismatch", remade(acceptances=(HONEST.acceptances[0], digest_of("another acceptance")))),
    (2, "parameter-mismatch", remade(acceptances=tuple(reversed(HONEST.acceptances)))),
    (3, "invalid-signature", replace(HONEST, signature=UNSIGNED)),
    (3, "invalid-signature", replace(HONEST, ciphertext=MADE[FIRST][0][0].ciphertext)),
]


@pytest.mark.parametrize(
    ("check", "code", "wrong"),
    WRONG,
    ids=["another job", "another recipient", "another acceptance", "swapped acceptances", "unsigned", "swapped"],
)
def test_wrong_encapsulation_is_refused_by_its_check_alone(check, code, wrong):
    received = EncapsulationReceived(
        encapsulation=wrong, sender=FIRST, recipient=LAST, agreement=AGREEMENT, roster=FEDERATION.roster
    )
    with pytest.raises(CoterieError) as refusal:
        run_checks(ENCAPSULATION_CHECKS, received)
    assert refusal.value.code == code
    run_checks((each for each in ENCAPSULATION_CHECKS if each.number != check), received)


def test_encapsulations_of_another_set_of_parties_are_malformed():
    for wrong in (to(LAST).encapsulations[1:], to(LAST).encapsulations[::-1], to(OTHER).encapsulations):
        with pytest.raises(CoterieError) as refusal:
            verify_relayed(replace(to(LAST), encapsulations=wrong), LAST, AGREEMENT, FEDERATION.roster)
        assert refusal.value.code == "malformed-message"
        assert getattr(refusal.value, "culprits", ()) == ()
    for wrong in (MADE[FIRST][0][1:], MADE[OWN][0]):
        message = Encapsulations(job_id=JOB, party_id=FIRST, encapsulations=wrong)
        with pytest.raises(CoterieError) as blamed:
            verify_encapsulations(message, AGREEMENT, FEDERATION.roster)
        assert blamed.value.code == "malformed-message"
        assert getattr(blamed.value, "culprits", ()) == (FIRST,)


def test_encapsulation_replayed_from_another_job_is_refused():
    other = agreement_between(COHORT, job_id=JobId("job-2"))
    replayed, _ = other.encapsulate(FIRST, secret_of(FIRST), FEDERATION.party_keys[FIRST])
    message = Encapsulations(job_id=JOB, party_id=FIRST, encapsulations=replayed)
    with pytest.raises(CoterieError) as refusal:
        verify_encapsulations(message, AGREEMENT, FEDERATION.roster)
    assert refusal.value.code == "parameter-mismatch"
