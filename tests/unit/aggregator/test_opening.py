# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coterie_aggregator.live.rounds.arithmetic import RoundArithmetic
from coterie_common.crypto import threshold
from coterie_common.crypto.hashing import Label
from coterie_common.crypto.paillier import Ciphertext
from coterie_common.errors import InsufficientShares, ParameterMismatch
from coterie_common.protocol.messages import NOTHING_PADDED, Contribution, PartialDecryption
from coterie_common.protocol.padded_part import PaddedFacts
from coterie_common.protocol.sealing.running_sum import RunningSum
from tests.support.federation import JOB, make_federation, transcript_digest

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


def partials(*indices: int) -> dict[int, PartialDecryption]:
    """Partial decryptions of these parties, as they lie in the spool."""
    made = {}
    for index in indices:
        values = threshold.partial_decrypt(KEY, FEDERATION.dealing.shares[index - 1], TRANSCRIPT.total)
        made[index] = PartialDecryption(
            job_id=JOB,
            round_number=1,
            session_id=FIELDS.session_id,
            transcript_digest=TRANSCRIPT.digest,
            party_id=FEDERATION.parties[index - 1],
            values=tuple(Ciphertext(value, KEY.public_key).to_bytes() for value in values),
            proof=b"checked before",
            signature=bytes(64),
        )
    return made


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
    release = ARITHMETIC.open_sum(partials(*indices), running_sum())
    # scaled by 2² on the way in, so by 2⁻² on the way out
    assert release.values.tolist() == (np.sum(EXACT, axis=0) / 4).tolist()
    assert release.contributors == 4
    # σ² = 300 in 3 shares, so 100 each, from four; in units of 1/4
    assert release.noise_stddev == pytest.approx(20 / 4)


def test_open_sum_of_fewer_partial_decryptions_than_the_threshold_raises():
    with pytest.raises(InsufficientShares) as refusal:
        ARITHMETIC.open_sum(partials(1, 2, 3), running_sum())
    assert refusal.value.code == "insufficient-shares"


def test_verify_reply_accepts_what_belongs_to_the_round_and_names_who_sent_anything_else():
    reply = FEDERATION.reply(CONTRIBUTIONS[0], FIELDS.session_id)
    ARITHMETIC.verify_reply(reply, NO_PADDED_PART)
    with pytest.raises(ParameterMismatch) as refusal:
        ARITHMETIC.verify_reply(replace(reply, session_id=bytes(32)), NO_PADDED_PART)
    assert refusal.value.culprits == (CONTRIBUTIONS[0].party_id,)


def test_verify_partial_of_another_transcript_names_its_sender():
    (partial,) = partials(2).values()
    with pytest.raises(ParameterMismatch) as refusal:
        ARITHMETIC.verify_partial(replace(partial, transcript_digest=bytes(32)), TRANSCRIPT)
    assert refusal.value.culprits == (partial.party_id,)
