# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import gzip
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from coterie_common.errors import DataError
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.dataset_file import load_dataset, load_table
from coterie_common.learning.data.file_format import FileFormat
from coterie_common.learning.data.schema import parse_schema
from tests.support.examples import load_nursery, nursery_schema

SCHEMA = parse_schema(
    {
        "max_records": 8,
        "columns": [
            {"name": "age", "lower": 0, "upper": 120, "integer": True},
            {"name": "sex", "levels": ["f", "m"]},
            {"name": "code", "levels": ["1", "2", "é"]},
        ],
    }
)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write_file(content: bytes | str, name: str = "people.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return write_file


def assert_is_people(dataset: Dataset) -> None:
    assert dataset.rows == 3
    assert dataset.columns["age"].tolist() == [37, 0, 120]
    assert dataset.columns["sex"].tolist() == [0, 1, 1]
    assert dataset.columns["code"].tolist() == [0, 2, 1]


PEOPLE = 'name,sex,age,code\nAnn,f,37,1\nBob,m,0,é\n"Carl,\nJr",m,120,2\n'


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(PEOPLE, id="plain"),
        pytest.param("\ufeff" + PEOPLE, id="byte order mark"),
        pytest.param(PEOPLE.replace("\n", "\r\n"), id="carriage returns"),
        pytest.param(PEOPLE + "\n\r\n\n", id="blank lines at the end"),
        pytest.param(PEOPLE.rstrip(), id="no newline at the end"),
        pytest.param(PEOPLE.replace("37", '"37"').replace(",f,", ',"f",'), id="quoted"),
        pytest.param(PEOPLE.replace("name,", '"full\nname",'), id="header of two lines"),
        pytest.param(PEOPLE.replace("name,", ","), id="unnamed extra column"),
    ],
)
def test_load_dataset_of_csv_returns_checked_columns(write, content):
    assert_is_people(load_dataset(write(content), SCHEMA))


def test_load_dataset_of_gzipped_csv_returns_checked_columns(write):
    assert_is_people(load_dataset(write(gzip.compress(PEOPLE.encode()), "people.csv.gz"), SCHEMA))


@pytest.mark.parametrize(
    "columns",
    [
        {"age": [37, 0, 120], "sex": ["f", "m", "m"], "code": ["1", "é", "2"]},
        {"age": [37.0, 0.0, 120.0], "sex": pa.array(["f", "m", "m"]).dictionary_encode(), "code": ["1", "é", "2"]},
        {"age": [Decimal(37), Decimal(0), Decimal(120)], "sex": ["f", "m", "m"], "code": ["1", "é", "2"]},
    ],
)
def test_load_dataset_of_parquet_returns_checked_columns(tmp_path, columns):
    parquet.write_table(pa.table({"name": ["Ann", "Bob", "Carl"], **columns}), tmp_path / "people.parquet")
    assert_is_people(load_dataset(tmp_path / "people.parquet", SCHEMA))


def test_load_dataset_of_parquet_with_whole_numbers_as_levels_returns_their_digits(tmp_path):
    parquet.write_table(pa.table({"age": [1], "sex": ["f"], "code": [2]}), tmp_path / "people.parquet")
    assert load_dataset(tmp_path / "people.parquet", SCHEMA).columns["code"].tolist() == [1]


def people(*rows: str) -> str:
    return "age,sex,code\n" + "".join(f"{row}\n" for row in rows)


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(people(), id="header only"),
        pytest.param("age,sex,code", id="header without newline"),
        pytest.param("\ufeffage,sex,code\r\n\r\n", id="byte order mark and blank lines"),
    ],
)
def test_load_dataset_of_csv_without_records_returns_none_of_them(write, content):
    for dataset in (
        load_dataset(write(content), SCHEMA),
        load_dataset(write(gzip.compress(content.encode()), "people.csv.gz"), SCHEMA),
    ):
        assert dataset.rows == 0
        assert {name: values.dtype for name, values in dataset.columns.items()} == {
            "age": np.float64,
            "sex": np.int32,
            "code": np.int32,
        }


@pytest.mark.parametrize("kind", [pa.null(), pa.string(), pa.int64()])
def test_load_dataset_of_parquet_without_records_returns_none_of_them(tmp_path, kind):
    parquet.write_table(pa.table({name: pa.array([], kind) for name in SCHEMA.by_name}), tmp_path / "none.parquet")
    assert load_dataset(tmp_path / "none.parquet", SCHEMA).rows == 0


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param(people("37,x,1"), "row 2, column 'sex': 'x'; 'sex' holds one of 'f', 'm'", id="unknown category"),
        pytest.param(people("37,f,1", "37,F,1"), "row 3, column 'sex': 'F'", id="category in capitals"),
        pytest.param(people("37,f,1", "37, f,1"), "row 3, column 'sex': ' f'", id="category with a space"),
        pytest.param(people("37,,1"), "row 2, column 'sex': an empty cell", id="empty category"),
        pytest.param(people(",f,1"), "row 2, column 'age': an empty cell", id="empty number"),
        pytest.param(people("old,f,1"), "'age' holds a whole number from 0 to 120", id="no number"),
        pytest.param(people("nan,f,1"), "row 2, column 'age': 'nan'", id="not a number"),
        pytest.param(people("121,f,1"), "row 2, column 'age': '121'", id="out of bounds"),
        pytest.param(people("-1,f,1"), "row 2, column 'age': '-1'", id="below bounds"),
        pytest.param(people("3.5,f,1"), "row 2, column 'age': '3.5'", id="no whole number"),
        pytest.param(people("37,f,1", "", "37,m,1"), "row 3, column 'age': an empty cell", id="blank line inside"),
        pytest.param(
            people("37,f,1", "37,f"), "row 3 does not have as many cells as the header: 2 instead of 3", id="short"
        ),
        pytest.param(people("37,f,1,9", "1,f,1,9"), "4 instead of 3, and so do 1 more", id="long rows"),
        pytest.param(people("37,f,1", '37,"f,1'), "row 3 does not", id="unclosed quote"),
        pytest.param("age,code\n37,1\n", "no column 'sex'; there are 'age', 'code'", id="missing column"),
        pytest.param("37,f,1\n37,m,1\n", "no column 'age', 'sex', 'code'", id="no header"),
        pytest.param("age,sex,code,age\n37,f,1,37\n", "2 columns named 'age'", id="duplicate column"),
        pytest.param("", "the file is empty", id="empty"),
        pytest.param("\n\n", "the file is empty", id="blank"),
        pytest.param(people(*["1,f,1"] * 9), "9 records, but the schema allows max_records = 8", id="too many"),
        pytest.param(people("37,f,é").encode("latin-1"), "line 2 is not UTF-8 text", id="Latin-1 cell"),
        pytest.param("é,age,sex,code\n1,1,f,1\n".encode("latin-1"), "line 1 is not UTF-8 text", id="Latin-1 header"),
        pytest.param(people("37,f,1").encode("utf-16"), "line 1 is not UTF-8 text", id="UTF-16"),
    ],
)
def test_load_dataset_of_wrong_csv_raises_data_error_in_one_line(write, content, words):
    path = write(content)
    with pytest.raises(DataError) as caught:
        load_dataset(path, SCHEMA)
    assert caught.value.code == "data"
    assert str(path) in caught.value.message
    assert words in caught.value.message
    assert "\n" not in caught.value.message


def test_load_dataset_of_many_bad_cells_shows_five_and_counts_the_rest(write):
    with pytest.raises(DataError) as caught:
        load_dataset(write(people(*["0,x,9"] * 4)), SCHEMA)
    message = caught.value.message
    shown = [
        "row 2, column 'code'",
        "row 2, column 'sex'",
        "row 3, column 'code'",
        "row 3, column 'sex'",
        "row 4, column 'code'",
    ]
    assert all(place in message for place in shown)
    assert "row 4, column 'sex'" not in message
    assert "and 3 more" in message
    assert "'code' holds one of '1', '2', 'é'" in message


def test_load_dataset_of_long_value_shows_its_beginning(write):
    with pytest.raises(DataError) as caught:
        load_dataset(write(people(f"0,{'x' * 500},1")), SCHEMA)
    assert "'xxxxx" in caught.value.message
    assert len(caught.value.message) < 300


def test_load_dataset_of_bad_parquet_cell_counts_rows_from_one(tmp_path):
    path = tmp_path / "people.parquet"
    parquet.write_table(pa.table({"age": [1, None], "sex": ["f", "m"], "code": ["1", "1"]}), path)
    with pytest.raises(DataError, match="row 2, column 'age': an empty cell"):
        load_dataset(path, SCHEMA)


def test_load_dataset_of_parquet_list_column_raises_data_error(tmp_path):
    path = tmp_path / "people.parquet"
    parquet.write_table(pa.table({"age": [[1]], "sex": ["f"], "code": ["1"]}), path)
    with pytest.raises(DataError, match="column 'age' holds list"):
        load_dataset(path, SCHEMA)


@pytest.mark.parametrize(
    ("name", "words"), [("people.parquet", "no Parquet file"), ("people.csv.gz", "cannot be read")]
)
def test_load_dataset_of_damaged_file_raises_data_error(write, name, words):
    with pytest.raises(DataError, match=words) as caught:
        load_dataset(write("no such format", name), SCHEMA)
    assert caught.value.code == "data"


def test_load_dataset_of_path_that_is_no_file_raises_data_error(tmp_path, write):
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DataError, match="is no file"):
        load_dataset(tmp_path / "folder.csv", SCHEMA)
    with pytest.raises(DataError, match="does not exist"):
        load_dataset(tmp_path / "absent.csv", SCHEMA)
    with pytest.raises(DataError, match=r"must end in \.csv, \.csv\.gz, \.parquet"):
        load_dataset(write(PEOPLE, "people.xlsx"), SCHEMA)


def test_load_dataset_of_the_example_returns_all_its_records():
    dataset = load_nursery()
    assert dataset.rows == 12_960
    assert np.bincount(dataset.cells("class")).tolist() == [4320, 2, 328, 4266, 4044]


def test_nursery_schema_of_the_example_job_has_the_label():
    assert nursery_schema().label == "class"


@pytest.mark.parametrize(
    ("content", "form"),
    [
        pytest.param(PEOPLE.replace(",\n", "\0").replace(",", ";").replace("\0", ",\n"), FileFormat(), id="semicolons"),
        pytest.param(PEOPLE.replace(",\n", "\0").replace(",", "\t").replace("\0", ",\n"), FileFormat(), id="tabs"),
        pytest.param(
            PEOPLE.replace(",\n", "\0").replace(",", "~").replace("\0", ",\n"), FileFormat(separator="~"), id="~"
        ),
        pytest.param(PEOPLE.encode("utf-16"), FileFormat(encoding="utf-16"), id="UTF-16"),
        pytest.param(PEOPLE.encode("utf-16-le"), FileFormat(encoding="utf-16-le"), id="UTF-16 without a mark"),
        pytest.param(PEOPLE.encode("latin-1"), FileFormat(encoding="windows-1252"), id="Windows"),
        pytest.param(PEOPLE.replace("é", "e\u0301"), FileFormat(), id="decomposed letter"),
        pytest.param(PEOPLE.replace("sex", " sex\t").replace(",f,", ", f ,"), FileFormat(trim=True), id="spaces"),
        pytest.param(PEOPLE.replace("37", "37,0").replace("120", '"1,2e2"'), FileFormat(decimal=","), id="no rows"),
        pytest.param(PEOPLE.replace(",0,", ",+0,").replace("37", " 37.0"), FileFormat(), id="numbers in other words"),
        pytest.param(PEOPLE.replace("\n", "\r"), FileFormat(), id="carriage returns alone"),
        pytest.param(PEOPLE.replace("name", "sep\ud800").encode("utf-8", "replace"), FileFormat(), id="odd name"),
    ],
)
def test_load_dataset_reads_files_as_their_format_says(write, content, form):
    if form.decimal == ",":
        content = content.replace("Ann,f,37,0,", 'Ann,f,"37,0",')
    assert_is_people(load_dataset(write(content), SCHEMA, form))


def test_load_dataset_takes_what_the_format_calls_missing(tmp_path):
    schema = parse_schema(
        {
            "max_records": 9,
            "columns": [
                {"name": "dose", "lower": -9, "upper": 9, "missing": 1},
                {"name": "grade", "levels": ["", "1", "2"]},
                {"name": "land", "levels": ["NA", "-9"]},
            ],
        }
    )
    form = FileFormat(missing=("NA", "-9"))
    path = tmp_path / "t.csv"
    path.write_text("dose,grade,land\n-9.0,NA,NA\n2,-9,-9\nNA,2,NA\n,1.0,NA\n")
    parquet.write_table(
        pa.table({"dose": [-9, 2, None, None], "grade": [None, -9.0, 2, 1], "land": ["NA", "-9", "NA", "NA"]}),
        tmp_path / "t.parquet",
    )
    for file in (path, tmp_path / "t.parquet"):
        columns = load_dataset(file, schema, form).columns
        assert columns["dose"].tolist() == [1, 2, 1, 1]
        assert columns["grade"].tolist() == [0, 0, 2, 1]
        assert columns["land"].tolist() == [0, 1, 0, 0]


@pytest.mark.parametrize("length", [200_000, 3 << 20, 17 << 20])
def test_load_dataset_reads_long_cells(write, length):
    letter = "A" * (length - 1) + "é"
    content = f'name,sex,age,code\n{letter},f,37,1\nBob,m,0,é\n"{letter}",m,120,2\n'
    assert_is_people(load_dataset(write(content), SCHEMA))


def test_load_dataset_reads_rows_of_many_columns(write):
    genes = [f"gene{number}" for number in range(40_000)]
    rows = [",".join(["f", "37", "1", *["0.123456789"] * len(genes)]) for _ in range(5)]
    dataset = load_dataset(write("\n".join([",".join(["sex", "age", "code", *genes]), *rows])), SCHEMA)
    assert dataset.rows == 5


def test_load_dataset_of_many_blocks_is_one_set_of_levels(write):
    rows = 3 * (16 << 20) // 400
    schema = parse_schema({"max_records": rows, "columns": [{"name": "c", "levels": ["b", "a", "1"]}]})
    content = "c,x\n" + "".join(f"{'ab1'[row * 3 // rows]},{'x' * 396}\n" for row in range(rows))
    assert np.bincount(load_dataset(write(content), schema).columns["c"]).tolist() == [
        content.count(f"\n{level},") for level in "ba1"
    ]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        pytest.param("\ufeff", "the file is empty", id="mark alone"),
        pytest.param(b"PK\x03\x04....", "an Excel workbook", id="xlsx"),
        pytest.param(b"PAR1....PAR1", "a Parquet file", id="Parquet"),
        pytest.param(gzip.compress(b"a,b\n"), "must end in .csv.gz", id="gzip"),
        pytest.param(people("37,f,1").encode("utf-16"), 'or say "utf-16"', id="UTF-16"),
        pytest.param(people("37,f,1").encode("utf-16-le"), "NUL characters", id="UTF-16 without a mark"),
        pytest.param(bytes(4096), "NUL characters", id="zeros"),
        pytest.param(people("37,f\0,1"), "column 'sex': 'f\\x00'", id="NUL"),
        pytest.param("age,sex,code\n" + "9" * 5000 + ",f,1\n", "column 'age': '99999", id="long number"),
        pytest.param('age,"sex,code\n37,f,1\n', "no CSV header", id="unclosed quote in the header"),
        pytest.param(f"age,sex,{'x' * 200_000}\n37,f,1\n", "no CSV header", id="long name"),
        pytest.param(f"{'x,' * 9}{'x' * 9999}\n1\n", "there are 'x', 'x'", id="long names are cut"),
        pytest.param(" age,sex,code\n37,f,1\n", "without the spaces around their names: trim = true", id="spaces"),
        pytest.param(people('"37,5",f,1'), "'37,5' (a decimal comma?", id="decimal comma"),
        pytest.param(people("NA,f,1"), "'NA' (a missing value? missing = ['NA'])", id="NA"),
        pytest.param(people("37,f ,1"), "'f ' (allowed without the spaces around it: trim = true)", id="space"),
        pytest.param("age,sex,code,code\u0301\n", "", id="no clash"),
        pytest.param("é,e\u0301,age,sex,code\n1,1,37,f,1\n", "", id="clash of columns that nobody needs"),
    ],
)
def test_load_dataset_says_what_is_wrong_with_a_file(write, content, words):
    path = write(content)
    if not words:
        load_dataset(path, SCHEMA)
        return
    with pytest.raises(DataError) as caught:
        load_dataset(path, SCHEMA)
    assert caught.value.code == "data"
    assert words in caught.value.message
    assert "\n" not in caught.value.message
    assert len(caught.value.message) < 700


def test_load_dataset_of_a_number_among_mixed_levels_says_what_to_write(write):
    schema = parse_schema({"max_records": 9, "columns": [{"name": "c", "levels": ["1", "2", "more"]}]})
    with pytest.raises(
        DataError, match=r"'1\.0' \(write '1': levels are compared as text where they are not all numbers\)"
    ):
        load_dataset(write("c\n1.0\n"), schema)


def test_load_dataset_of_look_alikes_names_the_letter(write):
    schema = parse_schema({"max_records": 9, "columns": [{"name": "c", "levels": ["Paris", "Rome"]}]})
    with pytest.raises(DataError, match=r"but for U\+0430 CYRILLIC SMALL LETTER A"):
        load_dataset(write("c\nP\u0430ris\n"), schema)


def test_load_dataset_of_two_columns_of_one_name_in_two_encodings_raises(write):
    schema = parse_schema({"max_records": 9, "columns": [{"name": "\u00e9", "lower": 0, "upper": 1}]})
    assert load_dataset(write("e\u0301\n1\n"), schema).rows == 1
    with pytest.raises(DataError, match="2 columns named 'é'"):
        load_dataset(write("e\u0301,\u00e9\n1,1\n"), schema)


ODD_ARROW = {
    "far dates": pa.array([10**8], pa.date32()),
    "bytes that are no text": pa.array([b"\xff"]).cast(pa.binary()).view(pa.string()),
    "structs": pa.array([{"x": 1}]),
    "durations": pa.array([5], pa.duration("s")),
    "moments": pa.array([1], pa.timestamp("ns")),
    "truth": pa.array([True]),
    "bytes": pa.array([b"\xff"]),
    "beyond a float": pa.array([2**64 - 1], pa.uint64()),
}


@pytest.mark.parametrize("kind", ODD_ARROW)
def test_load_dataset_of_odd_parquet_raises_data_error_and_says_the_column(tmp_path, kind):
    path = tmp_path / "t.parquet"
    parquet.write_table(pa.table({"a.b": ODD_ARROW[kind], "ok": [1]}), path)
    for column in ({"name": "a.b", "lower": 0, "upper": 9, "missing": 1}, {"name": "a.b", "levels": ["a", "b", ""]}):
        with pytest.raises(DataError, match=r"'a\.b'"):
            load_dataset(path, parse_schema({"max_records": 9, "columns": [column]}))
    assert load_dataset(
        path, parse_schema({"max_records": 9, "columns": [{"name": "ok", "lower": 0, "upper": 1}]})
    ).rows
    assert load_table(path).column("ok") == ["1"]


@pytest.mark.parametrize(
    "cells",
    [
        pa.nulls(2),
        pa.array(["", None]),
        pa.array([None, None], pa.float32()),
        pa.array([None, None], pa.int64()),
        pa.array([None, ""]).dictionary_encode(),
        pa.array([None, b""]),
        pa.array([None, None], pa.date32()),
        pa.array([None, None], pa.bool_()),
    ],
)
def test_load_dataset_of_missing_parquet_cells_of_any_type(tmp_path, cells):
    parquet.write_table(pa.table({"n": cells, "c": cells}), tmp_path / "t.parquet")
    columns = [{"name": "n", "lower": 0, "upper": 9, "missing": 4}, {"name": "c", "levels": ["a", ""]}]
    dataset = load_dataset(tmp_path / "t.parquet", parse_schema({"max_records": 9, "columns": columns}))
    assert dataset.columns["n"].tolist() == [4, 4]
    assert dataset.columns["c"].tolist() == [1, 1]
