# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie_common.errors import InvalidJob
from coterie_common.learning.data.column import NumericColumn
from coterie_common.learning.data.schema import parse_schema
from coterie_common.learning.features import (
    Scaling,
    class_labels,
    from_half_ranges,
    in_half_ranges,
    numeric_label,
    numeric_positions,
    to_inputs,
    width,
)

COLUMNS = [
    {"name": "age", "lower": 20, "upper": 100},
    {"name": "size", "levels": ["s", "m", "l"]},
    {"name": "income", "lower": 0, "upper": 10},
    {"name": "sick", "levels": ["no", "yes"]},
]
SCHEMA = parse_schema({"label": "sick", "max_records": 10, "columns": COLUMNS})
VALUES = {
    "age": np.array([20.0, 60.0, 100.0]),
    "size": np.array([0, 2, 1], np.int32),
    "income": np.array([2.5, 10.0, 0.0]),
    "sick": np.array([1, 0, 1], np.int32),
}


def test_to_inputs_puts_numbers_between_minus_one_and_one_and_levels_one_hot():
    assert width(SCHEMA) == 5
    inputs = to_inputs(SCHEMA, VALUES, 3)
    assert inputs.dtype == np.float32
    assert inputs.tolist() == [[-1, 1, 0, 0, -0.5], [0, 0, 0, 1, 1], [1, 0, 1, 0, -1]]


def test_to_inputs_of_no_records_has_no_rows():
    nothing = {name: values[:0] for name, values in VALUES.items()}
    assert to_inputs(SCHEMA, nothing, 0).shape == (0, 5)


def test_numeric_positions_are_those_of_the_numbers():
    assert numeric_positions(SCHEMA).tolist() == [0, 4]


def test_class_labels_are_positions_of_levels():
    assert class_labels(SCHEMA, VALUES).tolist() == [1, 0, 1]


def test_numeric_label_of_categorical_label_raises_invalid_job():
    with pytest.raises(InvalidJob, match="lower and upper") as caught:
        numeric_label(SCHEMA)
    assert caught.value.code == "invalid-job"


def test_width_without_features_raises_invalid_job():
    with pytest.raises(InvalidJob, match="at least one column"):
        width(parse_schema({"label": "sick", "max_records": 1, "columns": COLUMNS[-1:]}))


@given(
    st.tuples(st.floats(-1e300, 1e300), st.floats(-1e300, 1e300)).filter(lambda pair: pair[1] - pair[0] > 1e-300),
    st.floats(0, 1),
)
def test_half_ranges_never_leave_minus_one_to_one_and_can_be_undone(bounds, share):
    lower, upper = bounds
    column = NumericColumn(name="x", lower=lower, upper=upper)
    value = np.array([min(upper, max(lower, lower + share * (upper - lower)))])
    shares = in_half_ranges(column, value)
    assert -1 <= shares[0] <= 1
    tolerance = 1e-9 * max(abs(lower), abs(upper))
    assert from_half_ranges(column, shares)[0] == pytest.approx(value[0], rel=1e-9, abs=tolerance)


def test_scaling_changes_numbers_and_leaves_one_hot_values():
    inputs = to_inputs(SCHEMA, VALUES, 3)
    scaled = Scaling(np.array([0.0, 0.5]), np.array([0.5, 0.25])).apply(inputs, numeric_positions(SCHEMA))
    assert scaled.tolist() == [[-2, 1, 0, 0, -4], [0, 0, 0, 1, 2], [2, 0, 1, 0, -6]]
    assert inputs[0, 0] == -1
