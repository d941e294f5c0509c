# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""MNIST from a folder that the environment variable ``COTERIE_MNIST`` names: the four IDX files, gzipped or not."""

from __future__ import annotations

import gzip
import hashlib
import os
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import Schema, parse_schema
from tests.support.examples import load_job

_SHA256 = {
    "train-images": "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    "train-labels": "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    "t10k-images": "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    "t10k-labels": "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
}


def mnist_folder() -> Path | None:
    """Return the folder, or ``None`` where there is none."""
    folder = Path(os.environ.get("COTERIE_MNIST", "/nonexistent"))
    return folder if folder.is_dir() else None


@cache
def mnist_schema() -> Schema:
    return parse_schema(load_job("mnist-cnn.toml")["schema"])


def load_mnist(folder: Path, part: str) -> Dataset:
    """Return ``part`` "train" or "t10k", in the schema of the example."""
    images = _read_idx(folder, f"{part}-images", "idx3").reshape(-1, 784)
    columns: dict[str, npt.NDArray[np.float64] | npt.NDArray[np.int32]] = {
        f"pixel{number + 1}": images[:, number].astype(np.float64) for number in range(784)
    }
    columns["class"] = _read_idx(folder, f"{part}-labels", "idx1").astype(np.int32)
    return Dataset(mnist_schema(), columns, len(images))


def _read_idx(folder: Path, name: str, kind: str) -> npt.NDArray[np.uint8]:
    path = folder / f"{name}-{kind}-ubyte"
    data = path.read_bytes() if path.exists() else gzip.decompress(path.with_name(f"{path.name}.gz").read_bytes())
    assert hashlib.sha256(data).hexdigest() == _SHA256[name], f"{path} is not the published file"
    dimensions = data[3]
    shape = np.frombuffer(data, ">i4", dimensions, 4)
    return np.frombuffer(data, np.uint8, offset=4 + 4 * dimensions).reshape(shape)
