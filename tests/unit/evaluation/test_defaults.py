# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from coterie.simulation.job import Simulation
from coterie.simulation.method import Method
from coterie_common.learning.algorithms import decision_tree
from coterie_common.protocol.parameters import choose_parameters
from coterie_lab.evaluation import runs
from coterie_lab.evaluation.csv_file import read_csv
from coterie_lab.evaluation.defaults import (
    CONSTANTS,
    FULL,
    QUICK,
    Ablation,
    Trial,
    Variation,
    constant_changed,
    default_of,
    key_of,
    results_of,
    run_trials,
)
from coterie_lab.evaluation.defaults_report import TrialRow, rows_of, trial_table, write_rows
from coterie_lab.evaluation.points import Point

TREE = Trial("tree", 10, "0.5")
DEPTHS = Ablation("tree", ((10, "0.5"),), (Variation("max_depth", ("2", "3")),), seeds=2)


def test_changed_entry_is_in_the_job_and_the_rest_stays():
    usual, changed = TREE.spec(None), replace(TREE, entry="max_depth", value="5").spec(None)
    assert changed.config == {**usual.config, "max_depth": 5}
    assert replace(changed, config=usual.config) == usual


def test_changed_constant_decides_the_plan_and_is_put_back_even_after_an_error():
    trial = replace(TREE, entry="level_factor", value="1.5")
    with constant_changed(trial):
        planned = Simulation(trial.spec(None), choose_parameters(10)).job.plan.rounds
    assert [each.noise_factor for each in planned] == [1, Fraction(2, 3), Fraction(4, 9)]
    with pytest.raises(KeyError), constant_changed(trial):
        raise KeyError
    assert Fraction(6, 5) == decision_tree._LEVEL_FACTOR


@pytest.mark.parametrize("entry", CONSTANTS)
def test_constant_has_the_same_type_when_it_is_changed_to_its_own_value(entry):
    value, constant = default_of("tree", entry), CONSTANTS[entry]
    before = getattr(decision_tree, constant.name)
    with constant_changed(replace(TREE, entry=entry, value=value)):
        changed = getattr(decision_tree, constant.name)
        assert (changed, type(changed)) == (before, type(before))


def test_every_table_has_the_default_among_its_values_and_settings_that_can_be_agreed_upon():
    for ablation in (*FULL, *QUICK):
        for variation in ablation.variations:
            usual = Fraction(default_of(ablation.model, variation.entry))
            assert usual in map(Fraction, variation.values)
            for value in variation.values:
                trial = ablation.trial(ablation.settings[0], variation.entry, value)
                assert (trial.entry is None) == (Fraction(value) == usual)


def test_key_names_all_that_decides_a_result():
    trials = [
        TREE,
        replace(TREE, parties=11),
        replace(TREE, epsilon="2"),
        *(replace(TREE, entry="max_depth", value=value) for value in ("2", "4")),
        *(replace(TREE, entry="level_factor", value=value) for value in ("1", "2")),
        *(replace(TREE, entry="significant", value=value) for value in ("0", "2")),
    ]
    keys = {key_of(trial, seed, None) for trial in trials for seed in (0, 1)}
    assert len(keys) == 2 * len(trials)


def test_unchanged_job_shares_the_results_of_its_point():
    point = Point.of("tree", Method.DISTRIBUTED, 10, "0.5", 3, 20)
    assert key_of(TREE, 4, None) == runs.key_of(point, 4, None)


@pytest.mark.slow  # trains trees
def test_trials_are_run_once_and_an_unchanged_one_is_what_its_point_is(tmp_path):
    kept, shown = runs.Cache(tmp_path / "runs.jsonl"), []
    for _ in range(2):
        run_trials([DEPTHS], kept, None, 1, lambda *progress: shown.append(progress[:2]))
    assert shown == [(1, 2), (2, 2)]
    point = Point.of("tree", Method.DISTRIBUTED, 10, "0.5", 3, 2)
    assert {result["key"]: result["f1_weighted"] for result in runs.run(runs.Task(point, (0, 1), None))} == {
        result["key"]: result["f1_weighted"] for result in results_of(TREE, 2, kept.results, None)
    }


def results(*scores: float) -> dict[str, dict[str, float]]:
    """Give the trials of ``DEPTHS``, two seeds each, these scores."""
    made = [(trial, seed) for trial in (replace(TREE, entry="max_depth", value="2"), TREE) for seed in (0, 1)]
    return {
        key_of(trial, seed, None): {"f1_weighted": score} for (trial, seed), score in zip(made, scores, strict=True)
    }


def test_value_is_compared_with_the_default_seed_by_seed_and_survives_its_file(tmp_path):
    shallow, usual = rows_of(DEPTHS, results(0.5, 0.7, 0.6, 0.8), None)
    assert (shallow.value, shallow.is_default, usual.value, usual.is_default) == ("2", False, "3", True)
    assert (shallow.f1_weighted, usual.f1_weighted) == (pytest.approx(0.6), pytest.approx(0.7))
    assert (shallow.difference, shallow.difference_std) == (pytest.approx(-0.1), pytest.approx(0))
    assert shallow.std == pytest.approx(0.1414, abs=1e-4)
    write_rows(tmp_path / "rows.csv", [shallow, usual])
    assert "tree,max_depth,2,0,10,0.5,0.6," in (tmp_path / "rows.csv").read_text()
    other = replace(usual, model="svm", entry="rounds")
    write_rows(tmp_path / "rows.csv", [other])
    # those of another model stay, in the order of the document
    assert [row.model for row in read_csv(tmp_path / "rows.csv", TrialRow)] == ["tree", "tree", "svm"]
    write_rows(tmp_path / "rows.csv", [usual])
    assert [row.model for row in read_csv(tmp_path / "rows.csv", TrialRow)] == ["tree", "svm"]


def test_table_shows_the_default_with_its_interval_and_others_with_their_difference():
    table = list(trial_table(rows_of(DEPTHS, results(0.5, 0.7, 0.61, 0.8), None)))
    assert table[0] == "| what | value | n = 10, ε = 0.5 |\n"
    # t of one degree of freedom is 12.706; the differences are -0.11 and -0.1
    assert table[2] == "| `max_depth` | 2 | 0.600 (-0.105 ± 0.064) |\n"
    assert table[3] == "| `max_depth` | 3, the default | 0.705 ± 1.207 |\n"
