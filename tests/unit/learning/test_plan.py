# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from coterie_common.errors import InvalidJob
from coterie_common.learning.plan import Plan, PlannedCountRound, PlannedVectorRound
from coterie_common.limits import MAX_ROUNDS
from coterie_common.privacy.noise.mechanisms import Unit

ROUND = PlannedCountRound(length=4, lower=0, upper=10, l0=2, linf=1)


@pytest.mark.parametrize(
    "wrong",
    [
        {"length": 0},
        {"lower": 1},
        {"upper": -1},
        {"upper": 0},
        {"l0": 0},
        {"l0": 5},
        {"linf": 0},
        {"noise_factor": Fraction(0)},
    ],
)
def test_planned_round_with_impossible_number_raises_invalid_job(wrong):
    with pytest.raises(InvalidJob) as caught:
        replace(ROUND, **wrong)
    assert caught.value.code == "invalid-job"


@pytest.mark.parametrize("rounds", [0, MAX_ROUNDS + 1])
def test_plan_with_impossible_number_of_rounds_raises_invalid_job(rounds):
    with pytest.raises(InvalidJob, match=f"not {rounds}"):
        Plan(Unit.RECORD, (ROUND,) * rounds)


VECTORS = PlannedVectorRound(length=4, clip_norm=Fraction(1, 10), sampling_rate=Fraction(1, 30))


@pytest.mark.parametrize(
    "wrong",
    [
        {"length": 0},
        {"clip_norm": Fraction(0)},
        {"clip_norm": Fraction(-1)},
        {"noise_factor": Fraction(0)},
        {"sampling_rate": Fraction(0)},
        {"sampling_rate": Fraction(31, 30)},
    ],
)
def test_planned_vector_round_with_impossible_number_raises_invalid_job(wrong):
    with pytest.raises(InvalidJob) as caught:
        replace(VECTORS, **wrong)
    assert caught.value.code == "invalid-job"


def test_plan_may_mix_rounds_of_counts_and_of_vectors():
    assert Plan(Unit.RECORD, (ROUND, VECTORS)).rounds == (ROUND, VECTORS)


def test_plan_that_samples_records_of_protected_parties_raises_invalid_job():
    with pytest.raises(InvalidJob, match="amplification"):
        Plan(Unit.PARTY, (VECTORS,))
