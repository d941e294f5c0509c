# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import math
import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie_common.errors import QuorumTooSmall
from coterie_common.identifiers import JobId
from coterie_common.learning.algorithm import get_algorithm
from coterie_common.privacy.accounting.cost import Cost
from coterie_common.privacy.accounting.gaussian_dp import epsilon_at, squared_distance_of_pure
from coterie_common.privacy.noise.mechanisms import Unit
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.parameters import FederationParameters, choose_parameters
from coterie_party.policy.decision import Verdict, check_consent, check_floors, decide
from coterie_party.policy.policy import Policy
from coterie_party.store import LedgerEntry, ReservationStatus
from tests.support.policies import policy_of
from tests.support.present import present

ACCEPTED = Verdict(Decision.ACCEPTED)
FIVE = choose_parameters(5)
NOW = datetime(2026, 3, 4, 12, 0, tzinfo=UTC)
"""A Wednesday."""


def pure(epsilon: float) -> Cost:
    exact = Fraction(str(epsilon))
    return Cost(unit=Unit.RECORD, squared_distance=squared_distance_of_pure(exact), pure_epsilon=exact)


def gaussian(square: float) -> Cost:
    return Cost(unit=Unit.RECORD, squared_distance=Fraction(str(square)), pure_epsilon=None)


EXACT = Cost(unit=Unit.RECORD, unprotected=1, pure_epsilon=None)


def spec_of(
    algorithm: str = "decision_tree", config: dict[str, list[str]] | dict[str, str] | None = None, **privacy: Any
) -> JobSpec:
    table = {
        "name": "nursery-tree",
        "algorithm": algorithm,
        "dataset": "nursery",
        "config": config or {},
        "privacy": {"epsilon": Decimal(1), "delta": Decimal("1e-5")} | privacy,
        "schema": {},
    }
    return JobSpec.from_table(table)


def verdict(
    policy: Policy | None = None,
    *,
    spec: JobSpec | None = None,
    parameters: FederationParameters = FIVE,
    round_quorum: int = 4,
    job_cost: Cost | None = None,
    planned: list[LedgerEntry] | None = None,
    exact: float = math.inf,
    spent: Cost | None = None,
    entries: list[LedgerEntry] | None = None,
    local: datetime = NOW,
    is_approved: bool = False,
    run_before: JobId | None = None,
    asked_others: JobId | None = None,
) -> Verdict:
    spec = spec or spec_of()
    return decide(
        policy or policy_of(),
        spec=spec,
        algorithm=get_algorithm(spec.algorithm),
        parameters=parameters,
        round_quorum=round_quorum,
        planned=planned or [entry(job_cost or gaussian(0.04), job_id=JobId("asked"))],
        exact=lambda delta: exact,
        entries=entries if entries is not None else [] if spent is None else [entry(spent)],
        local=local,
        is_approved=is_approved,
        run_before=run_before,
        asked_others=asked_others,
    )


def refused(code: str, detail: str) -> Verdict:
    return Verdict(Decision.REFUSED, code, detail)


_NUMBERS = count()


def entry(
    cost: Cost,
    status: ReservationStatus = ReservationStatus.RESERVED,
    *,
    job_id: JobId | None = None,
    number: int = 1,
    **changes: Any,
) -> LedgerEntry:
    """A line of a job of its own, unless told otherwise."""
    return LedgerEntry(
        founder="f",
        job_id=job_id or JobId(f"job-{next(_NUMBERS)}"),
        round_number=number,
        cost=cost.to_document(),
        status=status,
        **changes,
    )


def test_decide_within_all_limits_accepts():
    assert verdict() == ACCEPTED
    assert verdict(spent=gaussian(0.04)) == ACCEPTED


def test_decide_without_automatic_holds_what_fits_and_refuses_the_rest():
    policy = policy_of("automatic = false")
    held = verdict(policy)
    assert (held.decision, held.code) == (Decision.HELD, "")
    assert "waits for its steward's word" in held.detail
    assert verdict(policy, spec=spec_of(epsilon=Decimal(2))).decision is Decision.REFUSED


def test_decide_algorithm_that_is_not_allowed_refuses():
    assert verdict(policy_of('algorithms = ["statistics"]')) == refused(
        "consent-denied", "this party does not allow the algorithm decision_tree, only: statistics"
    )
    assert "only: none" in verdict(policy_of("algorithms = []")).detail


def test_decide_network_that_is_not_allowed_refuses():
    algorithms, theirs = 'algorithms = ["network"]', spec_of("network", {"network": "theirs"})
    assert verdict(policy_of(algorithms), spec=theirs) == refused(
        "consent-denied", "this party does not allow the network theirs, only: cnn, mlp"
    )
    allowed = policy_of(f'{algorithms}\nnetworks = ["mlp", "theirs"]')
    assert verdict(allowed, spec=theirs).decision is Decision.ACCEPTED
    assert "network theirs, only: none" in verdict(policy_of(f"{algorithms}\nnetworks = []"), spec=theirs).detail
    no_name = verdict(policy_of(algorithms), spec=spec_of("network", {"network": ["cnn"]}))
    assert (no_name.code, "network ['cnn']" in no_name.detail) == ("consent-denied", True)


@pytest.mark.parametrize(
    ("asked", "detail"),
    [
        ({"epsilon": Decimal(2)}, "asks ε = 2, this party's limit per job is 1"),
        ({"epsilon": Decimal("1.0000000000000000000000000000000001")}, "asks ε = 1.0000000000000000000000000000000001"),
        ({"delta": Decimal("1.1e-5")}, "asks δ = 0.000011, this party's limit per job is 0.00001"),
    ],
)
def test_decide_over_the_limit_per_job_refuses_with_the_numbers(asked, detail):
    found = verdict(spec=spec_of(**asked))
    assert (found.decision, found.code) == (Decision.REFUSED, "budget-exhausted")
    assert found.detail.startswith(detail)


def test_decide_on_the_limit_exactly_accepts():
    policy = policy_of("epsilon_per_job = 0.3\ndelta_per_job = 0.1e-3")
    assert verdict(policy, spec=spec_of(epsilon=Decimal("0.3"), delta=Decimal("1e-4"))) == ACCEPTED


def test_decide_lifetime_spent_refuses_with_the_numbers():
    policy = policy_of("[datasets.nursery]\nepsilon = 3\ndelta = 0")
    laplace = spec_of(mechanism="discrete-laplace", delta=Decimal(0))
    assert verdict(policy, spec=laplace, job_cost=pure(1.0), spent=pure(1.5)) == ACCEPTED
    assert verdict(policy, spec=laplace, job_cost=pure(1.0), spent=pure(2.5)) == refused(
        "budget-exhausted",
        "asks ε = 1, and nursery has spent ε = 2.5: together ε = 3.5 at δ = 0, this party's limit for all jobs is 3",
    )


@pytest.mark.slow  # imports dp-accounting
def test_decide_lifetime_too_small_for_the_first_job_refuses():
    found = verdict(policy_of("[lifetime]\nepsilon = 0.01\ndelta = 1e-4"))
    assert found.code == "budget-exhausted"
    assert found.detail.startswith("asks ε = 1, and nursery has spent nothing: together ε = ")


def test_decide_over_a_limit_that_the_reported_epsilon_keeps_says_which_part_the_job_takes():
    # little of the squared distance, and more of δ than the filter gives away
    coarse = replace(gaussian(0.01), slack=Fraction(3, 10**6))
    found = verdict(policy_of("[lifetime]\nepsilon = 6\ndelta = 1e-5"), job_cost=coarse, spent=gaussian(0.01))
    assert found.code == "budget-exhausted"
    assert re.search(r"limit for all jobs is 6; counted as jobs add up, that is 180.0 % of it$", found.detail)


def test_decide_gaussian_noise_against_a_budget_without_delta_refuses():
    found = verdict(policy_of("[lifetime]\nepsilon = 10\ndelta = 0"))
    assert found.code == "budget-exhausted"
    assert "together ε = ∞ at δ = 0" in found.detail


def test_decide_uses_the_budget_of_the_data_set_of_the_job():
    policy = policy_of("[datasets.adult]\nepsilon = 0.01\ndelta = 1e-4")
    assert verdict(policy) == ACCEPTED


@given(st.lists(st.sampled_from([0.01, 0.03, 0.2]), max_size=60))
def test_decide_never_accepts_beyond_the_lifetime_budget(squares):
    policy = policy_of("[lifetime]\nepsilon = 3\ndelta = 1e-4")
    entries: list[LedgerEntry] = []
    for square in squares:
        if verdict(policy, entries=entries, job_cost=gaussian(square)) == ACCEPTED:
            entries.append(entry(gaussian(square)))
    spent = sum(Cost.from_document(line.cost).squared_distance for line in entries)
    assert epsilon_at(Fraction(spent), Fraction(0), Fraction(1, 10_000)) <= 3


def test_decide_first_job_by_its_own_epsilon_and_nothing_after_it():
    policy = policy_of("[lifetime]\nepsilon = 1\ndelta = 1e-5")
    wide = gaussian(0.0719)  # a little more than the filter allows
    assert verdict(policy, job_cost=wide, exact=0.9999) == ACCEPTED
    assert verdict(policy, job_cost=wide, exact=1.0001).code == "budget-exhausted"
    assert verdict(policy, job_cost=wide, exact=0.9999, spent=gaussian(1e-9)).code == "budget-exhausted"
    # Accepted so, it takes all, also if most of it is never asked: who stops has seen why.
    lines = [entry(gaussian(0.0719 / 4), job_id=JobId("first"), number=number) for number in range(1, 5)]
    ended = [replace(line, status=ReservationStatus.RELEASED) for line in lines[1:]]
    asked = replace(lines[0], status=ReservationStatus.COMMITTED, settled_at=NOW)
    assert verdict(policy, job_cost=gaussian(1e-6), entries=[asked, *ended], exact=0.1).code == "budget-exhausted"
    # Nothing of it was asked: nothing was seen.
    unasked = [replace(line, status=ReservationStatus.RELEASED) for line in lines]
    assert verdict(policy, job_cost=wide, entries=unasked, exact=0.9999) == ACCEPTED


def side(kind: str, square: float, *, division: str = "d", **changes: Any) -> LedgerEntry:
    return entry(gaussian(square), records=kind, division=division, reserved_at=NOW, **changes)


def test_decide_counts_training_and_set_aside_records_apart():
    policy = policy_of("[lifetime]\nepsilon = 1\ndelta = 1e-5")
    trained, evaluated = [[side(kind, 0.05)] for kind in ("training", "set-aside")]
    assert verdict(policy, planned=evaluated, entries=trained) == ACCEPTED
    assert verdict(policy, planned=trained, entries=evaluated) == ACCEPTED
    assert verdict(policy, planned=trained, entries=trained).code == "budget-exhausted"
    found = verdict(policy, planned=evaluated, entries=[*trained, *evaluated])
    assert "of the records set aside" in found.detail
    # What counts all records counts on both sides.
    everything = [side("all", 0.05)]
    for kind in (trained, evaluated):
        assert verdict(policy, planned=everything, entries=kind).code == "budget-exhausted"
        assert verdict(policy, planned=kind, entries=everything).code == "budget-exhausted"


def test_decide_counts_lines_of_another_division_on_both_sides():
    # Another fraction or salt: a record that was trained with may be set aside now.
    policy = policy_of("[lifetime]\nepsilon = 1\ndelta = 1e-5")
    before = [side("training", 0.05, division="another")]
    assert verdict(policy, planned=[side("set-aside", 0.05)], entries=before).code == "budget-exhausted"


def test_decide_job_that_costs_nothing_refuses():
    assert verdict(job_cost=Cost(unit=Unit.RECORD)).code == "unsupported-mechanism"


def test_decide_costs_of_different_units_refuse():
    assert verdict(spent=Cost(unit=Unit.PARTY, pure_epsilon=Fraction(1))).code == "unsupported-mechanism"


def test_decide_after_a_release_without_noise_refuses_every_other_job():
    found = verdict(spent=EXACT)
    assert found.code == "budget-exhausted"
    assert "has spent ε = ∞" in found.detail


def test_decide_job_without_noise_needs_its_digest_in_the_policy():
    exact = spec_of(placement="none")
    found = verdict(spec=exact, job_cost=EXACT)
    assert found == refused(
        "consent-denied",
        f"the job adds no noise, which this party allows per job only; digest {exact.digest.hex()}",
    )
    policy = policy_of(f'jobs_without_noise = ["{exact.digest.hex()}"]')
    assert verdict(policy, spec=exact, job_cost=EXACT, spent=EXACT) == ACCEPTED
    other = spec_of(placement="none", epsilon=Decimal(2))
    assert verdict(policy, spec=other, job_cost=EXACT).code == "consent-denied"


def test_decide_job_without_noise_is_accepted_once():
    exact = spec_of(placement="none")
    policy = policy_of(f'jobs_without_noise = ["{exact.digest.hex()}"]')
    found = verdict(policy, spec=exact, job_cost=EXACT, run_before=JobId("play-1"))
    assert found.code == "consent-denied"
    assert "used by job play-1" in found.detail
    assert verdict(run_before=JobId("play-1")) == ACCEPTED


def test_decide_job_without_noise_after_one_of_other_parties_refuses():
    exact = spec_of(placement="none")
    policy = policy_of(f'jobs_without_noise = ["{exact.digest.hex()}"]')
    assert verdict(policy, spec=exact, job_cost=EXACT) == ACCEPTED
    again = verdict(policy, spec=exact, job_cost=EXACT, asked_others=JobId("exact-1"))
    assert again.decision is Decision.REFUSED
    assert again.code == "consent-denied"
    assert "exact-1" in again.detail
    # With noise of its own, a sum may have any contributors.
    assert verdict(asked_others=JobId("exact-1")) == ACCEPTED


def test_decide_placement_that_is_not_allowed_refuses():
    local = spec_of(placement="local")
    assert verdict(spec=local) == refused("consent-denied", "this party does not allow noise placed local")
    assert verdict(policy_of('placements = ["local"]'), spec=local) == ACCEPTED
    assert verdict(policy_of('placements = ["local"]')).code == "consent-denied"


def test_decide_more_rounds_than_allowed_refuses():
    plan = [entry(gaussian(0.0001), job_id=JobId("asked"), number=number) for number in range(1, 102)]
    assert verdict(planned=plan[:100]) == ACCEPTED
    assert verdict(planned=plan) == refused("consent-denied", "plans 101 rounds, this party's limit per job is 100")


def test_decide_below_the_floors_refuses():
    policy = policy_of("minimum_cohort = 6")
    assert verdict(policy) == refused("quorum-too-small", "5 parties are asked, this party's limit is at least 6")
    policy = policy_of("minimum_quorum = 5")
    assert verdict(policy) == refused(
        "quorum-too-small", "a sum may hold as few as 4 replies, this party's limit is at least 5"
    )
    assert verdict(policy, round_quorum=5) == ACCEPTED


def test_check_floors_of_a_query_with_a_shrunk_cohort_raises():
    policy = policy_of("minimum_cohort = 5\nminimum_quorum = 4")
    check_floors(policy, cohort=5, round_quorum=4)
    with pytest.raises(QuorumTooSmall):
        check_floors(policy, cohort=4, round_quorum=4)


def test_check_consent_of_a_data_set_that_is_not_allowed_raises():
    policy = policy_of('allowed_datasets = ["adult"]')
    assert verdict(policy) == refused("consent-denied", "this party does not allow jobs on the data set nursery")
    check_consent(policy_of('allowed_datasets = ["nursery"]'), spec_of(), get_algorithm("decision_tree"))


def test_decide_algorithms_of_a_data_set_count_instead_of_the_others():
    policy = policy_of('[datasets.nursery]\nalgorithms = ["statistics"]')
    assert verdict(policy).detail == "this party does not allow the algorithm decision_tree, only: statistics"
    assert verdict(policy, spec=spec_of("statistics")) == ACCEPTED


def test_decide_approved_job_is_accepted_if_it_still_fits():
    policy = policy_of("automatic = false")
    assert verdict(policy, is_approved=True) == ACCEPTED
    assert verdict(policy, is_approved=True, spent=gaussian(100.0)).code == "budget-exhausted"
    assert verdict(policy, is_approved=True, spec=spec_of(epsilon=Decimal(2))).code == "budget-exhausted"


def test_decide_outside_the_hours_holds():
    policy = policy_of('[[hours]]\nfrom = "20:00"\nuntil = "06:00"')
    found = verdict(policy)
    assert (found.decision, found.code) == (Decision.HELD, "")
    assert "from 20:00 until 06:00 only, local time" in found.detail
    assert verdict(policy, local=NOW.replace(hour=22)) == ACCEPTED


PERIOD = """
[[periods]]
days = 30
epsilon = 3
delta = 0
"""


def laplace(**privacy: Any) -> JobSpec:
    return spec_of(mechanism="discrete-laplace", delta=Decimal(0), **privacy)


def spent_before(
    days: float, *, epsilon: float = 2.5, status: ReservationStatus = ReservationStatus.COMMITTED
) -> LedgerEntry:
    spent = entry(pure(epsilon), status)
    return replace(spent, settled_at=None if status is ReservationStatus.RESERVED else NOW - timedelta(days=days))


def test_decide_over_the_limit_of_a_period_refuses_with_the_numbers():
    found = verdict(policy_of(PERIOD), spec=laplace(), job_cost=pure(1.0), entries=[spent_before(29.9)])
    assert found == refused(
        "budget-exhausted",
        "asks ε = 1, and nursery has spent ε = 2.5: together ε = 3.5 at δ = 0, this party's limit for any 30 days is 3",
    )


def test_decide_forgets_what_was_spent_before_the_period_but_not_for_life():
    policy = policy_of(PERIOD)
    assert verdict(policy, spec=laplace(), job_cost=pure(1.0), entries=[spent_before(30)]) == ACCEPTED
    long_ago = [spent_before(3000, epsilon=9.5)]
    assert "limit for all jobs is 10" in verdict(policy, spec=laplace(), job_cost=pure(1.0), entries=long_ago).detail


def test_decide_counts_what_is_reserved_in_every_period():
    # A round may be asked long after its job was accepted.
    reserved = spent_before(3000, status=ReservationStatus.RESERVED)
    found = verdict(policy_of(PERIOD), spec=laplace(), job_cost=pure(1.0), entries=[reserved])
    assert found.code == "budget-exhausted"
    given_back = spent_before(1, status=ReservationStatus.RELEASED)
    assert verdict(policy_of(PERIOD), spec=laplace(), job_cost=pure(1.0), entries=[given_back]) == ACCEPTED


@given(st.data())
def test_decide_never_lets_any_period_overrun(data):
    """Jobs are accepted, and their rounds spent, at any times: every window of 30 days stays within the limit."""
    policy, now, spent = policy_of(PERIOD), NOW, []
    reserved: list[LedgerEntry] = []
    for _ in range(data.draw(st.integers(1, 25))):
        now += timedelta(days=data.draw(st.integers(0, 20)))
        if reserved and data.draw(st.booleans()):
            line = reserved.pop(data.draw(st.integers(0, len(reserved) - 1)))
            spent.append(replace(line, status=ReservationStatus.COMMITTED, settled_at=now))
        elif verdict(policy, spec=laplace(), job_cost=pure(0.75), entries=[*spent, *reserved], local=now) == ACCEPTED:
            reserved.append(entry(pure(0.75)))
    for last in spent:
        end = present(last.settled_at)
        window = [line for line in spent if end - timedelta(days=30) < present(line.settled_at) <= end]
        assert len(window) * 0.75 <= 3
