# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from collections import Counter

import numpy as np
import pytest
from scipy.stats import chisquare

from coterie_common.crypto.generation.small_sharing import draw, evaluate, interpolate
from coterie_common.errors import InternalError
from tests.support.seeded_random import SeededRandom


def words(rows: int, seed: str) -> np.ndarray:
    return np.frombuffer(SeededRandom(seed).token_bytes(rows * 104), dtype=">u2").reshape(rows, 52)


def drawn_plainly(row: list[int], prime: int, count: int) -> list[int]:
    bound = 65536 // prime * prime
    return [word % prime for word in row if word < bound][:count]


@pytest.mark.parametrize("prime", [5, 7, 11, 661, 1033, 1423, 2039])
def test_draw_passes_over_words_from_the_largest_multiple_on(prime):
    source = words(2000, f"draw {prime}")
    primes = np.full(2000, prime, np.int64)
    expected = [drawn_plainly(row, prime, 10) for row in source.tolist()]
    assert draw(source, primes, 10).tolist() == expected


def test_draw_of_rows_with_refused_words_takes_the_next():
    source = np.full((2, 52), 65535, np.uint16)
    source[0, 2:4] = (9, 20)
    source[1, 0:2] = (3, 12)
    assert draw(source, np.array([11, 11]), 2).tolist() == [[9, 9], [3, 1]]


def test_draw_without_enough_words_stops():
    with pytest.raises(InternalError):
        draw(np.full((1, 52), 65535, np.uint16), np.array([11]), 1)


def test_draw_is_uniform():
    # alpha = 10^-6 for each prime; fixed seed.
    for prime in (7, 13, 1423):
        values = draw(words(20_000, f"uniform {prime}"), np.full(20_000, prime, np.int64), 10)
        counts = Counter(values.reshape(-1).tolist())
        assert chisquare([counts[value] for value in range(prime)]).pvalue > 1e-6


def test_evaluate_is_plain_arithmetic_for_the_largest_values():
    primes = np.array([2039, 11, 1423])
    coefficients = np.stack([np.full(9, prime - 1, np.int64) for prime in primes])
    for point in (1, 9):
        plain = [sum((p - 1) * point**n for n in range(9)) % p for p in primes.tolist()]
        assert evaluate(coefficients, point, primes).tolist() == plain
        plain = [sum((p - 1) * point ** (n + 1) for n in range(9)) % p for p in primes.tolist()]
        assert evaluate(coefficients, point, primes, first_power=1).tolist() == plain


@pytest.mark.parametrize("holders", range(3, 10))
def test_interpolate_finds_the_constant_coefficient(holders):
    primes = np.array([11, 13, 2039])
    source = words(3, f"interpolate {holders}")
    coefficients = draw(source, primes, holders)
    values = [evaluate(coefficients, point, primes) for point in range(1, holders + 1)]
    assert interpolate(values, primes).tolist() == coefficients[:, 0].tolist()
