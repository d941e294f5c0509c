# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator killed while each of its effects is outstanding: it goes on from what is durable, to the same sum.

The cases come from the types of the effects: one that is new has cases at once, and they fail until a job here has it.
Vectors are padded, and every part is in a checkpoint of the sum as soon as it was added.
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial as bind
from pathlib import Path
from typing import Any, get_args

import pytest

from coterie_aggregator.machines import job_effects, job_machine, round_effects, round_machine
from coterie_common.identifiers import JobId, PartyId
from coterie_common.learning.model import Model
from coterie_common.protocol.acceptance import Encapsulations
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.job_spec import JobSealing
from coterie_common.protocol.messages import DecryptionRequest, Message, ModelReceipt, PaddedPart, Query, Rejection
from coterie_common.protocol.progress import JobState
from tests.support.asynchronous import asynchronous
from tests.support.crashes import Crash
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.oracle import sum_of_replies
from tests.support.small_jobs import make_spec, statistics_spec, tree_spec, write_play, write_wide

SPEC = make_spec("statistics", {"histograms": ["site"]}, dataset="wide", name="wide")
"""One round of 1,501 values: long enough to be padded."""

VICTIM = PartyId("party-1")

EFFECTS = [*get_args(job_effects.Effect), *get_args(round_effects.Effect)]
OF_FAILED_JOBS = {round_effects.EndJob, job_effects.KeepUnfinishedModel, job_effects.SendJobEnd}
"""Outstanding only where a job fails: here, because a party that everybody needs declines the second round."""

OF_ABANDONED_ROUNDS = {round_effects.AskAgain}
"""Outstanding only where a round is abandoned: here, because a party that it counted on declines the first one."""

OF_COMPLETE_JOBS = {job_effects.SendAcceptances}
"""Outstanding only where a job is sealed completely: while its parties agree on secrets."""

SUM_WRITES = ["begin_sum", "commit_sum", "delete_padded"]


def named(effect: Any) -> str:
    return f"{effect.__module__.rpartition('.')[2].partition('_')[0]}-{effect.__name__}"


def decline(number: int, party_id: PartyId, message: Message) -> Message | None:
    if party_id == VICTIM and isinstance(message, EncryptedReply) and message.round_number == number:
        return Rejection(code="internal", detail="", job_id=message.job_id, round_number=number)
    return message


def federation_of(folder: Path, crash: Crash, **options: Any) -> tuple[InProcessFederation, dict[PartyId, bytes]]:
    """Return a federation, and the padded parts that its parties send."""
    federation = make_federation(3, 3)
    datasets = write_wide(folder, federation.parties)
    sent: dict[PartyId, bytes] = {}

    def keep_part(party_id: PartyId, message: Message) -> Message | None:
        if isinstance(message, PaddedPart):
            content = (folder / party_id / "padded" / message.job_id / "1").read_bytes()
            assert sent.setdefault(party_id, content) == content
        return message

    options = {"intercept": keep_part, **options}
    running = InProcessFederation(
        federation, folder, datasets, dataset_name="wide", aggregator_crash=crash, checkpoint_bytes=1, **options
    )
    return running, sent


def is_outstanding(running: InProcessFederation, effect: type) -> bool:
    for live in running.aggregator._jobs.values():
        effects: set[object] = set(job_machine.outstanding(live.state))
        if live.round:
            effects |= round_machine.outstanding(live.round.state)
        if any(type(each) is effect for each in effects):
            return True
    return False


def released(running: InProcessFederation, model: bytes) -> list[int]:
    body = Model.from_bytes(model).body
    return [body["count"], *body["histograms"]["site"]["counts"]]


def files(running: InProcessFederation) -> list[Path]:
    return [path for path in (running.folder / "spool").rglob("*") if path.is_file()]


async def assert_same_sum(running: InProcessFederation, job_id: JobId, sent: dict[PartyId, bytes]) -> None:
    """The job completes with one query, one transcript and the sum of what the parties sent."""
    status = await running.result(job_id)
    assert (status.state, status.reason) == (JobState.COMPLETED, "")
    model = await running.aggregator.model(job_id)
    assert released(running, model) == sum_of_replies(running.federation, running.passed, 1, sent)
    for kind in (Query, DecryptionRequest):
        assert len({m.signature for _, m in running.passed if isinstance(m, kind)}) == 1
    # What a party says while the job is being loaded is refused, and said again when it is asked.
    assert {error.code for _, error in running.errors} <= {"unknown-round"}
    assert files(running) == []


async def assert_same_failure(folder: Path, crash: Crash, effect: type) -> None:
    """A job whose second round fails has failed for the same reason, and left the model of its first round."""
    federation = make_federation(3, 3)
    datasets = write_play(folder, federation.parties)
    running = InProcessFederation(
        federation, folder, datasets, aggregator_crash=crash, intercept=bind(decline, 2), checkpoint_bytes=1
    )
    crash.when = bind(is_outstanding, running, effect)
    async with running:
        job_id = await running.submit(tree_spec())
        await crash.reached.wait()
        await running.restart_aggregator()
        status = await running.result(job_id)
        assert status.state is JobState.FAILED
        assert VICTIM in status.reason
        await running.saw(lambda party_id, m: party_id == VICTIM and isinstance(m, ModelReceipt))
        assert Model.from_bytes(running.model(VICTIM, job_id)).lineage.contributors == (3,)
        assert files(running) == []


async def assert_same_abandonment(folder: Path, crash: Crash, effect: type) -> None:
    """A step whose first round was abandoned is asked again once, and the sum of that round is opened."""
    federation = make_federation()
    datasets = write_play(folder, federation.parties)
    running = InProcessFederation(
        federation, folder, datasets, aggregator_crash=crash, intercept=bind(decline, 1), checkpoint_bytes=1
    )
    crash.when = bind(is_outstanding, running, effect)
    async with running:
        job_id = await running.submit(statistics_spec(spare_rounds=2))
        await crash.reached.wait()
        await running.restart_aggregator()
        status = await running.result(job_id)
        assert (status.state, status.reason, status.spare_rounds_used) == (JobState.COMPLETED, "", 1)
        queries = {m.fields.round_number: m.signature for _, m in running.passed if isinstance(m, Query)}
        assert len({m.signature for _, m in running.passed if isinstance(m, Query)}) == len(queries) == 2
        assert len({m.signature for _, m in running.passed if isinstance(m, DecryptionRequest)}) == 1
        assert Model.from_bytes(await running.aggregator.model(job_id)).lineage.contributors == (5,)
        assert files(running) == []


async def assert_same_agreement(folder: Path, crash: Crash, effect: type) -> None:
    """Parties agree on secrets as if nothing had happened, and the masks of one round cancel."""
    federation = make_federation(3, 3)
    datasets = write_play(folder, federation.parties)
    policy = generous_policy(sealings=["complete"])
    running = InProcessFederation(federation, folder, datasets, policy=policy, aggregator_crash=crash)
    crash.when = bind(is_outstanding, running, effect)
    async with running:
        job_id = await running.submit(replace(statistics_spec(), sealing=JobSealing.COMPLETE))
        await crash.reached.wait()
        await running.restart_aggregator()
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        assert len({m.signature for _, m in running.passed if isinstance(m, Query)}) == 1
        for party_id in federation.parties:
            said = {m for sender, m in running.passed if sender == party_id and isinstance(m, Encapsulations)}
            assert len(said) == 1
        assert Model.from_bytes(await running.aggregator.model(job_id)).lineage.contributors == (3,)
        assert files(running) == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("effect", EFFECTS, ids=named)
@asynchronous
async def test_aggregator_killed_at_the_first_write_while_an_effect_is_outstanding_goes_on(tmp_path, effect, after):
    crash = Crash(after=after)
    if effect in OF_FAILED_JOBS:
        await assert_same_failure(tmp_path, crash, effect)
        return
    if effect in OF_ABANDONED_ROUNDS:
        await assert_same_abandonment(tmp_path, crash, effect)
        return
    if effect in OF_COMPLETE_JOBS:
        await assert_same_agreement(tmp_path, crash, effect)
        return
    running, sent = federation_of(tmp_path, crash)
    crash.when = bind(is_outstanding, running, effect)
    async with running:
        job_id = await running.submit(SPEC)
        await crash.reached.wait()
        await running.restart_aggregator()
        await assert_same_sum(running, job_id, sent)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("write", SUM_WRITES)
@asynchronous
async def test_aggregator_killed_at_a_write_of_its_sum_continues_from_the_checkpoint(tmp_path, write, nth, after):
    crash = Crash(write, nth=nth, after=after)
    running, sent = federation_of(tmp_path, crash)
    async with running:
        job_id = await running.submit(SPEC)
        await crash.reached.wait()
        await running.restart_aggregator()
        await assert_same_sum(running, job_id, sent)
