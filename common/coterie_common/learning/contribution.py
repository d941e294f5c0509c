# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party's exact contribution to a round, before noise: counted; or sampled, computed, clipped, rounded, added up.

A party and a simulated party both compute it here, so that they release the same distribution.

Only this module handles the sensitive part of vectors: the records that take part are drawn in the caller's process,
and every computed vector is clipped in this one.

A vector that is not finite counts as 0. A refusal of the round would reveal to anyone who chose the parameters, and can
make them overflow for any chosen records, exactly whether there is such a record, without noise and at no privacy cost.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
import numpy.typing as npt

from coterie_common.errors import ParameterMismatch, TrainingFailed, WrongVectorShape
from coterie_common.learning.algorithm import Algorithm, Ask, Float32, Int64, VectorAlgorithm
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.plan import Plan, PlannedVectorRound, Records
from coterie_common.privacy.batches import draw_batch
from coterie_common.privacy.count_encoding import CountEncoding
from coterie_common.privacy.noise.mechanisms import Unit
from coterie_common.privacy.vector_encoding import VectorEncoding
from coterie_common.randomness import RandomSource

PIECE_VALUES: Final = 1 << 20
"""Values of a piece: whole blocks of a pad, enough of them for two threads, and 8 MiB as integers."""


class VectorSource(Protocol):
    """Computes the vectors of a round: in a process apart, or in this one."""

    def __call__(
        self, ask: Ask, records: Records, batch: npt.NDArray[np.bool_], /, *, expected: int
    ) -> Iterator[Float32]:
        """Return the vectors of an ask that ``check_ask`` let pass.

        Args:
            ask: of a round of vectors.
            records: the kind that takes part.
            batch: Bool[records of that kind], those that do.
            expected: the required number of vectors.

        Returns:
            Float32[n, length of the ask], ``expected`` rows in all.
        """
        ...


def computed_vectors(algorithm: Algorithm[Any, Any], ask: Ask, dataset: Dataset) -> Iterator[Float32]:
    """Yield the vectors that an algorithm computes from a batch, Float32[n, length of the ask], in its own chunks.

    Raises:
        TrainingFailed: it computes no vectors, or cannot with this data.
        WrongVectorShape: they are of another form.
    """
    if not isinstance(algorithm, VectorAlgorithm):
        raise TrainingFailed("the job's algorithm computes no vectors")
    for rows in algorithm.vectors(ask, dataset):
        is_array = isinstance(rows, np.ndarray)
        if not is_array or rows.dtype != np.float32 or rows.ndim != 2 or rows.shape[1] != ask.length:
            kind = f"{rows.dtype} of shape {rows.shape}" if is_array else type(rows).__name__
            raise WrongVectorShape(f"vectors must be rows of {ask.length} 32-bit reals, not {kind}")
        yield rows


@dataclass(frozen=True, slots=True, kw_only=True)
class Contributor:
    """A party's half of the rounds of one job.

    Attributes:
        algorithm: of the job.
        plan: the party's own.
        datasets: the party's records, by every kind that a round counts.
        vectors: computes the vectors of the same records.
        report: called with the number of vectors that were not finite, and of all, where there was one.
    """

    algorithm: Algorithm[Any, Any]
    plan: Plan
    datasets: Mapping[Records, Dataset]
    vectors: VectorSource
    report: Callable[[int, int], None]

    def exact(self, ask: Ask, encoding: CountEncoding | VectorEncoding, random: RandomSource) -> Iterator[Int64]:
        """Yield the encoded contribution, to which the noise share is to be added, piece by piece.

        Args:
            ask: that ``check_ask`` let pass.
            encoding: of the round's terms.
            random: of batches and rounding: the operating system's, but for a simulation.

        Yields:
            Int64, together the length of the ask; all pieces but the last a multiple of 2,048 values. A party's only
            vector is rounded as it is taken, so that its integers are never in memory as a whole.

        Raises:
            ParameterMismatch: the encoding is not of the planned kind.
            TrainingFailed: the vectors could not be computed, or are not such as were asked for; one of its kinds.

        Privacy: draws a fresh batch. Call it once per round, and keep what it returned.
        """
        planned = self.plan.rounds[ask.round_number - 1]
        if isinstance(planned, PlannedVectorRound) and isinstance(encoding, VectorEncoding):
            yield from self._vectors(ask, planned, encoding, random)
        elif not isinstance(planned, PlannedVectorRound) and isinstance(encoding, CountEncoding):
            yield encoding.encode(self.algorithm.answer(ask, self.datasets[self.algorithm.records], random))
        else:
            raise ParameterMismatch(f"round {ask.round_number} is planned for another kind of values than its terms")

    def _vectors(
        self, ask: Ask, planned: PlannedVectorRound, encoding: VectorEncoding, random: RandomSource
    ) -> Iterator[Int64]:
        records = planned.records or self.algorithm.records
        batch = draw_batch(self.datasets[records].rows, planned.sampling_rate, random)
        expected = 1 if self.plan.unit is Unit.PARTY else int(np.count_nonzero(batch))
        vectors = self._usable(self.vectors(ask, records, batch, expected=expected), expected)
        if self.plan.unit is Unit.PARTY:
            (row,) = [rows for rows in vectors if len(rows)]
            yield from encoding.encode_blocks(row, random, PIECE_VALUES)
        else:
            total = encoding.encode(vectors, random)
            yield from (total[start : start + PIECE_VALUES] for start in range(0, len(total), PIECE_VALUES))

    def _usable(self, batches: Iterator[Float32], expected: int) -> Iterator[Float32]:
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
            self.report(unusable, count)
