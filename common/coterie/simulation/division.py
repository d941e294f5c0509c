# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Dividing one data set: a held-out part, and the rest dealt out to parties."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from coterie_common.errors import DataError
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.plan import Records
from coterie_common.randomness import RandomSource

Party: TypeAlias = Mapping[Records, Dataset]
"""A simulated party's records, by kind."""


def as_party(training: Dataset, set_aside: Dataset | None = None) -> Party:
    """Return a party with these records; without ``set_aside`` it has none of that kind."""
    if set_aside is None:
        set_aside = training.select(np.zeros(training.rows, np.bool_))
    both = {
        name: np.concatenate([values, set_aside.columns[name]]) if set_aside.rows else values
        for name, values in training.columns.items()
    }
    everything = Dataset(training.schema, both, training.rows + set_aside.rows)
    return {Records.TRAINING: training, Records.SET_ASIDE: set_aside, Records.ALL: everything}


def hold_out(dataset: Dataset, fraction: Fraction, random: RandomSource) -> tuple[Dataset, Dataset]:
    """Divide at random into records to train with, and ⌈``fraction`` · rows⌉ to test with.

    Args:
        dataset: all records.
        fraction: from 0 to 1.
        random: decides which.
    """
    order = _shuffled(dataset.rows, random)
    tested = np.zeros(dataset.rows, np.bool_)
    tested[order[: -(-dataset.rows * fraction.numerator // fraction.denominator)]] = True
    return dataset.select(~tested), dataset.select(tested)


def deal(dataset: Dataset, parties: int, random: RandomSource) -> tuple[Dataset, ...]:
    """Deal the records out at random, as evenly as possible.

    Raises:
        DataError: there are fewer records than parties.
    """
    if dataset.rows < parties:
        raise DataError(f"{dataset.rows} records cannot be dealt out to {parties} parties")
    order = _shuffled(dataset.rows, random)
    owner = np.empty(dataset.rows, np.int64)
    owner[order] = np.arange(dataset.rows) % parties
    return tuple(dataset.select(owner == party) for party in range(parties))


def _shuffled(rows: int, random: RandomSource) -> npt.NDArray[Any]:
    # Two equal among n draws of 64 bits: probability below n²·2^−65, and then they only keep their order.
    return np.argsort(np.frombuffer(random.token_bytes(8 * rows), "<u8"), kind="stable")
