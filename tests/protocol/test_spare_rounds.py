# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Rounds that are abandoned: their step is asked again with fresh noise, and every answer is charged."""

from __future__ import annotations

import pytest

from coterie_aggregator.machines.job_events import RoundAbandoned
from coterie_aggregator.machines.round_events import DeadlinePassed
from coterie_common.identifiers import JobId, PartyId
from coterie_common.learning.model import Model
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import Message, Query
from coterie_common.protocol.progress import JobState
from coterie_party.store import ReservationStatus
from tests.support.asynchronous import asynchronous
from tests.support.deadlines import pass_deadline
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.small_jobs import make_spec, statistics_spec, tree_spec, write_play

FIVE = PartyId("party-5")
COMMITTED, RELEASED = ReservationStatus.COMMITTED, ReservationStatus.RELEASED


def quorums(running: InProcessFederation) -> dict[int, tuple[int, int, int]]:
    """Return round number → step, quorum and noise shares, of the queries that were sent."""
    queries = [message.fields for _, message in running.passed if isinstance(message, Query)]
    return {f.round_number: (f.plan_step, f.round_quorum, f.terms.noise.shares) for f in queries}


def statuses(running: InProcessFederation, party_id: PartyId) -> list[ReservationStatus]:
    return [entry.status for entry in running.party_store(party_id).ledger("play")]


@asynchronous
async def test_job_with_all_parties_present_divides_the_noise_by_all_and_uses_no_spare_round(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        job_id = await running.submit(tree_spec(spare_rounds=1))
        status = await running.result(job_id)
        assert (status.state, status.spare_rounds, status.spare_rounds_used) == (JobState.COMPLETED, 1, 0)
        # Everybody who looks at a job is shown that its promise covers the spare round.
        assert 0 < float(status.steps_epsilon) < float(status.privacy.epsilon)
        assert [job.steps_epsilon for job in await running.aggregator.jobs()] == [status.steps_epsilon]
        # n = 5, c = 1
        assert quorums(running) == {1: (1, 5, 4), 2: (2, 5, 4)}
        for party_id in federation.parties:
            await running.wrote("end_job", by=party_id)
            assert statuses(running, party_id) == [COMMITTED, COMMITTED, RELEASED]


@asynchronous
async def test_party_that_vanishes_costs_one_spare_round_and_is_not_counted_on_again(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)

    def lose(party_id: PartyId, message: Message) -> Message | None:
        return None if party_id == FIVE and isinstance(message, EncryptedReply) else message

    async with InProcessFederation(federation, tmp_path, datasets, intercept=lose) as running:
        job_id = await running.submit(tree_spec(spare_rounds=2))
        await running.saw(lambda _, message: isinstance(message, EncryptedReply), count=5)
        await running.status(job_id, lambda s: s.round is not None and len(s.round.contributed) == 4)
        pass_deadline(running, job_id, DeadlinePassed())
        await running.wrote("append_job_event", about=RoundAbandoned)
        for number in (2, 3):
            enough = lambda s, n=number: (  # noqa: E731  # one line of what the round is waited for
                s.round is not None and s.round.number == n and len(s.round.contributed) == 4
            )
            await running.status(job_id, enough)
            pass_deadline(running, job_id, DeadlinePassed())
        status = await running.result(job_id)
        assert (status.state, status.reason, status.spare_rounds_used) == (JobState.COMPLETED, "", 1)
        # The step is asked again for the four, and so is the rest of the job, although a spare round is left.
        assert quorums(running) == {1: (1, 5, 4), 2: (1, 4, 3), 3: (2, 4, 3)}
        assert Model.from_bytes(await running.delivered(federation.parties[0], job_id)).lineage.contributors == (4, 4)
        for party_id in federation.parties:
            await running.wrote("end_job", by=party_id)
            _check_ledger(running, party_id, job_id)


def _check_ledger(running: InProcessFederation, party_id: PartyId, job_id: JobId) -> None:
    store = running.party_store(party_id)
    lines = {entry.round_number: entry for entry in store.ledger("play")}
    # Two steps and two spare rounds, the first of which is charged as the first step, which was answered twice.
    assert [lines[number].status for number in (1, 2, 3, 4)] == [COMMITTED, COMMITTED, COMMITTED, RELEASED]
    assert (lines[3].cost, lines[3].event) == (lines[1].cost, lines[1].event) != (lines[4].cost, lines[4].event)
    assert store.asked_steps(job_id) == {1: 1, 2: 1, 3: 2}


@asynchronous
async def test_replies_to_both_attempts_of_a_step_hold_fresh_noise(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    silent = {FIVE}

    def lose(party_id: PartyId, message: Message) -> Message | None:
        return None if party_id in silent and isinstance(message, EncryptedReply) else message

    async with InProcessFederation(federation, tmp_path, datasets, intercept=lose) as running:
        job_id = await running.submit(statistics_spec(spare_rounds=1))
        await running.status(job_id, lambda s: s.round is not None and len(s.round.contributed) == 4)
        pass_deadline(running, job_id, DeadlinePassed())
        await running.status(job_id, lambda s: s.round is not None and s.round.number == 2)
        silent.clear()
        assert (await running.result(job_id)).state is JobState.COMPLETED
        said = [m for p, m in running.passed if p == federation.parties[0] and isinstance(m, EncryptedReply)]
        assert [m.round_number for m in said] == [1, 2]
        assert len({m.session_id for m in said}) == len({m.contribution.key_part.digest for m in said}) == 2


@asynchronous
async def test_aggregator_that_restarts_after_a_round_was_abandoned_asks_the_step_once_more(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)

    def lose(party_id: PartyId, message: Message) -> Message | None:
        return None if party_id == FIVE and isinstance(message, EncryptedReply) else message

    async with InProcessFederation(federation, tmp_path, datasets, intercept=lose) as running:
        job_id = await running.submit(statistics_spec(spare_rounds=1))
        await running.status(job_id, lambda s: s.round is not None and len(s.round.contributed) == 4)
        pass_deadline(running, job_id, DeadlinePassed())
        await running.wrote("append_job_event", about=RoundAbandoned)
        await running.restart_aggregator()
        await running.status(
            job_id, lambda s: s.round is not None and s.round.number == 2 and len(s.round.contributed) == 4
        )
        pass_deadline(running, job_id, DeadlinePassed())
        status = await running.result(job_id)
        assert (status.state, status.spare_rounds_used) == (JobState.COMPLETED, 1)
        assert quorums(running) == {1: (1, 5, 4), 2: (1, 4, 3)}


@pytest.mark.slow  # twenty rounds of vectors
@asynchronous
async def test_party_that_vanishes_in_every_tenth_round_leaves_a_ledger_of_exactly_what_was_charged(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    config = {"rounds": 20, "records": 14, "batch": 7, "clip_norm": "0.5", "learning_rate": "0.5"}
    lost: dict[int, PartyId] = {5: federation.parties[4], 15: federation.parties[3]}

    def lose(party_id: PartyId, message: Message) -> Message | None:
        is_lost = isinstance(message, EncryptedReply) and lost.get(message.round_number) == party_id
        return None if is_lost else message

    policy = generous_policy(algorithms=("logistic_regression",))
    async with InProcessFederation(federation, tmp_path, datasets, intercept=lose, policy=policy) as running:
        job_id = await running.submit(make_spec("logistic_regression", config, spare_rounds=2))
        for number in lost:
            waiting = lambda s, n=number: (  # noqa: E731  # one line of what the round is waited for
                s.round is not None and s.round.number == n and len(s.round.contributed) == 4
            )
            await running.status(job_id, waiting)
            pass_deadline(running, job_id, DeadlinePassed())
        status = await running.result(job_id)
        # The second loss costs no spare round: the quorum of four was reached without the party.
        assert (status.state, status.reason, status.spare_rounds_used) == (JobState.COMPLETED, "", 1)
        asked = quorums(running)
        assert [asked[number][:2] for number in (5, 6, 15, 16)] == [(5, 5), (5, 4), (14, 4), (15, 4)]
        for party_id in federation.parties:
            await running.wrote("end_job", by=party_id)
            assert statuses(running, party_id) == [COMMITTED] * 21 + [RELEASED]
            assert len(running.party_store(party_id).asked_steps(job_id)) == 21
