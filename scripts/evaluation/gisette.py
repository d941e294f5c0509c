# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A substitute for Gisette, made from MNIST as Gisette was: telling fours from nines, with features that say nothing.

Gisette (Guyon et al., "Result Analysis of the NIPS 2003 Feature Selection Challenge", 2004) has 13,500 fours and nines,
a sample of pixels of the upper middle, products of pairs of pixels, and as many probes: features of the same kind whose
values are dealt to the records at random. Its own sampling is not published, so this set is like it and not equal to
it; it is smaller too, 1,000 features instead of 5,000, because parties agree on a schema that names every column.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from coterie_common.learning.dataset import Dataset
from coterie_common.learning.schema import Schema, parse_schema
from worked_examples.mnist import Digits

RECORDS_PER_CLASS = 6750
REAL, PROBES = 700, 300
HIGHEST = 999
LEAST_USED = 0.01
"""Pixels that are white in more images than all but this share say nothing and are left out."""


@cache
def gisette_like(folder: Path, seed: int = 0) -> Dataset:
    """Make the set from the four files of MNIST; raises ``DataProblem`` where they are not there."""
    random = np.random.default_rng(seed)
    parts = [Digits.read(folder, part) for part in ("train", "t10k")]
    images = np.concatenate([part.images for part in parts]).astype(np.float32) / 255
    digits = np.concatenate([part.digits for part in parts])
    chosen = [random.permutation(np.flatnonzero(digits == digit))[:RECORDS_PER_CLASS] for digit in (4, 9)]
    order = random.permutation(np.concatenate(chosen))
    features = _features(images[order], random)
    label = (digits[order] == 9).astype(np.int32)
    columns: dict[str, npt.NDArray[np.float64] | npt.NDArray[np.int32]] = {
        f"x{number}": np.rint(features[:, number - 1] * HIGHEST).astype(np.float64)
        for number in range(1, REAL + PROBES + 1)
    }
    return Dataset(gisette_schema(), {**columns, "digit": label}, len(order))


def _features(images: npt.NDArray[np.float32], random: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return pixels, products of pairs of pixels, and probes, in random order."""
    used = np.flatnonzero((images > 0).mean(axis=0) > LEAST_USED)
    row, column = np.divmod(np.arange(images.shape[1]), 28)
    # biased to the upper middle, where fours and nines differ
    weight = np.exp(-((row - 11) ** 2 + (column - 14) ** 2) / 50)[used]
    weight /= weight.sum()
    first, second = (random.choice(used, 4 * REAL, p=weight) for _ in range(2))
    pairs = np.unique(np.sort(np.c_[first, second], axis=1)[first != second], axis=0)
    pairs = pairs[random.permutation(len(pairs))[: REAL - len(used)]]
    real = np.c_[images[:, used], images[:, pairs[:, 0]] * images[:, pairs[:, 1]]]
    probes = real[:, random.permutation(real.shape[1])[:PROBES]]
    probes = np.stack([column[random.permutation(len(column))] for column in probes.T], axis=1)
    features = np.concatenate([real, probes], axis=1)
    return np.asarray(features[:, random.permutation(features.shape[1])])


@cache
def gisette_schema() -> Schema:
    """The schema of the job."""
    return parse_schema(gisette_table())


def gisette_table() -> dict[str, object]:
    """Return the schema as a job has it."""
    # From −999, though no value is negative: so that 0, the most frequent value, is the middle, and a record's vector
    # does not mostly consist of a constant that clipping would keep and the signal lose.
    pixels = {"name": "x", "count": REAL + PROBES, "lower": -HIGHEST, "upper": HIGHEST, "integer": True}
    return {"label": "digit", "max_records": 20_000, "columns": [pixels, {"name": "digit", "levels": ["4", "9"]}]}
