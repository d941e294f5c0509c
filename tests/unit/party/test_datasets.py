# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from coterie_common.errors import ConfigurationError
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import parse_schema
from coterie_party.data.set_aside import set_aside_split

SALT = bytes(range(16))


def numbered(rows: int) -> Dataset:
    schema = parse_schema({"max_records": 100_000, "columns": [{"name": "x", "lower": 0, "upper": 100_000}]})
    return Dataset(schema, {"x": np.arange(rows, dtype=np.float64)}, rows)


def test_set_aside_split_divides_the_records():
    training, set_aside = set_aside_split(numbered(20_000), Fraction(1, 5), SALT)
    assert sorted([*training.columns["x"], *set_aside.columns["x"]]) == list(range(20_000))
    # 20,000 fair coins of 1/5: six standard deviations are 340
    assert abs(set_aside.rows - 4000) < 340


def test_set_aside_split_does_not_change_when_records_are_added():
    _, before = set_aside_split(numbered(1000), Fraction(1, 5), SALT)
    _, after = set_aside_split(numbered(1500), Fraction(1, 5), SALT)
    assert before.columns["x"].tolist() == [x for x in after.columns["x"] if x < 1000]


def test_set_aside_split_of_larger_fraction_keeps_what_was_set_aside():
    _, fewer = set_aside_split(numbered(1000), Fraction(1, 10), SALT)
    _, more = set_aside_split(numbered(1000), Fraction(3, 10), SALT)
    assert set(fewer.columns["x"]) < set(more.columns["x"])


def test_set_aside_split_depends_on_the_salt():
    sides = [set_aside_split(numbered(1000), Fraction(1, 2), bytes([k]) * 16)[1].columns["x"].tolist() for k in (1, 2)]
    assert sides[0] != sides[1]


@pytest.mark.parametrize(("fraction", "rows"), [(Fraction(0), 0), (Fraction(1), 50)])
def test_set_aside_split_of_nothing_or_everything(fraction, rows):
    assert set_aside_split(numbered(50), fraction, SALT)[1].rows == rows
    assert set_aside_split(numbered(0), fraction, SALT)[1].rows == 0


@pytest.mark.parametrize(
    ("fraction", "salt"), [(Fraction(-1, 2), SALT), (Fraction(3, 2), SALT), (Fraction(1, 2), b"short")]
)
def test_set_aside_split_of_impossible_argument_raises_configuration_error(fraction, salt):
    with pytest.raises(ConfigurationError) as caught:
        set_aside_split(numbered(5), fraction, salt)
    assert caught.value.code == "configuration"
