# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The files in examples/config are what somebody copies to a host: each is read as the daemons read it."""

from __future__ import annotations

import re
import tomllib
from decimal import Decimal

import pytest

from coterie_aggregator.home.config import TEMPLATE as AGGREGATOR_TEMPLATE
from coterie_aggregator.home.config import AggregatorConfig
from coterie_common.address import DEFAULT_PORT, Address
from coterie_common.host.config import load, load_toml
from coterie_common.learning.agreement import plan_job
from coterie_common.protocol.job_spec import JobSpec
from coterie_party.home.config import TEMPLATE as PARTY_TEMPLATE
from coterie_party.home.config import PartyConfig
from coterie_party.policy.policy import DEFAULT_POLICY_TOML, load_policy
from tests.support.documented import block_after
from tests.support.repository import ROOT

SAMPLES = ROOT / "examples/config"
JOB = ROOT / "examples/jobs/nursery-tree.toml"


def entries(text: str) -> set[str]:
    """The entries that a configuration names, commented out or not."""
    lines = (line.removeprefix("# ") for line in text.splitlines())
    return {
        line.partition(" = ")[0] for line in lines if line.partition(" = ")[1] and " " not in line.partition(" = ")[0]
    }


def test_every_sample_is_read_by_a_test():
    assert {path.name for path in SAMPLES.iterdir()} == {"aggregator.toml", "party.toml", "policy.toml"}


def test_aggregator_sample_is_complete_and_says_what_holds_without_it():
    config = load(AggregatorConfig, SAMPLES / "aggregator.toml", "the configuration")
    assert config == AggregatorConfig(id=config.id)
    assert set(tomllib.loads((SAMPLES / "aggregator.toml").read_text())) == set(AggregatorConfig.model_fields)
    assert set(AggregatorConfig.model_fields) <= entries(AGGREGATOR_TEMPLATE) | {"id"}


def test_party_sample_is_complete_and_fits_the_job_sample():
    config = load(PartyConfig, SAMPLES / "party.toml", "the configuration")
    assert config.founder == "uktb-chq6-2ywh-lz5u-6rkd-x3fa-p7mn-q4ve"
    assert config.aggregator == Address("aggregator.example.org", DEFAULT_PORT)
    assert set(tomllib.loads((SAMPLES / "party.toml").read_text())) == set(PartyConfig.model_fields)
    assert JobSpec.from_table(load_toml(JOB, "the job", parse_float=Decimal)).dataset in config.datasets
    for binding in config.datasets.values():
        assert [path.name for path in binding.schemas] == [JOB.name]


def test_party_sample_names_every_entry_that_init_writes():
    assert entries(PARTY_TEMPLATE) <= entries((SAMPLES / "party.toml").read_text()) | {"{aggregator}"}


def test_policy_sample_accepts_the_job_sample_within_its_limits():
    policy = load_policy(SAMPLES / "policy.toml")
    spec = JobSpec.from_table(load_toml(JOB, "the job", parse_float=Decimal))
    assert spec.algorithm in policy.algorithms
    assert spec.privacy.placement in policy.placements
    assert spec.privacy.epsilon <= policy.epsilon_per_job
    assert spec.privacy.delta <= policy.delta_per_job
    budget = policy.budget(spec.dataset)
    assert spec.privacy.epsilon <= budget.epsilon
    assert spec.privacy.delta <= budget.delta


def test_policy_sample_agrees_to_no_more_than_the_default(tmp_path):
    (tmp_path / "policy.toml").write_text(DEFAULT_POLICY_TOML)
    default, sample = load_policy(tmp_path / "policy.toml"), load_policy(SAMPLES / "policy.toml")
    assert set(sample.algorithms) <= set(default.algorithms)
    assert set(sample.placements) <= set(default.placements)
    assert sample.lifetime.epsilon <= default.lifetime.epsilon
    assert sample.epsilon_per_job <= default.epsilon_per_job
    assert entries(DEFAULT_POLICY_TOML) <= entries((SAMPLES / "policy.toml").read_text())


def test_policy_of_the_operating_page_changes_all_that_the_default_refuses_of_its_job(tmp_path):
    spec = JobSpec.from_table(load_toml(JOB.parent / "heart-logistic.toml", "the job", parse_float=Decimal))
    changed = DEFAULT_POLICY_TOML
    for line in block_after("docs/operating.md", "#### Example: the logistic regression").splitlines():
        changed, found = re.subn(rf"(?m)^{line.partition(' = ')[0]} = .*$", line, changed)
        assert found == 1, line
    refused = []
    for text in (DEFAULT_POLICY_TOML, changed):
        (tmp_path / "policy.toml").write_text(text)
        policy = load_policy(tmp_path / "policy.toml")
        allowed = {
            "algorithm": spec.algorithm in policy.algorithms,
            "placement": spec.privacy.placement in policy.placements,
            "epsilon": spec.privacy.epsilon <= min(policy.epsilon_per_job, policy.lifetime.epsilon),
            "delta": spec.privacy.delta <= min(policy.delta_per_job, policy.lifetime.delta),
            "rounds": len(plan_job(spec).plan.rounds) == 41 <= policy.rounds_per_job,
        }
        refused.append([name for name, is_allowed in allowed.items() if not is_allowed])
    assert refused == [["algorithm", "epsilon"], []]


@pytest.mark.parametrize("name", ["aggregator.toml", "party.toml", "policy.toml"])
def test_sample_explains_every_entry(name):
    lines = (SAMPLES / name).read_text().splitlines()
    for number, line in enumerate(lines):
        if " = " in line and not line.startswith("#"):
            block = lines[:number]
            while block and block[-1]:
                if block.pop().startswith("#"):
                    break
            else:
                pytest.fail(f"{name}, line {number + 1}: no comment says what {line!r} is")
