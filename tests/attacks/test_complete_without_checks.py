# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What an aggregator and its colluders read of a completely sealed reply if one of the party's checks is left out."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from coterie_common.crypto.masks.mask import PairSecrets
from coterie_common.errors import CoterieError, StateError
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.acceptance import Acceptances, JobReply, RelayedEncapsulations
from coterie_common.protocol.agreement import Agreement
from coterie_common.protocol.masked_reply import MaskedReply
from coterie_common.protocol.sealing.choice import make_complete_sealing
from coterie_common.protocol.terms import SealingKind
from coterie_common.protocol.verification.acceptance import (
    ACCEPTANCES_CHECKS,
    AcceptancesReceived,
    _verify_acceptances,
    verify_acceptances,
)
from coterie_common.protocol.verification.encapsulation import verify_relayed
from tests.support.agreements import accepted_by, agreement_between, relayed_acceptances, secret_of
from tests.support.asynchronous import asynchronous
from tests.support.complete_attacks import COMPLETE, agreed, asked, unmasked
from tests.support.federation import digest_of, make_federation
from tests.support.in_process import generous_policy
from tests.support.malicious_aggregator import SPEC, attacking
from tests.support.oracle import sealed_vector
from tests.support.seeded_random import SeededRandom

FEDERATION = make_federation()
COHORT = tuple(sorted(FEDERATION.parties))
VICTIM, OTHERS = COHORT[0], COHORT[1:]
COLLUDER = OTHERS[-1]
OWN = accepted_by(VICTIM)
SESSION = digest_of("session")
VALUES = np.array([7, 0, 3, 12, 1, 5], np.int64)
TERMS = replace(FEDERATION.terms(), sealing=SealingKind.COMPLETE)


def of_its_own_keys() -> Acceptances:
    """The aggregator puts ephemeral keys of its own into the acceptances of all others, which nobody signed so."""
    replies = [replace(accepted_by(each), ephemeral_key=secret_of(f"own {each}").public.encoded) for each in OTHERS]
    return relayed_acceptances([OWN, *replies])


def of_another_job() -> Acceptances:
    """All others did sign these, for a job that is over and whose secrets the aggregator came by."""
    return relayed_acceptances([OWN, *(accepted_by(each, JobId("job-0")) for each in OTHERS)])


def with_a_colluder_alone() -> Acceptances:
    return relayed_acceptances([OWN, accepted_by(COLLUDER)])


@dataclass(frozen=True)
class Attack:
    check: int
    code: str
    make: Callable[[], Acceptances]
    known: dict[PartyId, str]
    """The parties whose secrets the attacker has, and the names under which it made them."""


ATTACKS = {
    "keys of the aggregator's": Attack(4, "invalid-signature", of_its_own_keys, {p: f"own {p}" for p in OTHERS}),
    "acceptances of another job": Attack(5, "parameter-mismatch", of_another_job, {p: p for p in OTHERS}),
    "one colluder and nobody else": Attack(3, "not-in-cohort", with_a_colluder_alone, {COLLUDER: COLLUDER}),
}


def read_from_a_reply(agreement: Agreement, known: dict[PartyId, str]) -> list[int]:
    """Let the victim answer under an agreement, and take off the masks of those whose secrets are known."""
    sent, pairs = agreement.encapsulate(VICTIM, secret_of(VICTIM), FEDERATION.party_keys[VICTIM])
    masks = PairSecrets(VICTIM, pairs).masks_for(SESSION, agreement.cohort)
    sealing = make_complete_sealing(TERMS, len(COHORT), masks)
    part = sealing.seal(VALUES, SESSION, VICTIM, SeededRandom("reply")).key_part
    total = sealing.check_masked(part).copy()
    for each in sent:
        two = {p: agreement.participants[p] for p in (VICTIM, each.recipient)}
        alone = replace(agreement, participants=two)
        secret = alone.decapsulate(each.recipient, secret_of(known[each.recipient]), (each,))
        covering = PairSecrets(each.recipient, secret).masks_for(SESSION, tuple(two))
        total += covering.cover_values(np.zeros(len(VALUES), np.int64))
    opened: list[int] = sealing.open(total, 1).tolist()
    return opened


@pytest.mark.parametrize("name", ATTACKS)
def test_acceptances_that_would_uncover_one_reply_are_refused(name):
    attack = ATTACKS[name]
    with pytest.raises(CoterieError) as refusal:
        verify_acceptances(attack.make(), OWN, FEDERATION.roster)
    assert refusal.value.code == attack.code


@pytest.mark.parametrize("name", ATTACKS)
def test_without_its_check_one_reply_is_read_with_no_noise_but_its_own(name):
    attack = ATTACKS[name]
    checks = tuple(check for check in ACCEPTANCES_CHECKS if check.number != attack.check)
    received = AcceptancesReceived(acceptances=attack.make(), own=OWN, roster=FEDERATION.roster)
    assert read_from_a_reply(_verify_acceptances(received, checks), attack.known) == VALUES.tolist()


def test_without_the_check_of_its_own_acceptance_a_party_would_stop_at_a_key_that_is_not_its_own():
    def swapped() -> JobReply:
        changed = replace(OWN, ephemeral_key=secret_of("own").public.encoded)
        return changed.signed_by(FEDERATION.party_keys[VICTIM])

    acceptances = relayed_acceptances([swapped(), *map(accepted_by, OTHERS)])
    with pytest.raises(CoterieError) as refusal:
        verify_acceptances(acceptances, OWN, FEDERATION.roster)
    assert refusal.value.code == "equivocation"
    received = AcceptancesReceived(acceptances=acceptances, own=OWN, roster=FEDERATION.roster)
    agreement = _verify_acceptances(received, tuple(check for check in ACCEPTANCES_CHECKS if check.number != 2))
    # An error that is the party's own, and which would end its daemon.
    with pytest.raises(StateError):
        agreement.encapsulate(VICTIM, secret_of(VICTIM), FEDERATION.party_keys[VICTIM])


def test_without_the_check_of_its_signature_an_encapsulation_would_part_two_that_should_share_a_secret():
    # X25519 still hides their secrets from the aggregator, but no mask of theirs cancels, and nothing shows who did it.
    agreement = agreement_between(COHORT)
    last, senders = COHORT[-1], COHORT[:-1]
    made = {p: agreement.encapsulate(p, secret_of(p), FEDERATION.party_keys[p]) for p in senders}
    honest = [next(each for each in made[p][0] if each.recipient == last) for p in senders]
    _, ciphertext = agreement.participants[last].key.encapsulate()
    forged = replace(honest[0], ciphertext=ciphertext)
    relayed = RelayedEncapsulations(job_id=OWN.job_id, encapsulations=(forged, *honest[1:]))
    with pytest.raises(CoterieError) as refusal:
        verify_relayed(relayed, last, agreement, FEDERATION.roster)
    assert (refusal.value.code, getattr(refusal.value, "culprits", ())) == ("invalid-signature", ())
    taken = agreement.decapsulate(last, secret_of(last), relayed.encapsulations)
    assert [p for p in senders if taken[p].reveal() != made[p][1][last].reveal()] == [VICTIM]


@asynchronous
async def test_party_draws_other_noise_under_the_other_sealing(tmp_path):
    # The aggregator adds the replies of all under masks, and takes off those of all but one under the key. Were the
    # noise of the others the same in both, that one's reply would be left with its own share alone.
    policy = generous_policy(sealings=["complete", "threshold"])
    async with attacking(tmp_path, spec=COMPLETE, policy=policy) as attacker:
        acceptances, pairs = await agreed(attacker)
        masked_fields = asked(attacker, acceptances)
        masked = await attacker.tell(attacker.query(masked_fields))
        assert isinstance(masked, MaskedReply)

        # Its own job, as a job is sealed in one way only; the same question about the same records.
        again = replace(attacker, spec=SPEC, job_id=JobId("job-2"))
        await again.accepted()
        fields = again.fields()
        shares = FEDERATION.parameters.honest_shares(len(COHORT))
        fields = replace(fields, round_quorum=len(COHORT), terms=fields.terms.in_shares(shares))
        assert fields.terms == replace(masked_fields.terms, sealing=SealingKind.DIRECT)
        assert fields.body_digest == masked_fields.body_digest
        sealed = sealed_vector(attacker.federation, await again.answered(fields), fields)

        left = np.array(unmasked(masked_fields, masked, pairs)) - sealed
        variances = float((left**2).sum() / (2 * fields.terms.noise.share_variance))
        assert len(left) == 18
        # Chi-square with as many degrees of freedom is outside once in a million times; the same noise would give 0.
        assert 1.8 < variances < 63.8
