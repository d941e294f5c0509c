# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The example data set and job files, loaded the way a party and an operator load them."""

from __future__ import annotations

from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

from coterie_common.host.config import load_toml
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.dataset_file import load_dataset
from coterie_common.learning.data.schema import Schema, parse_schema

EXAMPLES = Path(__file__).parents[2] / "examples"


def load_job(name: str) -> dict[str, Any]:
    return load_toml(EXAMPLES / "jobs" / name, "job", parse_float=Decimal)


@cache
def nursery_schema() -> Schema:
    return parse_schema(load_job("nursery-tree.toml")["schema"])


@cache
def load_nursery() -> Dataset:
    return load_dataset(EXAMPLES / "data" / "nursery.csv.gz", nursery_schema())
