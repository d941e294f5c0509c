# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Spare rounds: how many there are, for which steps, and at what price they are reserved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from coterie_common.errors import CoterieError
from coterie_common.learning.agreement import (
    DIRECT_SHARE_STDDEV,
    PADDED_SHARE_STDDEV,
    PlannedJob,
    check_terms,
    plan_job,
    propose_terms,
)
from coterie_common.learning.spare_rounds import spare_kinds, spare_rounds
from coterie_common.privacy.accounting.cost import costs
from coterie_common.privacy.accounting.epsilon import epsilon_of
from coterie_common.privacy.event import Event
from coterie_common.protocol.parameters import FederationParameters, choose_parameters
from coterie_common.protocol.terms import JobTerms, SealingKind
from coterie_party.policy.booking import book
from tests.support.small_jobs import make_spec, statistics_spec, tree_spec

PARAMETERS, BITS = choose_parameters(5), 3070
LINEAR: dict[str, Any] = {"rounds": 100, "records": 400, "clip_norm": "0.5", "learning_rate": "0.5"}


def descent(spare: int | None, **config: Any) -> PlannedJob:
    job = plan_job(make_spec("logistic_regression", {**LINEAR, **config}, spare_rounds=spare or 0))
    return without_number(job) if spare is None else job


def without_number(job: PlannedJob) -> PlannedJob:
    settings = job.spec.rounds.model_copy(update={"spare_rounds": None})
    return replace(job, spec=replace(job.spec, rounds=settings))


def kinds_of(job: PlannedJob) -> list[tuple[int, int, int]]:
    kinds = spare_kinds(job.spec, job.plan, job.algorithm.records)
    return [(kind.count, kind.steps[0], kind.steps[-1]) for kind in kinds]


@pytest.mark.parametrize(("rounds", "spare"), [(1, 1), (39, 1), (40, 2), (100, 5)])
def test_job_has_five_per_cent_of_its_steps_to_spare_and_at_least_one(rounds, spare):
    job = descent(None, rounds=rounds)
    assert spare_rounds(job.spec, job.plan) == spare
    assert kinds_of(job) == [(spare, 1, rounds)]


def test_job_without_noise_has_none_unless_it_says_so():
    exact = without_number(plan_job(statistics_spec(privacy={"placement": "none"})))
    assert (spare_rounds(exact.spec, exact.plan), kinds_of(exact)) == (0, [])
    stated = plan_job(statistics_spec(privacy={"placement": "none"}, spare_rounds=2))
    assert kinds_of(stated) == [(2, 1, 1)]


def test_steps_of_a_rare_kind_have_as_few_spare_rounds():
    job = descent(None, batch=100, scaling="statistics", held_out=True)
    assert kinds_of(job) == [(1, 1, 1), (5, 2, 101), (1, 102, 102)]
    terms = propose_terms(job, PARAMETERS, BITS)
    assert (terms.spares.rounds, len(terms.events)) == (5, 102 + 7)
    assert [terms.spares.lines(step, 102) for step in (1, 2, 101, 102)] == [
        range(103, 104),
        range(104, 109),
        range(104, 109),
        range(109, 110),
    ]


JOBS: dict[str, PlannedJob] = {}


def job_named(name: str) -> PlannedJob:
    """Plan a job once; planning at import would cost every collection."""
    makers = {
        "tree": lambda: plan_job(tree_spec(spare_rounds=1)),
        "tree with Laplace noise": lambda: plan_job(
            tree_spec(spare_rounds=1, privacy={"mechanism": "discrete-laplace", "delta": Decimal(0)})
        ),
        "statistics": lambda: plan_job(statistics_spec(spare_rounds=3)),
        "all records": lambda: descent(2, rounds=5, held_out=True),
        "sampled": lambda: descent(2, rounds=20, batch=100, scaling="statistics", held_out=True),
    }
    return JOBS.setdefault(name, makers[name]())


NAMES = ["tree", "tree with Laplace noise", "statistics", "all records", "sampled"]


@pytest.mark.parametrize("name", NAMES)
def test_reported_epsilon_includes_the_spare_rounds_and_keeps_the_promise(name):
    job = job_named(name)
    terms = propose_terms(job, PARAMETERS, BITS)
    read = JobTerms.from_bytes(terms.to_bytes())
    assert (read, read.to_bytes()) == (terms, terms.to_bytes())
    events = check_terms(job, read, PARAMETERS, BITS)
    goal = job.spec.privacy
    steps = [each.event for each in terms.rounds]
    alone, together = (epsilon_of(each, goal.exact_delta) for each in (steps, events))
    assert alone < together <= goal.exact_epsilon
    assert together > 0.98 * float(goal.exact_epsilon)


@pytest.mark.parametrize("name", NAMES)
def test_spare_line_covers_whatever_it_repeats(name):
    job = job_named(name)
    terms = propose_terms(job, PARAMETERS, BITS)
    lines, steps = book(job.plan, job.algorithm.records, terms.events, terms.spares), len(terms.rounds)
    assert [line.round_number for line in lines] == list(range(1, len(terms.events) + 1))
    prices = costs(terms.events)
    for step in range(1, steps + 1):
        for number in terms.spares.lines(step, steps):
            assert prices[number - 1].covers(prices[step - 1])
            assert lines[number - 1].records == lines[step - 1].records


@pytest.mark.parametrize("name", NAMES)
def test_job_that_repeats_the_most_expensive_step_each_time_stays_within_its_epsilon(name):
    job = job_named(name)
    terms = propose_terms(job, PARAMETERS, BITS)
    goal = job.spec.privacy
    steps = [each.event for each in terms.rounds]

    def worst(kind_steps: Sequence[int]) -> Event:
        return max((steps[step - 1] for step in kind_steps), key=lambda each: epsilon_of([each], goal.exact_delta))

    for kind in spare_kinds(job.spec, job.plan, job.algorithm.records):
        repeated = [worst(kind.steps)] * kind.count
        assert epsilon_of([*steps, *repeated], goal.exact_delta) <= goal.exact_epsilon


def cheaper(terms: JobTerms) -> JobTerms:
    """Terms whose spare rounds are reserved as if they were nearly nothing."""
    kinds = tuple(replace(kind, count=1) for kind in terms.spares.kinds)
    return replace(terms, spares=replace(terms.spares, kinds=kinds))


@pytest.mark.parametrize(
    "change",
    [
        lambda terms: replace(terms, spares=replace(terms.spares, rounds=terms.spares.rounds + 1)),
        lambda terms: replace(terms, spares=replace(terms.spares, rounds=0)),
        cheaper,
    ],
    ids=["more rounds", "none", "fewer lines"],
)
def test_terms_with_other_spare_rounds_than_the_plans_are_refused(change):
    job = job_named("statistics")
    with pytest.raises(CoterieError) as refusal:
        check_terms(job, change(propose_terms(job, PARAMETERS, BITS)), PARAMETERS, BITS)
    assert refusal.value.code == "parameter-mismatch"


# Scale follows the narrowest shares.


def federations(largest: int) -> list[FederationParameters]:
    """Return one federation for every number of narrowest shares, and of parties, up to ``largest``."""
    return [choose_parameters(n, corruption_bound=c) for n in range(3, largest + 1) for c in range(1, n - 1)]


@pytest.mark.slow  # the noise of two jobs is chosen for 36 federations
def test_narrowest_share_is_wide_enough_in_every_federation():
    direct = plan_job(statistics_spec(spare_rounds=1))
    padded = plan_job(make_spec("statistics", {"histograms": ["site"]}, dataset="wide", name="wide", spare_rounds=1))
    for parameters in federations(10):
        narrowest = parameters.honest_shares(parameters.parties)
        for job, bits, sealing, stddev in (
            (direct, BITS, SealingKind.DIRECT, DIRECT_SHARE_STDDEV),
            (padded, 510, SealingKind.PADDED, PADDED_SHARE_STDDEV),
        ):
            (terms,) = propose_terms(job, parameters, bits).rounds
            assert terms.sealing is sealing
            assert terms.noise.in_shares(narrowest).share_variance >= stddev**2
            assert terms.noise.share_variance == terms.noise.in_shares(narrowest).share_variance


def test_variance_of_a_release_is_the_same_whatever_its_quorum():
    (terms,) = propose_terms(job_named("statistics"), PARAMETERS, BITS).rounds
    for quorum in (4, 5):
        shares = PARAMETERS.honest_shares(quorum)
        guaranteed = Fraction(terms.in_shares(shares).noise.share_variance) * shares
        assert float(guaranteed) == pytest.approx(float(terms.noise.gaussian_variance or 0))
