# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The sieve: numbers that no small prime divides, made residue by residue in *cells*.

A cell is one residue modulo one prime. Each holder draws p_i and r_i, and shares both with degree g and zero with
degree k − 1; z = p·r is opened, hidden by the sharing of zero. Where z ≠ 0, p is not 0 and otherwise unknown. Number n
of the batch takes the n-th cell with z ≠ 0 of every sieve prime; numbers 2j and 2j + 1 are the factors of candidate j.

Source: Boneh and Franklin, J. ACM 48 (2001), distributed sieving; residue by residue as in Chen, Hazay, Ishai,
Kashnikov, Micciancio, Riviere, shelat, Venkitasubramaniam and Wang, "Diogenes", IEEE S&P 2021, without its lattices.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from coterie_common.crypto.generation.leaves import STREAM_BYTES
from coterie_common.crypto.generation.parameters import GenerationParameters
from coterie_common.crypto.generation.small_sharing import Int64Array, draw, evaluate, interpolate
from coterie_common.crypto.hashing import DIGEST_BYTES
from coterie_common.secret import Secret

ROWS: Final = 3
"""Values of a cell in a part: of p, of r and of the sharing of zero."""


class CellDraws(Secret[Int64Array]):
    """Int64[cells, 2g + 1 + k]: the coefficients of p, of r (both with the constant one) and of zero (without)."""

    @classmethod
    def expand(cls, parameters: GenerationParameters, streams: Sequence[bytes], primes: Int64Array) -> CellDraws:
        """Draw the coefficients of cells from the streams of their leaves.

        Args:
            parameters: of the generation.
            streams: ``STREAM_BYTES`` each.
            primes: Int64[cells].
        """
        octets = np.frombuffer(b"".join(streams), dtype=np.uint8).reshape(len(streams), STREAM_BYTES)
        words = np.ascontiguousarray(octets[:, DIGEST_BYTES:]).view(">u2")
        return cls(draw(words, primes, 2 * (parameters.degree + 1) + parameters.zero_degree))

    @classmethod
    def joined(cls, draws: Sequence[CellDraws]) -> CellDraws:
        """Return what was drawn for successive cells as one."""
        return cls(np.concatenate([each.reveal() for each in draws]))

    @classmethod
    def total(cls, draws: Sequence[CellDraws], primes: Int64Array) -> CellDraws:
        """Return the coefficients of the sums of the polynomials of all holders."""
        return cls(sum((each.reveal() for each in draws[1:]), start=draws[0].reveal()) % primes[:, None])

    def part(self, parameters: GenerationParameters, point: int, primes: Int64Array) -> CellPart:
        """Return the values for the holder with the index ``point``."""
        drawn, terms = self.reveal(), parameters.degree + 1
        return CellPart(
            np.stack(
                (
                    evaluate(drawn[:, :terms], point, primes),
                    evaluate(drawn[:, terms : 2 * terms], point, primes),
                    evaluate(drawn[:, 2 * terms :], point, primes, first_power=1),
                )
            )
        )


class CellPart(Secret[Int64Array]):
    """Int64[3, cells], the values of one holder, from one or summed over all."""

    def to_bytes(self) -> bytes:
        """Return the one encoding, to be sealed."""
        return encode(self.reveal())

    @classmethod
    def total(cls, parts: Sequence[CellPart], primes: Int64Array) -> CellPart:
        """Return the sum of the parts that one holder got, its own among them."""
        return cls(sum((part.reveal() for part in parts[1:]), start=parts[0].reveal()) % primes)

    def product_share(self, primes: Int64Array) -> Int64Array:
        """Return Int64[cells], the holder's share of z = p·r, of degree k − 1."""
        p, r, zero = self.reveal()
        product: Int64Array = (p * r + zero) % primes
        return product


@dataclass(frozen=True, slots=True)
class Choice:
    """The cells that the numbers of a batch take.

    Attributes:
        cells: Int64[numbers, primes], positions in the batch; an even number of numbers.
    """

    cells: Int64Array

    @property
    def candidates(self) -> int:
        """The number of candidates, at most those of a batch."""
        return len(self.cells) // 2

    def of_candidate(self, candidate: int) -> frozenset[int]:
        """Return the positions of all cells of one candidate."""
        return frozenset(map(int, self.cells[2 * candidate : 2 * candidate + 2].reshape(-1)))


def choose(parameters: GenerationParameters, product_shares: Mapping[int, Int64Array]) -> Choice:
    """Open z and choose cells.

    Args:
        parameters: of the generation.
        product_shares: of every holder, by index.
    """
    z = interpolate([product_shares[i] for i in parameters.indices], parameters.cell_primes)
    columns, start = [], 0
    for count in parameters.cells:
        columns.append(start + np.flatnonzero(z[start : start + count]))
        start += count
    numbers = min(2 * parameters.batch, *map(len, columns)) // 2 * 2
    return Choice(np.stack([column[:numbers] for column in columns], axis=1))


def encode(values: Int64Array) -> bytes:
    """Return residues as big-endian numbers of two bytes."""
    return values.astype(">u2").tobytes()


def decode(data: bytes, primes: Int64Array, rows: int) -> Int64Array | None:
    """Return Int64[rows, cells]; ``None`` for another length, or a number that is not below its prime."""
    if len(data) != 2 * rows * len(primes):
        return None
    values = np.frombuffer(data, dtype=">u2").astype(np.int64).reshape(rows, len(primes))
    return values if (values < primes).all() else None
