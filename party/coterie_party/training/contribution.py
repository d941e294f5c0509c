# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party's exact contribution to a round of vectors, before noise: sampled, computed, clipped, rounded, added up.

What is sensitive about it is settled here and nowhere else: which records take part is drawn in this process, and every
vector that the training process returns is clipped in this one.

A vector that is not finite counts as 0. To refuse the round because of it would tell whoever chose the parameters, who
can make them overflow for any records they like, exactly whether there is such a record, with no noise and at no price.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np
import structlog

from coterie_common.errors import WrongVectorShape
from coterie_common.learning.algorithm import Ask, Float32, Int64
from coterie_common.learning.dataset import Dataset
from coterie_common.learning.plan import PlannedVectorRound, Records
from coterie_common.privacy.batches import draw_batch
from coterie_common.privacy.noise import Unit
from coterie_common.privacy.real_encoding import RealEncoding
from coterie_common.randomness import RandomSource
from coterie_party.training.process import TrainingProcess

log = structlog.get_logger(__name__)

PIECE_VALUES: Final = 1 << 20
"""Values of a piece: whole blocks of a pad, enough of them for two threads, and 8 MiB as integers."""


def exact_contribution(
    process: TrainingProcess,
    ask: Ask,
    planned: PlannedVectorRound,
    unit: Unit,
    datasets: Mapping[Records, Dataset],
    records: Records,
    encoding: RealEncoding,
    random: RandomSource,
) -> Iterator[Int64]:
    """Yield the encoded sum of a party's vectors, to which the noise share is to be added, piece by piece.

    Args:
        process: of the job, with the same data sets.
        ask: that ``check_ask`` let pass.
        planned: the round, by the party's own plan.
        unit: whose presence the noise hides.
        datasets: the party's records, by kind.
        records: the kind that the algorithm names; the planned round may name another.
        encoding: of the round's terms.
        random: the operating system's.

    Yields:
        Int64[≤ ``PIECE_VALUES``], together the length of the ask. A party's only vector is rounded as it is taken, so
        that its integers are never in memory as a whole.

    Raises:
        TrainingFailed: the vectors could not be computed, or are not such as were asked for; one of its kinds.

    Privacy: draws a fresh batch. Call it once per round, and keep what it returned.
    """
    kind = planned.records or records
    batch = draw_batch(datasets[kind].rows, planned.sampling_rate, random)
    if unit is not Unit.PARTY:
        expected = int(np.count_nonzero(batch))
        vectors = process.vectors(ask, kind, batch, expected=expected)
        total = encoding.encode(_usable(vectors, expected), random)
        yield from (total[start : start + PIECE_VALUES] for start in range(0, len(total), PIECE_VALUES))
        return
    (row,) = [rows for rows in _usable(process.vectors(ask, kind, batch, expected=1), 1) if len(rows)]
    yield from encoding.encode_blocks(row, random, PIECE_VALUES)


def _usable(batches: Iterator[Float32], expected: int) -> Iterator[Float32]:
    """Yield the vectors, those that are not finite as 0; a sum that lacks some has no bounded sensitivity."""
    count = unusable = 0
    for rows in batches:
        # Least and greatest carry NaN along, and need no memory.
        is_unusable = ~(np.isfinite(rows.min(axis=1)) & np.isfinite(rows.max(axis=1)))
        if is_unusable.any():
            rows = rows if rows.flags.writeable else rows.copy()
            rows[is_unusable] = 0
            unusable += int(np.count_nonzero(is_unusable))
        count += len(rows)
        yield rows
    if count != expected:
        raise WrongVectorShape(f"{count} vectors where {expected} were asked for")
    if unusable:
        log.warning("vectors that are not finite count as 0", vectors=unusable, of=count)
