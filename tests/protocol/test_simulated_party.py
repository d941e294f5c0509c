# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party and a simulated party that draw the same numbers contribute the same integers."""

from __future__ import annotations

import os
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coterie.simulation.division import as_party, deal
from coterie.simulation.job import SimulatedRound, Simulation
from coterie_common.clock import SystemClock
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.parameters import choose_parameters
from coterie_party.live.job_data import JobData
from coterie_party.training.process import TrainingLimits
from tests.support.misbehaving_algorithm import register
from tests.support.repository import ROOT
from tests.support.seeded_random import SeededRandom
from tests.support.small_jobs import make_spec, play_dataset, statistics_spec, tree_spec

PARAMETERS = choose_parameters(5)
PARTIES = tuple(map(as_party, deal(play_dataset(400), 5, SeededRandom("deal"))))
ALL_RECORDS = {"rounds": 2, "records": 400, "clip_norm": "0.5", "learning_rate": "0.5"}
SAMPLED = {**ALL_RECORDS, "batch": 100}


@dataclass(frozen=True)
class Case:
    name: str
    spec: JobSpec
    is_finite: bool = True


CASES = (
    Case("counts", statistics_spec()),
    Case("counts of a tree", tree_spec()),
    Case("vectors", make_spec("logistic_regression", ALL_RECORDS)),
    Case("sampled vectors", make_spec("logistic_regression", SAMPLED)),
    Case("vectors not finite", make_spec("overflowing", ALL_RECORDS), is_finite=False),
    Case("sampled vectors not finite", make_spec("overflowing", SAMPLED), is_finite=False),
)


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    register(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")]))


def contribution_of_a_party(simulation: Simulation, done: SimulatedRound) -> np.ndarray[Any, np.dtype[np.int64]]:
    """What a party with the records of the first one contributes to the same round, from the same random numbers."""
    data = JobData(simulation.job, PARTIES[0], TrainingLimits(), SystemClock())
    try:
        return np.concatenate(tuple(data.exact(done.ask, done.terms.encoding, SeededRandom("run"))))
    finally:
        data.close()


@pytest.mark.slow  # rounds of vectors start a process that imports numpy
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_party_and_simulated_party_contribute_the_same_integers(case):
    simulation, rounds = Simulation(case.spec, PARAMETERS), list[SimulatedRound]()
    expected = nullcontext() if case.is_finite else pytest.warns(RuntimeWarning, match="not finite count as 0")
    with expected:
        simulation.run(PARTIES, SeededRandom("run"), watch=rounds.append)
    # The first party of the first round draws first.
    contributed = contribution_of_a_party(simulation, rounds[0])
    assert contributed.tolist() == rounds[0].replies[0].tolist()
    assert np.any(contributed)
