# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What one holder draws for one batch, all of it from leaves that it commits to before the batch begins."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from coterie_common.crypto.generation import candidates
from coterie_common.crypto.generation.candidates import CandidateDraws
from coterie_common.crypto.generation.cells import CellDraws
from coterie_common.crypto.generation.leaves import STREAM_BYTES, Leaves, Opening, context, root, streams
from coterie_common.crypto.generation.parameters import GenerationParameters
from coterie_common.crypto.generation.steps.setup import Setup
from coterie_common.crypto.hashing import DIGEST_BYTES

_TOGETHER: Final = 1 << 14
"""Cells whose streams are in memory at a time."""


@dataclass(frozen=True)
class BatchSecrets:
    """One holder's randomness of one batch.

    Attributes:
        number: of the batch, from 1.
        leaves: one for each cell, then one for each candidate.
        digests: of the leaves.
        cells: drawn from the first leaves.
        candidates: drawn from the others.
        root: over the digests.
    """

    number: int
    leaves: Leaves
    digests: tuple[bytes, ...] = field(repr=False)
    cells: CellDraws
    candidates: tuple[CandidateDraws, ...] = field(repr=False)
    root: bytes

    @classmethod
    def generate(cls, setup: Setup, nonce: bytes, number: int) -> BatchSecrets:
        """Draw new leaves."""
        leaves = Leaves.generate(setup.parameters.leaves, setup.random)
        leaf_context = context(setup.draft_digest, nonce, setup.index, number)
        drawn = expand(setup.parameters, leaf_context, leaves.split(), ())
        return cls(number, leaves, drawn.digests, drawn.cells, drawn.candidates, root(drawn.digests))

    def open(self, kept: frozenset[int]) -> Opening:
        """Open all leaves but those at the positions ``kept``."""
        return Opening.of(self.leaves.split(), self.digests, kept)


@dataclass(frozen=True)
class Expanded:
    """What leaves make; of a closed leaf, numbers that mean nothing.

    Attributes:
        digests: of all leaves.
        cells: of all cells.
        candidates: of all candidates.
    """

    digests: tuple[bytes, ...] = field(repr=False)
    cells: CellDraws
    candidates: tuple[CandidateDraws, ...] = field(repr=False)


def expand(
    parameters: GenerationParameters, leaf_context: bytes, leaves: list[bytes], closed: tuple[bytes, ...]
) -> Expanded:
    """Expand the leaves of a batch.

    Args:
        parameters: of the generation.
        leaf_context: of the holder's batch.
        leaves: one per position; empty for a closed one.
        closed: the digests of the closed ones, in their order.
    """
    primes, digests, drawn = parameters.cell_primes, list[bytes](), list[CellDraws]()
    for start in range(0, len(primes), _TOGETHER):
        end = min(start + _TOGETHER, len(primes))
        short = streams(leaf_context, start, leaves[start:end], STREAM_BYTES)
        digests += [stream[:DIGEST_BYTES] for stream in short]
        drawn.append(CellDraws.expand(parameters, short, primes[start:end]))
    size = candidates.stream_bytes(parameters)
    long = streams(leaf_context, len(primes), leaves[len(primes) :], size)
    digests += [stream[:DIGEST_BYTES] for stream in long]
    stand_ins = iter(closed)
    for position, leaf in enumerate(leaves):
        if not leaf:
            digests[position] = next(stand_ins)
    return Expanded(
        tuple(digests),
        CellDraws.joined(drawn),
        tuple(candidates.draw(parameters, stream) for stream in long),
    )
