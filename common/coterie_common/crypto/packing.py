# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Many small integers in few large plaintexts, so that sums of plaintexts are sums of the integers.

A value v of one contribution is stored as v − lower ≥ 0 in a slot wide enough for the sum over all contributors;
slots never borrow or carry. The capacity is checked when the packing is made, before anything is encrypted.

- ``unpack(sum of pack(v_i), contributors)`` equals the sum of the v_i, for any number of contributors up to the most.
- Slot j of a plaintext holds bits j·slot_bits and up; slots beyond the vector's length are 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from coterie_common.errors import CapacityExceeded, PlaintextOutOfRange

_INT64: Final = np.iinfo(np.int64)
_WORD_BITS: Final = 64


@dataclass(frozen=True)
class Packing:
    """The layout of the vectors of one round.

    Attributes:
        length: values in the vector, 1 or more.
        lower: least value of ONE contribution, its noise share included.
        upper: greatest value of one contribution.
        max_contributors: the maximum number of contributions in a sum, 1 or more.
        plaintext_bits: usable bits of one plaintext.

    Raises:
        CapacityExceeded: the sum of the most contributions does not fit int64 or its slot does not fit a plaintext.
    """

    length: int
    lower: int
    upper: int
    max_contributors: int
    plaintext_bits: int

    def __post_init__(self) -> None:
        if self.length < 1 or self.max_contributors < 1 or self.lower > self.upper:
            raise CapacityExceeded(
                f"a vector of {self.length} values in [{self.lower}, {self.upper}] of up to {self.max_contributors} "
                "contributors cannot be packed: it needs a value, a contributor and a range"
            )
        minimum, maximum = self.lower * self.max_contributors, self.upper * self.max_contributors
        if minimum < _INT64.min or maximum > _INT64.max:
            raise CapacityExceeded(
                f"the sum of {self.max_contributors} contributions in [{self.lower}, {self.upper}] "
                "can exceed the range of 64-bit integers"
            )
        if self.slot_bits > self.plaintext_bits:
            raise CapacityExceeded(
                f"the sum of {self.max_contributors} contributions in [{self.lower}, {self.upper}] needs "
                f"{self.slot_bits} bits, a plaintext has {self.plaintext_bits}"
            )

    @property
    def slot_bits(self) -> int:
        """Bits of one slot: the maximum bits of the offset sum of the most contributions, at least 1."""
        return max(1, ((self.upper - self.lower) * self.max_contributors).bit_length())

    @property
    def slots_per_plaintext(self) -> int:
        """Slots in one plaintext."""
        return self.plaintext_bits // self.slot_bits

    @property
    def plaintexts(self) -> int:
        """Plaintexts, and so ciphertexts, of one vector."""
        return -(-self.length // self.slots_per_plaintext)

    def pack(self, values: NDArray[np.int64]) -> tuple[int, ...]:
        """Pack one contribution.

        Args:
            values: Int64[length], each in ``[lower, upper]``.

        Returns:
            ``plaintexts`` integers of at most ``plaintext_bits`` bits.

        Raises:
            PlaintextOutOfRange: another length or type, or a value outside its range.
        """
        if values.dtype != np.int64 or values.shape != (self.length,):
            raise PlaintextOutOfRange(
                f"a vector of shape {values.shape} and type {values.dtype} instead of {self.length} int64 values"
            )
        if values.min() < self.lower or values.max() > self.upper:
            raise PlaintextOutOfRange(f"a value lies outside [{self.lower}, {self.upper}]")
        slots = np.zeros(self.plaintexts * self.slots_per_plaintext, dtype="<u8")
        # Unsigned arithmetic modulo 2^64 is exact here: the differences are in 0..2^64−1.
        slots[: self.length] = values.astype(np.uint64) - _word(self.lower)
        bits = np.unpackbits(slots.view(np.uint8).reshape(-1, 8), axis=1, count=self.slot_bits, bitorder="little")
        rows = np.packbits(bits.reshape(self.plaintexts, -1), axis=1, bitorder="little")
        return tuple(int.from_bytes(row.tobytes(), "little") for row in rows)

    def unpack(self, plaintexts: Sequence[int], contributors: int) -> NDArray[np.int64]:
        """Unpack the sum of contributions.

        Args:
            plaintexts: the sums of the contributions' plaintexts.
            contributors: the number of contributions in the sums, 1 to ``max_contributors``.

        Returns:
            Int64[length], the sums of the values.

        Raises:
            PlaintextOutOfRange: not a sum of that many packed contributions: a wrong number of plaintexts or
                contributors, a slot above the largest possible sum, or bits where there is no slot.
        """
        if len(plaintexts) != self.plaintexts or not 1 <= contributors <= self.max_contributors:
            raise PlaintextOutOfRange(
                f"{len(plaintexts)} plaintexts of {contributors} contributors instead of {self.plaintexts} "
                f"of at most {self.max_contributors}"
            )
        used_bits = self.slots_per_plaintext * self.slot_bits
        if not all(0 <= plaintext < 1 << used_bits for plaintext in plaintexts):
            raise PlaintextOutOfRange("a sum of packed values overflowed: a contribution was not packed like this")
        row_bytes = -(-used_bits // 8)
        octets = b"".join(plaintext.to_bytes(row_bytes, "little") for plaintext in plaintexts)
        rows = np.frombuffer(octets, dtype=np.uint8).reshape(self.plaintexts, row_bytes)
        bits = np.unpackbits(rows, axis=1, count=used_bits, bitorder="little").reshape(-1, self.slot_bits)
        words = np.zeros((len(bits), _WORD_BITS // 8), dtype=np.uint8)
        packed = np.packbits(bits, axis=1, bitorder="little")
        words[:, : packed.shape[1]] = packed
        slots = words.view("<u8").reshape(-1).astype(np.uint64)
        if slots.max() > (self.upper - self.lower) * contributors or slots[self.length :].any():
            raise PlaintextOutOfRange("a sum of packed values is too large: a contribution was not packed like this")
        return (slots[: self.length] + _word(self.lower * contributors)).view(np.int64)


def _word(value: int) -> np.uint64:
    return np.uint64(value % (1 << _WORD_BITS))
