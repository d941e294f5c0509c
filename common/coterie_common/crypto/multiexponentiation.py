# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Products of powers of many bases, as proofs need them: one shared run of squarings, buckets instead of tables.

Source: Pippenger's bucket method as in Bernstein, Doumen, Lange, Oosterwijk, "Faster batch forgery identification",
INDOCRYPT 2012.
"""

from __future__ import annotations

from collections.abc import Sequence

from gmpy2 import mpz, powmod


def product_of_powers(bases: Sequence[int], exponents: Sequence[int], modulus: int) -> int:
    """Return ``∏ bases[k]**exponents[k] mod modulus``.

    Args:
        bases: the bases, in ``[0, modulus)``.
        exponents: as many, not negative; they should have about the same length.
        modulus: above 1.

    Security: not constant time; for public exponents only.
    """
    bits = max((exponent.bit_length() for exponent in exponents), default=0)
    width = _best_width(len(bases), bits)
    mask = (1 << width) - 1
    m = mpz(modulus)
    numbers = [mpz(base) for base in bases]
    result = mpz(1)
    for shift in reversed(range(0, bits, width)):
        result = powmod(result, 1 << width, m)
        # One bucket per digit collects the bases whose exponent has this digit here; ∏ bucket_d^d by running products.
        buckets: dict[int, mpz] = {}
        for number, exponent in zip(numbers, exponents, strict=True):
            digit = exponent >> shift & mask
            if digit:
                buckets[digit] = buckets[digit] * number % m if digit in buckets else number
        running, total = mpz(1), mpz(1)
        for digit in range(mask, 0, -1):
            if digit in buckets:
                running = running * buckets[digit] % m
            total = total * running % m
        result = result * total % m
    return int(result % m)


def _best_width(count: int, bits: int) -> int:
    return min(range(1, 17), key=lambda width: -(-bits // width) * (count + 2 * (1 << width)))
