# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import math
from fractions import Fraction

import numpy as np
import pytest
from numpy.typing import NDArray

from coterie_common.privacy.rounding import round_stochastically
from tests.support.seeded_random import ScriptedRandom, SeededRandom


class Scripted(ScriptedRandom):
    """A source that returns the given pieces of bytes, one per call."""

    def __init__(self, *pieces: bytes) -> None:
        self.pieces = list(pieces)

    def token_bytes(self, count: int) -> bytes:
        piece = self.pieces.pop(0)
        assert len(piece) == count
        return piece


def rounded(values: NDArray[np.float64] | list[float], random: str | Scripted = "rounding") -> NDArray[np.int64]:
    source = SeededRandom(random) if isinstance(random, str) else random
    return round_stochastically(np.array(values, dtype=np.float64), source)


def test_rounding_returns_one_of_the_two_neighbours():
    values = np.random.default_rng(1).normal(size=100_000) * 1000
    result = rounded(values)
    assert result.dtype == np.int64
    assert np.all((result == np.floor(values)) | (result == np.ceil(values)))


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -1.0, 255.0, 2.0**40, -(2.0**52) - 1, 2.0**53 - 1.0])
def test_rounding_leaves_integers_as_they_are(value):
    assert rounded([value] * 3000).tolist() == [int(value)] * 3000


def test_rounding_of_nothing_is_nothing():
    assert rounded([]).shape == (0,)


def test_rounding_writes_where_it_is_told_and_leaves_its_argument():
    values, out = np.array([0.5, -3.25]), np.empty(2, dtype=np.int64)
    assert round_stochastically(values, SeededRandom("out"), out) is out
    assert values.tolist() == [0.5, -3.25]


@pytest.mark.parametrize(
    ("value", "first", "expected"),
    [
        (0.5, 127, 1),  # U < 1/2
        (0.5, 129, 0),
        (-0.5, 127, -1),
        (-0.5, 129, 0),
        (7.25, 63, 8),
        (7.25, 65, 7),
        (-7.25, 63, -8),
        (1 / 256, 0, 1),
        (1 / 256, 2, 0),
        (1 - 1 / 256, 254, 1),
        (1 - 2**-53, 254, 1),
    ],
)
def test_rounding_compares_eight_bits_of_the_uniform_first(value, first, expected):
    assert rounded([value], Scripted(bytes([first]))).tolist() == [expected]


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize(
    ("fraction", "pieces", "up"),
    [
        # The first eight bits agree and f has none left: U ≥ f, and nothing more is drawn.
        (0.5, [b"\x80"], False),
        (0.25, [b"\x40"], False),
        # 32 further bits decide.
        (0.5 + 2**-9, [b"\x80", b"\xff\xff\xff\x7f"], True),
        (0.5 + 2**-9, [b"\x80", b"\x00\x00\x00\x80"], False),
        # They agree again, and f goes on.
        (0.5 + 2**-9 + 2**-45, [b"\x80", b"\x00\x00\x00\x80", b"\x00\x00\x00\x00"], True),
        (0.5 + 2**-9 + 2**-45, [b"\x80", b"\x00\x00\x00\x80", b"\x00\x00\x00\x08"], False),
        # A fraction far below the first bits.
        (2.0**-100, [b"\x00", b"\x00" * 4, b"\x00" * 4, b"\xff\xff\xff\x0f"], False),
        (2.0**-100, [b"\x00", b"\x00" * 4, b"\x00" * 4, b"\xfe\xff\xff\x00"], False),
        (2.0**-100, [b"\x00", b"\x00" * 4, b"\x00" * 4, b"\x00\x00\x00\x00"], True),
    ],
)
def test_rounding_draws_further_bits_of_the_same_uniform_until_it_is_decided(sign, fraction, pieces, up):
    # Bits of a piece that decide nothing are drawn all the same: 2^−100 has its only bit at place 8 + 92.
    source = Scripted(*pieces)
    result = round_stochastically(np.array([sign * fraction]), source)
    assert result.tolist() == [sign if up else 0]
    assert source.pieces == []


def test_rounding_up_has_exactly_the_probability_of_the_fraction():
    # All 2^8 first bytes, each with all outcomes of the next comparison: P(up) = (byte part) + (the rest)/256.
    value = 0.3
    below = Fraction(0)
    for first in range(256):
        try:
            below += Fraction(rounded([value], Scripted(bytes([first]))).tolist()[0], 256)
        except IndexError:  # undecided: the rest of U decides, with probability the rest of f
            below += (Fraction(value) * 256 - first) / 256
    assert below == Fraction(value)


def test_rounding_is_unbiased_over_many_values():
    values = np.random.default_rng(2).uniform(-3, 3, size=400_000)
    errors = rounded(values, "bias") - values
    # Variance at most 1/4 each; six standard deviations.
    assert abs(errors.mean()) < 6 * 0.5 / math.sqrt(values.size)
    assert np.all(np.abs(errors) < 1)
    assert errors.var() <= 0.25
