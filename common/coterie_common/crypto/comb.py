# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Powers of one fixed base, from tables that are computed once (a Lim–Lee comb).

The bits of an exponent are written as a matrix of ``teeth`` rows; a column of it is an index into a table of products
of ``base^(2^i)``. The columns are cut into blocks with a table each. An exponent of b bits then costs b/teeth
multiplications and b/(teeth·blocks) squarings, instead of b squarings.

An exponent is split into segments, each with its tables: short exponents, the usual ones, pay for the first only.

- After construction nothing changes: one comb may be used from several threads.
- Not constant time: secret bits index the tables.

Source: Lim and Lee, "More flexible exponentiation with precomputation", CRYPTO '94.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gmpy2 import mpz, powmod

from coterie_common.errors import StateError

_BLOCKS: Final = 8
"""Eight tables reduce squarings to a tenth of the work; more only cost memory."""


class Comb:
    """Computes powers of ``base`` for exponents below ``2**reach_bits``.

    Building costs blocks·2^teeth multiplications, at a modulus of 4096 bits and segments of 1024 and 267 bits about
    0.1 s and 6 MiB.

    Args:
        base: of the powers, in ``[1, modulus)``.
        modulus: odd, above 1.
        segment_bits: lengths of the segments of an exponent, lowest first.
    """

    def __init__(self, base: int, modulus: int, segment_bits: Sequence[int]) -> None:
        self.reach_bits: Final = sum(segment_bits)
        self._modulus = mpz(modulus)
        self._segments: list[_Segment] = []
        power = mpz(base)
        for bits in segment_bits:
            self._segments.append(_Segment(power, self._modulus, bits))
            power = powmod(power, mpz(1) << bits, self._modulus)

    def power(self, exponent: int) -> int:
        """Return ``base**exponent mod modulus``.

        Raises:
            StateError: the exponent is negative or beyond the tables' reach.
        """
        if exponent < 0 or exponent.bit_length() > self.reach_bits:
            raise StateError(f"an exponent of {exponent.bit_length()} bits; the tables reach {self.reach_bits}")
        result = mpz(1)
        for segment in self._segments:
            if exponent:
                result = result * segment.power(exponent & segment.mask) % self._modulus
                exponent >>= segment.bits
        return int(result)


class _Segment:
    def __init__(self, base: Any, modulus: Any, bits: int) -> None:
        # The table of 2^teeth products pays off as long as it is small beside the exponent's length.
        self._teeth = max(2, bits.bit_length() - 1)
        self._squarings = -(-bits // (self._teeth * _BLOCKS))
        self._columns = self._squarings * _BLOCKS
        self._modulus = modulus
        self.bits = bits
        self.mask = (1 << bits) - 1
        step = mpz(1) << self._squarings
        powers = [base]
        for _ in range(self._teeth * _BLOCKS - 1):
            powers.append(powmod(powers[-1], step, modulus))
        self._tables = [_products(powers[block::_BLOCKS], modulus) for block in range(_BLOCKS)]

    def power(self, exponent: int) -> Any:
        columns, squarings, modulus = self._columns, self._squarings, self._modulus
        # Written in binary, highest bit first, a column is every columns-th digit.
        digits = format(exponent, f"0{self._teeth * columns}b")
        result = mpz(1)
        for row in range(squarings):
            if row:
                result = result * result % modulus
            for block, table in enumerate(self._tables):
                column = (_BLOCKS - 1 - block) * squarings + row
                index = int(digits[column::columns], 2)
                if index:
                    result = result * table[index] % modulus
        return result


def _products(powers: Sequence[Any], modulus: Any) -> list[Any]:
    table = [mpz(1)]
    for power in powers:
        table += [entry * power % modulus for entry in table]
    return table
