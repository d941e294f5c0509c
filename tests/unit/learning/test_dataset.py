# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import numpy as np
import pytest

from coterie_common.errors import StateError
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import parse_schema

SCHEMA = parse_schema(
    {
        "max_records": 10,
        "columns": [{"name": "age", "lower": 0, "upper": 120, "bins": 4}, {"name": "sex", "levels": ["f", "m"]}],
    }
)
AGES, SEXES = np.array([1.0, 31.0, 120.0]), np.array([0, 1, 1], np.int32)


def test_dataset_select_keeps_marked_rows():
    chosen = Dataset(SCHEMA, {"age": AGES, "sex": SEXES}, 3).select(np.array([True, False, True]))
    assert chosen.rows == 2
    assert chosen.cells("age").tolist() == [0, 3]
    assert chosen.cells("sex").tolist() == [0, 1]


def test_dataset_without_rows_is_allowed():
    assert Dataset(SCHEMA, {"age": AGES[:0], "sex": SEXES[:0]}, 0).cells("age").tolist() == []


@pytest.mark.parametrize(
    "columns",
    [
        {"age": AGES},
        {"age": AGES, "sex": SEXES, "more": SEXES},
        {"age": AGES[:2], "sex": SEXES},
        {"age": AGES, "sex": SEXES.astype(np.int64)},
        {"age": AGES, "sex": np.array([0, 1, 2], np.int32)},
        {"age": AGES, "sex": np.array([0, -1, 1], np.int32)},
        {"age": np.array([1.0, 2.0, 121.0]), "sex": SEXES},
        {"age": np.array([1.0, np.nan, 3.0]), "sex": SEXES},
    ],
)
def test_dataset_that_does_not_fit_its_schema_raises_state_error(columns):
    with pytest.raises(StateError) as caught:
        Dataset(SCHEMA, columns, 3)
    assert caught.value.code == "state"
