# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from coterie_common.errors import MalformedMessage
from coterie_common.learning.algorithms.tree import Tree
from coterie_common.learning.data.schema import parse_schema

SCHEMA = parse_schema(
    {
        "label": "y",
        "max_records": 100,
        "columns": [
            {"name": "a", "levels": ["0", "1"]},
            {"name": "b", "levels": ["0", "1", "2"]},
            {"name": "y", "levels": ["no", "yes"]},
            {"name": "c", "lower": 0, "upper": 1, "bins": 2},
        ],
    }
)
GROWN: list[str | None] = ["b", None, "a", "c", None, None, None, None]


@st.composite
def trees(draw: st.DrawFn) -> list[str | None]:
    splits: list[str | None] = [None]
    used: list[frozenset[str]] = [frozenset()]
    for node in range(draw(st.integers(0, 6))):
        if node >= len(splits):
            break
        free = sorted({"a", "b", "c"} - used[node])
        feature = draw(st.none() | st.sampled_from(free)) if free else None
        if feature is not None:
            splits[node] = feature
            splits += [None] * SCHEMA.cells_of(feature)
            used += [used[node] | {feature}] * SCHEMA.cells_of(feature)
    return splits


@st.composite
def records(draw: st.DrawFn, maximum: int = 20) -> dict[str, NDArray[np.int32]]:
    rows = draw(st.integers(0, maximum))
    return {
        name: np.array(
            draw(st.lists(st.integers(0, SCHEMA.cells_of(name) - 1), min_size=rows, max_size=rows)), np.int32
        )
        for name in ("a", "b", "c")
    }


def test_tree_children_and_depths_follow_from_breadth_first_order():
    tree = Tree(GROWN, SCHEMA)
    assert [list(tree.children(node)) for node in range(8)] == [[1, 2, 3], [], [4, 5], [6, 7], [], [], [], []]
    assert tree.depths == (0, 1, 1, 1, 2, 2, 2, 2)
    assert tree.remaining(0) == ("a", "b", "c")
    assert tree.remaining(4) == ("c",)


def test_tree_route_sends_records_to_their_leaves():
    cells = {"a": np.array([0, 1, 1, 0]), "b": np.array([0, 1, 1, 2]), "c": np.array([1, 1, 0, 1])}
    assert Tree(GROWN, SCHEMA).route(cells, 4).tolist() == [1, 5, 5, 7]


def test_tree_grow_returns_tree_whose_new_children_come_last():
    grown = Tree(GROWN[:1] + [None] * 3, SCHEMA).grow({3: "c", 2: "a"})
    assert grown == Tree(GROWN, SCHEMA)


@given(trees(), records())
@settings(max_examples=100)
def test_tree_route_sends_every_record_to_exactly_one_leaf_whose_path_fits(splits, cells):
    tree = Tree(splits, SCHEMA)
    leaves = tree.route(cells, len(cells["a"]))
    for row, leaf in enumerate(leaves.tolist()):
        assert tree.splits[leaf] is None
        node = 0
        while (feature := tree.splits[node]) is not None:
            node = tree.children(node)[cells[feature][row]]
        assert node == leaf


@given(trees())
@settings(max_examples=100)
def test_tree_from_its_document_is_equal(splits):
    tree = Tree(splits, SCHEMA)
    assert Tree.from_document(tree.to_document(), SCHEMA) == tree


@given(trees(), st.integers(0, 40), st.sampled_from(["a", "b", "c", "y", "z", None]))
@settings(max_examples=200)
def test_tree_from_any_list_is_refused_or_uses_no_feature_twice_on_a_path(splits, position, entry):
    splits = list(splits)
    splits[position % len(splits)] = entry
    try:
        tree = Tree(splits, SCHEMA)
    except MalformedMessage:
        return
    parents = {child: node for node in range(len(splits)) for child in tree.children(node)}
    assert parents.keys() == set(range(1, len(splits)))
    for node in range(len(splits)):
        path = [tree.splits[node]]
        while node:
            node = parents[node]
            path.append(tree.splits[node])
        features = [feature for feature in path if feature is not None]
        assert len(features) == len(set(features))


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ([], "shorter"),
        (["a"], "shorter"),
        (["a", None], "shorter"),
        (["a", None, None, None], "longer"),
        (["a", "a", None, None, None], "twice"),
        (["y", None, None], "no feature"),
        (["z", None, None], "no feature"),
        ([0, None, None], "names and nulls"),
        ("a", "names and nulls"),
        ({"0": None}, "names and nulls"),
        (None, "names and nulls"),
    ],
)
def test_tree_from_document_that_is_no_tree_raises_malformed_message(value, words):
    with pytest.raises(MalformedMessage, match=words) as caught:
        Tree.from_document(value, SCHEMA)
    assert caught.value.code == "malformed-message"


def test_tree_from_short_list_with_wide_splits_is_refused_before_it_takes_memory():
    wide = parse_schema(
        {
            "label": "y",
            "max_records": 1,
            "columns": [{"name": f"f{number}", "lower": 0, "upper": 1, "bins": 10_000} for number in range(200)]
            + [{"name": "y", "levels": ["no", "yes"]}],
        }
    )
    with pytest.raises(MalformedMessage, match="shorter"):
        Tree([f"f{number}" for number in range(200)], wide)
