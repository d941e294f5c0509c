# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import numpy as np
import pytest

from coterie.cli import main
from coterie_common.learning.model import Model
from coterie_common.learning.schema import parse_schema
from tests.support.models import make_lineage

# scikit-learn takes more than a second to import.
pytestmark = pytest.mark.slow


@pytest.fixture
def model(tmp_path):
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
        ("size\n10\n100\n", ["10,20", "100,200"], ""),
        ("size,price\n10,22\n50,96\n", ["10,22,20", "50,96,100"], "price: 3 off on average; always their mean: 37\n"),
        (
            "size,price\n10,22\n50,\n",
            ["10,22,20", "50,,100"],
            "price: 2 off on average; always their mean: 0 (1 records without a value of their own are left out)\n",
        ),
        ("size,price\n10,x\n", ["10,x,20"], "price: no record has a value of its own"),
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
