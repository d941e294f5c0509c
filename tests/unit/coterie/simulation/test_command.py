# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import json
from pathlib import Path

import pytest

from coterie.cli import main
from coterie_common.learning.model import Model
from tests.support.examples import EXAMPLES, nursery_schema
from tests.support.models import make_lineage

DATA = EXAMPLES / "data" / "nursery.csv.gz"
TREE = EXAMPLES / "jobs" / "nursery-tree.toml"


def run(*arguments: int | Path | str) -> str | int | None:
    with pytest.raises(SystemExit) as caught:
        main(["simulate", *map(str, arguments)])
    return caught.value.code


def test_simulate_compares_all_methods(capsys):
    assert run(TREE, "--data", DATA, "--parties", 4, "--seeds", 2) == 0
    output = capsys.readouterr().out
    assert "Up to 1 of 4 parties may collude" in output
    lines = {line.split()[0]: line for line in output.splitlines() if line and " ± " in line}
    assert set(lines) == {"distributed", "worst-case", "curator", "local", "none", "alone", "majority", "uniform"}
    assert lines["none"].split()[1:4] == ["0,", "0,", "0"]


def test_simulate_as_json_has_one_row_per_method(capsys):
    options = ("--parties", 6, "--corruption-bound", 2, "--quorum", 6, "--epsilon", "0.5", "--seeds", 2, "--json")
    assert run(TREE, "--data", DATA, *options, "--method", "distributed", "--method", "majority") == 0
    distributed, majority = json.loads(capsys.readouterr().out)
    assert distributed.keys() == majority.keys()
    shared = {"method": "distributed", "parties": 6, "corruption_bound": 2, "seeds": 2, "epsilon": "0.5"}
    assert distributed.items() >= shared.items()
    assert 0.5 < distributed["mean"]["f1_weighted"] < 1
    assert distributed["std"]["f1_weighted"] > 0
    assert len(distributed["noise_stddev"]) == 3
    assert (majority["method"], majority["noise_stddev"]) == ("majority", [])


def test_simulate_what_predicts_nothing_shows_its_noise(tmp_path, capsys):
    job = tmp_path / "job.toml"
    job.write_text(
        TREE.read_text()
        .replace('"decision_tree"', '"statistics"')
        .replace("max_depth = 3 ", "#")
        .replace("max_nodes", "#")
    )
    job.write_text(job.read_text().replace("[config]", '[config]\nhistograms = ["class"]'))
    assert run(job, "--data", DATA, "--parties", 4, "--seeds", 1, "--json") == 0
    rows = {row["method"]: row for row in json.loads(capsys.readouterr().out)}
    assert rows.keys() == {"distributed", "worst-case", "curator", "local", "none", "alone"}
    assert rows["worst-case"]["noise_stddev"][0] > rows["distributed"]["noise_stddev"][0]
    assert rows["local"]["noise_stddev"][0] > rows["distributed"]["noise_stddev"][0] > 0
    assert rows["none"]["mean"] == {}


def test_simulate_warns_where_noise_drowns_what_the_job_asks(tmp_path, capsys):
    job, few = tmp_path / "job.toml", tmp_path / "few.csv"
    few.write_text("x,y\n" + "".join(f"{n / 40},{'ab'[n % 2]}\n" for n in range(40)))
    job.write_text(
        """
name = "few"
algorithm = "logistic_regression"
dataset = "few"
[config]
rounds = 3
records = 32
clip_norm = 1
[privacy]
epsilon = 0.5
delta = 0.001
[schema]
label = "y"
max_records = 100
columns = [{ name = "x", lower = 0, upper = 1 }, { name = "y", levels = ["a", "b"] }]
"""
    )
    assert run(job, "--data", few, "--parties", 3, "--seeds", 1) == 0
    output = capsys.readouterr()
    assert output.err.startswith("warning: noise drowns 3 of 3 rounds")
    assert "too few records" in output.out  # 8 are left to test with
    assert run(TREE, "--data", DATA, "--parties", 4, "--seeds", 1) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "words", "status"),
    [
        (("--parties", 2), "a federation has 3 to 200 parties", 78),
        (("--parties", 5, "--corruption-bound", 4), "corruption bound", 78),
        (("--parties", 5, "--quorum", 2), "quorum", 78),
        (("--parties", 5, "--epsilon", "-1"), "epsilon", 78),
    ],
)
def test_simulate_with_impossible_numbers_is_one_line(capsys, options, words, status):
    assert run(TREE, "--data", DATA, *options) == status
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert words in error
    assert error.count("\n") == 1


def test_simulate_of_an_evaluation_scores_its_model_on_records_set_aside(tmp_path, capsys):
    # One leaf, which says the most frequent class of all: "not_recom".
    body = {"tree": [None], "counts": [[4, 0, 0, 3, 3]]}
    schema = nursery_schema()
    model = Model(name="leaf", algorithm="decision_tree", schema=schema, body=body, lineage=make_lineage())
    (tmp_path / "nursery-tree.json").write_bytes(model.to_bytes())
    job = tmp_path / "evaluation.toml"
    job.write_text((EXAMPLES / "jobs" / "nursery-evaluation.toml").read_text())
    assert run(job, "--data", DATA, "--parties", 4, "--seeds", 2, "--json") == 0
    rows = {row["method"]: row for row in json.loads(capsys.readouterr().out)}
    # A third of Nursery is of that class.
    for row in rows.values():
        assert row["mean"]["accuracy"] == pytest.approx(1 / 3, abs=0.03)
    assert rows["local"]["noise_stddev"][0] > rows["distributed"]["noise_stddev"][0] > 0
