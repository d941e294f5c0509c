# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator checks contributions one by one, parties check them together: they must judge alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coterie_common.crypto.proofs.plaintext_knowledge import Statement, Witness
from coterie_common.errors import InvalidProof
from coterie_common.protocol.encrypted_reply import Contribution, KeyPart
from coterie_common.protocol.padded_part import NOTHING_PADDED
from coterie_common.protocol.verification.contribution import check_form
from coterie_common.protocol.verification.request import OwnKnowledge, verify_request
from tests.support.cheating_provers import prove_off_by, roots_of_one
from tests.support.dealings import load_primes
from tests.support.federation import make_federation
from tests.support.seeded_random import SeededRandom

FEDERATION = make_federation()
KEY = FEDERATION.dealing.key.public_key
FIELDS = FEDERATION.fields()
SENDER = FEDERATION.parties[2]
MINUS_ONE, OTHER_ROOT = roots_of_one(*load_primes())


def contribution_off_by(factor: int) -> Contribution:
    """A contribution whose proof has the given factor in its commitment, signed by its sender."""
    encryptor, random = FEDERATION.encryptor, SeededRandom("off")
    nonce = encryptor.draw_nonce(random)
    ciphertext = encryptor.encrypt(7, nonce)
    statement = Statement(FIELDS.session_id, SENDER, KEY, NOTHING_PADDED, (ciphertext,))
    proof = prove_off_by(statement, Witness((7,), (nonce,)), encryptor, factor, "off")
    part = KeyPart(ciphertexts=(ciphertext.to_bytes(),), proof=proof.to_bytes(KEY))
    return FEDERATION.contribution(SENDER, FIELDS.session_id, key_part=part)


def check_at_aggregator(contribution: Contribution) -> None:
    sealing = FEDERATION.sealing()
    sealing.verify_knowledge(contribution, check_form(contribution, sealing), FIELDS.session_id)


def check_at_party(contribution: Contribution, seed: int) -> None:
    contributions = tuple(
        contribution if party_id == SENDER else FEDERATION.contribution(party_id, FIELDS.session_id)
        for party_id in FEDERATION.parties
    )
    own = OwnKnowledge(
        party_id=FEDERATION.parties[0],
        roster=FEDERATION.roster,
        session_id=FIELDS.session_id,
        contribution_digest=contributions[0].digest,
        random=SeededRandom(seed),
    )
    verify_request(FEDERATION.request(FIELDS, contributions), own, FEDERATION.sealing())


@pytest.mark.parametrize("factor", [1, MINUS_ONE, OTHER_ROOT], ids=["honest", "minus one", "another root of one"])
def test_what_the_aggregator_accepts_every_party_accepts_whatever_its_weights(factor):
    # Otherwise one contribution could have some of the parties refuse a transcript that cannot be changed any more.
    contribution = contribution_off_by(factor)
    check_at_aggregator(contribution)
    for seed in range(8):
        check_at_party(contribution, seed)


@pytest.mark.parametrize("factor", [2, 1 + KEY.modulus], ids=["2", "1 + N"])
def test_what_the_aggregator_refuses_every_party_refuses_and_names_the_same_sender(factor):
    contribution = contribution_off_by(factor)
    with pytest.raises(InvalidProof) as at_aggregator:
        check_at_aggregator(contribution)
    assert at_aggregator.value.culprits == (SENDER,)
    for seed in range(3):
        with pytest.raises(InvalidProof) as at_party:
            check_at_party(contribution, seed)
        assert (at_party.value.check, at_party.value.culprits) == (4, (SENDER,))


def test_first_of_several_culprits_is_named():
    first, second = FEDERATION.parties[1], FEDERATION.parties[3]
    contributions = [FEDERATION.contribution(party_id, FIELDS.session_id) for party_id in FEDERATION.parties]
    for position, party_id in ((1, first), (3, second)):
        part = replace(contributions[position].key_part, proof=contributions[0].key_part.proof)
        contributions[position] = FEDERATION.contribution(party_id, FIELDS.session_id, key_part=part)
    own = OwnKnowledge(
        party_id=FEDERATION.parties[0],
        roster=FEDERATION.roster,
        session_id=FIELDS.session_id,
        contribution_digest=contributions[0].digest,
        random=SeededRandom("weights"),
    )
    with pytest.raises(InvalidProof) as refusal:
        verify_request(FEDERATION.request(FIELDS, tuple(contributions)), own, FEDERATION.sealing())
    assert refusal.value.culprits == (first,)
