# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from coterie.cli import main
from coterie_common.learning.data.schema import parse_schema
from coterie_common.learning.model import Model
from coterie_common.learning.predictor import load_predictor
from tests.support.models import make_lineage


@pytest.fixture
def model(tmp_path: Path) -> Path:
    schema = parse_schema(
        {
            "label": "price",
            "max_records": 9,
            "columns": [{"name": "size", "lower": 0, "upper": 100}, {"name": "price", "lower": 0, "upper": 200}],
        }
    )
    body = {"coefficients": np.array([[1.0]]), "intercepts": np.array([0.0])}
    path = tmp_path / "price.safetensors"
    made = Model(name="price", algorithm="linear_regression", schema=schema, body=body, lineage=make_lineage())
    path.write_bytes(made.to_bytes())
    return path


@pytest.mark.parametrize(
    ("content", "rows", "words"),
    [
        ("size\n25\n100\n", ["25,50", "100,200"], ""),
        ("size,price\n25,52\n50,96\n", ["25,52,50", "50,96,100"], "price: 3 off on average; always their mean: 22\n"),
        (
            "size,price\n25,52\n50,\n",
            ["25,52,50", "50,,100"],
            "price: 2 off on average; always their mean: 0 (1 records without a value of their own are left out)\n",
        ),
        ("size,price\n25,x\n", ["25,x,50"], "price: no record has a value of its own"),
    ],
)
def test_predict_of_numbers_says_by_how_much_the_label_was_missed(model, tmp_path, capsys, content, rows, words):
    data = tmp_path / "houses.csv"
    data.write_text(content)
    with pytest.raises(SystemExit) as caught:
        main(["predict", str(model), str(data)])
    assert caught.value.code == 0
    output = capsys.readouterr()
    assert output.out.splitlines()[1:] == rows
    assert output.err.startswith(words) if words else output.err == ""


def test_predict_of_numbers_writes_all_their_digits(tmp_path, capsys):
    schema = parse_schema(
        {
            "label": "price",
            "max_records": 9,
            "columns": [{"name": "size", "lower": 0, "upper": 3}, {"name": "price", "lower": 0, "upper": 9_999_999}],
        }
    )
    body = {"coefficients": np.array([[1 / 3]]), "intercepts": np.array([0.1])}
    model = Model(name="price", algorithm="linear_regression", schema=schema, body=body, lineage=make_lineage())
    (tmp_path / "price.safetensors").write_bytes(model.to_bytes())
    (tmp_path / "houses.csv").write_text("size,price\n1,3500000\n2.7,7000000.5\n")
    with pytest.raises(SystemExit):
        main(["predict", str(tmp_path / "price.safetensors"), str(tmp_path / "houses.csv")])
    output = capsys.readouterr()
    due = load_predictor(model).predict([{"size": 1}, {"size": 2.7}])
    written = [float(line.split(",")[2]) for line in output.out.splitlines()[1:]]
    assert written == due.tolist()
    missed = float(np.abs(due - [3_500_000, 7_000_000.5]).mean())
    assert output.err.startswith(f"price: {missed:.6g} off on average; ")
