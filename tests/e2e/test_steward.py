# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A steward at work beside a daemon that runs: an edited policy, a held job approved, another refused, the ledger."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from coterie_common.files import write_atomically
from tests.support.running import RunningFederation

PARTY = "party-1"


@pytest.fixture
def holding(running: RunningFederation) -> Iterator[RunningFederation]:
    """The first party holds jobs, and accepts them again afterwards; it is never restarted."""
    before = (running.party_folder(PARTY) / "home/policy.toml").read_text()
    edit(running, before.replace("automatic = true", "automatic = false"))
    yield running
    edit(running, before)


def edit(running: RunningFederation, policy: str) -> None:
    """Write another policy, and wait until the daemon goes by it."""
    seen = log_of(running).count("policy changed")
    write_atomically(running.party_folder(PARTY) / "home/policy.toml", policy.encode())
    running.wait_until(lambda: log_of(running).count("policy changed") > seen, "the daemon to notice")


def log_of(running: RunningFederation) -> str:
    return (running.party_folder(PARTY) / f"{PARTY}.log").read_text()


def steward(running: RunningFederation, *arguments: str) -> subprocess.CompletedProcess[str]:
    return running.run("coterie-party", *arguments, "--home", "home", folder=running.party_folder(PARTY))


def shown(running: RunningFederation, *arguments: str) -> Any:
    done = steward(running, *arguments, "--json")
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


def wait_until_held(running: RunningFederation, job_id: str) -> None:
    def is_held() -> bool:
        return any((job["job_id"], job["state"]) == (job_id, "held") for job in shown(running, "jobs"))

    running.wait_until(is_held, "the job to be held")


def test_held_job_is_approved_and_another_refused_while_the_daemon_runs(holding):
    approved = holding.submit(proposal_deadline_s=600)
    wait_until_held(holding, approved)
    assert holding.rows(PARTY, "ledger", approved) == 0
    (job,) = shown(holding, "jobs", approved)
    left = job["budget"][0]["left"]
    words = steward(holding, "jobs", approved).stdout
    assert "decision_tree on nursery" in words
    assert "would be left" in words
    assert steward(holding, "approve", approved).returncode == 0
    assert holding.finish(approved)["state"] == "completed"
    (ledger,) = shown(holding, "ledger", "nursery")
    *steps, spare = [line["status"] for line in ledger["lines"] if line["job_id"] == approved]
    # No step was left out, and none was asked again: it took what the steward was told, less the spare round.
    assert (set(steps), spare) == ({"committed"}, "released")
    assert ledger["limits"][0]["left"] > left

    refused = holding.submit(proposal_deadline_s=600)
    wait_until_held(holding, refused)
    assert steward(holding, "refuse", refused, "--reason", "not this week").returncode == 0

    def answer() -> dict[str, Any]:
        job = next(job for job in holding.operate("jobs", "list") if job["job_id"] == refused)
        return next(party for party in job["parties"] if party["party_id"] == PARTY)

    holding.wait_until(lambda: answer()["decision"] == "refused", "the aggregator to know")
    assert (answer()["code"], "not this week" in answer()["detail"]) == ("consent-denied", True)
    # The others are enough.
    assert holding.finish(refused)["state"] == "completed"
    assert holding.rows(PARTY, "ledger", refused) == 0


def test_policy_that_cannot_be_used_is_said_and_the_party_goes_on(running):
    policy = running.party_folder(PARTY) / "home/policy.toml"
    before = policy.read_text()
    running.wait_until(lambda: steward(running, "health").returncode == 0, "the party to be connected")
    # at once: a daemon that looks between emptying and writing would find two files that it cannot use
    write_atomically(policy, b"automatik = true\n")
    try:
        running.wait_until(lambda: "automatik is not a known key" in steward(running, "health").stderr, "a warning")
        done = steward(running, "health")
        assert (done.returncode, done.stdout) == (0, "connected to the aggregator\n")
        job_id = running.submit()
        assert running.finish(job_id)["state"] == "completed"
        assert running.rows(PARTY, "acceptances", job_id) > 0
        assert log_of(running).count("policy not usable, the one before stays in force") == 1
    finally:
        write_atomically(policy, before.encode())
