# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The padded part of sealed vectors: its digest and its sum, piece by piece.

A padded part is a covered vector as little-endian 32-bit integers, four bytes a value and nothing else; empty where a
vector is sealed directly.

Not here: checking that a padded part is the one its contribution names (``verification``).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np

from coterie_common.crypto.hashing import Label, LongDigest
from coterie_common.crypto.pads.pad import add_covered
from coterie_common.crypto.pads.ring import UInt32Array
from coterie_common.errors import StateError

VALUE_BYTES: Final = 4

Octets: TypeAlias = bytes | memoryview


class PaddedDigest(LongDigest):
    """Digest of a padded part whose pieces come one after the other; the cuts make no difference."""

    def __init__(self) -> None:
        super().__init__(Label.PADDED_PART)

    def facts(self) -> PaddedFacts:
        """Return size and digest of all pieces so far."""
        return PaddedFacts(self._bytes, self.digest())


@dataclass(frozen=True, slots=True)
class PaddedFacts:
    """The public facts of a padded part: its size in bytes and its digest."""

    size: int
    digest: bytes


class PaddedSum:
    """The sum of the padded parts of one session's contributors, in the memory of one."""

    def __init__(self, session_id: bytes, length: int) -> None:
        """Begin with zero.

        Args:
            session_id: of the round whose padded parts are added.
            length: number of values of each; 0 if vectors are sealed directly.
        """
        self.session_id: Final = session_id
        self.values: Final[UInt32Array] = np.zeros(length, dtype=np.uint32)

    def add(self, piece: Octets, first: int = 0) -> None:
        """Add a padded part that passed ``Sealing.check_padded``, or a piece of it.

        Args:
            piece: whole values.
            first: number of its first value.

        Raises:
            StateError: it is not within the vector.
        """
        count, rest = divmod(len(piece), VALUE_BYTES)
        if rest or first < 0 or first + count > len(self.values):
            raise StateError(f"{len(piece)} bytes from value {first} on are no piece of {len(self.values)} values")
        covered = np.frombuffer(piece, dtype="<u4").astype(np.uint32, copy=False)
        add_covered(self.values[first : first + count], covered)


def to_octets(covered: UInt32Array) -> bytes:
    """Return covered values in the form sent."""
    return covered.astype("<u4", copy=False).tobytes()


def padded_digest(padded: bytes) -> bytes:
    """Digest of the padded part of a sealed vector; of empty bytes if the vector is sealed directly."""
    digest = PaddedDigest()
    digest.update(padded)
    return digest.digest()


NOTHING_PADDED = padded_digest(b"")
"""The digest of the padded part in a contribution that is sealed directly."""
