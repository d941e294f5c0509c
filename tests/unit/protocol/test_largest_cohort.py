# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Complete sealing at its limit: 64 parties agree and their masks cancel; with one more the job is not begun."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from coterie_aggregator.live.submission import check_left_out
from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import InvalidJob, MalformedMessage, NotInCohort, PlaintextOutOfRange
from coterie_common.identifiers import PartyId
from coterie_common.limits import MAX_COMPLETE_COHORT
from coterie_common.protocol.acceptance import Acceptances
from coterie_common.protocol.job_spec import JobSealing
from coterie_common.protocol.parameters import choose_parameters
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.sealing.choice import make_complete_sealing
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.terms import SealingKind
from coterie_common.protocol.verification.acceptance import verify_acceptances
from coterie_common.wire.federation import aggregator_message_from_wire, aggregator_message_to_wire
from tests.support.agreements import accepted_by, secret_of
from tests.support.federation import JOB, digest_of, make_federation
from tests.support.pair_secrets import secrets_of
from tests.support.seeded_random import SeededRandom
from tests.support.small_jobs import statistics_spec

MANY = MAX_COMPLETE_COHORT + 1
EVERYBODY = tuple(PartyId(f"party-{index:02}") for index in range(1, MANY + 1))
COHORT = EVERYBODY[:MAX_COMPLETE_COHORT]
FEDERATION = make_federation()
SESSION = digest_of("session")
ACCEPTED = accepted_by(FEDERATION.parties[0])


@cache
def key_of(party_id: PartyId) -> SigningKey:
    return SigningKey.generate(SeededRandom(f"signing {party_id}"))


@cache
def roster() -> Roster:
    """A roster of one party more than can seal completely."""
    known = FEDERATION.roster
    return replace(
        known,
        parameters=choose_parameters(MANY, corruption_bound=1, quorum=MAX_COMPLETE_COHORT - 1),
        key_holders=EVERYBODY,
        members=tuple(
            replace(
                known.members[0],
                party_id=party_id,
                index=index,
                certificate_fingerprint=digest_of(party_id),
                verify_key=key_of(party_id).verify_key,
                sealing_key=digest_of(f"sealing {party_id}"),
            )
            for index, party_id in enumerate(EVERYBODY, 1)
        ),
    )


@cache
def acceptances_of(parties: tuple[PartyId, ...]) -> Acceptances:
    replies = tuple(
        replace(ACCEPTED, party_id=party_id, ephemeral_key=secret_of(party_id).public.encoded).signed_by(
            key_of(party_id)
        )
        for party_id in parties
    )
    return Acceptances(job_id=JOB, replies=replies, signature=UNSIGNED).signed_by(FEDERATION.aggregator_key)


def test_sixty_four_parties_agree_on_secrets():
    assert MAX_COMPLETE_COHORT == 64
    message = acceptances_of(COHORT)
    assert aggregator_message_from_wire(aggregator_message_to_wire(message)) == message
    agreement = verify_acceptances(message, message.replies[0], roster())
    assert agreement.cohort == COHORT
    first, last = COHORT[0], COHORT[-1]
    sent, pairs = agreement.encapsulate(first, secret_of(first), key_of(first))
    assert [each.recipient for each in sent] == list(COHORT[1:])
    # The last one has a secret with everybody; here with the first alone, whose encapsulation is at hand.
    alone = replace(agreement, participants={p: agreement.participants[p] for p in (first, last)})
    assert alone.decapsulate(last, secret_of(last), sent[-1:])[first] == pairs[last]


def test_sixty_fifth_party_is_too_many():
    message = acceptances_of(EVERYBODY)
    with pytest.raises(NotInCohort, match="65 parties take part") as refusal:
        verify_acceptances(message, message.replies[0], roster())
    assert refusal.value.code == "not-in-cohort"
    with pytest.raises(MalformedMessage):
        aggregator_message_from_wire(aggregator_message_to_wire(message))
    spec = replace(statistics_spec(), sealing=JobSealing.COMPLETE)
    with pytest.raises(InvalidJob, match="cannot be sealed completely, which takes 64 at most"):
        check_left_out(spec, roster())
    rounds = spec.rounds.model_copy(update={"without": EVERYBODY[-1:]})
    check_left_out(replace(spec, rounds=rounds), roster())


def test_masks_of_sixty_four_parties_cancel_and_not_without_one():
    terms = replace(FEDERATION.terms(), sealing=SealingKind.COMPLETE)
    random, secrets = SeededRandom("values"), secrets_of(COHORT)
    values = {p: np.array([random.randbelow(100) for _ in range(6)], np.int64) for p in COHORT}
    parts = []
    for party_id in COHORT:
        masks = secrets[party_id].masks_for(SESSION, COHORT)
        sealing = make_complete_sealing(terms, MANY, masks)
        parts.append(sealing.seal(values[party_id], SESSION, party_id, random).key_part)
    opening = make_complete_sealing(terms, MANY)
    assert opening.open(opening.add(parts), len(COHORT)).tolist() == sum(values.values()).tolist()
    with pytest.raises(PlaintextOutOfRange):
        opening.open(opening.add(parts[:-1]), len(COHORT) - 1)
