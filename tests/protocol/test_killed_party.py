# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party killed at any point of a job: the job goes on without it or waits for it, and nothing is ever said twice
in two ways."""

from __future__ import annotations

from functools import partial as bind

import pytest

from coterie_aggregator.machines.job_events import DeliveryPatiencePassed
from coterie_aggregator.machines.round_events import DeadlinePassed
from coterie_common.identifiers import JobId, PartyId
from coterie_common.learning.model import Model
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import Message, ModelReceipt, PartialDecryption
from coterie_common.protocol.progress import JobState, JobStatus
from coterie_party.round import Phase
from coterie_party.store import ReservationStatus
from tests.support.asynchronous import asynchronous
from tests.support.crashes import Crash, no_crash
from tests.support.deadlines import pass_deadline
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation
from tests.support.small_jobs import statistics_spec, tree_spec, write_play

VICTIM = PartyId("party-2")

WRITES = [
    *("record_job", "accept_query", "commit", "store_reply", "record_transcript", "store_partial"),
    *("keep_model", "record_model", "end_job", "delete_job"),
]
"""Everything that a party makes durable in a job of one round, in order; it commits a padded part, if there is one."""


def contributors(running: InProcessFederation, job_id: JobId) -> tuple[int, ...]:
    return Model.from_bytes(running.model(running.federation.parties[0], job_id)).lineage.contributors


def has_contributions(number: int, count: int, status: JobStatus) -> bool:
    return status.round is not None and (status.round.number, len(status.round.contributed)) == (number, count)


def assert_never_said_otherwise(running: InProcessFederation) -> None:
    """Whatever a party said for one round, it said once, or again byte for byte."""
    replies = {
        (party_id, m.job_id, m.round_number, m.contribution.digest)
        for party_id, m in running.passed
        if isinstance(m, EncryptedReply)
    }
    partials = {
        (party_id, m.job_id, m.round_number, m.signature)
        for party_id, m in running.passed
        if isinstance(m, PartialDecryption)
    }
    assert len(replies) == len({key[:3] for key in replies})
    assert len(partials) == len({key[:3] for key in partials})


@asynchronous
async def test_writes_of_a_party_are_those_at_which_it_is_killed_below(tmp_path):
    federation = make_federation(3, 3)
    crash = no_crash()
    running = InProcessFederation(
        federation, tmp_path, write_play(tmp_path, federation.parties), party_crashes={VICTIM: crash}
    )
    async with running:
        await running.result(await running.submit(statistics_spec()))
    assert crash.writes == ["record_start", *WRITES]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", WRITES)
@asynchronous
async def test_party_that_everyone_waits_for_is_killed_and_comes_back(tmp_path, write, after):
    # With three parties nothing works without all of them.
    federation = make_federation(3, 3)
    crash = Crash(write, after=after)
    running = InProcessFederation(
        federation, tmp_path, write_play(tmp_path, federation.parties), party_crashes={VICTIM: crash}
    )
    async with running:
        job_id = await running.submit(statistics_spec())
        await crash.reached.wait()
        await running.kill(VICTIM)
        await running.start_party(VICTIM)
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        assert contributors(running, job_id) == (3,)
        assert len({running.model(party_id, job_id) for party_id in federation.parties}) == 1
        assert [entry.status for entry in running.party_store(VICTIM).ledger("play")] == [ReservationStatus.COMMITTED]
        assert_never_said_otherwise(running)


@pytest.mark.parametrize(
    ("write", "after", "expected"),
    [
        ("store_reply", False, (4, 4)),
        ("record_transcript", False, (5, 4)),
        ("record_transcript", True, (5, 4)),
        ("store_partial", True, (5, 4)),
    ],
    ids=["before its reply", "after its reply", "after the transcript record", "after its partial decryption"],
)
@asynchronous
async def test_job_of_five_completes_without_the_killed_party_which_then_takes_part_again(
    tmp_path, write, after, expected
):
    federation = make_federation()
    crash = Crash(write, after=after)
    running = InProcessFederation(
        federation, tmp_path, write_play(tmp_path, federation.parties), party_crashes={VICTIM: crash}
    )
    async with running:
        job_id = await running.submit(tree_spec(patience_s=300))
        await crash.reached.wait()
        await running.kill(VICTIM)
        for number in [number for number, count in enumerate(expected, 1) if count == 4]:
            # All others are in the sum before the deadline passes, however slow they are.
            await running.status(job_id, bind(has_contributions, number, 4))
            pass_deadline(running, job_id, DeadlinePassed())
        await running.status(job_id, lambda s: sum(party.model_received for party in s.parties) == 4)
        pass_deadline(running, job_id, DeliveryPatiencePassed())
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        assert contributors(running, job_id) == expected

        await running.start_party(VICTIM)
        await running.saw(lambda party_id, m: party_id == VICTIM and isinstance(m, ModelReceipt))
        assert running.model(VICTIM, job_id) == running.model(federation.parties[0], job_id)
        # What was not asked of it is given back, what it answered stays spent.
        spent = [entry.status for entry in running.party_store(VICTIM).ledger("play")]
        assert spent == [ReservationStatus.COMMITTED, ReservationStatus.RELEASED]

        again = await running.submit(statistics_spec())
        assert (await running.result(again)).state is JobState.COMPLETED
        assert contributors(running, again) == (5,)
        assert_never_said_otherwise(running)


@asynchronous
async def test_party_killed_in_round_one_and_back_at_once_contributes_to_both_rounds(tmp_path):
    federation = make_federation()
    crash = Crash("store_reply")
    running = InProcessFederation(
        federation, tmp_path, write_play(tmp_path, federation.parties), party_crashes={VICTIM: crash}
    )
    async with running:
        job_id = await running.submit(tree_spec())
        await crash.reached.wait()
        await running.kill(VICTIM)
        await running.start_party(VICTIM)
        assert (await running.result(job_id)).state is JobState.COMPLETED
        assert contributors(running, job_id) == (5, 5)


@asynchronous
async def test_noise_is_never_drawn_twice_when_killed_between_storing_and_sending(tmp_path):
    federation = make_federation()
    crash = Crash("store_reply", after=True)
    running = InProcessFederation(
        federation, tmp_path, write_play(tmp_path, federation.parties), party_crashes={VICTIM: crash}
    )
    async with running:
        job_id = await running.submit(statistics_spec())
        await crash.reached.wait()
        await running.kill(VICTIM)
        stored = running.party_store(VICTIM).reply(job_id, 1)
        assert not [m for p, m in running.passed if p == VICTIM and isinstance(m, EncryptedReply)]
        await running.start_party(VICTIM)
        sent = await running.saw(lambda party_id, m: party_id == VICTIM and isinstance(m, EncryptedReply))
        assert running.wire(sent) == stored
        assert (await running.result(job_id)).state is JobState.COMPLETED


@asynchronous
async def test_party_killed_again_and_again_sends_the_same_reply_each_time(tmp_path):
    federation = make_federation()
    lost = True

    def lose_replies(party_id: PartyId, message: Message) -> Message | None:
        return None if lost and party_id == VICTIM and isinstance(message, EncryptedReply) else message

    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=lose_replies) as running:
        job_id = await running.submit(statistics_spec())
        for count in range(1, 4):
            await running.saw(lambda party_id, m: party_id == VICTIM and isinstance(m, EncryptedReply), count=count)
            await running.kill(VICTIM)
            lost = count < 3
            await running.start_party(VICTIM)
        assert (await running.result(job_id)).state is JobState.COMPLETED
        said = [m for party_id, m in running.passed if party_id == VICTIM and isinstance(m, EncryptedReply)]
        assert len(said) == 4
        assert len({running.wire(m) for m in said}) == 1


@asynchronous
async def test_state_that_is_kept_while_a_round_is_worked_on_is_the_one_that_is_stored(tmp_path):
    federation = make_federation(3, 3)
    running = InProcessFederation(federation, tmp_path, write_play(tmp_path, federation.parties))
    note_write, compared = running._note_write, set[Phase]()

    def compare(who: PartyId, name: str, arguments: tuple[object, ...]) -> None:
        for party_id, party in running.parties.items():
            for key, state in party._rounds._states.items():
                assert running.party_store(party_id).round(*key) == state
                compared.add(state.phase)
        note_write(who, name, arguments)

    running._note_write = compare  # type: ignore[method-assign]  # sees every write
    async with running:
        assert (await running.result(await running.submit(tree_spec()))).state is JobState.COMPLETED
        # Nothing is kept of a round that nobody works on.
        assert all(party._rounds._states == {} for party in running.parties.values())
    assert compared >= {Phase.ANSWERING, Phase.ANSWERED}


@asynchronous
async def test_what_was_just_stored_is_not_read_again_to_be_sent(tmp_path):
    federation = make_federation(3, 3)
    running = InProcessFederation(federation, tmp_path, write_play(tmp_path, federation.parties))
    async with running:
        job_id = await running.submit(statistics_spec())
        assert (await running.result(job_id)).state is JobState.COMPLETED
        done = [name for who, name, _ in running.writes if who == VICTIM]
        assert {"reply", "partial", "transcript"}.isdisjoint(done)
        # Once for the query, once for the request.
        assert done.count("round") == 2
        for kind, function in ((EncryptedReply, "store_reply"), (PartialDecryption, "store_partial")):
            sent = [running.wire(m) for p, m in running.passed if p == VICTIM and isinstance(m, kind)]
            assert sent == [facts[-1] for who, name, facts in running.writes if (who, name) == (VICTIM, function)]
