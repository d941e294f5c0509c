# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors

import numpy as np
import pytest

from coterie_common.crypto.packing import Packing
from coterie_common.errors import CapacityExceeded, PlaintextOutOfRange

INT64 = np.iinfo(np.int64)


def packing(**changes: int) -> Packing:
    return Packing(
        **{"length": 10, "lower": -100, "upper": 155, "max_contributors": 4, "plaintext_bits": 62, **changes}
    )


def total(*packed: tuple[int, ...]) -> list[int]:
    return [sum(column) for column in zip(*packed, strict=True)]


def test_layout_follows_from_range_and_contributors():
    layout = packing()
    assert (layout.slot_bits, layout.slots_per_plaintext, layout.plaintexts) == (10, 6, 2)  # 4·255 = 1020 < 2^10


def test_pack_puts_offset_values_in_slots_from_the_low_end():
    plaintexts = packing(length=3).pack(np.array([-100, -99, 155]))
    assert plaintexts == (0 + (1 << 10) + (255 << 20),)


@pytest.mark.parametrize(
    ("length", "lower", "upper", "contributors"),
    [
        (1, 0, 0, 1),
        (1, 0, 1, 1),
        (127, -1, 1, 3),
        (128, -(2**20), 2**20, 200),
        (1000, 5, 9, 10),
        (1000, -9, -5, 10),
        (17, -(2**62), 2**62 - 1, 2),
        (17, INT64.min, INT64.max, 1),
    ],
)
def test_unpack_of_sums_at_both_ends_of_the_range_is_exact(length, lower, upper, contributors):
    layout = Packing(length, lower, upper, contributors, 2046)
    generator = np.random.Generator(np.random.PCG64(length))
    values = [generator.integers(lower, upper, length, endpoint=True) for _ in range(contributors)]
    extremes = [np.full(length, lower), np.full(length, upper)]
    for summands in (values, extremes[:1] * contributors, extremes[1:] * contributors):
        plaintexts = total(*(layout.pack(summand) for summand in summands))
        assert max(plaintexts).bit_length() <= 2046
        result = layout.unpack(plaintexts, contributors)
        assert result.dtype == np.int64
        assert result.tolist() == [sum(column) for column in zip(*(s.tolist() for s in summands), strict=True)]


def test_unpack_with_fewer_contributors_removes_their_offsets_only():
    layout = packing()
    values = np.arange(10)
    assert layout.unpack(total(layout.pack(values), layout.pack(values)), 2).tolist() == (2 * values).tolist()


@pytest.mark.parametrize(
    "values",
    [
        np.full(10, -101),
        np.full(10, 156),
        np.zeros(9, dtype=np.int64),
        np.zeros(11, dtype=np.int64),
        np.zeros((10, 1), dtype=np.int64),
        np.zeros(10),
        np.zeros(10, dtype=np.int32),
        np.zeros(10, dtype=np.uint64),
    ],
)
def test_pack_of_values_outside_range_or_shape_raises(values):
    with pytest.raises(PlaintextOutOfRange) as raised:
        packing().pack(values)
    assert raised.value.code == "plaintext-out-of-range"


@pytest.mark.parametrize(
    ("plaintexts", "contributors"),
    [
        ((0,), 1),
        ((0, 0, 0), 1),
        ((0, 0), 0),
        ((0, 0), 5),
        ((-1, 0), 1),
        ((1 << 60, 0), 1),  # where no slot is
        ((256, 0), 1),  # above what one contribution can reach
        ((1021, 0), 4),  # above what four can reach
        ((0, 1 << 40), 1),  # in a slot behind the vector's end
    ],
)
def test_unpack_of_what_is_no_sum_of_contributions_raises(plaintexts, contributors):
    with pytest.raises(PlaintextOutOfRange) as raised:
        packing().unpack(plaintexts, contributors)
    assert raised.value.code == "plaintext-out-of-range"


@pytest.mark.parametrize(
    "changes",
    [
        {"length": 0},
        {"max_contributors": 0},
        {"lower": 156},
        {"plaintext_bits": 9},
        {"lower": -(2**62), "max_contributors": 3},
        {"upper": 2**62, "max_contributors": 2},
        {"lower": INT64.min - 1, "max_contributors": 1},
    ],
)
def test_packing_that_cannot_hold_the_sum_raises(changes):
    with pytest.raises(CapacityExceeded) as raised:
        packing(**changes)
    assert raised.value.code == "capacity-exceeded"


def test_packing_that_does_not_fit_says_the_numbers():
    with pytest.raises(CapacityExceeded, match=r"4 contributions in \[-100, 155\] needs 10 bits, a plaintext has 9"):
        packing(plaintext_bits=9)
