# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import datetime
from decimal import Decimal

import numpy as np
import pandas as pd
import pytest

from coterie_common.errors import InvalidJob
from coterie_common.learning.data.column import CategoricalColumn, NumericColumn
from coterie_common.learning.data.raw_values import parse_values
from coterie_common.learning.data.schema import parse_schema

COMPOSED, DECOMPOSED = "Z\u00fcrich", "Zu\u0308rich"


def levels(*names: str) -> CategoricalColumn:
    return CategoricalColumn(name="c", levels=names)


@pytest.mark.parametrize(
    ("column", "cells", "position"),
    [
        pytest.param(
            levels("1", "3"),
            ["3", "3.0", "3.000", " 3", "+3", "30e-1", "03", 3, 3.0, np.int8(3), np.float32(3), Decimal("3.00"), b"3"],
            1,
            id="whole numbers",
        ),
        pytest.param(
            levels("0.1", "0.25"),
            ["0.1", ".1", "1e-1", "0.10", 0.1, np.float64(0.1), np.float32(0.1), np.float16(0.1), Decimal("0.1")],
            0,
            id="decimals",
        ),
        pytest.param(levels("-0", "1"), ["0", "-0.0", 0, -0.0, np.float32(-0.0)], 0, id="zero"),
        pytest.param(levels("1.0", "2.0", ""), ["2", 2, 2.0, "2.0"], 1, id="levels that pandas wrote"),
        pytest.param(
            levels("1.0", ""), ["", None, float("nan"), pd.NA, pd.NaT, np.ma.masked, Decimal("NaN")], 1, id="-"
        ),
        pytest.param(levels("true", "false"), ["true", "True", "TRUE", True, np.True_], 0, id="truth values"),
        pytest.param(levels("yes", "True"), ["True", True, np.True_], 1, id="a truth value among words"),
        pytest.param(levels("no", "TRUE"), ["TRUE", True], 1, id="a truth value in capitals"),
        pytest.param(levels("unknown", "007"), ["007", 7, 7.0], 1, id="a number among words"),
        pytest.param(levels("x", "1.50"), ["1.50", 1.5, Decimal("1.5")], 1, id="a decimal among words"),
        pytest.param(
            levels("x", COMPOSED), [COMPOSED, DECOMPOSED, np.str_(DECOMPOSED), DECOMPOSED.encode()], 1, id="ü"
        ),
        pytest.param(levels("x", DECOMPOSED), [COMPOSED, DECOMPOSED], 1, id="u and dots"),
        pytest.param(levels("x", "2020-02-01"), ["2020-02-01", datetime.date(2020, 2, 1)], 1, id="date"),
    ],
)
def test_levels_are_the_same_in_whatever_type_a_cell_is(column, cells, position):
    assert [column.parse(cell) for cell in cells] == [position] * len(cells)
    stored, is_bad = parse_values(column, cells)
    assert stored.tolist() == [position] * len(cells)
    assert not is_bad.any()


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        pytest.param(
            levels("1", "3"),
            [
                "",
                "3.1",
                "1_0",
                "one",
                True,
                None,
                "nan",
                3 + 1e-15,
                np.float32(1.0000001),
                [3],
                {3},
                "9" * 5000,
                10**5000,
            ],
            id="numbers",
        ),
        pytest.param(levels("0.1", "1"), [0.1 + 0.2 - 0.2, "0.1000000000000000055511151231257827"], id="not quite 0.1"),
        pytest.param(levels("10000000000000001", "1"), [1e16, "10000000000000000"], id="beyond the digits of a float"),
        pytest.param(levels("007", "x"), ["7", "7.0"], id="text among words is compared as text"),
        pytest.param(levels("1", "1.0", "x"), ["1.00", Decimal("1.00")], id="two levels of one number among words"),
        pytest.param(levels("true", "no"), ["True", 1, "1"], id="truth among words"),
        pytest.param(levels("True", "true", "x"), ["TRUE"], id="two spellings"),
        pytest.param(
            levels("yes", "no"), ["Yes", "yes ", b"\xff", object(), 1, True, ("yes",), np.array(["yes"])], id="words"
        ),
    ],
)
def test_cells_that_are_no_level_are_not_taken_for_one(column, cells):
    assert [column.parse(cell) for cell in cells] == [None] * len(cells)


def test_float_cells_of_whole_numbers_among_words_are_their_digits():
    assert levels("3", "3.0", "x").parse(3) == 0
    assert levels("3", "3.0", "x").parse(3.0) == 1


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["1", "1.0"], "levels must not repeat a number: '1' and '1.0' are equal"),
        (["", "5", "2", "0.5e1"], "'5' and '0.5e1' are equal"),
        (["0", "-0"], "'0' and '-0' are equal"),
        (["a", "b", "a"], "levels must not repeat a level: 'a' is there twice"),
        ([COMPOSED, DECOMPOSED], "is there twice"),
    ],
)
def test_levels_that_are_equal_are_refused(names, words):
    with pytest.raises(InvalidJob) as caught:
        parse_schema({"max_records": 1, "columns": [{"name": "c", "levels": names}]})
    assert caught.value.code == "invalid-job"
    assert words in caught.value.message


@pytest.mark.parametrize("names", [["1", "1.0", "x"], ["True", "true"], ["1", "01", "A"]])
def test_levels_that_only_look_alike_are_allowed_among_words(names):
    assert levels(*names).levels == tuple(names)


NUMBER = NumericColumn(name="n", lower=0.1, upper=40, missing=5)


def test_numbers_are_the_same_in_whatever_type_a_cell_is():
    cells = ["37", "37.0", " 37\t", "3.7e1", 37, 37.0, np.int8(37), np.float16(37), Decimal(37), b"37", np.str_("37")]
    assert [NUMBER.parse(cell) for cell in cells] == [37] * len(cells)
    assert [NUMBER.parse(cell) for cell in ("", None, pd.NA, pd.NaT, np.nan, np.ma.masked)] == [5] * 6
    bad = [
        True,
        np.True_,
        "3_7",
        "nan",
        "inf",
        "0x1",
        3 + 4j,
        np.complex64(3),
        np.datetime64("2020"),
        np.timedelta64(3),
    ]
    assert [NUMBER.parse(cell) for cell in bad] == [None] * len(bad)


@pytest.mark.parametrize("kind", [np.int8, np.uint64, np.float16, np.float32, np.float64])
def test_numbers_in_an_array_are_what_each_of_them_is(kind):
    values = np.array([0, 1, 3, 40, 41, 127], kind)
    if np.issubdtype(kind, np.floating):
        extra = np.array([0.1, np.nextafter(kind(0.1), kind(0)), -0.0, np.nan, np.inf, -np.inf, 39.99], kind)
        values = np.concatenate([values, extra])
    column = NumericColumn(name="n", lower=0.1, upper=40)
    for each in (column, NUMBER, NumericColumn(name="n", lower=0.1, upper=40, integer=True)):
        stored, is_bad = parse_values(each, values)
        slowly, is_bad_slowly = parse_values(each, list(values))
        assert is_bad.tolist() == is_bad_slowly.tolist()
        assert stored.tobytes() == slowly.tobytes()


def test_bound_in_single_precision_is_the_bound_and_infinity_never_is():
    column = NumericColumn(name="n", lower=-1e300, upper=0.1)
    assert float(np.float32(0.1)) > 0.1
    assert column.parse(np.float32(0.1)) == 0.1
    assert column.parse(np.float32(-np.inf)) is None
    assert parse_values(column, np.array([-np.inf, 0.1], np.float32))[1].tolist() == [True, False]
    assert NumericColumn(name="n", lower=1e-60, upper=1).parse(np.float32(0)) is None


def test_zero_has_one_sign_whatever_came_before():
    column = NumericColumn(name="n", lower=-1, upper=1)
    for cells in (["-0.0", "0"], [-0.0, 0.0], np.array([-0.0, 0.0])):
        assert parse_values(column, cells)[0].tobytes() == bytes(16)
