# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The shape of a decision tree, as sent by the aggregator and kept in a model.

A tree is one list: per node, in breadth-first order, the feature that splits it or nothing. The positions of a node's
children follow from the list, so every list that parses *is* a partition: a record belongs to exactly one leaf,
regardless of the sender's intent.

Invariants:
- a split node has one child per cell of its feature, consecutive and after it;
- no feature occurs twice on a path from the root.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from coterie_common.errors import MalformedMessage
from coterie_common.learning.data.column import Cells
from coterie_common.learning.data.schema import Schema


class Tree:
    """A decision tree without its labels; immutable.

    Attributes:
        splits: per node the feature's name, or ``None`` for a leaf; node 0 is the root.
        depths: per node the number of splits above it.
    """

    def __init__(self, splits: Sequence[str | None], schema: Schema) -> None:
        """Check a list of splits.

        Raises:
            MalformedMessage: an unknown feature, one used twice on a path, or a list too short or too long.
        """
        self.splits = tuple(splits)
        self._schema = schema
        self._features = {column.name: number for number, column in enumerate(schema.features)}
        self._first_child = np.zeros(len(self.splits), np.int32)
        self._used = [0]  # per node the features on its path, one bit each
        for node, feature in enumerate(self.splits):
            if node >= len(self._used):
                raise MalformedMessage(f"a tree of {len(self.splits)} nodes is longer than its splits make it")
            if feature is not None:
                self._split(node, feature)
        if len(self._used) != len(self.splits):
            raise MalformedMessage(f"a tree of {len(self.splits)} nodes is shorter than its splits make it")
        self.depths = tuple(used.bit_count() for used in self._used)

    def _split(self, node: int, feature: str) -> None:
        bit = 1 << self._features[feature] if feature in self._features else 0
        if not bit:
            raise MalformedMessage(f"a tree splits node {node} on a column that is no feature")
        if self._used[node] & bit:
            raise MalformedMessage(f"a tree uses feature {feature!r} twice on the path to node {node}")
        cells = self._schema.cells_of(feature)
        # checked before the list is extended: a short message must not make us allocate much
        if len(self._used) + cells > len(self.splits):
            raise MalformedMessage(f"a tree of {len(self.splits)} nodes is shorter than its splits make it")
        self._first_child[node] = len(self._used)
        self._used.extend([self._used[node] | bit] * cells)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Tree) and (self.splits, self._schema) == (other.splits, other._schema)

    def __hash__(self) -> int:
        return hash(self.splits)

    @classmethod
    def from_document(cls, value: Any, schema: Schema) -> Tree:
        """Parse a list of feature names and nulls; raises ``MalformedMessage``."""
        if not isinstance(value, list) or not all(entry is None or isinstance(entry, str) for entry in value):
            raise MalformedMessage("a tree must be a list of feature names and nulls")
        return cls(value, schema)

    def to_document(self) -> list[str | None]:
        """Return the list of splits."""
        return list(self.splits)

    def children(self, node: int) -> range:
        """Return the children of a node, one per cell of its feature; empty for a leaf."""
        feature = self.splits[node]
        if feature is None:
            return range(0)
        first = int(self._first_child[node])
        return range(first, first + self._schema.cells_of(feature))

    def remaining(self, node: int) -> tuple[str, ...]:
        """Return the features not used on the path to ``node``, in the order of the schema."""
        return tuple(name for name, number in self._features.items() if not self._used[node] >> number & 1)

    def grow(self, splits: Mapping[int, str]) -> Tree:
        """Return the tree with leaves of its deepest level split.

        Args:
            splits: feature by leaf; all leaves are on the deepest level, so that breadth-first order is kept.
        """
        grown = [splits.get(node, feature) for node, feature in enumerate(self.splits)]
        for node in sorted(splits):
            grown.extend([None] * self._schema.cells_of(splits[node]))
        return Tree(grown, self._schema)

    def route(self, cells: Mapping[str, Cells], rows: int) -> Cells:
        """Return the leaf of every record, Int32[rows].

        Args:
            cells: Int32[rows] per feature.
            rows: number of records.
        """
        nodes = np.zeros(rows, np.int32)
        names = tuple(self._features)
        feature_of = np.array([-1 if split is None else self._features[split] for split in self.splits])
        for _ in range(max(self.depths)):
            asked = feature_of[nodes]
            for feature in np.unique(asked[asked >= 0]):
                here = asked == feature
                nodes[here] = self._first_child[nodes[here]] + cells[names[feature]][here]
        return nodes
