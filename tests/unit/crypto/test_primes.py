# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import gmpy2
import numpy as np
import pytest

from coterie_common.crypto import primes
from coterie_common.crypto.primes import safe_prime_pair
from coterie_common.errors import StateError
from tests.support.seeded_random import SeededRandom


class Scripted(SeededRandom):
    """Gives prepared starts first."""

    def __init__(self, *starts: int) -> None:
        super().__init__("scripted")
        self.starts = list(starts)

    def randbits(self, bits: int) -> int:
        return self.starts.pop(0) if self.starts else super().randbits(bits)


def safe_prime(bits: int, random: SeededRandom) -> int:
    """Return the first of a pair, whose search starts from the first number that is drawn."""
    return safe_prime_pair(bits, random)[0]


@pytest.mark.parametrize("bits", [64, 65, 128, 256])
def test_safe_prime_is_one_of_exactly_that_length(bits):
    prime = safe_prime(bits, SeededRandom(bits))
    assert gmpy2.is_prime(prime, 50)
    assert gmpy2.is_prime(prime // 2, 50)
    assert prime >> (bits - 2) == 3
    assert type(prime) is int


def test_safe_prime_is_the_first_one_after_its_start():
    random = Scripted(12345)
    prime = safe_prime(64, random)
    start = (3 << 61) + 12345
    candidate = start | 1
    while not (gmpy2.is_prime(candidate) and gmpy2.is_prime(2 * candidate + 1)):
        candidate += 2
    assert prime == 2 * candidate + 1


def test_sieve_strikes_out_exactly_what_has_a_small_factor():
    start = primes._draw_start(96, SeededRandom(3))
    left = primes._sieve(start)
    small = gmpy2.primorial(primes._SIEVE_BELOW)
    for offset in (*range(500), *range(primes._INTERVAL - 500, primes._INTERVAL)):
        half = start + 6 * offset
        assert left[offset] == (gmpy2.gcd(half * (2 * half + 1), small) == 1)


def test_small_primes_are_those_from_five():
    table = primes._small_primes()
    assert table[:5].tolist() == [5, 7, 11, 13, 17]
    assert len(table) == 82025 - 2  # π(2^20) without 2 and 3
    assert np.all(np.diff(table) > 0)


def test_safe_prime_drawn_at_the_very_end_draws_again():
    prime = safe_prime(64, Scripted((1 << 61) - 1))
    assert prime.bit_length() == 64
    assert gmpy2.is_prime(prime // 2)


def test_search_goes_on_in_the_next_interval(monkeypatch):
    expected = safe_prime(64, Scripted(99))
    monkeypatch.setattr(primes, "_INTERVAL", 8)
    assert safe_prime(64, Scripted(99)) == expected


def test_safe_prime_pair_is_of_two_primes_and_reproducible():
    p, q = safe_prime_pair(128, SeededRandom("pair"))
    assert p != q
    assert (p * q).bit_length() == 256
    assert safe_prime_pair(128, SeededRandom("pair")) == (p, q)
    assert all(gmpy2.is_prime(prime) and gmpy2.is_prime(prime // 2) for prime in (p, q))


def test_safe_prime_pair_too_close_together_draws_again():
    p, q = safe_prime_pair(64, Scripted(7, 7))
    assert p != q


def test_safe_prime_pair_with_a_failed_search_draws_again():
    p, q = safe_prime_pair(64, Scripted((1 << 61) - 1, 7))
    assert p.bit_length() == q.bit_length() == 64


def test_safe_prime_too_short_to_sieve_raises():
    with pytest.raises(StateError):
        safe_prime(63, SeededRandom(1))
