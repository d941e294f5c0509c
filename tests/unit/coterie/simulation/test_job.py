# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from coterie.simulation.division import deal
from coterie.simulation.job import SimulatedRound, Simulation, with_privacy, without_spare_rounds
from coterie.simulation.scores import scores_of
from coterie_common.errors import InvalidJob, QuorumTooSmall
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.model import Model
from coterie_common.privacy.noise.mechanisms import Placement
from coterie_common.protocol.parameters import choose_parameters
from tests.support.seeded_random import SeededRandom
from tests.support.small_jobs import make_spec, play_dataset, tree_spec

PARAMETERS = choose_parameters(5)


@pytest.fixture(scope="module")
def parties() -> tuple[Dataset, ...]:
    return deal(play_dataset(400), 5, SeededRandom("deal"))


def rounds_of(
    simulation: Simulation, parties: tuple[Dataset, ...], seed: str = "run"
) -> tuple[Model, list[SimulatedRound]]:
    rounds: list[Any] = []
    model = simulation.run(parties, SeededRandom(seed), watch=rounds.append)
    return model, rounds


def test_run_with_the_same_seed_gives_the_same_model(parties):
    simulation = Simulation(tree_spec(), PARAMETERS)
    models = [simulation.run(parties, SeededRandom(seed)).to_bytes() for seed in ("a", "a", "b")]
    assert models[0] == models[1] != models[2]


def test_run_releases_the_decoded_sum_of_all_replies_and_noise_shares(parties):
    simulation = Simulation(tree_spec(), PARAMETERS)
    model, rounds = rounds_of(simulation, parties)
    assert len(rounds) == model.lineage.rounds > 0
    for done in rounds:
        assert len(done.replies) == len(done.noise) == done.release.contributors == 5
        total = sum(done.replies) + sum(done.noise)
        assert np.array_equal(done.release.values, total / 2**done.terms.encoding.scale_bits)
        planned = simulation.noise_stddev(5)[done.ask.round_number - 1]
        assert done.release.noise_stddev == planned > 0
        # hundreds of values in all; each by chance zero with a probability of a few per cent
        assert all(np.any(share) for share in done.noise)


def test_terms_of_a_run_are_those_of_the_federation(parties):
    # the narrowest shares: h = n − c = 5 − 1
    simulation = Simulation(tree_spec(), PARAMETERS)
    assert {terms.noise.shares for terms in simulation.terms.rounds} == {4}
    goal = simulation.job.spec.privacy.exact_epsilon
    assert 0.98 * goal < simulation.epsilon <= goal


def test_curator_adds_the_noise_once(parties):
    curated = Simulation(tree_spec(), PARAMETERS, curator=True)
    model, rounds = rounds_of(curated, parties)
    assert [len(done.noise) for done in rounds] == [1] * len(rounds)
    assert model.lineage.placement == "curator"
    distributed = Simulation(tree_spec(), PARAMETERS)
    # n/(n − c) of the guaranteed variance, or n/(m − c) at worst; calibrated numbers are rounded in the fifth digit
    for whole, present, worst in zip(
        curated.noise_stddev(5), distributed.noise_stddev(5), distributed.noise_stddev(5, 4), strict=True
    ):
        assert present == pytest.approx(whole * math.sqrt(5 / 4), rel=1e-3)
        assert worst == pytest.approx(whole * math.sqrt(5 / 3), rel=1e-3)


def test_spare_rounds_cost_a_federation_noise_and_a_curator_none():
    spec = tree_spec()
    spare = replace(spec, rounds=spec.rounds.model_copy(update={"spare_rounds": 2}))
    assert without_spare_rounds(spare).rounds.spare_rounds == 0
    few, many = (Simulation(each, PARAMETERS).noise_stddev(5) for each in (without_spare_rounds(spare), spare))
    assert all(one < other for one, other in zip(few, many, strict=True))
    curated = [
        Simulation(each, PARAMETERS, curator=True).noise_stddev(5) for each in (without_spare_rounds(spare), spare)
    ]
    assert curated[0] == curated[1]


def test_local_placement_adds_the_whole_noise_per_party():
    local = Simulation(with_privacy(tree_spec(), placement="local"), PARAMETERS)
    curated = Simulation(tree_spec(), PARAMETERS, curator=True)
    for whole, all_of_them in zip(curated.noise_stddev(5), local.noise_stddev(5), strict=True):
        assert all_of_them == pytest.approx(whole * math.sqrt(5))


def test_without_privacy_is_the_exact_sum_for_one_party_and_for_many(parties):
    simulation = Simulation.without_privacy(tree_spec())
    pooled = play_dataset(400)
    together, alone = (simulation.run(group, SeededRandom(0)) for group in (parties, [pooled]))
    assert together.body == alone.body
    assert (together.lineage.epsilon, together.lineage.placement) == ("0", "none")
    assert math.isinf(simulation.epsilon)


@pytest.mark.parametrize(("present", "quorum", "shares"), [(5, None, 4), (5, 4, 3), (4, None, 3)])
def test_run_divides_the_noise_by_the_quorum_of_those_present(parties, present, quorum, shares):
    rounds: list[SimulatedRound] = []
    Simulation(tree_spec(), PARAMETERS).run(parties[:present], SeededRandom(0), quorum=quorum, watch=rounds.append)
    assert {done.release.contributors for done in rounds} == {present}
    assert {done.terms.noise.shares for done in rounds} == {shares}


@pytest.mark.parametrize("quorum", [3, 5])
def test_run_with_a_quorum_that_is_not_reached_raises_quorum_too_small(parties, quorum):
    with pytest.raises(QuorumTooSmall, match="from 4 to 4"):
        Simulation(tree_spec(), PARAMETERS).run(parties[:4], SeededRandom(0), quorum=quorum)


@pytest.mark.parametrize("count", [3, 6])
def test_run_with_too_few_or_too_many_parties_raises_quorum_too_small(parties, count):
    with pytest.raises(QuorumTooSmall, match="instead of 4 to 5") as caught:
        Simulation(tree_spec(), PARAMETERS).run((*parties, *parties)[:count], SeededRandom(0))
    assert caught.value.code == "quorum-too-small"


def test_simulation_of_a_quorum_below_the_federations_raises_quorum_too_small():
    with pytest.raises(QuorumTooSmall):
        Simulation(make_spec("decision_tree", {"max_depth": 1}, quorum=3), PARAMETERS)


def test_with_privacy_changes_only_what_is_named():
    changed = with_privacy(tree_spec(), epsilon="0.25", placement=Placement.LOCAL)
    assert changed.privacy.epsilon_text == "0.25"
    assert changed.privacy.placement is Placement.LOCAL
    assert (changed.config, changed.schema, changed.rounds) == (
        tree_spec().config,
        tree_spec().schema,
        tree_spec().rounds,
    )


@pytest.mark.parametrize("change", [{"epsilon": "-1"}, {"epsilon": "much"}, {"delta": "0"}, {"colour": "red"}])
def test_with_privacy_of_impossible_entry_raises_invalid_job(change):
    with pytest.raises(InvalidJob) as caught:
        with_privacy(tree_spec(), **change)
    assert caught.value.code == "invalid-job"


def test_run_of_vectors_samples_clips_and_adds_noise(parties):
    config = {"rounds": 4, "records": 400, "batch": 100, "clip_norm": "0.5", "learning_rate": "0.5"}
    simulation = Simulation(make_spec("logistic_regression", config), PARAMETERS)
    model, rounds = rounds_of(simulation, parties)
    assert model.lineage.rounds == len(rounds) == 4
    assert (
        0.98 * simulation.job.spec.privacy.exact_epsilon
        < simulation.epsilon
        <= simulation.job.spec.privacy.exact_epsilon
    )
    for done in rounds:
        scale = 2**done.terms.encoding.scale_bits
        norms = [np.linalg.norm(reply) / scale for reply in done.replies]
        # 80 records of norm 0.5 at most, of which a quarter takes part; batches of two rounds differ
        assert 0 < max(norms) < 0.5 * 60
    assert not np.array_equal(rounds[0].replies[0], rounds[1].replies[0])
    assert rounds[0].release.noise_stddev == simulation.noise_stddev(5)[0] > 0


def test_vectors_without_privacy_learn_the_rule(parties):
    config = {"rounds": 30, "records": 400, "clip_norm": "10", "learning_rate": "0.5"}
    simulation = Simulation.without_privacy(make_spec("linear_svm", config))
    model = simulation.run(parties, SeededRandom(0))
    assert scores_of(model, play_dataset(400))["accuracy"] > 0.8
