# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie_common.errors import InvalidJob, MalformedMessage, StateError, StorageError
from coterie_common.learning.algorithm import Ask, Classifier, Release
from coterie_common.learning.algorithms.decision_tree import DecisionTree, TreeConfig, TreeState
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import parse_schema
from coterie_common.privacy.noise.mechanisms import Unit
from tests.support.present import present
from tests.support.seeded_random import SeededRandom

TREE = DecisionTree()
LEVELS = {"a": 2, "b": 3, "c": 4}
SCHEMA = parse_schema(
    {
        "label": "y",
        "max_records": 1000,
        "columns": [
            *({"name": name, "levels": [str(level) for level in range(cells)]} for name, cells in LEVELS.items()),
            {"name": "y", "levels": ["no", "maybe", "yes"]},
        ],
    }
)
CONFIG = TREE.parse_config({"max_depth": 3})
PLAN = TREE.plan(CONFIG, SCHEMA)
RANDOM = SeededRandom("unused")


Rows = Sequence[tuple[int, ...]]


def make_dataset(rows: Rows) -> Dataset:
    """``rows`` of (a, b, c, y)."""
    values = np.array(rows, np.int32).reshape(-1, 4)
    return Dataset(SCHEMA, {name: values[:, number] for number, name in enumerate(("a", "b", "c", "y"))}, len(values))


RECORDS = st.tuples(*(st.integers(0, cells - 1) for cells in (2, 3, 4, 3)))


def grow(
    dataset: Dataset, config: TreeConfig = CONFIG, noise_stddev: float = 0.0, noise: np.random.Generator | None = None
) -> tuple[list[Ask], TreeState]:
    """Run a whole job of one party; return all asks and the last state."""
    state, asks = TREE.initial_state(config, SCHEMA), []
    plan = TREE.plan(config, SCHEMA)
    while (ask := TREE.next_ask(state)) is not None:
        TREE.check_ask(config, SCHEMA, ask, plan)
        values = TREE.answer(ask, dataset, RANDOM).astype(np.float64)
        if noise is not None:
            values += noise.normal(0, noise_stddev, len(values))
        state = TREE.update(state, ask, Release(values, 1, noise_stddev))
        asks.append(ask)
    return asks, state


def entropy(rows: Rows) -> float:
    shares = [np.mean([row[3] == label for row in rows]) for label in {row[3] for row in rows}]
    return -sum(float(share) * math.log(share) for share in shares)


def gain(rows: Rows, feature: int) -> float:
    parts = [[row for row in rows if row[feature] == value] for value in {row[feature] for row in rows}]
    return entropy(rows) - sum(len(part) / len(rows) * entropy(part) for part in parts)


def assert_is_exact_id3(body: Mapping[str, Any], rows: Rows, max_depth: int) -> None:
    """Walk a tree together with the records: every split has the greatest gain, every leaf a reason to be one."""
    tree, names = body["tree"], ["a", "b", "c"]
    next_child = 1
    waiting: list[tuple[int, Rows, frozenset[int]]] = [(0, rows, frozenset())]
    for node, split in enumerate(tree):
        place, here, used = waiting[node]
        counts = [sum(row[3] == label for row in here) for label in range(3)]
        if here:
            assert body["counts"][node] == counts
        left = [number for number in range(3) if number not in used]
        if split is None:
            pure = sum(count > 0 for count in counts) <= 1
            assert pure or not left or len(used) == max_depth
            continue
        chosen = names.index(split)
        assert chosen in left
        assert gain(here, chosen) == pytest.approx(max(gain(here, number) for number in left), abs=1e-9)
        for value in range(LEVELS[split]):
            waiting.append((place, [row for row in here if row[chosen] == value], used | {chosen}))
        next_child += LEVELS[split]
    assert next_child == len(tree) == len(body["counts"])


@pytest.mark.parametrize(
    ("max_depth", "max_nodes", "lengths", "touched"),
    [
        (1, 64, [27], [3]),
        (3, 64, [27, 4 * 7 * 3, 12 * 4 * 3], [3, 2, 1]),
        (9, 64, [27, 84, 144], [3, 2, 1]),
        (3, 5, [27, 84, 5 * 4 * 3], [3, 2, 1]),
    ],
)
def test_plan_bounds_every_level(max_depth, max_nodes, lengths, touched):
    plan = TREE.plan(TREE.parse_config({"max_depth": max_depth, "max_nodes": max_nodes}), SCHEMA)
    assert plan.unit is Unit.RECORD
    assert [planned.length for planned in plan.rounds] == lengths
    assert [planned.l0 for planned in plan.rounds] == touched
    assert {(planned.lower, planned.upper, planned.linf) for planned in plan.rounds} == {(0, 1000, 1)}
    # every level has 1.2 times less noise than the one above
    assert [planned.noise_factor for planned in plan.rounds] == [Fraction(5, 6) ** k for k in range(len(plan.rounds))]


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({}, "max_depth is missing"),
        ({"max_depth": 0}, "max_depth"),
        ({"max_depth": "3"}, "max_depth"),
        ({"max_depth": 3, "max_nodes": 0}, "max_nodes"),
        ({"max_depth": 3, "depth": 3}, "depth is not a known key"),
    ],
)
def test_parse_config_of_wrong_entry_raises_invalid_job(table, words):
    with pytest.raises(InvalidJob, match=words) as caught:
        TREE.parse_config(table)
    assert caught.value.code == "invalid-job"


@pytest.mark.parametrize(
    ("label", "columns"),
    [
        (None, [{"name": "a", "levels": ["0", "1"]}]),
        ("y", [{"name": "y", "levels": ["0", "1"]}]),
        ("y", [{"name": "a", "levels": ["0", "1"]}, {"name": "y", "lower": 0, "upper": 1}]),
        ("y", [{"name": "a", "lower": 0, "upper": 1}, {"name": "y", "levels": ["0", "1"]}]),
    ],
)
def test_plan_of_schema_that_no_tree_fits_raises_invalid_job(label, columns):
    with pytest.raises(InvalidJob):
        TREE.plan(CONFIG, parse_schema({"label": label, "max_records": 9, "columns": columns}))


@given(st.lists(RECORDS, min_size=1, max_size=60), st.integers(1, 4))
@settings(max_examples=60)
def test_tree_without_noise_is_exact_id3(rows, max_depth):
    _, state = grow(make_dataset(rows), TREE.parse_config({"max_depth": max_depth}))
    assert_is_exact_id3(TREE.finish(state), rows, max_depth)


def test_tree_without_noise_learns_the_example_of_its_article():
    # Quinlan 1986: outlook splits first, then humidity where it is sunny and windy where it rains.
    days = """sunny hot high false N, sunny hot high true N, overcast hot high false P, rain mild high false P,
        rain cool normal false P, rain cool normal true N, overcast cool normal true P, sunny mild high false N,
        sunny cool normal false P, rain mild normal false P, sunny mild normal true P, overcast mild high true P,
        overcast hot normal false P, rain mild high true N"""
    names = ["outlook", "temperature", "humidity", "windy", "class"]
    rows = [day.split() for day in days.split(",")]
    columns = [{"name": name, "levels": sorted({row[k] for row in rows})} for k, name in enumerate(names)]
    schema = parse_schema({"label": "class", "max_records": 14, "columns": columns})
    stored = {
        column.name: np.array([column.parse(row[k]) for row in rows], np.int32)
        for k, column in enumerate(schema.columns)
    }
    dataset = Dataset(schema, stored, 14)
    state = TREE.initial_state(CONFIG, schema)
    while (ask := TREE.next_ask(state)) is not None:
        values = TREE.answer(ask, dataset, RANDOM).astype(np.float64)
        state = TREE.update(state, ask, Release(values, 1, 0.0))
    body = TREE.finish(state)
    # levels of outlook: overcast, rain, sunny
    assert body["tree"] == ["outlook", None, "windy", "humidity", None, None, None, None]
    cells = {name: stored[name] for name in names[:-1]}
    assert np.array_equal(TREE.probabilities(schema, body, cells).argmax(axis=1), stored["class"])


@given(st.lists(RECORDS, max_size=25), RECORDS, st.lists(RECORDS, min_size=1, max_size=40))
@settings(max_examples=60)
def test_answer_changes_within_the_plan_when_a_record_is_added(rows, record, others):
    asks, _ = grow(make_dataset(others))
    for ask in asks:
        with_record, without = (TREE.answer(ask, make_dataset(r), RANDOM) for r in ([*rows, record], rows))
        change = with_record - without
        assert change.dtype == np.int64
        assert len(change) == ask.length
        assert set(change.tolist()) <= {0, 1}
        assert change.sum() <= PLAN.rounds[ask.round_number - 1].l0


def test_answer_of_data_set_without_records_is_zero():
    assert not TREE.answer(present(TREE.next_ask(TREE.initial_state(CONFIG, SCHEMA))), make_dataset([]), RANDOM).any()


OPEN_TWO = {"length": 2 * (3 + 4) * 3, "tree": ["a", None, None], "open": [1, 2]}


def test_check_ask_of_well_formed_ask_passes():
    TREE.check_ask(CONFIG, SCHEMA, Ask(2, OPEN_TWO), PLAN)


@pytest.mark.parametrize(
    ("round_number", "change"),
    [
        pytest.param(4, {}, id="round outside the plan"),
        pytest.param(0, {}, id="round zero"),
        pytest.param(1, {}, id="open nodes too deep for the round"),
        pytest.param(3, {}, id="open nodes too shallow for the round"),
        pytest.param(2, {"length": 41}, id="length too small"),
        pytest.param(2, {"length": 43}, id="length too large"),
        pytest.param(2, {"length": 85}, id="length outside the plan"),
        pytest.param(2, {"open": [1, 1]}, id="node asked twice"),
        pytest.param(2, {"open": [2, 1]}, id="nodes out of order"),
        pytest.param(2, {"open": [0, 1]}, id="inner node asked"),
        pytest.param(2, {"open": [1, 3]}, id="node that is not there"),
        pytest.param(2, {"open": [-1, 1]}, id="negative node"),
        pytest.param(2, {"open": [True, 2]}, id="node that is no integer"),
        pytest.param(2, {"open": []}, id="nothing open"),
        pytest.param(2, {"open": {"1": 2}}, id="open is no list"),
        pytest.param(2, {"tree": ["z", None, None]}, id="unknown column"),
        pytest.param(2, {"tree": ["y", None, None, None]}, id="label as feature"),
        pytest.param(2, {"tree": ["a", None]}, id="tree that is no partition"),
        pytest.param(2, {"tree": ["a", None, None, None]}, id="node without parent"),
        pytest.param(3, {"tree": ["a", "a", None, None, None], "open": [3, 4]}, id="feature twice on a path"),
        pytest.param(2, {"more": 1}, id="unknown key"),
    ],
)
def test_check_ask_of_ask_outside_the_plan_raises_malformed_message(round_number, change):
    with pytest.raises(MalformedMessage) as caught:
        TREE.check_ask(CONFIG, SCHEMA, Ask(round_number, {**OPEN_TWO, **change}), PLAN)
    assert caught.value.code == "malformed-message"


def test_check_ask_of_missing_key_raises_malformed_message():
    with pytest.raises(MalformedMessage, match="keys"):
        TREE.check_ask(CONFIG, SCHEMA, Ask(2, {"length": 42, "tree": ["a", None, None]}), PLAN)


def test_check_ask_of_too_many_open_nodes_raises_malformed_message():
    config = TREE.parse_config({"max_depth": 3, "max_nodes": 1})
    with pytest.raises(MalformedMessage, match="1 to 1"):
        TREE.check_ask(config, SCHEMA, Ask(2, OPEN_TWO), PLAN)


def test_update_keeps_the_largest_open_nodes():
    draw = np.random.default_rng(2)
    rows = [
        (int(draw.integers(2)), int(draw.binomial(2, 0.3)), int(draw.binomial(3, 0.2)), int(draw.integers(3)))
        for _ in range(200)
    ]
    asks, state = grow(make_dataset(rows), TREE.parse_config({"max_depth": 3, "max_nodes": 2}))
    assert [len(ask.body["open"]) for ask in asks] == [1, 2, 2]
    level = [node for node in range(len(state.counts)) if state.tree.depths[node] == 2]
    largest = sorted(level, key=lambda node: sum(state.counts[node]))[-2:]
    assert asks[2].body["open"] == sorted(largest)


def test_update_of_drowned_tables_stops_and_labels_leaves_like_their_parent():
    rows = [(0, 0, 0, 0)] * 30 + [(1, 1, 1, 1)] * 10
    asks, state = grow(make_dataset(rows), noise_stddev=200.0, noise=np.random.default_rng(3))
    body = TREE.finish(state)
    assert len(asks) == 1
    assert all(counts == body["counts"][0] for counts in body["counts"])
    assert sum(body["counts"][0]) > 0


def test_update_of_release_of_other_length_raises_state_error():
    state = TREE.initial_state(CONFIG, SCHEMA)
    with pytest.raises(StateError) as caught:
        TREE.update(state, present(TREE.next_ask(state)), Release(np.zeros(5), 1, 0.0))
    assert caught.value.code == "state"


@given(st.lists(RECORDS, min_size=1, max_size=40))
@settings(max_examples=30)
def test_state_from_its_stored_document_is_equal(rows):
    dataset, noise = make_dataset(rows), np.random.default_rng(len(rows))
    state = TREE.initial_state(CONFIG, SCHEMA)
    while True:
        stored = json.loads(json.dumps(TREE.state_to_document(state), allow_nan=False))
        assert TREE.state_from_document(CONFIG, SCHEMA, stored) == state
        if (ask := TREE.next_ask(state)) is None:
            break
        values = TREE.answer(ask, dataset, RANDOM) + noise.normal(0, 2, ask.length)
        state = TREE.update(state, ask, Release(values, 1, 2.0))


@pytest.mark.parametrize(
    "value",
    [
        None,
        {},
        {"tree": ["a"], "counts": [], "variances": [], "open": []},
        {"tree": [None], "counts": [[1.0]], "variances": [], "open": [0]},
        {"tree": [None], "counts": [["x"]], "variances": [1.0], "open": [0]},
    ],
)
def test_state_from_damaged_document_raises_storage_error(value):
    with pytest.raises(StorageError) as caught:
        TREE.state_from_document(CONFIG, SCHEMA, value)
    assert caught.value.code == "storage"


def test_check_body_of_finished_tree_passes():
    _, state = grow(make_dataset([(0, 0, 0, 0), (1, 1, 1, 1), (1, 2, 3, 2)]))
    assert isinstance(TREE, Classifier)
    TREE.check_body(SCHEMA, json.loads(json.dumps(TREE.finish(state))))


@pytest.mark.parametrize(
    "body",
    [
        None,
        {"tree": [None]},
        {"tree": [None], "counts": [[1, 1, 1]], "more": 1},
        {"tree": [None], "counts": []},
        {"tree": [None], "counts": [[1, 1]]},
        {"tree": [None], "counts": [[0, 0, 0]]},
        {"tree": [None], "counts": [[-1, 1, 1]]},
        {"tree": [None], "counts": [[1.5, 1, 1]]},
        {"tree": [None], "counts": [[True, 1, 1]]},
        {"tree": [None], "counts": [[2**63, 1, 1]]},
        {"tree": ["a"], "counts": [[1, 1, 1]]},
    ],
)
def test_check_body_of_wrong_body_raises_malformed_message(body):
    with pytest.raises(MalformedMessage) as caught:
        TREE.check_body(SCHEMA, body)
    assert caught.value.code == "malformed-message"


def test_answer_of_ten_thousand_values_counts_every_record_in_every_feature():
    # 25 features × 100 bins × 4 classes: 10,000 values in the first level alone
    features = [{"name": f"f{number}", "lower": 0, "upper": 1, "bins": 100} for number in range(25)]
    label = {"name": "y", "levels": ["0", "1", "2", "3"]}
    schema = parse_schema({"label": "y", "max_records": 20_000, "columns": [*features, label]})
    noise = np.random.default_rng(5)
    columns = {f"f{number}": noise.random(20_000) for number in range(25)}
    columns["y"] = (4 * columns["f7"]).astype(np.int32)
    config = TREE.parse_config({"max_depth": 2, "max_nodes": 1})
    state = TREE.initial_state(config, schema)
    ask = present(TREE.next_ask(state))
    assert ask.length == 10_000
    values = TREE.answer(ask, Dataset(schema, columns, 20_000), RANDOM)
    assert values.sum() == 25 * 20_000
    state = TREE.update(state, ask, Release(values + noise.normal(0, 20, ask.length), 5, 20.0))
    assert state.tree.splits[0] == "f7"
