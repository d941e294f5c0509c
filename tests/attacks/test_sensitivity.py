# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Schemas and asks that a scientist or aggregator chose so that one record counts for more than is accounted."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from coterie_common.errors import InvalidJob
from coterie_common.learning.algorithms.statistics import Statistics
from coterie_common.learning.data.column import NumericColumn
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import parse_schema
from tests.support.seeded_random import SeededRandom

STATISTICS = Statistics()
SMALLEST = 5e-324
BOUNDS = st.one_of(
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([0.0, -0.0, SMALLEST, -SMALLEST, 2.2250738585072014e-308, 1e308, -1e308, 1.0, 1.0 + 2**-52]),
)


def mean_of(lower: float, upper: float, records: list[float]) -> Any:
    """Return the plan of a mean over [lower, upper], and the exact reply of a party with these records."""
    columns = [{"name": "x", "lower": repr(lower), "upper": repr(upper), "bins": 3}]
    schema = parse_schema({"max_records": 10**9, "columns": columns})
    config = STATISTICS.parse_config({"means": ["x"], "histograms": ["x"]})
    (planned,) = STATISTICS.plan(config, schema).rounds
    ask = STATISTICS.next_ask(STATISTICS.initial_state(config, schema))
    assert ask is not None
    STATISTICS.check_ask(config, schema, ask, STATISTICS.plan(config, schema))
    dataset = Dataset(schema, {"x": np.array(records, np.float64)}, len(records))
    return planned, STATISTICS.answer(ask, dataset, SeededRandom("unused"))


@pytest.mark.filterwarnings("error")
@settings(max_examples=200, deadline=None)
@given(bounds=st.tuples(BOUNDS, BOUNDS), shares=st.lists(st.floats(0, 1), min_size=1, max_size=3))
@example(bounds=(0.0, SMALLEST), shares=[0.0])
def test_answer_of_statistics_changes_within_the_plan_whatever_the_bounds(bounds, shares):
    lower, upper = min(bounds), max(bounds)
    assume(lower < upper)
    records = [min(upper, max(lower, lower + share * (upper / 2 - lower / 2) * 2)) for share in shares]
    try:
        planned, with_it = mean_of(lower, upper, records)
    except InvalidJob:
        return
    _, without = mean_of(lower, upper, records[1:])
    changes = np.abs(with_it - without)
    assert np.count_nonzero(changes) <= planned.l0
    assert changes.max() <= planned.linf


@pytest.mark.parametrize(("lower", "upper"), [(0.0, SMALLEST), (-SMALLEST, SMALLEST), (1e-320, 2e-320)])
def test_range_so_narrow_that_its_half_may_be_nothing_is_refused(lower, upper):
    with pytest.raises(ValueError, match="at least"):
        NumericColumn(name="x", lower=lower, upper=upper)
