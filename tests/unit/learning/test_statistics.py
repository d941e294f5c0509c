# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie_common.errors import InvalidJob, MalformedMessage, StateError, StorageError
from coterie_common.learning.algorithm import Ask, Release
from coterie_common.learning.algorithms.statistics import Statistics
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import parse_schema
from tests.support.present import present
from tests.support.seeded_random import SeededRandom

STATISTICS = Statistics()
SCHEMA = parse_schema(
    {
        "max_records": 50,
        "columns": [
            {"name": "age", "lower": 20, "upper": 100, "bins": 4},
            {"name": "income", "lower": 0, "upper": "1e6"},
            {"name": "sex", "levels": ["f", "m"]},
        ],
    }
)
CONFIG = STATISTICS.parse_config({"means": ["age", "income"], "histograms": ["sex", "age"]})
PLAN = STATISTICS.plan(CONFIG, SCHEMA)
RANDOM = SeededRandom("unused")
RECORDS = st.tuples(st.floats(20, 100), st.floats(0, 1e6), st.integers(0, 1))


def make_dataset(rows: Sequence[tuple[float, float, int]]) -> Dataset:
    ages, incomes, sexes = (np.array([row[k] for row in rows], np.float64) for k in range(3))
    return Dataset(SCHEMA, {"age": ages, "income": incomes, "sex": sexes.astype(np.int32)}, len(rows))


def result_of(
    rows: Sequence[tuple[float, float, int]], config: Any = CONFIG, noise_stddev: float = 0.0
) -> Mapping[str, Any]:
    state = STATISTICS.initial_state(config, SCHEMA)
    ask = present(STATISTICS.next_ask(state))
    STATISTICS.check_ask(config, SCHEMA, ask, STATISTICS.plan(config, SCHEMA))
    values = STATISTICS.answer(ask, make_dataset(rows), RANDOM).astype(np.float64)
    state = STATISTICS.update(state, ask, Release(values, 1, noise_stddev))
    assert STATISTICS.next_ask(state) is None
    return STATISTICS.finish(state)


def test_statistics_without_noise_are_those_of_the_records():
    rows = [(20.0, 0.0, 0), (60.0, 250_000.0, 1), (100.0, 1e6, 1)]
    body = result_of(rows)
    assert body["count"] == 3
    # rounding is at most 1/8192 of the range per record
    assert body["means"]["age"]["value"] == pytest.approx(60, abs=80 / 8192)
    assert body["means"]["income"]["value"] == pytest.approx(1_250_000 / 3, abs=1e6 / 8192)
    assert body["histograms"]["sex"] == {"cells": ["f", "m"], "counts": [1, 2]}
    assert body["histograms"]["age"]["counts"] == [1, 0, 1, 1]
    assert body["histograms"]["age"]["cells"] == ["[20, 40)", "[40, 60)", "[60, 80)", "[80, 100]"]


def test_statistics_of_counts_alone_need_no_finer_scale():
    config = STATISTICS.parse_config({"histograms": ["sex"]})
    (planned,) = STATISTICS.plan(config, SCHEMA).rounds
    assert (planned.length, planned.lower, planned.upper, planned.l0, planned.linf) == (3, 0, 50, 2, 1)
    assert result_of([(30.0, 1.0, 1)] * 4, config)["histograms"]["sex"]["counts"] == [0, 4]


def test_plan_with_means_bounds_every_value_by_the_common_scale():
    (planned,) = PLAN.rounds
    assert (planned.length, planned.l0, planned.linf) == (1 + 2 + 2 + 4, 5, 4096)
    assert (planned.lower, planned.upper) == (-50 * 4096, 50 * 4096)


@given(st.lists(RECORDS, max_size=10), RECORDS)
@settings(max_examples=60)
def test_answer_changes_within_the_plan_when_a_record_is_added(rows, record):
    (planned,) = PLAN.rounds
    ask = present(STATISTICS.next_ask(STATISTICS.initial_state(CONFIG, SCHEMA)))
    with_record, without = (STATISTICS.answer(ask, make_dataset(r), RANDOM) for r in ([*rows, record], rows))
    change = with_record - without
    assert change.dtype == np.int64
    assert len(change) == planned.length
    assert np.count_nonzero(change) <= planned.l0
    assert abs(change).max() <= planned.linf
    assert planned.lower <= with_record.min()
    assert with_record.max() <= planned.upper


def test_finish_states_noise_in_each_figures_own_unit():
    body = result_of([(60.0, 500_000.0, 0)] * 40, noise_stddev=8192.0)
    assert body["noise_stddev"] == 2.0
    # at the middle of the bounds only the noise of the sum matters: half the range × 2 records / 40 records
    assert body["means"]["age"]["noise_stddev"] == pytest.approx(40 * 2 / 40)
    assert body["means"]["income"]["noise_stddev"] == pytest.approx(500_000 * 2 / 40)


def test_finish_of_no_records_has_no_mean():
    assert result_of([])["means"]["age"] == {"value": None, "noise_stddev": None}


def test_finish_before_the_round_raises_state_error():
    with pytest.raises(StateError) as caught:
        STATISTICS.finish(STATISTICS.initial_state(CONFIG, SCHEMA))
    assert caught.value.code == "state"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"mean": ["age"]}, "mean is not a known key"),
        ({"means": "age"}, "means"),
        ({"means": ["age", "age"]}, "twice"),
        ({"means": ["age"], "steps": 0}, "steps"),
    ],
)
def test_parse_config_of_wrong_entry_raises_invalid_job(table, words):
    with pytest.raises(InvalidJob, match=words) as caught:
        STATISTICS.parse_config(table)
    assert caught.value.code == "invalid-job"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({"means": ["sex"]}, "'sex' is no column with lower and upper"),
        ({"means": ["weight"]}, "'weight' is no column"),
        ({"histograms": ["income"]}, "needs bins"),
        ({"histograms": ["weight"]}, "no column 'weight'"),
    ],
)
def test_plan_of_columns_that_do_not_fit_raises_invalid_job(table, words):
    with pytest.raises(InvalidJob, match=words):
        STATISTICS.plan(STATISTICS.parse_config(table), SCHEMA)


@pytest.mark.parametrize(
    "change",
    [{"means": ["age"]}, {"histograms": ["sex"]}, {"steps": 8192}, {"steps": 4096.0}, {"length": 8}, {"more": 1}],
)
def test_check_ask_of_anything_but_the_jobs_own_ask_raises_malformed_message(change):
    ask = STATISTICS.next_ask(STATISTICS.initial_state(CONFIG, SCHEMA))
    with pytest.raises(MalformedMessage) as caught:
        STATISTICS.check_ask(CONFIG, SCHEMA, Ask(1, {**ask.body, **change}), PLAN)
    assert caught.value.code == "malformed-message"


def test_check_ask_of_second_round_raises_malformed_message():
    ask = STATISTICS.next_ask(STATISTICS.initial_state(CONFIG, SCHEMA))
    with pytest.raises(MalformedMessage, match="outside the plan"):
        STATISTICS.check_ask(CONFIG, SCHEMA, Ask(2, ask.body), PLAN)


def test_state_from_its_stored_document_is_equal():
    state = STATISTICS.initial_state(CONFIG, SCHEMA)
    ask = present(STATISTICS.next_ask(state))
    for current in (state, STATISTICS.update(state, ask, Release(np.arange(9.0), 3, 1.5))):
        stored = json.loads(json.dumps(STATISTICS.state_to_document(current)))
        assert STATISTICS.state_from_document(CONFIG, SCHEMA, stored) == current


@pytest.mark.parametrize(
    "value", [None, {}, {"values": [1.0], "noise_stddev": 0}, {"values": ["x"], "noise_stddev": 0}]
)
def test_state_from_damaged_document_raises_storage_error(value):
    with pytest.raises(StorageError) as caught:
        STATISTICS.state_from_document(CONFIG, SCHEMA, value)
    assert caught.value.code == "storage"


def test_update_of_release_of_other_length_raises_state_error():
    state = STATISTICS.initial_state(CONFIG, SCHEMA)
    with pytest.raises(StateError):
        STATISTICS.update(state, present(STATISTICS.next_ask(state)), Release(np.zeros(3), 1, 0.0))
