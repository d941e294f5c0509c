# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from coterie_common.errors import StateError
from coterie_common.privacy.batches import draw_batch
from tests.support.seeded_random import ScriptedRandom, SeededRandom


@pytest.mark.parametrize("rate", [None, Fraction(1)])
def test_batch_without_sampling_has_every_record(rate):
    assert draw_batch(7, rate, SeededRandom("unused")).tolist() == [True] * 7


@pytest.mark.parametrize("rate", [Fraction(1, 30), Fraction(9, 10)])
def test_batch_has_the_expected_number_of_records_and_varies(rate):
    random = SeededRandom("batches")
    sizes = [np.count_nonzero(draw_batch(3000, rate, random)) for _ in range(40)]
    # the mean of 40 binomial draws: six standard errors, and the seed is fixed
    deviation = float(3000 * rate * (1 - rate)) ** 0.5
    assert np.mean(sizes) == pytest.approx(float(3000 * rate), abs=6 * deviation / 40**0.5)
    assert 0.5 * deviation < np.std(sizes) < 2 * deviation


def test_batch_compares_sixty_four_bits_with_the_rate():
    class Fixed(ScriptedRandom):
        def token_bytes(self, count: int) -> bytes:
            bound = 2**64 // 3
            return b"".join(value.to_bytes(8, "little") for value in (bound - 1, bound, 0, 2**64 - 1))

    assert draw_batch(4, Fraction(1, 3), Fixed()).tolist() == [True, False, True, False]


def test_batch_of_no_records_is_empty():
    assert draw_batch(0, Fraction(1, 2), SeededRandom("unused")).tolist() == []


@pytest.mark.parametrize("rate", [Fraction(0), Fraction(-1), Fraction(3, 2)])
def test_batch_with_impossible_rate_raises_state_error(rate):
    with pytest.raises(StateError) as caught:
        draw_batch(3, rate, SeededRandom("unused"))
    assert caught.value.code == "state"
