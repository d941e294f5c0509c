# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from coterie_aggregator.live.rounds.arithmetic import RoundArithmetic
from coterie_common.crypto import threshold
from coterie_common.crypto.hashing import Label
from coterie_common.crypto.identity import SigningKey
from coterie_common.crypto.proofs import partial_decryption
from coterie_common.errors import InsufficientShares, InvalidProof, NotOpened, ParameterMismatch
from coterie_common.protocol.encrypted_reply import Contribution
from coterie_common.protocol.messages import PartialDecryption
from coterie_common.protocol.padded_part import NOTHING_PADDED, PaddedFacts
from coterie_common.protocol.sealing.running_sum import RunningSum
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.verification import opening
from tests.support.federation import JOB, make_federation, transcript_digest
from tests.support.seeded_random import SeededRandom

FEDERATION = make_federation()
KEY = FEDERATION.dealing.key
FIELDS = FEDERATION.fields()
ARITHMETIC = RoundArithmetic(FIELDS, FEDERATION.roster, KEY, FEDERATION.sealing())
EXACT = [[4 * number * index for number in range(1, 7)] for index in range(5)]


def contributions() -> list[Contribution]:
    return [
        FEDERATION.contribution(party_id, FIELDS.session_id, values=vector)
        for party_id, vector in zip(FEDERATION.parties, EXACT, strict=True)
        if any(vector)
    ]


CONTRIBUTIONS = contributions()
TRANSCRIPT = ARITHMETIC.fix_transcript(CONTRIBUTIONS, FEDERATION.aggregator_key)


@cache
def partial(index: int, factor: int = 1) -> PartialDecryption:
    """The partial decryption of a party, its first value times ``factor``, with its proof and signature."""
    share = FEDERATION.dealing.shares[index - 1]
    first, *rest = threshold.partial_decrypt(KEY, share, TRANSCRIPT.total)
    values = (first * factor % KEY.public_key.modulus, *rest)
    statement = partial_decryption.Statement(
        session_id=FIELDS.session_id,
        transcript_digest=TRANSCRIPT.digest,
        index=index,
        key=KEY,
        ciphertexts=TRANSCRIPT.total,
        partials=values,
    )
    party_id = FEDERATION.parties[index - 1]
    return PartialDecryption(
        job_id=JOB,
        round_number=1,
        session_id=FIELDS.session_id,
        transcript_digest=TRANSCRIPT.digest,
        party_id=party_id,
        values=tuple(value.to_bytes(KEY.public_key.modulus_bytes, "big") for value in values),
        proof=partial_decryption.prove(statement, share, SeededRandom(index)).to_bytes(KEY),
        transcript_signature=PartialDecryption.sign_transcript(
            FEDERATION.party_keys[party_id], FIELDS.session_id, TRANSCRIPT.digest
        ),
        signature=UNSIGNED,
    ).signed_by(FEDERATION.party_keys[party_id])


def opened(*partials: PartialDecryption) -> tuple[int, ...]:
    for each in partials:
        ARITHMETIC.verify_partial(each, TRANSCRIPT)
    return ARITHMETIC.open(partials, TRANSCRIPT)


NO_PADDED_PART = PaddedFacts(0, NOTHING_PADDED)


def running_sum() -> RunningSum:
    running = ARITHMETIC.start_sum(None)
    for contribution in CONTRIBUTIONS:
        running.add(contribution.party_id, NO_PADDED_PART, ())
    return running


def test_fixed_transcript_is_signed_over_what_everybody_recomputes():
    assert TRANSCRIPT.digest == transcript_digest(FIELDS.session_id, CONTRIBUTIONS)
    key = FEDERATION.aggregator_key.verify_key
    key.verify(TRANSCRIPT.request.signature, Label.TRANSCRIPT_SIGNATURE, TRANSCRIPT.digest)
    assert TRANSCRIPT.request.contributions == tuple(CONTRIBUTIONS)
    assert TRANSCRIPT.request.fields == FIELDS


@pytest.mark.parametrize("indices", [(1, 2, 3, 4), (2, 3, 4, 5), (1, 2, 3, 4, 5)])
def test_open_sum_returns_the_decoded_sum_of_the_contributions(indices):
    release = ARITHMETIC.open_sum(opened(*map(partial, indices)), running_sum())
    # scaled by 2² on the way in, so by 2⁻² on the way out
    assert release.values.tolist() == (np.sum(EXACT, axis=0) / 4).tolist()
    assert release.contributors == 4
    # σ² = 300 in 3 shares, so 100 each, from four; in units of 1/4
    assert release.noise_stddev == pytest.approx(20 / 4)


def test_open_sum_of_fewer_partial_decryptions_than_the_threshold_raises():
    with pytest.raises(InsufficientShares) as refusal:
        opened(*map(partial, (1, 2, 3)))
    assert refusal.value.code == "insufficient-shares"


def test_open_looks_at_no_proof_of_what_opens(monkeypatch):
    looked_at = []
    monkeypatch.setattr(opening, "verify_partial_proof", lambda partial, *_: looked_at.append(partial.party_id))
    opened(*(replace(partial(index), proof=b"never read").signed_by(key_of(index)) for index in (1, 2, 3, 4)))
    opened(partial(1, -1), *map(partial, (2, 3, 4)))  # a wrong sign makes the same root
    assert looked_at == []
    with pytest.raises(NotOpened):
        opened(partial(1, 4), *map(partial, (2, 3, 4)))
    assert looked_at == list(FEDERATION.parties[:4])


def key_of(index: int) -> SigningKey:
    return FEDERATION.party_keys[FEDERATION.parties[index - 1]]


@pytest.mark.parametrize("wrong", [(2,), (1, 4), (1, 2, 3, 4)], ids=str)
def test_open_names_everybody_whose_partial_decryption_is_wrong(wrong):
    with pytest.raises(InvalidProof) as refusal:
        opened(*(partial(index, 4 if index in wrong else 1) for index in (1, 2, 3, 4)))
    assert refusal.value.culprits == tuple(FEDERATION.parties[index - 1] for index in wrong)
    assert refusal.value.check == 5


def test_open_names_the_sender_of_a_replayed_proof_and_of_a_proof_cut_short():
    replayed = replace(partial(2, 4), proof=partial(2).proof).signed_by(key_of(2))
    short = replace(partial(3, 4), proof=partial(3).proof[:-1]).signed_by(key_of(3))
    with pytest.raises(InvalidProof) as refusal:
        opened(partial(1), replayed, short, partial(4))
    assert refusal.value.culprits == (FEDERATION.parties[1], FEDERATION.parties[2])


def test_open_with_proofs_that_all_hold_tries_the_other_sets(monkeypatch):
    # As with an element of small order, which a generated key's proof may let pass.
    monkeypatch.setattr(opening, "verify_partial_proof", lambda *_: None)
    right = opened(*map(partial, (1, 2, 3, 4)))
    assert opened(partial(1), partial(2, 4), *map(partial, (3, 4, 5))) == right
    with pytest.raises(NotOpened) as refusal:
        opened(partial(1, 4), partial(2, 9), *map(partial, (3, 4, 5)))
    assert refusal.value.code == "not-opened"


def test_verify_reply_accepts_what_belongs_to_the_round_and_names_who_sent_anything_else():
    reply = FEDERATION.reply(CONTRIBUTIONS[0], FIELDS.session_id)
    ARITHMETIC.verify_reply(reply, NO_PADDED_PART)
    with pytest.raises(ParameterMismatch) as refusal:
        ARITHMETIC.verify_reply(replace(reply, session_id=bytes(32)), NO_PADDED_PART)
    assert refusal.value.culprits == (CONTRIBUTIONS[0].party_id,)


def test_verify_partial_of_another_transcript_names_its_sender():
    with pytest.raises(ParameterMismatch) as refusal:
        ARITHMETIC.verify_partial(replace(partial(2), transcript_digest=bytes(32)), TRANSCRIPT)
    assert refusal.value.culprits == (FEDERATION.parties[1],)
