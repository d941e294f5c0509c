# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Products of powers of many bases, as proofs need them: one run of squarings for all.

Few bases are put into groups with a table of the products of every subset, looked up bit by bit (Straus); many go into
buckets by their digits (Pippenger). The estimated cost decides between the two.

Source: Straus, "Addition chains of vectors", American Mathematical Monthly 71, 1964; Pippenger's bucket method as in
Bernstein, Doumen, Lange, Oosterwijk, "Faster batch forgery identification", INDOCRYPT 2012.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

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
    pairs = [(mpz(base), exponent) for base, exponent in zip(bases, exponents, strict=True)]
    width = min(range(1, 17), key=lambda width: _bucket_cost(len(pairs), bits, width))
    group = min(range(1, 9), key=lambda group: _subset_cost(len(pairs), bits, group))
    if _subset_cost(len(pairs), bits, group) < _bucket_cost(len(pairs), bits, width):
        return int(_by_subsets(pairs, bits, mpz(modulus), group))
    return int(_by_buckets(pairs, bits, mpz(modulus), width))


def _by_subsets(pairs: Sequence[tuple[mpz, int]], bits: int, modulus: mpz, group: int) -> mpz:
    groups = [pairs[start : start + group] for start in range(0, len(pairs), group)]
    tables = [_subset_products([base for base, _ in members], modulus) for members in groups]
    # A group's key at a bit position is the bits of its exponents there, as digits of their binary notation.
    keys = [zip(*(format(exponent, f"0{bits}b") for _, exponent in members), strict=True) for members in groups]
    result = mpz(1)
    for position in zip(*keys, strict=True):
        result = result * result % modulus
        for table, key in zip(tables, position, strict=True):
            if key in table:
                result = result * table[key] % modulus
    return result % modulus


def _subset_products(bases: Sequence[mpz], modulus: mpz) -> dict[tuple[str, ...], mpz]:
    """Return the product of every subset but the empty one, under its members written as digits 0 and 1."""
    table: dict[tuple[str, ...], mpz] = {}
    for key in product("01", repeat=len(bases)):
        if "1" in key:
            first = key.index("1")
            rest = (*key[:first], "0", *key[first + 1 :])
            table[key] = table[rest] * bases[first] % modulus if rest in table else bases[first]
    return table


def _by_buckets(pairs: Sequence[tuple[mpz, int]], bits: int, modulus: mpz, width: int) -> mpz:
    mask = (1 << width) - 1
    result = mpz(1)
    for shift in reversed(range(0, bits, width)):
        result = powmod(result, 1 << width, modulus)
        # One bucket per digit collects the bases whose exponent has this digit here; ∏ bucket_d^d by running products.
        buckets: dict[int, mpz] = {}
        for number, exponent in pairs:
            digit = exponent >> shift & mask
            if digit:
                buckets[digit] = buckets[digit] * number % modulus if digit in buckets else number
        running, total = mpz(1), mpz(1)
        for digit in range(mask, 0, -1):
            if digit in buckets:
                running = running * buckets[digit] % modulus
            total = total * running % modulus
        result = result * total % modulus
    return result % modulus


def _bucket_cost(count: int, bits: int, width: int) -> int:
    """Return the approximate number of multiplications; the first base of a bucket takes none."""
    buckets = 1 << width
    return -(-bits // width) * (max(0, count - buckets) + 2 * buckets)


def _subset_cost(count: int, bits: int, group: int) -> int:
    return -(-count // group) * ((1 << group) + bits)
