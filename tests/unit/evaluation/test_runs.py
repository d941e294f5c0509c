# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coterie.simulation.job import Simulation
from coterie.simulation.method import Method
from coterie_common.protocol.parameters import choose_parameters
from coterie_lab.evaluation.__main__ import main
from coterie_lab.evaluation.csv_file import read_csv, write_csv
from coterie_lab.evaluation.gisette import derive
from coterie_lab.evaluation.points import FULL, QUICK, Point, Sweep
from coterie_lab.evaluation.rows import Row, row_of, write_json
from coterie_lab.evaluation.runs import Cache, key_of, run_missing, spec_of
from coterie_lab.evaluation.workloads import schema_of, workload
from coterie_lab.examples.mnist import Digits
from coterie_lab.local_federation.data import DataProblem

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[3] / "scripts")}
POINTS = [
    Point.of("tree", Method.MAJORITY, 3, "0.5", 1, 2),
    Point.of("tree", Method.CURATOR, 3, "0.5", 1, 2),
]


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "folder" / "runs.jsonl")


def fill(cache: Cache, points: Sequence[Point]) -> list[tuple[int, ...]]:
    done: list[tuple[int, ...]] = []
    run_missing(points, cache, None, 1, lambda *progress: done.append(progress[:2]))
    return done


def without_times(cache: Cache) -> dict[str, Any]:
    return {key: {**result, "seconds": 0} for key, result in cache.results.items()}


@pytest.mark.slow  # trains trees
def test_runs_are_kept_and_not_run_again(cache, tmp_path):
    assert fill(cache, POINTS) == [(1, 2), (2, 2)]
    again = Cache(tmp_path / "folder" / "runs.jsonl")
    assert again.results == cache.results
    assert fill(again, POINTS) == []
    results = again.of(POINTS[1], None)
    assert [result["seed"] for result in results] == [0, 1]
    assert results[0]["f1_weighted"] > 0.8


@pytest.mark.slow  # trains trees
def test_file_that_was_cut_off_goes_on_where_it_was(cache, tmp_path):
    fill(cache, POINTS)
    path = tmp_path / "folder" / "runs.jsonl"
    path.write_text(path.read_text()[:-30])
    again = Cache(path)
    assert len(again.results) == 3
    fill(again, POINTS)
    assert without_times(Cache(path)) == without_times(cache)


def test_key_names_all_that_decides_a_result():
    point = Point.of("tree", Method.DISTRIBUTED, 10, "0.5", 3, 2)
    others = [
        (Point.of("tree", Method.LOCAL, 10, "0.5", 3, 2), 0),
        (Point.of("tree", Method.DISTRIBUTED, 11, "0.5", 3, 2), 0),
        (Point.of("tree", Method.DISTRIBUTED, 10, "0.25", 3, 2), 0),
        (Point.of("tree", Method.DISTRIBUTED, 10, "0.5", 2, 2), 0),
        (point, 1),
    ]
    keys = {key_of(each, seed, None) for each, seed in [(point, 0), *others]}
    assert len(keys) == 6
    # how many seeds there are decides no result
    assert key_of(Point.of("tree", Method.DISTRIBUTED, 10, "0.5", 3, 9), 0, None) == key_of(point, 0, None)


def test_only_a_federation_that_counts_on_all_reserves_spare_rounds():
    def reserved(method: Method) -> int:
        spec = spec_of(Point.of("tree", method, 10, "0.5", 3, 1), None)
        return Simulation(spec, choose_parameters(10)).terms.spares.rounds

    assert reserved(Method.DISTRIBUTED) == 1
    assert {reserved(method) for method in (Method.WORST_CASE, Method.CURATOR, Method.LOCAL)} == {0}


def test_rows_have_exactly_the_promised_keys_and_survive_their_file(tmp_path):
    results = [{"f1_macro": 0.5, "f1_weighted": value, "accuracy": 0.7} for value in (0.6, 0.8)]
    rows = [row_of(point, results) for point in POINTS]
    write_json(tmp_path / "rows.json", rows)
    names = ["model", "method", "parties", "epsilon", "corruption_bound", "f1_macro", "f1_weighted", "accuracy"]
    for row in json.loads((tmp_path / "rows.json").read_text()):
        assert list(row) == [*names, "seeds", "std"]
    assert (rows[1].f1_weighted, rows[1].seeds, rows[1].epsilon) == (pytest.approx(0.7), 2, 0.5)
    assert rows[1].std == pytest.approx(0.1414, abs=1e-4)
    # t of one degree of freedom is 12.7
    assert rows[1].half_width == pytest.approx(12.706 * 0.1, rel=1e-3)
    write_csv(tmp_path / "rows.csv", rows)
    read = read_csv(tmp_path / "rows.csv", Row)
    assert [(row.method, row.epsilon, row.seeds) for row in read] == [("majority", None, 2), ("curator", 0.5, 2)]


def test_grids_cover_what_the_document_compares():
    for name, grid in FULL.items():
        assert {min(grid.parties), max(grid.parties)} == {3, 50} or name == "cnn"
        assert grid.bounds in ((), tuple(range(1, grid.bound_parties - 1)))
        assert set(QUICK) <= set(FULL)
    assert {point.method for point in FULL["tree"].points(Sweep.PARTIES)} == set(Method) - {Method.MEAN}


@pytest.mark.parametrize("model", ["svm", "cnn"])
def test_workload_without_its_data_raises_data_problem(model, tmp_path):
    for folder in (None, tmp_path):
        with pytest.raises(DataProblem, match="MNIST"):
            workload(model, folder).division(3, 0)


@pytest.mark.parametrize("model", ["tree", "svm", "cnn"])
def test_job_of_a_workload_can_be_agreed_upon_by_the_smallest_and_the_largest_federation(model):
    spec = workload(model, None).spec_at("0.5")
    assert spec.privacy.epsilon_text == "0.5"
    for parties in (3, 50):
        simulation = Simulation(spec, choose_parameters(parties))
        assert 0.49 < simulation.epsilon <= 0.5


def test_gisette_like_set_has_as_many_of_either_digit_and_tells_them_apart():
    random = np.random.Generator(np.random.PCG64(3))
    digits = np.repeat(np.array([4, 9, 1], np.uint8), [60, 60, 30])
    images = random.integers(0, 256, (150, 784), np.uint8)
    images[:, 300] = digits * 25
    made = derive(Digits(images, digits), schema_of(workload("svm", None).spec()), 50, 100)
    assert made.rows == 100
    assert np.bincount(made.columns["digit"]).tolist() == [50, 50]
    values = np.stack([made.columns[f"x{number}"] for number in range(1, 1001)])
    assert (values.min(), values.max()) == (0, 999)
    # the pixel that tells the digits apart is there, whatever its name
    means = [values[:, made.columns["digit"] == label].mean(axis=1) for label in (0, 1)]
    assert abs(means[0] - means[1]).max() > 300


INTERRUPTED = """
import sys, time
from pathlib import Path
from coterie_lab.evaluation.runs import Cache, carry_out

def work(number):
    time.sleep(0.2 if number < 2 else 600)
    return [{"key": str(number)}]

if __name__ == "__main__":
    try:
        carry_out(work, range(4), Cache(Path(sys.argv[1])), 2, lambda *_: print("done", flush=True))
    except KeyboardInterrupt:
        sys.exit(130)
"""


@pytest.mark.usefixtures("interruptible")
def test_interrupt_ends_all_processes_at_once_and_keeps_what_is_done(tmp_path):
    script, kept = tmp_path / "interrupted.py", tmp_path / "runs.jsonl"
    script.write_text(INTERRUPTED)
    with subprocess.Popen(
        [sys.executable, script, kept], start_new_session=True, stdout=subprocess.PIPE, env=ENVIRONMENT
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() + process.stdout.readline() == b"done\ndone\n"
        # As a terminal does it: to all processes.
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(60) == 130
    assert Cache(kept).results.keys() == {"0", "1"}


def test_forgotten_results_are_forgotten_in_the_file_too(cache, tmp_path):
    cache.add({"key": key} for key in "abc")
    cache.forget(["a", "c", "unknown"])
    assert Cache(tmp_path / "folder" / "runs.jsonl").results.keys() == cache.results.keys() == {"b"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--processes", "0"], "--processes: at least 1"),
        (["--data", "nowhere"], "--data nowhere: there is no such folder"),
        (["--only", "svm"], "--only svm needs --data"),
        (["--json", "nowhere/rows.json"], "--json nowhere/rows.json: no file can be written there"),
        (["--full", "--write"], "--write of the part daemons needs --data"),
        (["--write"], "--write is for all points: add --full"),
    ],
)
def test_wrong_options_are_refused_before_anything_runs(monkeypatch, capsys, options, words):
    monkeypatch.setattr(sys, "argv", ["scripts/evaluate", *options])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert words in capsys.readouterr().err
