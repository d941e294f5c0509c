# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import re
import tomllib
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

import pytest

from coterie_common.errors import ConfigurationError
from coterie_party.policy.policy import DEFAULT_POLICY_TOML, Budget, Policy, load_policy
from tests.support.policies import policy_of


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
    uncommented = re.sub(r"^# (\[|[a-z_]+ = )", r"\1", DEFAULT_POLICY_TOML, flags=re.MULTILINE)
    policy = Policy.model_validate(tomllib.loads(uncommented, parse_float=Decimal))
    assert set(tomllib.loads(uncommented)) == set(Policy.model_fields)
    assert policy.budget("nursery").epsilon == 4
    assert policy.budget("adult").epsilon == 10
    assert [(limit.days, limit.budget.epsilon) for limit in policy.limits("nursery")] == [(None, 4), (30, 1)]
    assert [(limit.days, limit.budget.epsilon) for limit in policy.limits("adult")] == [(None, 10), (90, 2)]
    assert (policy.accepts_by_itself("nursery"), policy.accepts_by_itself("adult")) == (False, True)
    assert policy.algorithms_on("nursery") == ("statistics",)
    assert policy.hours_in_words() == "mon, tue, wed, thu, fri from 20:00 until 06:00"


def test_policy_of_a_data_set_says_only_what_is_other():
    policy = policy_of("[datasets.nursery]\nautomatic = false\n[datasets.adult]\nperiods = []")
    assert policy.budget("nursery") == Budget(epsilon=Decimal(10), delta=Decimal("1e-4"))
    assert policy.algorithms_on("nursery") == policy.algorithms
    assert not policy.accepts_by_itself("nursery")
    with_periods = policy_of("periods = [{ days = 7, epsilon = 1, delta = 0 }]\n[datasets.adult]\nperiods = []")
    assert len(list(with_periods.limits("nursery"))) == 2
    assert len(list(with_periods.limits("adult"))) == 1


@pytest.mark.parametrize(
    ("automatic", "is_approved", "hour", "words"),
    [
        ("true", False, 21, ""),
        ("true", False, 12, "starts jobs from 20:00 until 06:00 only"),
        ("false", False, 21, "waits for its steward's word"),
        ("false", True, 21, ""),
        ("false", True, 12, "starts jobs from 20:00 until 06:00 only"),
    ],
)
def test_reason_to_hold(automatic, is_approved, hour, words):
    policy = policy_of(f'automatic = {automatic}\n[[hours]]\nfrom = "20:00"\nuntil = "06:00"')
    reason = policy.reason_to_hold("nursery", datetime(2026, 3, 4, hour), is_approved=is_approved)
    assert words in reason
    assert bool(words) == bool(reason)


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
        ("[lifetime]", "[[periods]]\ndays = 0\nepsilon = 1\ndelta = 0\n[lifetime]", "periods.0.days: input should be"),
        ("[lifetime]", "[[periods]]\ndays = 9\nepsilon = 1\n[lifetime]", "periods.0.delta is missing"),
        (
            "[lifetime]",
            '[[hours]]\nfrom = "8:00"\nuntil = "24:00"\n[lifetime]',
            'hours.0.from: must be a time from "00',
        ),
        ("[lifetime]", '[[hours]]\nfrom = "08:00"\nuntil = "08:00"\n[lifetime]', "hours.0: from and until must diff"),
        ("[lifetime]", '[[hours]]\nfrom = "08:00"\n[lifetime]', "hours.0.until is missing"),
        ("[lifetime]", '[[hours]]\nfrom = "08:00"\nuntil = "24:01"\n[lifetime]', "hours.0.until: must be a time"),
        (
            "[lifetime]",
            '[[hours]]\ndays = ["monday"]\nfrom = "08:00"\nuntil = "09:00"\n[lifetime]',
            "hours.0.days: must be a list of mon, tue",
        ),
        ("[lifetime]", "[datasets.x]\nepsilon = 1\n[lifetime]", "datasets.x: a budget has both epsilon and delta"),
        ("[lifetime]", "[datasets.x]\nautomatik = false\n[lifetime]", "datasets.x.automatik is not a known key"),
        ("automatic = true", 'automatic = true\nallowed_datasets = "x"', "allowed_datasets: input should be a valid"),
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
