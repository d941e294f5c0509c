# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import json
import tracemalloc
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis.strategies import data, integers

from coterie_common.errors import InvalidJob
from coterie_common.learning.data.column import CategoricalColumn, NumericColumn
from coterie_common.learning.data.schema import parse_schema

TABLE: dict[str, Any] = {
    "label": "class",
    "max_records": 100,
    "columns": [
        {"name": "age", "lower": 0, "upper": Decimal("120"), "bins": 8, "integer": True},
        {"name": "size", "lower": "-0.5", "upper": 2.5},
        {"name": "class", "levels": ["no", "yes"]},
    ],
}


def with_column(**column: Any) -> dict[str, Any]:
    return {**TABLE, "columns": [*TABLE["columns"], column]}


def test_parse_schema_of_int_float_decimal_and_text_bounds_returns_columns():
    schema = parse_schema(TABLE)
    assert schema.columns == (
        NumericColumn(name="age", lower=0.0, upper=120.0, bins=8, integer=True),
        NumericColumn(name="size", lower=-0.5, upper=2.5),
        CategoricalColumn(name="class", levels=("no", "yes")),
    )
    assert [column.name for column in schema.features] == ["age", "size"]
    assert schema.class_names == ("no", "yes")
    assert schema.cells_of("age") == 8


def test_parse_schema_of_its_document_returns_equal_schema():
    schema = parse_schema(TABLE)
    schema.by_name  # noqa: B018  # cached values must not enter the comparison
    stored = json.loads(json.dumps(schema.to_document()), parse_float=Decimal)
    assert parse_schema(stored) == schema
    assert not any(isinstance(value, float) for column in stored["columns"] for value in column.values())


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ({**TABLE, "max_records": 0}, "max_records"),
        ({**TABLE, "max_records": 10**10}, "max_records"),
        ({**TABLE, "max_records": True}, "max_records"),
        ({**TABLE, "max_records": "100"}, "max_records"),
        ({"label": "class", "columns": TABLE["columns"]}, "max_records is missing"),
        ({**TABLE, "columns": []}, "columns"),
        ({**TABLE, "columns": ["age"]}, "columns"),
        ({**TABLE, "lable": "class"}, "lable is not a known key"),
        ({**TABLE, "label": "klass"}, "'klass' is none of the columns 'age', 'size', 'class'"),
        (with_column(name="age", levels=["a", "b"]), "two columns named 'age'"),
        (with_column(name="x"), "column 'x' needs either levels"),
        (with_column(levels=["a", "b"]), "column number 4: name is missing"),
        (with_column(name="", levels=["a", "b"]), "name"),
        (with_column(name="x", levels=["a"]), "column 'x': levels"),
        (with_column(name="x", levels=["a", "a"]), "must not repeat a level"),
        (with_column(name="x", levels=["a", 2]), "column 'x': levels.1"),
        (with_column(name="x", levels="ab"), "column 'x': levels"),
        (with_column(name="x", levels=["a", "b"], lower=0), "lower is not a known key"),
        (with_column(name="x", lower=0), "upper is missing"),
        (with_column(name="x", lower=1, upper=1), "lower must be less than upper"),
        (with_column(name="x", lower=0, upper="nan"), "upper: must be a finite number"),
        (with_column(name="x", lower=0, upper=float("inf")), "upper: must be a finite number"),
        (with_column(name="x", lower=-1e308, upper=1e308), "must be finite"),
        (with_column(name="x", lower=0, upper="ten"), "upper: must be a number"),
        (with_column(name="x", lower=False, upper=1), "lower"),
        (with_column(name="x", lower=0, upper=1, bins=1), "bins"),
        (with_column(name="x", lower=0, upper=1, bins=2.0), "bins"),
    ],
)
def test_parse_schema_of_wrong_entry_raises_invalid_job_naming_it(table, words):
    with pytest.raises(InvalidJob) as caught:
        parse_schema(table)
    assert caught.value.code == "invalid-job"
    assert words in caught.value.message
    assert "\n" not in caught.value.message


def test_class_names_without_label_raises_invalid_job():
    with pytest.raises(InvalidJob, match="label"):
        _ = parse_schema({**TABLE, "label": None}).class_names


def test_class_names_of_numeric_label_raises_invalid_job():
    with pytest.raises(InvalidJob, match="'age' needs levels"):
        _ = parse_schema({**TABLE, "label": "age"}).class_names


@pytest.mark.parametrize(("name", "words"), [("size", "needs bins"), ("weight", "no column 'weight'")])
def test_cells_of_column_that_cannot_be_counted_raises_invalid_job(name, words):
    with pytest.raises(InvalidJob, match=words):
        parse_schema(TABLE).cells_of(name)


@pytest.mark.parametrize(
    ("value", "parsed"),
    [("1", 0), (1, 0), (1.0, 0), (np.int64(1), 0), ("more", 1), (None, None), ("", None), (1.5, None), (" 1", None)],
)
def test_categorical_column_parse_returns_position_or_none(value, parsed):
    assert CategoricalColumn(name="children", levels=("1", "more")).parse(value) == parsed


@pytest.mark.parametrize(
    ("value", "parsed"),
    [
        ("37", 37.0),
        ("0", 0.0),
        (120, 120.0),
        (Decimal("3"), 3.0),
        (np.float32(2), 2.0),
        ("-1", None),
        ("120.5", None),
        ("3.5", None),
        ("nan", None),
        (float("nan"), None),
        ("1_0", None),
        ("", None),
        (None, None),
        (True, None),
        ("old", None),
    ],
)
def test_numeric_column_parse_returns_number_or_none(value, parsed):
    assert NumericColumn(name="age", lower=0, upper=120, integer=True).parse(value) == parsed


def test_numeric_column_to_cells_puts_both_bounds_inside():
    column = NumericColumn(name="age", lower=0, upper=120, bins=8)
    assert column.to_cells(np.array([0, 14.9, 15, 60, 119, 120])).tolist() == [0, 0, 1, 4, 7, 7]
    assert column.cell_names()[0] == "[0, 15)"
    assert column.cell_names()[-1] == "[105, 120]"


@given(data())
def test_numeric_column_to_cells_agrees_with_exact_fractions_on_and_beside_edges(source):
    digits = source.draw(integers(0, 4))
    lower = source.draw(integers(-5000, 5000))
    width = source.draw(integers(1, 300))
    bins = source.draw(integers(2, 300))
    limits: dict[str, Any] = {"lower": _written(lower, digits), "upper": _written(lower + width, digits)}
    column = NumericColumn(name="v", bins=bins, **limits)
    # Numbers as people write them: every edge that has few digits, and the tenths of the last digit beside it.
    numbers = [lower * 10 + offset for offset in range(10 * width + 1)]
    cells = column.to_cells(np.array([float(_written(number, digits + 1)) for number in numbers]))
    exact = [min((number - lower * 10) * bins // (10 * width), bins - 1) for number in numbers]
    assert cells.tolist() == exact


@pytest.mark.parametrize("width", ["0.000001", "0.1", "1e-9"])
def test_numeric_column_cell_names_of_a_narrow_range_differ(width):
    limits: dict[str, Any] = {"lower": "1000000", "upper": str(1000000 + Decimal(width))}
    column = NumericColumn(name="v", bins=4, **limits)
    assert len(set(column.cell_names())) == 4


def _written(number: int, digits: int) -> str:
    return str(Decimal(number).scaleb(-digits))


def test_categorical_column_allowed_with_many_levels_shows_a_few():
    column = CategoricalColumn(name="code", levels=tuple(map(str, range(100))))
    assert column.allowed.endswith("'7' and 92 more")


@pytest.mark.parametrize("value", ["", None, float("nan"), np.float32("nan")])
def test_missing_value_is_what_the_column_says(value):
    assert NumericColumn(name="chol", lower=0, upper=700, missing=240).parse(value) == 240
    assert NumericColumn(name="chol", lower=0, upper=700).parse(value) is None
    assert CategoricalColumn(name="slope", levels=("flat", "")).parse(value) == 1
    assert CategoricalColumn(name="slope", levels=("flat", "nan", "None")).parse(value) is None


@pytest.mark.parametrize("missing", [-1, 701, 2.5])
def test_missing_value_that_is_not_allowed_raises_invalid_job(missing):
    column = {"name": "chol", "lower": 0, "upper": 700, "integer": True, "missing": missing}
    with pytest.raises(InvalidJob, match="missing must be a whole number from 0 to 700"):
        parse_schema({"max_records": 1, "columns": [column]})


def test_column_with_count_stands_for_as_many_columns():
    schema = parse_schema({"max_records": 1, "columns": [{"name": "pixel", "lower": 0, "upper": 255, "count": 3}]})
    assert list(schema.by_name) == ["pixel1", "pixel2", "pixel3"]
    assert parse_schema(schema.to_document()) == schema


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ([{"name": "x", "lower": 0, "upper": 1, "count": 0}], "count"),
        ([{"name": "x", "lower": 0, "upper": 1, "count": True}], "count"),
        ([{"name": "x", "lower": 0, "upper": 1, "count": 2001}], "count"),
        ([{"lower": 0, "upper": 1, "count": 2}], "count"),
        ([{"name": name, "lower": 0, "upper": 1, "count": 1500} for name in "ab"], "3000 columns"),
        ([{"name": "x", "lower": 0, "upper": 1, "count": 2}, {"name": "x2", "lower": 0, "upper": 1}], "'x2'"),
    ],
)
def test_column_with_impossible_count_raises_invalid_job(columns, words):
    with pytest.raises(InvalidJob, match=words):
        parse_schema({"max_records": 1, "columns": columns})


def _tracked_peak(work: Callable[[], object]) -> int:
    """Return the most memory in bytes that Python held at once while ``work`` ran, beyond what it held before."""
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ([{"name": f"c{i}-", "lower": 0, "upper": 1, "count": 2000} for i in range(150)], "300000 columns"),
        ([{"name": f"c{i}-", "levels": ["a", "b"], "count": 1999} for i in range(2000)], "3998000 columns"),
        (
            [{"name": "c", "levels": [str(i) for i in range(9999)], "count": 2000}],
            "19998000 levels in all its columns together",
        ),
        ([{"name": f"c{i}-", "levels": list("abcdefghij") * 100, "count": 100} for i in range(6)], "600000 levels"),
    ],
    ids=["numbers", "levels", "one long list", "long lists"],
)
def test_columns_are_counted_before_any_is_made(columns, words):
    def parse() -> None:
        with pytest.raises(InvalidJob, match=words):
            parse_schema({"max_records": 1, "columns": columns})

    assert _tracked_peak(parse) < 4 << 20


def test_largest_schemas_are_accepted():
    columns = [{"name": "x", "levels": [str(i) for i in range(262)], "count": 2000}]
    assert len(parse_schema({"max_records": 1, "columns": columns}).columns) == 2000
