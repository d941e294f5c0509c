# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The strip sampler, bit by bit: its random words are written here, so what it does with them can be checked."""

from decimal import Decimal
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from numpy.typing import NDArray

from coterie_common.errors import StateError
from coterie_common.privacy.strips import Layout, StripSampler, enclose_exp, lazily_below
from tests.support.seeded_random import ScriptedRandom

CELLS = 1 << 16
OFFSET_BITS = 9
UNIFORM_BITS = 64 - 16 - 1 - OFFSET_BITS


class Slope:
    """g(x) = 2^(−x/64): simple enough to be known exactly, wide enough for strips of 512."""

    relative_error = 2.0**-40

    def floats(self, x: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.exp2(-x / 64)

    def enclose(self, x: int, digits: int) -> tuple[Decimal, Decimal]:
        with mpmath.workdps(digits + 10):
            value = Decimal(mpmath.nstr(mpmath.power(2, -mpmath.mpf(x) / 64), digits + 5))
        return value * (1 - Decimal(10) ** -digits), value * (1 + Decimal(10) ** -digits)

    def tail_block(self, start: int) -> int:
        return 64


class Scripted(ScriptedRandom):
    """Returns the given words first; every further bit is 0, so that u is exactly what the words say."""

    def __init__(self, words: NDArray[np.uint64] | list[int]) -> None:
        self._words = [np.asarray(words, dtype="<u8").tobytes()]
        self.further_draws = 0

    def token_bytes(self, count: int) -> bytes:
        if self._words:
            return self._words.pop()
        self.further_draws += 1
        return bytes(count)

    def randbits(self, bits: int) -> int:
        self.further_draws += 1
        return 0


@pytest.fixture(scope="module")
def sampler() -> StripSampler:
    return StripSampler(Slope(), Layout([512] * 4))


@pytest.fixture(scope="module")
def strip_of_cell(sampler: StripSampler) -> NDArray[np.int64]:
    """Cell by cell the strip that it belongs to, −1 where none: u = 0 and offset 0 accept a strip's first value."""
    cells = np.arange(CELLS, dtype=np.uint64)
    found = np.zeros((), np.int64)
    for bit in range(16):
        # The coin tells one bit of the cell that an accepted value came from.
        values, coins = sampler.accepted(
            CELLS, Scripted(cells | ((cells >> np.uint64(bit)) & np.uint64(1)) << np.uint64(16))
        )
        found = found + (coins.astype(np.int64) << bit)
    owners = np.full(CELLS, -1)
    owners[found] = values // 512
    return owners


def test_accepted_of_all_cells_gives_every_strip_and_the_tail_and_rejects_the_rest(strip_of_cell):
    strips = np.unique(strip_of_cell, return_counts=True)
    assert list(strips[0]) == [-1, 0, 1, 2, 3, 4]  # rejected, four strips, the tail
    assert strips[1][0] < 8  # rounding leaves little over


def test_strip_weight_times_acceptance_is_proportional_to_the_density(sampler, strip_of_cell):
    # For each x the greatest accepted u is found by bisection: p(x) to 38 bits. w_j·p(x)/g(x) must be one number.
    x = np.array([0, 1, 17, 255, 510, 511, 512, 513, 700, 1023, 1024, 1025, 1500, 1535, 1536, 1537, 2000, 2046, 2047])
    strip = x // 512
    first_cell = np.array([np.flatnonzero(strip_of_cell == j)[0] for j in range(4)])
    weights = np.bincount(strip_of_cell[strip_of_cell >= 0])
    low, high = np.zeros(len(x), dtype=np.int64), np.full(len(x), 1 << UNIFORM_BITS)
    while np.any(high - low > 1):
        middle = (low + high) // 2
        words = (middle.astype(np.uint64) << (17 + OFFSET_BITS)) | ((x % 512).astype(np.uint64) << 17)
        values, _ = sampler.accepted(len(x), Scripted(words | first_cell[strip].astype(np.uint64)))
        accepted = np.isin(x, values)
        low, high = np.where(accepted, middle, low), np.where(accepted, high, middle)
    # p(x) lies in (low, low + 1]·2^−38: the intervals for w_j·p(x)/g(x) must have a number in common.
    factor = weights[strip] / np.exp2(-x / 64)
    assert (factor * low).max() <= (factor * (low + 1)).min() * (1 + 1e-13)
    assert (factor * (low + 1)).min() < (factor * low).max() * (1 + 2.0**-30)  # and they leave it little freedom


def test_accepted_coin_is_the_words_own_bit(sampler, strip_of_cell):
    cell = int(np.flatnonzero(strip_of_cell == 0)[0])
    _, coins = sampler.accepted(2, Scripted([cell, cell | CELLS]))
    assert list(coins) == [False, True]


def test_accepted_draws_further_bits_only_where_the_first_leave_it_open(sampler, strip_of_cell):
    cell = int(np.flatnonzero(strip_of_cell == 3)[0])
    clear = Scripted([cell])
    assert len(sampler.accepted(1, clear)[0]) == 1
    assert clear.further_draws == 0
    narrow = StripSampler(Slope(), Layout([512] * 4, first_bits=1, further_bits=1))
    # p(0) > 1/2 and u in [1/2, 1): undecided. The further bits are 0, so u = 1/2 and the value is accepted.
    open_question = Scripted([1 << (17 + OFFSET_BITS)])
    assert list(narrow.accepted(1, open_question)[0]) == [0]
    assert open_question.further_draws == 1


@pytest.mark.parametrize("widths", [[], [3], [1, 0], [512, -4]])
def test_strip_sampler_with_widths_that_are_no_powers_of_two_raises(widths):
    with pytest.raises(StateError) as raised:
        StripSampler(Slope(), Layout(widths))
    assert raised.value.code == "state"


def test_strip_sampler_with_strips_into_underflow_raises():
    with pytest.raises(StateError, match="underflow"):
        StripSampler(Slope(), Layout([1 << 16]))


def test_strip_sampler_with_more_strips_than_cells_raises():
    class Flat(Slope):
        def floats(self, x: NDArray[np.int64]) -> NDArray[np.float64]:
            return np.exp2(-x / 2.0**20)

    with pytest.raises(StateError, match="too many strips"):
        StripSampler(Flat(), Layout([1] * (CELLS + 1)))


@pytest.mark.parametrize(
    "exponent", [Fraction(0), Fraction(1, 3), Fraction(355, 113), Fraction(700), Fraction(10**7, 3)], ids=str
)
@pytest.mark.parametrize("digits", [25, 60, 300])
def test_enclose_exp_encloses_and_converges(exponent, digits):
    low, high = enclose_exp(exponent, digits)
    with mpmath.workdps(digits + 40):
        true = mpmath.exp(-mpmath.mpf(exponent.numerator) / exponent.denominator)
        assert mpmath.mpf(str(low)) <= true <= mpmath.mpf(str(high))
        assert mpmath.mpf(str(high)) / mpmath.mpf(str(low)) - 1 < mpmath.mpf(10) ** (12 - digits)


class Bits(ScriptedRandom):
    """The binary digits of a fixed u."""

    def __init__(self, digits: int, length: int) -> None:
        self._digits, self._left = digits, length

    def randbits(self, bits: int) -> int:
        self._left -= bits
        return (self._digits >> self._left) & ((1 << bits) - 1) if self._left >= 0 else 0


@pytest.mark.parametrize("exponent", [Fraction(1, 7), Fraction(25, 2), Fraction(900)], ids=str)
@pytest.mark.parametrize("coefficient", [Fraction(1), Fraction(17, 19)], ids=str)
@pytest.mark.parametrize("length", [32, 320, 960])
def test_lazily_below_agrees_with_u_down_to_its_last_bit(exponent, coefficient, length):
    # u is the first `length` bits of p followed by zeros: below p. One unit more: above it.
    with mpmath.workprec(length + 100 + int(exponent * 2)):
        probability = mpmath.exp(-mpmath.mpf(exponent.numerator) / exponent.denominator) * coefficient.numerator
        digits = int(mpmath.floor(probability / coefficient.denominator * mpmath.mpf(2) ** length))

    def enclose(decimals: int) -> tuple[Decimal, Decimal]:
        return enclose_exp(exponent, decimals)

    assert lazily_below(enclose, coefficient, 0, 0, Bits(digits, length))
    assert not lazily_below(enclose, coefficient, 0, 0, Bits(digits + 1, length))


def test_lazily_below_goes_on_from_the_bits_already_drawn():
    def enclose(decimals: int) -> tuple[Decimal, Decimal]:
        return enclose_exp(Fraction(1), decimals)

    # 1/e = 0.01011110…b: known bits 0101 leave it open, the next decide.
    assert lazily_below(enclose, Fraction(1), 0b0101, 4, Bits(0b1100 << 28, 32))
    assert not lazily_below(enclose, Fraction(1), 0b0101, 4, Bits(0b1111 << 28, 32))
