# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Safe primes: p = 2p' + 1 with p' prime, for the dealer's modulus.

A random p' ≡ 5 mod 6 is drawn and the progression after it searched in intervals: a sieve strikes out every p' for
which p' or 2p' + 1 has a factor below 2^20, the rest are tested. Searching upwards from a random start favours primes
after long gaps; it loses little entropy (shown for plain primes by Brandt and Damgård, CRYPTO '92).

Security: not constant time; the dealer's host must be trusted while it runs.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Final

import numpy as np
from gmpy2 import is_prime, mpz, powmod_exp_list
from numpy.typing import NDArray

from coterie_common.errors import StateError
from coterie_common.randomness import RandomSource

MIN_BITS: Final = 64
"""Below this size, the sieve would strike out primes that it sieves with."""

_SIEVE_BELOW: Final = 1 << 20
_INTERVAL: Final = 1 << 18
_STEP: Final = 6
_SLICED_BELOW: Final = 1 << 12
_ROUNDS: Final = 64
"""GMP runs Baillie–PSW, for which no composite is known, and 40 rounds of Miller–Rabin: error below 2^-80."""


def safe_prime_pair(bits: int, random: RandomSource) -> tuple[int, int]:
    """Draw two safe primes of exactly ``bits`` bits, far enough apart, searching for both at the same time.

    The highest two bits of each are set, so their product has exactly 2·``bits`` bits. One takes about 0.5 s at 1024
    bits, 3 s at 1536 and 12 s at 2048 on one core, with a wide spread. Randomness is drawn in this thread only.
    """
    with ThreadPoolExecutor(max_workers=2, thread_name_prefix="safe-prime") as threads:
        while True:
            p, q = threads.map(_search, [_draw_start(bits, random) for _ in range(2)], (bits, bits))
            # Primes that share their upper half are found from the square root of the product (Fermat).
            if p is not None and q is not None and (p - q).bit_length() > bits // 2:
                return p, q


def _draw_start(bits: int, random: RandomSource) -> int:
    """Return a p' ≡ 5 mod 6 of ``bits`` − 1 bits, the highest two set; otherwise 3 would divide p' or 2p' + 1."""
    if bits < MIN_BITS:
        raise StateError(f"a safe prime must have at least {MIN_BITS} bits")
    start = (3 << (bits - 3)) + random.randbits(bits - 3)
    return start - start % _STEP + 5


def _search(start: int, bits: int) -> int | None:
    """Return the first safe prime 2p' + 1 with p' in start, start + 6, …; ``None`` if none has ``bits`` bits."""
    end = 1 << (bits - 1)
    while start < end:
        for offset in np.flatnonzero(_sieve(start)).tolist():
            half = mpz(start + _STEP * offset)
            # Fermat's test to base 2 sorts nearly all out. As a list of one, because that releases the interpreter's
            # lock and `powmod` does not: two searches run on two cores.
            if powmod_exp_list(2, [half - 1], half)[0] != 1 or half >= end:
                continue
            whole = 2 * half + 1
            if powmod_exp_list(2, [half], whole)[0] not in (1, 2 * half):
                continue
            # With p' prime and above the root of p, Fermat's test to base 2 proves p prime (Pocklington): 2^2 − 1 = 3
            # has no factor in common with p, which is 2 modulo 3.
            if is_prime(half, _ROUNDS):
                return int(whole)
        start += _STEP * _INTERVAL
    return None


def _sieve(start: int) -> NDArray[np.bool_]:
    """Return, for each p' = start + 6·j, j below ``_INTERVAL``, true if neither p' nor 2p' + 1 has a small factor."""
    primes = _small_primes()
    residues = np.zeros(len(primes), dtype=np.int64)
    for word in np.frombuffer(start.to_bytes(-(-start.bit_length() // 32) * 4, "big"), dtype=">u4").tolist():
        residues = ((residues << 32) + word) % primes
    # 6 divides r − 1 or r + 1.
    inverse_of_step = np.where(primes % _STEP == 1, primes - primes // _STEP, primes // _STEP + 1)
    left = np.ones(_INTERVAL, dtype=np.bool_)
    # r divides 2p' + 1 where p' ≡ (r − 1)/2.
    for target in (np.zeros_like(primes), primes // 2):
        first = (target - residues) % primes * inverse_of_step % primes
        small = int(np.searchsorted(primes, _SLICED_BELOW))
        for prime, position in zip(primes[:small].tolist(), first[:small].tolist(), strict=True):
            left[position::prime] = False
        positions, steps = first[small:], primes[small:]
        while len(positions):
            inside = positions < _INTERVAL
            positions, steps = positions[inside], steps[inside]
            left[positions] = False
            positions = positions + steps
    return left


@cache
def _small_primes() -> NDArray[np.int64]:
    """Return the primes from 5 to ``_SIEVE_BELOW``."""
    is_left = np.ones(_SIEVE_BELOW, dtype=np.bool_)
    is_left[:5] = False
    is_left[4::2] = False
    is_left[9::3] = False
    for number in range(5, int(_SIEVE_BELOW**0.5) + 1):
        if is_left[number]:
            is_left[number * number :: number] = False
    return np.flatnonzero(is_left).astype(np.int64)
