# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What the two services ask of the coordinator, beyond the jobs in tests/protocol."""

from __future__ import annotations

import asyncio
import threading
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import pytest

from coterie_aggregator.live.context import Context
from coterie_aggregator.live.coordinator import Coordinator
from coterie_common.crypto.certificates import Identity, Role
from coterie_common.errors import CoterieError, NotFound, StorageError, Unavailable
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.acceptance import JobReply
from coterie_common.protocol.messages import Hello, Message, ModelReceipt, Rejection
from coterie_common.protocol.progress import JobRequest, JobState
from tests.support.asynchronous import asynchronous
from tests.support.crashes import Crash
from tests.support.federation import make_federation
from tests.support.in_process import OPERATOR, InProcessFederation
from tests.support.small_jobs import make_spec, statistics_spec, tree_spec, write_play

WHO = PartyId("party-2")


def three(folder: Path, **options: Any) -> InProcessFederation:
    federation = make_federation(3, 3)
    return InProcessFederation(federation, folder, write_play(folder, federation.parties), **options)


def nobody(folder: Path) -> InProcessFederation:
    """An aggregator without parties."""
    return three(folder, absent=make_federation(3, 3).parties)


# More digits than the bytes of terms may hold.
UNWRITABLE = {"rounds": 2, "records": 90, "clip_norm": Decimal("0.1234567890123456789012345678901234567891")}


def is_reply(party_id: PartyId, message: Message) -> bool:
    return party_id == WHO and isinstance(message, JobReply)


@pytest.mark.parametrize(
    ("spec", "code", "words"),
    [
        (make_spec("spy", {}), "invalid-job", "spy"),
        (make_spec("statistics", {"histograms": ["wind speed"]}), "invalid-job", "wind speed"),
        (statistics_spec(quorum=2), "quorum-too-small", "2"),
        (statistics_spec(quorum=4), "quorum-too-small", "4"),
        (statistics_spec(without=["party-9"]), "invalid-job", "party-9"),
        (statistics_spec(without=["party-2"]), "quorum-too-small", "leaves 2 parties"),
        (statistics_spec(privacy={"placement": "none"}, quorum=2), "quorum-too-small", "all 3 parties"),
        (statistics_spec(privacy={"unit": "party"}), "invalid-job", "privacy.unit"),
        (statistics_spec(privacy={"epsilon": Decimal("1e-35")}), "unsupported-mechanism", ""),
        (make_spec("logistic_regression", UNWRITABLE), "invalid-job", "cannot be written"),
        (make_spec("statistics", {"means": ["temperature"], "steps": 1 << 20}), "", ""),
    ],
    ids=[
        "algorithm",
        "config",
        "low quorum",
        "high quorum",
        "stranger",
        "too few left",
        "no noise",
        "unit",
        "ε",
        "digits",
        "none",
    ],
)
@asynchronous
async def test_job_that_cannot_run_is_refused_before_it_is_stored(tmp_path, spec, code, words):
    async with nobody(tmp_path) as running:
        if not code:
            await running.submit(spec)
            assert len(await running.aggregator.jobs()) == 1
            return
        with pytest.raises(CoterieError) as refusal:
            await running.submit(spec)
        assert refusal.value.code == code
        assert words in refusal.value.message
        assert await running.aggregator.jobs() == ()


@asynchronous
async def test_submitted_bytes_that_are_no_specification_are_malformed(tmp_path):
    async with nobody(tmp_path) as running:
        operator = Identity(federation=running.federation.roster.federation, role=Role.OPERATOR, id=OPERATOR)
        with pytest.raises(CoterieError) as refusal:
            await running.aggregator.submit(JobRequest(spec=b"{}"), operator)
        assert refusal.value.code == "malformed-message"


@asynchronous
async def test_jobs_of_the_same_name_have_ids_of_their_own(tmp_path):
    async with nobody(tmp_path) as running:
        one, other = await running.submit(tree_spec()), await running.submit(tree_spec())
        assert one != other
        assert one.startswith("play-")
        status = (await running.aggregator.jobs())[0]
        assert (status.job_id, status.state, status.waiting_for) == (one, JobState.PROPOSED, 3)
        assert (status.submitted_by, status.rounds_planned, status.round) == (OPERATOR, 2, None)
        assert (status.privacy.epsilon, status.privacy.delta, status.privacy.unit) == ("8", "0.00001", "record")


@asynchronous
async def test_what_is_not_there_is_not_found(tmp_path):
    async with nobody(tmp_path) as running:
        nothing = JobId("nothing")
        with pytest.raises(NotFound):
            await running.cancel(nothing)
        with pytest.raises(NotFound):
            await running.aggregator.model(nothing)
        with pytest.raises(NotFound):
            await anext(aiter(running.aggregator.watch(nothing)))
        job_id = await running.submit(statistics_spec())
        with pytest.raises(NotFound, match="no model yet"):
            await running.aggregator.model(job_id)
        await running.cancel(job_id)
        await running.result(job_id)
        with pytest.raises(NotFound, match="ended without a model"):
            await running.aggregator.model(job_id)
        assert await running.aggregator.models() == ()


@asynchronous
async def test_watch_shows_each_step_once_and_ends_with_the_job(tmp_path):
    async with three(tmp_path) as running:
        job_id = await running.submit(statistics_spec())
        statuses = [status async for status in running.aggregator.watch(job_id)]
        assert all(one != following for one, following in pairwise(statuses))
        states = list(dict.fromkeys(status.state for status in statuses))
        assert states[-1] is JobState.COMPLETED
        order = [JobState.PROPOSED, JobState.RUNNING, JobState.DELIVERING, JobState.COMPLETED]
        assert states == [state for state in order if state in states]
        # A job that has ended is shown once.
        assert [status async for status in running.aggregator.watch(job_id)] == statuses[-1:]


@asynchronous
async def test_parties_are_shown_as_they_come_and_go(tmp_path):
    async with three(tmp_path, absent=(WHO,)) as running:

        async def of(who: PartyId) -> Any:
            return next(party for party in await running.aggregator.parties() if party.party_id == who)

        assert (await of(WHO)).since is None
        assert not (await of(WHO)).connected
        await running.start_party(WHO)
        connected = await of(WHO)
        assert (connected.connected, connected.index) == (True, 2)
        await running.kill(WHO)
        gone = await of(WHO)
        assert not gone.connected
        assert gone.since > connected.since
        assert [party.party_id for party in await running.aggregator.parties()] == list(running.federation.parties)


@asynchronous
async def test_old_stream_that_ends_late_leaves_the_new_one_alone(tmp_path):
    async with three(tmp_path) as running:
        other = Recorder()
        await running.aggregator.party_disconnected(WHO, other)
        assert [party.connected for party in await running.aggregator.parties()] == [True] * 3


class Recorder:
    async def send(self, message: Message) -> None: ...


@asynchronous
async def test_message_about_nothing_known_is_refused_and_its_sender_blamed(tmp_path):
    async with three(tmp_path) as running:
        job_id = await running.submit(statistics_spec())
        await running.result(job_id)
        receipt = await running.saw(lambda p, m: p == WHO and isinstance(m, ModelReceipt))
        hello = Hello(protocol_version=1, party_id=WHO, roster_serial=1, roster_digest=bytes(32))
        unknown = ModelReceipt(job_id=JobId("nothing"), party_id=WHO, model_digest=bytes(32), signature=bytes(64))
        for message in (hello, unknown):
            with pytest.raises(CoterieError) as refusal:
                await running.aggregator.party_message(WHO, message, b"")
            assert refusal.value.code == "unknown-round"
            assert refusal.value.culprits == (WHO,)
        # Known and said before: no offence.
        assert isinstance(receipt, ModelReceipt)
        await running.aggregator.party_message(WHO, receipt, b"")


@asynchronous
async def test_rejection_of_what_is_not_running_is_only_noted(tmp_path):
    async with three(tmp_path) as running:
        for job_id, number in (("", 0), ("nothing", 1)):
            rejection = Rejection(code="data", detail="", job_id=job_id, round_number=number)
            await running.aggregator.party_message(WHO, rejection, b"")
        job_id = await running.submit(statistics_spec())
        assert (await running.result(job_id)).state is JobState.COMPLETED


@asynchronous
async def test_storage_that_fails_in_the_loop_stops_the_daemon_and_nobody_hangs(tmp_path):
    broken = Crash("append_job_event", error=StorageError("the disk is full"))
    async with three(tmp_path, aggregator_crash=broken) as running:
        await running.submit(statistics_spec())
        failure = await running.failed()
        assert isinstance(failure, StorageError)
        with pytest.raises(Unavailable):
            await running.submit(statistics_spec())
        with pytest.raises(Unavailable):
            await running.aggregator.party_disconnected(WHO, Recorder())


@pytest.mark.parametrize("function", ["start_round", "contribution", "partial", "finish"])
@asynchronous
async def test_storage_that_fails_in_the_background_stops_the_daemon_and_not_the_job(tmp_path, function):
    broken = Crash(function, error=StorageError("the disk is full"))
    # What parties sent is read from the spool only by an aggregator that was started since. Of the events of the round
    # the first says that a reply came, and the seventh, after three replies that came and were verified, a partial one.
    events_before = {"contribution": 1, "partial": 7}.get(function)
    killed = Crash("append_round_event", nth=events_before, after=True) if events_before else None
    async with three(tmp_path, aggregator_crash=killed or broken) as running:
        job_id = await running.submit(statistics_spec())
        if killed:
            await killed.reached.wait()
            await running.restart_aggregator(broken)
        assert isinstance(await running.failed(), StorageError)
        # Repaired and started again, it finishes the job.
        await running.restart_aggregator()
        assert (await running.result(job_id)).state is JobState.COMPLETED


@asynchronous
async def test_coordinator_that_was_not_started_or_has_stopped_says_so(tmp_path):
    idle = Coordinator(lambda post: cast(Context, None))
    with pytest.raises(Unavailable, match="not started"):
        await idle.party_disconnected(WHO, Recorder())
    async with nobody(tmp_path) as running:
        await running.aggregator.stop()
        with pytest.raises(Unavailable, match="stopping"):
            await running.aggregator.party_disconnected(WHO, Recorder())


@asynchronous
async def test_stop_in_the_middle_of_a_job_leaves_nothing_running(tmp_path):
    async with three(tmp_path) as running:
        await running.submit(statistics_spec())
        await running.saw(is_reply)
        await running.kill_aggregator()
        ours = [task for task in asyncio.all_tasks() if "coterie_aggregator" in repr(task.get_coro())]
        assert ours == []
        await running.start_aggregator()


@asynchronous
async def test_state_is_read_from_the_store_only_where_it_is_not_at_hand(tmp_path):
    federation = make_federation(3, 3)
    crash = Crash("start_round", nth=2)
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, aggregator_crash=crash) as running:

        def reads() -> int:
            return sum(name == "latest_state" for _, name, _ in running.writes)

        job_id = await running.submit(tree_spec())
        await crash.reached.wait()
        assert reads() == 1  # before the first round
        await running.restart_aggregator()
        assert (await running.result(job_id)).state is JobState.COMPLETED
        assert reads() == 2


@asynchronous
async def test_watch_of_a_job_with_spare_rounds_does_not_wait_for_busy_workers(tmp_path):
    free = threading.Event()
    async with nobody(tmp_path) as running:
        job_id = await running.submit(tree_spec(spare_rounds=1))
        workers = running.aggregator._context.workers
        busy = [workers.submit(free.wait) for _ in range(2)]
        try:
            async with asyncio.timeout(5):
                status = await anext(running.aggregator.watch(job_id))
        finally:
            free.set()
        assert all(work.result() for work in busy)
        assert 0 < float(status.steps_epsilon) < float(status.privacy.epsilon)


@asynchronous
async def test_price_of_the_steps_comes_after_a_restart_to_those_who_watch_and_into_lists(tmp_path):
    async with nobody(tmp_path) as running:
        await running.submit(statistics_spec())
        job_id = await running.submit(tree_spec(spare_rounds=1))
        price = (await running.status(job_id, lambda status: True)).steps_epsilon
        await running.restart_aggregator()
        status = await running.status(job_id, lambda status: status.steps_epsilon != "")
        assert status.steps_epsilon == price
        assert [job.steps_epsilon for job in await running.aggregator.jobs()] == ["", price]
