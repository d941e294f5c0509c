# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The randomness of one holder in one batch: a secret leaf for each cell and candidate, committed to by a Merkle root.

- SHAKE256(context ‖ position ‖ leaf) is the leaf's *stream*. Its first 32 bytes are the leaf's digest, which the tree
  holds; the bytes after them are what the leaf's cell or candidate draws from. The context differs between runs,
  holders and batches, so nobody searches for many leaves at once.
- The tree has 64 children per node, SHA-256, one level after the other; the root covers the number of leaves.
- An opening gives most leaves and the digests of the others, so anybody recomputes the root and every draw.

Security: with 128 bits a leaf that stays closed is not found. A root binds its holder as long as nobody finds
collisions of SHAKE256 or SHA-256.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256, shake_256
from typing import Final

from coterie_common.crypto.hashing import DIGEST_BYTES, Label, tuple_hash
from coterie_common.randomness import RandomSource
from coterie_common.secret import Secret

LEAF_BYTES: Final = 16
STREAM_BYTES: Final = 136
"""One block of SHAKE256: the digest and the 52 words of a cell."""

_ARITY: Final = 64
_POSITION_BYTES: Final = 4


def context(draft_digest: bytes, nonce: bytes, holder: int, batch: int) -> bytes:
    """Return what separates the streams of one holder's batch from all others.

    Args:
        draft_digest: of the draft roster.
        nonce: the holder's, fresh in this run.
        holder: its index.
        batch: from 1.
    """
    return tuple_hash(Label.GENERATION_LEAF, draft_digest, nonce, holder, batch)


def stream(leaf_context: bytes, position: int, leaf: bytes, size: int) -> bytes:
    """Return the first ``size`` bytes of one leaf's stream."""
    return shake_256(leaf_context + position.to_bytes(_POSITION_BYTES, "big") + leaf).digest(size)


def streams(leaf_context: bytes, first: int, leaves: Sequence[bytes], size: int) -> list[bytes]:
    """Return the streams of leaves at successive positions."""
    return [
        shake_256(leaf_context + position.to_bytes(_POSITION_BYTES, "big") + leaf).digest(size)
        for position, leaf in enumerate(leaves, start=first)
    ]


def root(digests: Sequence[bytes]) -> bytes:
    """Return the Merkle root over the digests of all leaves, in their order; at least one."""
    count, level, depth = len(digests), b"".join(digests), 0
    width = _ARITY * DIGEST_BYTES
    while len(level) > DIGEST_BYTES or not depth:
        depth += 1
        prefix = depth.to_bytes(1, "big")
        nodes = [sha256(prefix + level[start : start + width]).digest() for start in range(0, len(level), width)]
        level = b"".join(nodes)
    return tuple_hash(Label.GENERATION_LEAVES, count, level)


class Leaves(Secret[bytes]):
    """All leaves of one batch, one after the other."""

    @classmethod
    def generate(cls, count: int, random: RandomSource) -> Leaves:
        """Draw new leaves."""
        return cls(random.token_bytes(count * LEAF_BYTES))

    def split(self) -> list[bytes]:
        """Return the leaves."""
        return split_leaves(self.reveal())


def split_leaves(joined: bytes) -> list[bytes]:
    """Return the leaves that stand one after the other."""
    return [joined[start : start + LEAF_BYTES] for start in range(0, len(joined), LEAF_BYTES)]


@dataclass(frozen=True, slots=True)
class Opening:
    """The leaves of one batch, all but some.

    Attributes:
        leaves: in the order of their positions; empty where one stays closed.
        closed: the digests of those, in the same order.
    """

    leaves: tuple[bytes, ...]
    closed: tuple[bytes, ...]

    @classmethod
    def of(cls, leaves: Sequence[bytes], digests: Sequence[bytes], kept: Collection[int]) -> Opening:
        """Open all leaves but those at the positions ``kept``, whose digests are given in their place."""
        stay = frozenset(kept)
        return cls(
            tuple(b"" if position in stay else leaf for position, leaf in enumerate(leaves)),
            tuple(digests[position] for position in sorted(stay)),
        )

    def to_bytes(self) -> bytes:
        """Return the one encoding: the open leaves, then the digests of the others."""
        return b"".join((*self.leaves, *self.closed))

    @classmethod
    def from_bytes(cls, data: bytes, count: int, kept: Collection[int]) -> Opening | None:
        """Parse the output of ``to_bytes``; ``None`` for another length than ``count`` leaves have, ``kept`` closed."""
        stay = frozenset(kept)
        end = LEAF_BYTES * (count - len(stay))
        if len(data) != end + DIGEST_BYTES * len(stay):
            return None
        opened = iter(split_leaves(data[:end]))
        closed = tuple(data[start : start + DIGEST_BYTES] for start in range(end, len(data), DIGEST_BYTES))
        return cls(tuple(b"" if position in stay else next(opened) for position in range(count)), closed)
