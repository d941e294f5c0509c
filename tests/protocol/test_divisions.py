# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A record's budget is spent once, also where its row moves to the other side between two jobs, or within one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from coterie.simulation.job import Simulation
from coterie_common.identifiers import JobId
from coterie_common.protocol.acceptance import JobReply
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import Message
from coterie_party.policy.policy import Budget
from tests.support.asynchronous import asynchronous
from tests.support.crashes import Crash
from tests.support.in_process import generous_policy
from tests.support.malicious_aggregator import JOB, VICTIM, MaliciousAggregator, attacking
from tests.support.seeded_random import SeededRandom
from tests.support.small_jobs import make_spec, play_dataset, tree_spec

POLICY = generous_policy(lifetime=Budget(epsilon=Decimal(9), delta=Decimal("1e-4")))
"""Enough for one job of each side's records."""

SECOND, THIRD = JobId("job-2"), JobId("job-3")
OPTIONS: dict[str, Any] = {"policy": POLICY, "set_aside": Decimal("0.25")}


@cache
def evaluation_spec() -> JobSpec:
    model = Simulation.without_privacy(tree_spec()).run([play_dataset(100)], SeededRandom("model"))
    return make_spec("evaluation", {"model": model.to_document()}, name="evaluation")


async def propose(attacker: MaliciousAggregator, spec: JobSpec, job_id: JobId) -> str:
    """Propose a job and return the code of the reply, empty if it is accepted."""
    asking = MaliciousAggregator(attacker.federation, attacker.running, spec, attacker.victim)
    asking._answers = attacker._answers
    reply = await asking.tell(asking.proposal(job_id=job_id))
    attacker._answers = asking._answers
    assert isinstance(reply, JobReply)
    return reply.code


def path_of(attacker: MaliciousAggregator) -> Path:
    return attacker.running.datasets[VICTIM]


def edit(attacker: MaliciousAggregator, change: Callable[[list[str]], list[str]]) -> None:
    path = path_of(attacker)
    path.write_bytes("".join(change(path.read_bytes().decode().splitlines(keepends=True))).encode())


def set_aside(attacker: MaliciousAggregator, fraction: str) -> None:
    datasets = attacker.running.parties[VICTIM]._context.datasets
    datasets["play"] = replace(datasets["play"], set_aside=Decimal(fraction))  # type: ignore[index]  # of the test


def without_first(rows: list[str]) -> list[str]:
    return [rows[0], *rows[2:]]


def reordered(rows: list[str]) -> list[str]:
    return [rows[0], *rows[:0:-1]]


def longer(rows: list[str]) -> list[str]:
    return [*rows, *rows[-3:]]


def unchanged(rows: list[str]) -> list[str]:
    return rows


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (unchanged, ""),
        (longer, ""),
        (without_first, "budget-exhausted"),
        (reordered, "budget-exhausted"),
    ],
)
@asynchronous
async def test_evaluation_after_training_pays_for_both_where_rows_moved(tmp_path, change, code):
    async with attacking(tmp_path, **OPTIONS) as attacker:
        await attacker.accepted()
        await attacker.answered()
        edit(attacker, change)
        assert await propose(attacker, evaluation_spec(), SECOND) == code
        # Training again was never free.
        assert await propose(attacker, tree_spec(name="again"), THIRD) == "budget-exhausted"


@asynchronous
async def test_fraction_that_was_edited_and_put_back_has_its_division_again_unless_rows_moved(tmp_path):
    async with attacking(tmp_path, **OPTIONS) as attacker:
        await attacker.accepted()
        await attacker.answered()
        set_aside(attacker, "0.5")
        assert await propose(attacker, evaluation_spec(), SECOND) == "budget-exhausted"
        set_aside(attacker, "0.25")
        edit(attacker, reordered)
        assert await propose(attacker, evaluation_spec(), SECOND.replace("2", "4")) == "budget-exhausted"  # type: ignore[arg-type]  # an id
        edit(attacker, reordered)
        assert await propose(attacker, evaluation_spec(), THIRD) == ""


def moved_rows(attacker: MaliciousAggregator) -> None:
    edit(attacker, without_first)


def another_fraction(attacker: MaliciousAggregator) -> None:
    set_aside(attacker, "0.5")


@pytest.mark.parametrize("change", [moved_rows, another_fraction])
@asynchronous
async def test_job_whose_rows_moved_before_it_was_asked_is_refused(tmp_path, change):
    async with attacking(tmp_path, **OPTIONS) as attacker:
        await attacker.accepted()
        change(attacker)
        answer = await attacker.tell(attacker.query())
        assert not isinstance(answer, EncryptedReply)
        assert "records-moved" in str(answer)
        assert path_of(attacker).name not in str(answer)
        (note,) = attacker.running.party_notes(VICTIM).of_job(JOB)
        assert note.code == "records-moved"
        assert "have the job submitted again" in note.detail


@asynchronous
async def test_rows_that_came_after_the_acceptance_and_were_counted_keep_their_sides_too(tmp_path):
    async with attacking(tmp_path, **OPTIONS) as attacker:
        await attacker.accepted()
        edit(attacker, longer)
        await attacker.answered()
        # As it was at the acceptance: but what was counted since has moved.
        edit(attacker, lambda rows: rows[:-3])
        edit(attacker, lambda rows: [*rows, rows[5]])
        assert await propose(attacker, evaluation_spec(), SECOND) == "budget-exhausted"


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", ["record_job", "keep_data_version"])
@asynchronous
async def test_party_that_is_killed_knows_the_file_that_it_acted_on(tmp_path, write, after):
    crash = Crash(write, after=after)
    async with attacking(tmp_path, crash, **OPTIONS) as attacker:
        running = attacker.running

        async def until_killed(message: Message) -> None:
            running.to_party(VICTIM, message)  # type: ignore[arg-type]  # of an aggregator
            await crash.reached.wait()

        if write == "record_job":
            await until_killed(attacker.proposal())
        else:
            await attacker.accepted()
            edit(attacker, longer)
            await until_killed(attacker.query())
        await running.kill(VICTIM)
        store = running.party_store(VICTIM)
        version = store.data_version("play")
        # Kept with the acceptance, or not at all.
        assert (version is None) == (store.ledger("play") == ())
        assert (version is None) == (write == "record_job" and not after)
        if write != "record_job":
            assert version is not None
            assert (version.length == path_of(attacker).stat().st_size) is after
        await running.start_party(VICTIM)
        edit(attacker, without_first)
        expected = "" if version is None else "budget-exhausted"
        assert await propose(attacker, evaluation_spec(), SECOND) == expected
