# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""ID3 over sums of counts: one query per level of the tree.

A query asks, for all open nodes at once, how many records fall in each (remaining feature, value, class). The best
split of each node is chosen from the noisy sums, and the rows of its table become the class counts of the children:
leaf labels come from the last split's counts, nothing is asked twice.

Source: Truex et al., "A Hybrid Approach to Privacy-Preserving Federated Learning", AISec 2019, for the setting;
Quinlan, "Induction of decision trees", 1986, for ID3.
Deviation: the article asks per node, for counts and for class counts separately; here a level is one query.
Privacy: a record is in one leaf, so it touches at most one value per remaining feature and changes it by 1; a party
establishes that from the shape of the tree alone (``learning/tree``).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Annotated, Any, Final

import numpy as np
from pydantic import Field
from typing_extensions import override

from coterie_common.errors import ConfigurationError, InvalidJob, MalformedMessage, StateError, StorageError
from coterie_common.learning.algorithm import (
    Algorithm,
    Ask,
    Classifier,
    Float64,
    Int64,
    NamedCode,
    Release,
    Values,
    check_round,
)
from coterie_common.learning.algorithms.noisy_counts import entropy_left, pool, project
from coterie_common.learning.algorithms.tree import Tree
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import Schema
from coterie_common.learning.plan import Plan, PlannedCountRound, Records
from coterie_common.limits import MAX_ROUNDS, MAX_TREE_NODES
from coterie_common.privacy.noise.mechanisms import Unit
from coterie_common.randomness import RandomSource
from coterie_common.strict_model import StrictModel, parse

_LEVEL_FACTOR: Final = Fraction(6, 5)
"""Reduction of the noise from one level to the next, for the same number of features: nodes of lower levels have fewer
records, and the last level also labels the leaves."""

_SIGNIFICANT: Final = 1.0
"""Standard deviations of noise that the counts of a node must exceed to be acted on. At twice as many, nodes that would
still have gained from a split stay leaves as soon as the noise grows; see docs/evaluation.md."""


class TreeConfig(StrictModel):
    """Configuration of the job.

    Attributes:
        max_depth: maximum number of splits on a path, and of planned and paid rounds.
        max_nodes: maximum number of open nodes per level; the largest are kept.
    """

    max_depth: Annotated[int, Field(ge=1, le=MAX_ROUNDS)]
    max_nodes: Annotated[int, Field(ge=1, le=MAX_TREE_NODES)] = 64


@dataclass(frozen=True, slots=True)
class TreeState:
    """The tree so far.

    Attributes:
        config, schema: of the job.
        tree: its shape.
        counts: per node the estimated class counts, noise included.
        variances: per node the variance of the noise in each count; infinite if unknown.
        open: leaves to be split next, ascending; all on the deepest level.
    """

    config: TreeConfig = field(repr=False)
    schema: Schema = field(repr=False)
    tree: Tree
    counts: tuple[tuple[float, ...], ...]
    variances: tuple[float, ...]
    open: tuple[int, ...]


class DecisionTree(Algorithm[TreeConfig, TreeState], Classifier):
    """The algorithm ``decision_tree``."""

    name = "decision_tree"
    records = Records.TRAINING
    config_type = TreeConfig

    @override
    def named_code(self, table: Mapping[str, Any]) -> NamedCode:
        return NamedCode()

    @override
    def parse_config(self, table: Mapping[str, Any]) -> TreeConfig:
        try:
            return parse(TreeConfig, dict(table), "[config]")
        except ConfigurationError as cause:
            raise InvalidJob(cause.message) from cause

    def plan(self, config: TreeConfig, schema: Schema) -> Plan:
        """See ``Algorithm``; a level has at most as many open nodes as the features with the most cells can make."""
        if not schema.features:
            raise InvalidJob("[schema] needs at least one column besides the label")
        cells = sorted(schema.cells_of(column.name) for column in schema.features)
        depths = range(min(config.max_depth, len(cells)))
        return Plan(Unit.RECORD, tuple(_plan_level(config, schema, cells, depth) for depth in depths))

    @override
    def initial_state(self, config: TreeConfig, schema: Schema) -> TreeState:
        nothing = (0.0,) * len(schema.class_names)
        return TreeState(config, schema, Tree([None], schema), (nothing,), (math.inf,), (0,))

    @override
    def next_ask(self, state: TreeState) -> Ask | None:
        if not state.open:
            return None
        length = sum(table.length for table in _layout(state.tree, state.open, state.schema))
        body = {"length": length, "tree": state.tree.to_document(), "open": list(state.open)}
        return Ask(state.tree.depths[state.open[0]] + 1, body)

    def check_ask(self, config: TreeConfig, schema: Schema, ask: Ask, plan: Plan) -> None:
        """See ``Algorithm``.

        Open nodes are distinct leaves of a tree, so no record can be counted in two; they are at the depth of the
        round, so a record touches one value per remaining feature, as the plan states.
        """
        check_round(ask, plan)
        if ask.body.keys() != {"length", "tree", "open"}:
            raise MalformedMessage("a tree's ask must have exactly the keys length, open and tree")
        tree = Tree.from_document(ask.body["tree"], schema)
        opened = ask.body["open"]
        if not isinstance(opened, list) or not all(type(node) is int for node in opened):
            raise MalformedMessage("open nodes must be a list of integers")
        if opened != sorted(set(opened)) or not 1 <= len(opened) <= config.max_nodes:
            raise MalformedMessage(f"open nodes must be 1 to {config.max_nodes}, ascending and without duplicates")
        if opened[0] < 0 or opened[-1] >= len(tree.splits) or any(tree.splits[node] is not None for node in opened):
            raise MalformedMessage("open nodes must be leaves of the tree")
        if any(tree.depths[node] != ask.round_number - 1 for node in opened):
            raise MalformedMessage(
                f"open nodes of round {ask.round_number} must have {ask.round_number - 1} splits above"
            )
        length = sum(table.length for table in _layout(tree, opened, schema))
        if ask.length != length:
            raise MalformedMessage(f"an ask of {ask.length} values where its open nodes have {length}")

    def answer(self, ask: Ask, dataset: Dataset, random: RandomSource) -> Int64:
        """See ``Algorithm``; counts of (open node, remaining feature, value, class), in this order."""
        schema = dataset.schema
        opened: list[int] = ask.body["open"]
        cells = {column.name: dataset.cells(column.name) for column in schema.features}
        tree = Tree.from_document(ask.body["tree"], schema)
        slot_of = np.full(len(tree.splits), -1)
        slot_of[opened] = np.arange(len(opened))
        slots = slot_of[tree.route(cells, dataset.rows)]
        starts = {name: np.full(len(opened), -1) for name in cells}
        for table in _layout(tree, opened, schema):
            starts[table.feature][slot_of[table.node]] = table.start
        classes = dataset.cells(schema.label_name)
        counts = np.zeros(ask.length, np.int64)
        for name, values in cells.items():
            start = np.where(slots >= 0, starts[name][slots], -1)
            asked = start >= 0
            np.add.at(counts, start[asked] + values[asked] * len(schema.class_names) + classes[asked], 1)
        return counts

    @override
    def update(self, state: TreeState, ask: Ask, release: Release) -> TreeState:
        if release.values.shape != (ask.length,):
            raise StateError(f"a release of {release.values.size} values for an ask of {ask.length}")
        tables: dict[int, dict[str, Float64]] = {node: {} for node in state.open}
        for table in _layout(state.tree, state.open, state.schema):
            values = release.values[table.start : table.start + table.length]
            tables[table.node][table.feature] = values.reshape(table.cells, -1)
        counts, variances = list(state.counts), list(state.variances)
        splits: dict[int, str] = {}
        for node in state.open:
            known = np.array(state.counts[node]), state.variances[node]
            pooled = pool(tuple(tables[node].values()), release.noise_stddev**2, *known)
            left = [entropy_left(project(table)) for table in pooled.tables]
            best = left.index(min(left))
            splits[node] = tuple(tables[node])[best]
            counts[node], variances[node] = tuple(pooled.class_counts.tolist()), pooled.variance
            counts.extend(tuple(row) for row in pooled.tables[best].tolist())
            variances.extend([pooled.row_variances[best]] * len(pooled.tables[best]))
        grown = replace(state, tree=state.tree.grow(splits), counts=tuple(counts), variances=tuple(variances), open=())
        return replace(grown, open=_worth_splitting(grown, range(len(state.counts), len(counts))))

    def finish(self, state: TreeState) -> Mapping[str, Any]:
        """See ``Algorithm``; whole, non-negative class counts per node, at least one record each."""
        return {"tree": state.tree.to_document(), "counts": _settled_counts(state)}

    @override
    def state_to_document(self, state: TreeState) -> Mapping[str, Any]:
        return {
            "tree": state.tree.to_document(),
            "counts": [list(row) for row in state.counts],
            "variances": [None if math.isinf(variance) else variance for variance in state.variances],
            "open": list(state.open),
        }

    @override
    def state_from_document(self, config: TreeConfig, schema: Schema, value: Any) -> TreeState:
        try:
            tree = Tree.from_document(value["tree"], schema)
            counts = tuple(tuple(float(count) for count in row) for row in value["counts"])
            variances = tuple(math.inf if variance is None else float(variance) for variance in value["variances"])
            opened = tuple(int(node) for node in value["open"])
        except (MalformedMessage, KeyError, TypeError, ValueError) as cause:
            raise StorageError("the stored state of a decision tree cannot be read") from cause
        if not len(counts) == len(variances) == len(tree.splits):
            raise StorageError("the stored state of a decision tree does not fit its tree")
        return TreeState(config, schema, tree, counts, variances, opened)

    @override
    def check_body(self, schema: Schema, body: Any) -> None:
        if not isinstance(body, Mapping) or body.keys() != {"tree", "counts"}:
            raise MalformedMessage("a tree's body must have exactly the keys counts and tree")
        nodes = len(Tree.from_document(body["tree"], schema).splits)
        classes, counts = len(schema.class_names), body["counts"]
        if not isinstance(counts, list) or len(counts) != nodes:
            raise MalformedMessage(f"a tree of {nodes} nodes must have as many rows of counts")
        for row in counts:
            fits = isinstance(row, list) and len(row) == classes and all(type(n) is int and 0 <= n < 2**62 for n in row)
            if not fits or not any(row):
                raise MalformedMessage(f"a tree's counts must be rows of {classes} whole numbers, not all 0")

    def probabilities(self, schema: Schema, body: Mapping[str, Any], values: Values) -> Float64:
        """See ``Classifier``; shares of the leaf's class counts."""
        cells = {column.name: column.to_cells(values[column.name]) for column in schema.features}
        rows = len(next(iter(cells.values())))
        counts = np.array(body["counts"], np.float64)
        shares: Float64 = counts / counts.sum(axis=1, keepdims=True)
        leaves = Tree.from_document(body["tree"], schema).route(cells, rows)
        return np.take(shares, leaves, axis=0)


@dataclass(frozen=True, slots=True)
class _Table:
    """Place of one table of counts, Int64[cells, classes] row by row, in a reply."""

    node: int
    feature: str
    cells: int
    start: int
    length: int


def _layout(tree: Tree, opened: Sequence[int], schema: Schema) -> Iterator[_Table]:
    classes = len(schema.class_names)
    start = 0
    for node in opened:
        for feature in tree.remaining(node):
            cells = schema.cells_of(feature)
            yield _Table(node, feature, cells, start, cells * classes)
            start += cells * classes


def _plan_level(config: TreeConfig, schema: Schema, cells: Sequence[int], depth: int) -> PlannedCountRound:
    """Plan a level; ``cells`` of the features, ascending. No path leaves more cells than without its smallest."""
    nodes = min(config.max_nodes, math.prod(cells[len(cells) - depth :]))
    return PlannedCountRound(
        length=nodes * sum(cells[depth:]) * len(schema.class_names),
        lower=0,
        upper=schema.max_records,
        l0=len(cells) - depth,
        linf=1,
        noise_factor=1 / _LEVEL_FACTOR**depth,
    )


def _worth_splitting(state: TreeState, nodes: Sequence[int]) -> tuple[int, ...]:
    """Return the new leaves to open: not too deep, neither pure nor drowned in noise, the largest ``max_nodes``."""

    def is_worth(node: int) -> bool:
        if state.tree.depths[node] >= state.config.max_depth or not state.tree.remaining(node):
            return False
        counts, variance = state.counts[node], state.variances[node]
        others = sorted(counts)[:-1]
        return _is_significant(counts, variance) and _is_significant(others, variance)

    largest = sorted(filter(is_worth, nodes), key=lambda node: sum(state.counts[node]), reverse=True)
    return tuple(sorted(largest[: state.config.max_nodes]))


def _is_significant(counts: Sequence[float], variance: float) -> bool:
    return sum(counts) > _SIGNIFICANT * math.sqrt(variance * len(counts))


def _settled_counts(state: TreeState) -> list[list[int]]:
    """Return the counts of a model: a node drowned in noise takes those of its parent, the root takes equal ones."""
    settled: list[list[int]] = []
    parents = {child: node for node in range(len(state.counts)) for child in state.tree.children(node)}
    for node, noisy in enumerate(state.counts):
        counts = [round(count) for count in project(np.array([noisy]))[0].tolist()]
        if not any(counts) or not _is_significant(noisy, state.variances[node]):
            counts = settled[parents[node]] if node else [1] * len(counts)
        settled.append(counts)
    return settled
