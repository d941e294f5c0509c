# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import tomllib
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from coterie.cli import main
from coterie_common.errors import DataError
from coterie_common.learning.data.dataset_file import load_dataset, load_table
from coterie_common.learning.data.file_format import FileFormat
from coterie_common.learning.data.file_table import FileTable
from coterie_common.learning.data.schema import parse_schema
from coterie_common.learning.data.schema_draft import draft_schema, to_toml

HEADER = "grade;größe;note;answer;born;same;empty;id\n"
ROWS = "".join(
    f"{['1', '2.0', '1.0', 'NA'][n % 4]};{n / 4:.2f};n{n};{'yes' if n % 3 else 'no'};{1900 + n};x;;{n}é\n".replace(
        ".", ",", 2
    )
    for n in range(120)
)
FORM = FileFormat(separator=";", decimal=",", missing=("NA",))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(HEADER + ROWS)
    return path


def test_draft_describes_its_own_file(path):
    draft = draft_schema(load_table(path, FORM), label="answer", form=FORM)
    assert draft["label"] == "answer"
    assert draft["columns"] == [
        {"name": "grade", "levels": ["", "1", "2"]},
        {"name": "größe", "lower": "0", "upper": "30", "bins": 8},
        {"name": "answer", "levels": ["no", "yes"]},
        {"name": "born", "lower": "1900", "upper": "2020", "bins": 8, "integer": True},
    ]
    assert [name for name, _ in draft["left_out"]] == ["note", "same", "empty", "id"]
    written = tomllib.loads(to_toml(draft, "people\n.csv"), parse_float=Decimal)
    schema = parse_schema(written["schema"])
    assert load_dataset(path, schema, FORM).rows == 120


def test_command_writes_a_draft_that_has_to_be_edited(path, tmp_path, capsys):
    options = ["--decimal", ",", "--missing", "NA", "--label", "answer"]
    with pytest.raises(SystemExit) as ended:
        main(["schema", "draft", str(path), *options])
    assert ended.value.code == 0
    output = capsys.readouterr().out
    assert "replace them by what everybody may know" in output
    assert '# Left out: "note": it has 120 different values.' in output
    with pytest.raises(SystemExit):
        main(["schema", "draft", str(path), *options, "--out", str(tmp_path / "draft.toml")])
    assert (tmp_path / "draft.toml").read_text() == output


def table(**columns: Any) -> FileTable:
    return FileTable(tuple(columns), tuple(columns.values()), len(next(iter(columns.values()))))


@pytest.mark.parametrize(
    ("cells", "column"),
    [
        ([str(n) for n in range(-7, 90)], {"lower": "-7", "upper": "89", "bins": 8, "integer": True}),
        ([f"{n}e-7" for n in range(11, 93)], {"lower": "0.0000011", "upper": "0.0000092", "bins": 8}),
        ([f"{n}e25" for n in range(11, 93)], {"lower": "1.1E+26", "upper": "9.2E+26", "bins": 8, "integer": True}),
        (["", *map(str, range(10))], {"lower": "0", "upper": "9", "bins": 8, "integer": True, "missing": "4"}),
        (["", *(f"{n}.5" for n in range(10))], {"lower": "0.5", "upper": "9.5", "bins": 8, "missing": "5"}),
        (["3.0", "3", "03", "-1"], {"levels": ["-1", "3"]}),
        (["é", "e\u0301", "a", '"', "\x7f"], {"levels": ['"', "a", "\x7f", "é"]}),
    ],
)
def test_draft_of_one_column(cells, column):
    draft = draft_schema(table(c=cells))
    assert draft["columns"] == [{"name": "c", **column}]
    schema = parse_schema(tomllib.loads(to_toml(draft, "x"), parse_float=Decimal)["schema"])
    assert None not in [schema.by_name["c"].parse(cell) for cell in cells]


@pytest.mark.parametrize(
    ("cells", "why"),
    [
        (["1e999999", "1"], "too large"),
        (["b\udcff", "a"], "another encoding"),
        ([f"x{n}" for n in range(101)], "101 different values"),
        (["", ""], "all its cells are the same"),
    ],
)
def test_draft_leaves_out_what_cannot_be_used_and_says_why(cells, why):
    draft = draft_schema(table(c=cells))
    assert draft["columns"] == []
    assert why in draft["left_out"][0][1]
    assert why in to_toml(draft, "x")


def test_draft_of_a_label_with_few_numbers_has_levels_and_one_with_many_has_bounds():
    few, many = [str(n % 30) for n in range(200)], [str(n) for n in range(200)]
    assert "levels" in draft_schema(table(c=few), label="c")["columns"][0]
    assert "lower" in draft_schema(table(c=few))["columns"][0]
    assert "lower" in draft_schema(table(c=many), label="c")["columns"][0]


def test_draft_of_nothing_or_without_the_label_raises():
    with pytest.raises(DataError, match="without records"):
        draft_schema(table(c=[]))
    with pytest.raises(DataError, match="no column 'd'; there are 'c'"):
        draft_schema(table(c=["1"]), label="d")
