# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""How accurate private models are: whole jobs with the noise of real ones, seeds fixed.

The bounds are not where the results lie but where something would be broken: 20 runs at ε = 1 have mean 0.873 and
standard deviation 0.007, so a mean below 0.83 is more than twenty standard errors away, a run below 0.76 more than ten
deviations. docs/evaluation.md has the results.
"""

from __future__ import annotations

from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from coterie.simulation.comparison import Contest, Division
from coterie.simulation.division import as_party
from coterie.simulation.job import Simulation, with_privacy
from coterie.simulation.method import Method
from coterie.simulation.scores import scores_of
from coterie_common.privacy.noise.mechanisms import Mechanism
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.parameters import choose_parameters
from tests.support.examples import load_job, load_nursery
from tests.support.seeded_random import SeededRandom

# slow, all of them: several whole jobs each, some of them twenty
pytestmark = pytest.mark.slow

RUNS = 20
SPEC = JobSpec.from_table(load_job("nursery-tree.toml"))
LAPLACE = {"mechanism": Mechanism.DISCRETE_LAPLACE, "delta": 0}


@cache
def divisions(parties: int, runs: int) -> list[Division]:
    return [Division.of(load_nursery(), parties, Fraction(1, 5), seed) for seed in range(runs)]


def weighted_f1(
    parties: int,
    method: Method = Method.DISTRIBUTED,
    runs: int = RUNS,
    spec: JobSpec = SPEC,
    corruption_bound: int | None = None,
) -> NDArray[np.float64]:
    parameters = choose_parameters(parties, corruption_bound=corruption_bound)
    contest = Contest(method, spec, parameters)
    return np.array([contest.score(division)["f1_weighted"] for division in divisions(parties, runs)])


def test_tree_of_five_parties_at_epsilon_one_reaches_the_promised_f1():
    private = weighted_f1(5)
    assert private.mean() >= 0.83
    assert private.min() >= 0.76


def test_tree_of_five_parties_at_epsilon_one_is_close_to_the_tree_without_noise():
    # the means differ by 0.005; the standard error of each is 0.002
    private, exact = weighted_f1(5), weighted_f1(5, Method.NONE)
    assert exact.mean() >= 0.865
    assert private.mean() >= exact.mean() - 0.03


# with the default corruption bound: (n, m, c) = (3, 3, 1) and (12, 9, 3)
@pytest.mark.parametrize("parties", [3, 12])
def test_tree_of_other_federations_at_epsilon_one_reaches_the_promised_f1(parties):
    private = weighted_f1(parties, runs=5)
    assert private.mean() >= 0.83
    assert private.min() >= 0.76


def test_tree_of_fifty_parties_at_epsilon_one_half_is_nearly_as_good_as_with_a_trusted_curator():
    # docs/evaluation.md has 20 seeds, which tests/unit/evaluation holds to the same bounds; these are computed anew.
    spec = with_privacy(SPEC, epsilon="0.5")
    curator = weighted_f1(50, Method.CURATOR, runs=8, spec=spec)
    few, many = (weighted_f1(50, runs=8, spec=spec, corruption_bound=bound) for bound in (4, None))
    local = weighted_f1(50, Method.LOCAL, runs=4, spec=spec)
    assert few.mean() >= curator.mean() - 0.03
    assert many.mean() >= curator.mean() - 0.06
    assert local.mean() <= few.mean() - 0.10


def test_tree_at_pure_epsilon_still_learns():
    # mean 0.863; guessing the largest class has 0.17
    assert weighted_f1(5, runs=5, spec=with_privacy(SPEC, **LAPLACE)).mean() >= 0.80


def test_evaluation_at_epsilon_one_half_finds_the_f1_of_the_set_aside_records():
    parameters, random = choose_parameters(5), SeededRandom("evaluation")
    division = divisions(5, 2)[1]
    model = Simulation(SPEC, parameters).run(division.parties, random)
    table = {**load_job("nursery-evaluation.toml"), "config": {"model": model.to_document()}}
    evaluation = Simulation(JobSpec.from_table(table), parameters)
    tested = division.tested
    aside = [tested.select(np.arange(tested.rows) % 5 == party) for party in range(5)]
    found = evaluation.run([as_party(tested.select(np.zeros(tested.rows, bool)), each) for each in aside], random)
    # noise of 9 records per cell, 2,500 records: in 40 repetitions the error's deviation was 0.012
    assert found.body["f1_weighted"] == pytest.approx(scores_of(model, tested)["f1_weighted"], abs=0.05)
    assert found.body["records"] == pytest.approx(tested.rows, abs=300)


@pytest.mark.parametrize("privacy", [{}, LAPLACE])
def test_statistics_at_epsilon_one_lie_within_their_stated_noise(privacy):
    table = {**load_job("nursery-tree.toml"), "algorithm": "statistics", "config": {"histograms": ["class", "health"]}}
    simulation = Simulation(with_privacy(JobSpec.from_table(table), **privacy), choose_parameters(5))
    random = SeededRandom("statistics")
    found = simulation.run(Division.of(load_nursery(), 5, Fraction(0), 0).parties, random).body
    exact = np.concatenate([[12_960], *(np.bincount(load_nursery().cells(name)) for name in ("class", "health"))])
    released = np.concatenate(
        [[found["count"]], *(found["histograms"][name]["counts"] for name in ("class", "health"))]
    )
    # nine values: beyond six deviations lies less than 10^-7 of Gaussian noise, 2·10^-3 of Laplace noise
    assert 0 < found["noise_stddev"] < 30
    assert abs(released - exact).max() < 6 * found["noise_stddev"]
