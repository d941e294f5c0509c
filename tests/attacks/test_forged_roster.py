# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator makes a roster of its own: a lower quorum or threshold, another member, another aggregator.

A party believes a roster only under the founder's key that its steward pinned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import CoterieError, ParameterMismatch
from coterie_common.protocol.parameters import AggregatorTrust
from coterie_common.protocol.roster import Roster, SignedRoster, founder_fingerprint
from coterie_common.protocol.verification.request import OwnKnowledge, verify_request
from tests.support.federation import digest_of, make_federation
from tests.support.opening import opened
from tests.support.seeded_random import SeededRandom

FEDERATION = make_federation()
FOUNDER = SigningKey.generate(SeededRandom("founder"))
AGGREGATOR = FEDERATION.aggregator_key
PINNED = founder_fingerprint(FOUNDER.verify_key)
TRUE = SignedRoster.create(FEDERATION.roster, FOUNDER)


def with_parameters(**changes: Any) -> Roster:
    # Consistent in themselves: these values a founder could have chosen.
    curious = replace(FEDERATION.parameters, aggregator_trust=AggregatorTrust.HONEST_BUT_CURIOUS)
    return replace(FEDERATION.roster, parameters=replace(curious, **changes))


def lowered_quorum() -> Roster:
    return with_parameters(quorum=3)


def lowered_threshold() -> Roster:
    return with_parameters(decryption_threshold=2)


def own_party() -> Roster:
    """One member is replaced by a party of the aggregator's own."""
    own = replace(FEDERATION.roster.members[4], verify_key=SigningKey.generate(SeededRandom("own")).verify_key)
    return replace(FEDERATION.roster, members=(*FEDERATION.roster.members[:4], own))


def other_key() -> Roster:
    """A threshold key of which the aggregator knows the factors."""
    return replace(FEDERATION.roster, key_digest=digest_of("a key whose factors are known"))


FORGED: list[Callable[[], Roster]] = [lowered_quorum, lowered_threshold, own_party, other_key]


@pytest.mark.parametrize("forged", FORGED)
def test_roster_that_the_aggregator_signs_as_founder_is_not_the_pinned_founders(forged):
    signed = SignedRoster.create(replace(forged(), serial=2), AGGREGATOR)
    with pytest.raises(CoterieError) as refusal:
        signed.verify(PINNED)
    assert refusal.value.code == "identity-mismatch"


@pytest.mark.parametrize("forged", FORGED)
def test_roster_under_the_founders_old_signature_is_refused(forged):
    assert TRUE.verify(PINNED) == FEDERATION.roster
    with pytest.raises(CoterieError) as refusal:
        replace(TRUE, roster=forged()).verify(PINNED)
    assert refusal.value.code == "invalid-signature"


def test_party_that_pinned_nobody_would_open_a_sum_of_one_reply_and_nothing():
    victim, roster = FEDERATION.parties[0], lowered_quorum()
    forged = SignedRoster.create(roster, AGGREGATOR)
    assert forged.verify(founder_fingerprint(AGGREGATOR.verify_key)) == roster
    fields = FEDERATION.fields(roster_digest=roster.digest, round_quorum=3)
    secret, nothing = [93, 4, 71, 17, 58, 26], [0] * 6
    contributions = tuple(
        FEDERATION.contribution(p, fields.session_id, secret if p == victim else nothing)
        for p in FEDERATION.parties[:3]
    )
    own = OwnKnowledge(
        party_id=victim,
        roster=roster,
        session_id=fields.session_id,
        contribution_digest=contributions[0].digest,
        random=FEDERATION.random,
    )
    request = FEDERATION.request(fields, contributions)
    assert opened(FEDERATION, verify_request(request, own, FEDERATION.sealing())) == secret
    with pytest.raises(ParameterMismatch):
        verify_request(request, replace(own, roster=FEDERATION.roster), FEDERATION.sealing())


def test_key_of_a_lower_threshold_is_another_key_than_the_rosters():
    # Its verification keys are the same: only the number of shares that are needed is another.
    lowered = replace(FEDERATION.dealing.key, decryption_threshold=2)
    assert lowered.digest != FEDERATION.roster.key_digest


@pytest.mark.parametrize("changes", [{"quorum": 2}, {"decryption_threshold": 1}, {"corruption_bound": 0}])
def test_roster_with_parameters_that_no_founder_may_choose_is_none(changes):
    document = FEDERATION.roster.to_document()
    document["parameters"] |= changes
    with pytest.raises(CoterieError) as refusal:
        Roster.from_document(document)
    assert refusal.value.code == "malformed-message"
