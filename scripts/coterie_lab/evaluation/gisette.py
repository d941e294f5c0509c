# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A substitute for Gisette, made from MNIST as Gisette was: fours against nines, with uninformative features.

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

from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import Schema
from coterie_lab.examples.mnist import Digits

RECORDS_PER_CLASS = 6750
PROBES = 300
HIGHEST = 999
LEAST_USED = 0.01
"""Pixels that are white in more images than all but this share carry no information and are left out."""


@cache
def gisette_like(folder: Path, schema: Schema) -> Dataset:
    """Make the set, in the job's schema, from the four files of MNIST; raises ``DataProblem``."""
    parts = [Digits.read(folder, part) for part in ("train", "t10k")]
    images, digits = (np.concatenate([getattr(part, name) for part in parts]) for name in ("images", "digits"))
    return derive(Digits(images, digits), schema, RECORDS_PER_CLASS, PROBES)


def derive(digits: Digits, schema: Schema, records_per_class: int, probes: int, seed: int = 0) -> Dataset:
    """Make such a set from any images of digits.

    Args:
        digits: at least as many fours and nines.
        schema: its features are called x1, x2, …; as many are made.
        records_per_class: of fours, and of nines.
        probes: number of uninformative features.
        seed: determines the choice of records, pairs and probes.
    """
    random = np.random.default_rng(seed)
    chosen = [random.permutation(np.flatnonzero(digits.digits == digit))[:records_per_class] for digit in (4, 9)]
    order = random.permutation(np.concatenate(chosen))
    images = digits.images[order].astype(np.float32) / 255
    features = _features(images, len(schema.features) - probes, probes, random)
    columns: dict[str, npt.NDArray[np.float64] | npt.NDArray[np.int32]] = {
        f"x{number}": np.rint(column * HIGHEST).astype(np.float64) for number, column in enumerate(features.T, 1)
    }
    return Dataset(schema, {**columns, "digit": (digits.digits[order] == 9).astype(np.int32)}, len(order))


def _features(
    images: npt.NDArray[np.float32], count: int, probes: int, random: np.random.Generator
) -> npt.NDArray[np.float32]:
    """Return pixels, products of pairs of pixels, and probes, in random order."""
    used = np.flatnonzero((images > 0).mean(axis=0) > LEAST_USED)
    row, column = np.divmod(np.arange(images.shape[1]), 28)
    # biased to the upper middle, where fours and nines differ
    weight = np.exp(-((row - 11) ** 2 + (column - 14) ** 2) / 50)[used]
    weight /= weight.sum()
    first, second = (random.choice(used, 4 * count, p=weight) for _ in range(2))
    pairs = np.unique(np.sort(np.c_[first, second], axis=1)[first != second], axis=0)
    pairs = pairs[random.permutation(len(pairs))[: count - len(used)]]
    real = np.c_[images[:, used], images[:, pairs[:, 0]] * images[:, pairs[:, 1]]]
    chosen = real[:, random.permutation(real.shape[1])[:probes]]
    shuffled = np.stack([values[random.permutation(len(values))] for values in chosen.T], axis=1)
    features = np.concatenate([real, shuffled], axis=1)
    return np.asarray(features[:, random.permutation(features.shape[1])])
