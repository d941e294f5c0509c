# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
import pytest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'coterie[torch]'")

from coterie_common.errors import RowsNotIndependent  # noqa: E402
from coterie_common.learning.network.blocks import Blocks, State  # noqa: E402

STATE = State({})


def make_blocks(compute: Callable[[Tensor, Tensor], Tensor], size: int = 8) -> tuple[Blocks, list[int]]:
    shapes: list[int] = []

    def noting(state: State, rows: Tensor, labels: Tensor) -> Tensor:
        shapes.append(len(rows))
        return compute(rows, labels)

    return Blocks(noting, size, 3, 2, lambda: iter([STATE])), shapes


def rows_of(blocks: Blocks, count: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    inputs = np.arange(3.0 * count, dtype=np.float32).reshape(count, 3)
    rows = list(blocks.rows(STATE, inputs, np.ones(count, np.int64)))
    return inputs, torch.cat(rows).numpy()


def doubled(rows: Tensor, labels: Tensor) -> Tensor:
    return rows * 2 + labels[:, None] - 1


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 16, 100])
def test_every_block_has_one_shape_and_rows_come_in_order(count):
    blocks, shapes = make_blocks(doubled)
    inputs, rows = rows_of(blocks, count)
    assert np.array_equal(rows, 2 * inputs)
    assert set(shapes) == {8}


def test_a_block_is_computed_where_there_are_no_records():
    blocks, shapes = make_blocks(doubled)
    assert blocks.size == 8
    checked = len(shapes)
    rows_of(blocks, 0)
    without = len(shapes) - checked
    rows_of(blocks, 1)
    assert (without, len(shapes) - checked - without) == (1, 1)


def last_place_otherwise(rows: Tensor, labels: Tensor) -> Tensor:
    results = doubled(rows, labels)
    results[7:] *= 1 + 2**-23
    return results


def neighbours_matter(rows: Tensor, labels: Tensor) -> Tensor:
    return doubled(rows, labels) + (rows.sum() if len(rows) > 1 else 0)


@pytest.mark.parametrize("compute", [last_place_otherwise, neighbours_matter])
def test_where_places_differ_a_block_is_one_record(compute):
    blocks, shapes = make_blocks(compute)
    inputs, rows = rows_of(blocks, 20)
    assert blocks.size == 1
    assert np.array_equal(rows, 2 * inputs)
    assert shapes[-20:] == [1] * 20


def test_what_differs_for_the_same_record_is_refused():
    calls: list[int] = []

    def drifting(rows: Tensor, labels: Tensor) -> Tensor:
        calls.append(len(rows))
        drifted: Tensor = rows * len(calls)
        return drifted

    blocks, _ = make_blocks(drifting)
    with pytest.raises(RowsNotIndependent) as caught:
        rows_of(blocks, 5)
    assert caught.value.code == "rows-not-independent"
