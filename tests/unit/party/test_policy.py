# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import tomllib
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie_common.errors import ConfigurationError, QuorumTooSmall, StorageError, UnsupportedMechanism
from coterie_common.privacy.cost import ORDERS, Cost
from coterie_common.privacy.noise import Unit
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import Decision
from coterie_common.protocol.parameters import choose_parameters
from coterie_party.policy import (
    DEFAULT_POLICY_TOML,
    Policy,
    Verdict,
    check_floors,
    decide,
    load_policy,
    spent_cost,
)
from coterie_party.store import LedgerEntry, ReservationStatus

ACCEPTED = Verdict(Decision.ACCEPTED)
FIVE = choose_parameters(5)


def pure(epsilon):
    return Cost(unit=Unit.RECORD, pure_epsilon=epsilon)


def gaussian(rho):
    return Cost(unit=Unit.RECORD, divergences=tuple(order * rho for order in ORDERS))


EXACT = Cost(unit=Unit.RECORD, unprotected=1)


def spec_of(algorithm="decision_tree", config=None, **privacy):
    table = {
        "name": "nursery-tree",
        "algorithm": algorithm,
        "dataset": "nursery",
        "config": config or {},
        "privacy": {"epsilon": Decimal(1), "delta": Decimal("1e-5")} | privacy,
        "schema": {},
    }
    return JobSpec.from_table(table)


def policy_of(text="", *, without=()):
    lines = [line for line in DEFAULT_POLICY_TOML.splitlines() if not any(line.startswith(key) for key in without)]
    own = tomllib.loads(text, parse_float=Decimal)
    table = tomllib.loads("\n".join(lines), parse_float=Decimal)
    return Policy.model_validate(table | own)


def verdict(
    policy=None, *, spec=None, parameters=FIVE, round_quorum=4, rounds=3, job_cost=None, spent=None, run_before=None
):
    return decide(
        policy or policy_of(),
        spec=spec or spec_of(),
        parameters=parameters,
        round_quorum=round_quorum,
        rounds=rounds,
        job_cost=job_cost or gaussian(0.02),
        spent=spent,
        run_before=run_before,
    )


def refused(code, detail):
    return Verdict(Decision.REFUSED, code, detail)


# The file.


def test_default_policy_is_what_it_says(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(DEFAULT_POLICY_TOML)
    policy = load_policy(path)
    assert policy == policy_of()
    assert policy.automatic
    assert policy.algorithms == ("decision_tree", "evaluation", "statistics")
    assert policy.networks == ("cnn", "mlp")
    assert [placement.value for placement in policy.placements] == ["distributed"]
    assert policy.jobs_without_noise == ()
    assert (policy.epsilon_per_job, policy.delta_per_job) == (1, Decimal("1e-5"))
    assert (policy.budget("nursery").epsilon, policy.budget("nursery").delta) == (10, Decimal("1e-4"))


def test_default_policy_commented_out_entries_are_valid():
    uncommented = DEFAULT_POLICY_TOML.replace("# [datasets", "[datasets").replace("\n# epsilon", "\nepsilon")
    table = tomllib.loads(uncommented.replace("\n# delta", "\ndelta"), parse_float=Decimal)
    policy = Policy.model_validate(table)
    assert policy.budget("nursery").epsilon == 4
    assert policy.budget("adult").epsilon == 10


def test_load_policy_keeps_decimals_exact(tmp_path):
    path = tmp_path / "policy.toml"
    path.write_text(DEFAULT_POLICY_TOML.replace("epsilon_per_job = 1.0", "epsilon_per_job = 0.1"))
    assert Fraction(load_policy(path).epsilon_per_job) == Fraction(1, 10)


@pytest.mark.parametrize(
    ("line", "instead", "words"),
    [
        ("automatic = true", "", "automatic is missing"),
        ("automatic = true", 'automatic = "yes"', "automatic: input should be a valid boolean"),
        ("automatic = true", "automatic = true\nautomatik = true", "automatik is not a known key"),
        ("automatic = true", "automatic = maybe", "is not valid TOML"),
        ("epsilon_per_job = 1.0", "epsilon_per_job = 0", "epsilon_per_job: input should be greater than 0"),
        ("epsilon_per_job = 1.0", "epsilon_per_job = inf", "epsilon_per_job: input should be a finite number"),
        ("epsilon_per_job = 1.0", "epsilon_per_job = true", "epsilon_per_job: must be a decimal number"),
        ("delta_per_job = 1e-5", "delta_per_job = 0.5", "delta_per_job: must be from 0 to 0.01"),
        ("delta_per_job = 1e-5", "delta_per_job = -1e-9", "delta_per_job: must be from 0 to 0.01"),
        ("rounds_per_job = 100", "rounds_per_job = 0", "rounds_per_job: input should be greater"),
        ("minimum_cohort = 3", "minimum_cohort = 2", "minimum_cohort: input should be greater"),
        ("minimum_quorum = 3", "minimum_quorum = 1.5", "minimum_quorum: input should be a valid integer"),
        ("[lifetime]", "[lifetimes]", "lifetime is missing; lifetimes is not a known key"),
        ("epsilon = 10.0", "", "lifetime.epsilon is missing"),
        ('["distributed"]', '["distributed", "none"]', r'placements: "none" is allowed per job only'),
        ('["distributed"]', '["everywhere"]', 'placements: must be a list of "distributed" or "local"'),
        ('["distributed"]', '"distributed"', 'placements: must be a list of "distributed" or "local"'),
        ("jobs_without_noise = []", 'jobs_without_noise = ["nursery"]', r"jobs_without_noise.0: string should match"),
        ("jobs_without_noise = []", "jobs_without_noise = 3", "jobs_without_noise: input should be a valid tuple"),
        ('"statistics"]', "7]", r"algorithms.2: input should be a valid string"),
    ],
)
def test_load_policy_of_impossible_entry_names_it(tmp_path, line, instead, words):
    path = tmp_path / "policy.toml"
    assert line in DEFAULT_POLICY_TOML
    path.write_text(DEFAULT_POLICY_TOML.replace(line, instead, 1))
    with pytest.raises(ConfigurationError, match=words) as raised:
        load_policy(path)
    assert str(path) in raised.value.message
    assert "\n" not in raised.value.message.removeprefix(str(path))


def test_load_policy_that_is_missing_raises(tmp_path):
    with pytest.raises(ConfigurationError, match=r"the policy .*policy\.toml does not exist"):
        load_policy(tmp_path / "policy.toml")


# What the ledger's lines add up to.


def entry(cost, status=ReservationStatus.RESERVED):
    return LedgerEntry(founder="f", job_id="job-1", round_number=1, cost=cost.to_document(), status=status)


def test_spent_cost_counts_what_is_reserved_or_committed():
    entries = [entry(pure(float(1 << position)), status) for position, status in enumerate(ReservationStatus)]
    assert spent_cost(entries) == pure(1.0) + pure(2.0)


@pytest.mark.parametrize("entries", [[], [entry(pure(1.0), ReservationStatus.RELEASED)]])
def test_spent_cost_of_nothing_is_none(entries):
    assert spent_cost(entries) is None


def test_spent_cost_that_cannot_be_read_raises():
    with pytest.raises(StorageError, match="privacy ledger cannot be read"):
        spent_cost([replace(entry(pure(1.0)), cost={"epsilon": 0})])


def test_spent_cost_of_different_units_raises():
    with pytest.raises(UnsupportedMechanism):
        spent_cost([entry(pure(1.0)), entry(Cost(unit=Unit.PARTY, pure_epsilon=1.0))])


# The decision.


def test_decide_within_all_limits_accepts():
    assert verdict() == ACCEPTED
    assert verdict(spent=gaussian(0.02)) == ACCEPTED


def test_decide_without_automatic_holds_what_fits_and_refuses_the_rest():
    policy = policy_of("automatic = false")
    held = verdict(policy)
    assert (held.decision, held.code) == (Decision.HELD, "")
    assert "not to accept jobs automatically" in held.detail
    assert verdict(policy, spec=spec_of(epsilon=Decimal(2))).decision is Decision.REFUSED


def test_decide_algorithm_that_is_not_allowed_refuses():
    assert verdict(policy_of('algorithms = ["statistics"]')) == refused(
        "consent-denied", "this party does not allow the algorithm decision_tree, only: statistics"
    )
    assert "only: none" in verdict(policy_of("algorithms = []")).detail


def test_decide_network_that_is_not_allowed_refuses():
    theirs = spec_of(config={"network": "theirs"})
    assert verdict(spec=theirs) == refused(
        "consent-denied", "this party does not allow the network theirs, only: cnn, mlp"
    )
    assert verdict(policy_of('networks = ["mlp", "theirs"]'), spec=theirs).decision is Decision.ACCEPTED
    assert "only: none" in verdict(policy_of("networks = []"), spec=theirs).detail
    assert verdict(spec=spec_of(config={"network": ["cnn"]})).code == "consent-denied"


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


def test_decide_gaussian_noise_against_a_budget_without_delta_refuses():
    found = verdict(policy_of("[lifetime]\nepsilon = 10\ndelta = 0"))
    assert found.code == "budget-exhausted"
    assert "together ε = ∞ at δ = 0" in found.detail


def test_decide_uses_the_budget_of_the_data_set_of_the_job():
    policy = policy_of("[datasets.adult]\nepsilon = 0.01\ndelta = 1e-4")
    assert verdict(policy) == ACCEPTED


@pytest.mark.slow  # imports dp-accounting, and converts a cost per example
@given(st.integers(0, 60))
def test_decide_never_accepts_beyond_the_lifetime_budget(jobs):
    policy, spent = policy_of("[lifetime]\nepsilon = 3\ndelta = 1e-4"), None
    for _ in range(jobs):
        if verdict(policy, spent=spent, job_cost=gaussian(0.02)).decision is not Decision.ACCEPTED:
            break
        spent = gaussian(0.02) if spent is None else spent + gaussian(0.02)
    assert spent is None or spent.epsilon(Fraction(1, 10_000)) <= 3


def test_decide_job_that_costs_nothing_refuses():
    assert verdict(job_cost=Cost(unit=Unit.RECORD)).code == "unsupported-mechanism"


def test_decide_costs_of_different_units_refuse():
    assert verdict(spent=Cost(unit=Unit.PARTY, pure_epsilon=1.0)).code == "unsupported-mechanism"


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
    found = verdict(policy, spec=exact, job_cost=EXACT, run_before="play-1")
    assert found.code == "consent-denied"
    assert "used by job play-1" in found.detail
    assert verdict(run_before="play-1") == ACCEPTED


def test_decide_placement_that_is_not_allowed_refuses():
    local = spec_of(placement="local")
    assert verdict(spec=local) == refused("consent-denied", "this party does not allow noise placed local")
    assert verdict(policy_of('placements = ["local"]'), spec=local) == ACCEPTED
    assert verdict(policy_of('placements = ["local"]')).code == "consent-denied"


def test_decide_more_rounds_than_allowed_refuses():
    assert verdict(rounds=100) == ACCEPTED
    assert verdict(rounds=101) == refused("consent-denied", "plans 101 rounds, this party's limit per job is 100")


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
