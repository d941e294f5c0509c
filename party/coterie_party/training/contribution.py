# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party's exact contribution to a round of vectors, before noise: sampled, computed, clipped, rounded, added up.

What is sensitive about it is settled here and nowhere else: which records take part is drawn in this process, and every
vector that the training process returns is clipped in this one.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from coterie_common.learning.algorithm import Ask, Int64
from coterie_common.learning.dataset import Dataset
from coterie_common.learning.plan import PlannedVectorRound, Records
from coterie_common.privacy.noise import Unit
from coterie_common.privacy.real_encoding import RealEncoding
from coterie_common.randomness import RandomSource
from coterie_party.batches import draw_batch
from coterie_party.training.process import TrainingProcess


def exact_contribution(
    process: TrainingProcess,
    ask: Ask,
    planned: PlannedVectorRound,
    unit: Unit,
    datasets: Mapping[Records, Dataset],
    records: Records,
    encoding: RealEncoding,
    random: RandomSource,
) -> Int64:
    """Return the encoded sum of a party's vectors, to which the noise share is to be added.

    Args:
        process: of the job, with the same data sets.
        ask: that ``check_ask`` let pass.
        planned: the round, by the party's own plan.
        unit: whose presence the noise hides.
        datasets: the party's records, by kind.
        records: the kind that the algorithm names; the planned round may name another.
        encoding: of the round's terms.
        random: the operating system's.

    Returns:
        Int64[length of the ask].

    Raises:
        TrainingFailed: the vectors could not be computed, or are not such as were asked for; one of its kinds.

    Privacy: draws a fresh batch. Call it once per round, and keep what it returned.
    """
    kind = planned.records or records
    batch = draw_batch(datasets[kind].rows, planned.sampling_rate, random)
    expected = 1 if unit is Unit.PARTY else int(np.count_nonzero(batch))
    return encoding.encode(process.vectors(ask, kind, batch, expected=expected), random)
