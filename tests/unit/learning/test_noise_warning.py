# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import math
from decimal import Decimal
from typing import Any

import pytest

from coterie_common.errors import DrownedInNoise
from coterie_common.learning.agreement import PlannedJob, plan_job, propose_terms
from coterie_common.learning.noise_warning import check_noise, noise_warning
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.parameters import choose_parameters
from coterie_common.protocol.terms import JobTerms
from tests.support.examples import EXAMPLES, load_job

PLAINTEXT_BITS = 3070
# An evaluation's job file names a model that somebody has to train first.
EXAMPLE_JOBS = sorted(path.name for path in (EXAMPLES / "jobs").glob("*.toml") if "evaluation" not in path.name)


def planned(
    algorithm: str,
    config: dict[str, int | str] | dict[str, int] | dict[str, list[str]],
    *,
    epsilon: str = "1",
    columns: int = 6,
    max_records: int = 1000,
    parties: int = 4,
    **privacy: Any,
) -> tuple[PlannedJob, JobTerms, int]:
    table = {
        "name": "n",
        "algorithm": algorithm,
        "dataset": "d",
        "config": config,
        "privacy": {"epsilon": Decimal(epsilon), "delta": Decimal("1e-6"), **privacy},
        "schema": {
            "label": "y",
            "max_records": max_records,
            "columns": [
                *({"name": f"x{n}", "lower": -1, "upper": 1, "bins": 10} for n in range(columns)),
                {"name": "y", "levels": ["a", "b"]},
            ],
        },
    }
    job = plan_job(JobSpec.from_table(table))
    parameters = choose_parameters(parties)
    return job, propose_terms(job, parameters, PLAINTEXT_BITS), parties


def descent(records: int, **options: Any) -> dict[str, bool | int] | dict[str, int]:
    return {"rounds": 10, "records": records, "clip_norm": 1, **options}


@pytest.mark.parametrize(
    ("algorithm", "config", "options"),
    [
        ("logistic_regression", descent(60), {}),
        ("logistic_regression", descent(60, batch=6), {}),
        ("linear_svm", descent(400), {"epsilon": "0.05"}),
        ("network", {"network": "mlp", "rounds": 10, "records": 900}, {}),
        ("federated_averaging", {"network": "mlp", "rounds": 10}, {"unit": "party"}),
        ("decision_tree", {"max_depth": 3}, {"max_records": 5}),
        ("statistics", {"histograms": ["x0", "x1", "x2"]}, {"max_records": 9, "epsilon": "0.1"}),
    ],
)
def test_noise_larger_than_what_records_add_up_to_is_named_with_the_numbers(algorithm, config, options):
    job, terms, parties = planned(algorithm, config, **options)
    warning = noise_warning(job, terms, parties)
    assert warning.startswith("noise drowns ")
    with pytest.raises(DrownedInNoise, match=r"--despite-noise") as caught:
        check_noise(job, terms, parties)
    assert caught.value.code == "drowned-in-noise"


@pytest.mark.parametrize(
    ("algorithm", "config", "options"),
    [
        ("logistic_regression", descent(4000), {}),
        ("logistic_regression", descent(40_000, batch=500), {}),
        ("network", {"network": "mlp", "rounds": 10, "records": 900}, {"epsilon": "100"}),
        ("decision_tree", {"max_depth": 3}, {}),
        ("statistics", {"histograms": ["x0", "x1", "x2"]}, {}),
        # nobody knows how many records are set aside
        ("logistic_regression", descent(4000, held_out=True), {}),
    ],
)
def test_noise_beside_which_there_is_something_to_learn_is_not_warned_of(algorithm, config, options):
    job, terms, parties = planned(algorithm, config, **options)
    assert noise_warning(job, terms, parties) == ""
    check_noise(job, terms, parties)


def test_numbers_of_a_warning_are_those_of_the_terms():
    job, terms, parties = planned("logistic_regression", descent(60, batch=6))
    (agreed, *_), (asked, *_) = terms.rounds, job.plan.rounds
    noise = agreed.noise.aggregate_stddev(parties) / 2**agreed.encoding.scale_bits
    warning = noise_warning(job, terms, parties)
    assert f"is {noise * math.sqrt(asked.length):.3g} long" in warning
    assert "sum over 6 records is at most 6 long" in warning
    assert "drowns 10 of 10 rounds" in warning


@pytest.mark.parametrize("parties", [3, 10])
def test_no_example_is_warned_of(parties):
    for name in EXAMPLE_JOBS:
        job = plan_job(JobSpec.from_table(load_job(name)))
        assert noise_warning(job, propose_terms(job, choose_parameters(parties), PLAINTEXT_BITS), parties) == ""
