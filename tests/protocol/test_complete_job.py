# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Whole jobs that are sealed completely: one exchange before the first round, then one message a round."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from coterie_aggregator.machines.round_events import DeadlinePassed
from coterie_common.identifiers import PartyId
from coterie_common.protocol.acceptance import Acceptances, Encapsulations, JobReply
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.job_spec import JobSealing, JobSpec
from coterie_common.protocol.masked_reply import MaskedReply
from coterie_common.protocol.messages import DecryptionRequest, Message, PaddedPart, PartialDecryption, Query, Rejection
from coterie_common.protocol.progress import JobState
from coterie_common.protocol.terms import SealingKind
from coterie_party.policy.policy import Policy
from coterie_party.store import ReservationStatus
from coterie_party.store.files.job_secrets import JobSecrets
from tests.support.asynchronous import asynchronous
from tests.support.crashes import Crash, no_crash
from tests.support.deadlines import pass_deadline
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, Intercept, generous_policy
from tests.support.small_jobs import WIDER_SCHEMA, statistics_spec, tree_spec, wide_spec, write_play, write_wide

FEDERATION = make_federation()
PARTIES = FEDERATION.parties


def complete(spec: JobSpec) -> JobSpec:
    return replace(spec, sealing=JobSealing.COMPLETE)


def policy(**changes: Any) -> Policy:
    return generous_policy(sealings=["complete"], **changes)


def of_kind(running: InProcessFederation, kind: type) -> list[Any]:
    return [message for _, message in running.passed if isinstance(message, kind)]


@asynchronous
async def test_job_of_counts_takes_one_message_a_round_and_nobody_decrypts(tmp_path):
    datasets = write_play(tmp_path, PARTIES)
    async with InProcessFederation(FEDERATION, tmp_path, datasets, policy=policy()) as running:
        job_id = await running.submit(complete(tree_spec()))
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        assert {running.model(party_id, job_id) for party_id in running.parties} == {
            await running.aggregator.model(job_id)
        }
        assert running.errors == []
        for kind in (DecryptionRequest, PartialDecryption, EncryptedReply):
            assert of_kind(running, kind) == []
        queries = {query.fields.round_number: query for query in of_kind(running, Query)}
        assert sorted(queries) == [1, 2]
        assert {query.fields.terms.sealing for query in queries.values()} == {SealingKind.COMPLETE}
        assert {query.fields.round_quorum for query in queries.values()} == {len(PARTIES)}
        assert len(of_kind(running, MaskedReply)) == 2 * len(PARTIES)
        assert [len(of_kind(running, kind)) for kind in (Acceptances, Encapsulations)] == [len(PARTIES)] * 2
        # The list of the first round is that of what the parties sent.
        sent = {(reply.party_id, reply.digest) for reply in of_kind(running, MaskedReply) if reply.round_number == 1}
        listed = queries[2].previous
        assert (queries[1].previous, set(listed.replies)) == (None, sent)
        assert listed.digest == queries[2].fields.previous_transcript


@pytest.mark.slow  # a process per party imports numpy
@asynchronous
async def test_long_vectors_are_padded_and_the_keys_of_their_pads_masked(tmp_path):
    datasets = write_wide(tmp_path, PARTIES)
    linear = policy(algorithms=("logistic_regression",))
    async with InProcessFederation(FEDERATION, tmp_path, datasets, dataset_name="wider", policy=linear) as running:
        job_id = await running.submit(replace(complete(wide_spec(2)), dataset="wider", schema=WIDER_SCHEMA))
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        assert running.errors == []
        (sealing,) = {query.fields.terms.sealing for query in of_kind(running, Query)}
        assert sealing is SealingKind.COMPLETE_PADDED
        assert len(of_kind(running, PaddedPart)) == len(of_kind(running, MaskedReply)) == 2 * len(PARTIES)
        assert {len(reply.masked.values) for reply in of_kind(running, MaskedReply)} == {8192}


# Killed at any write: nothing is ever said in two ways, and the job completes.

VICTIM = PartyId("party-2")
"""With three parties one is below it and one above: it encapsulates, and is encapsulated to."""

WRITES = [
    *("keep", "record_job", "keep", "keep", "accept_query", "commit", "store_reply"),
    *("keep_model", "record_model", "end_job", "delete_job", "erase"),
]
"""Everything that a party makes durable in a job of one round, in order."""

KILLS = [(write, WRITES[: at + 1].count(write)) for at, write in enumerate(WRITES)]


def three(folder: Path, **options: Any) -> InProcessFederation:
    federation = make_federation(3, 3)
    return InProcessFederation(federation, folder, write_play(folder, federation.parties), policy=policy(), **options)


@asynchronous
async def test_writes_of_a_party_are_those_at_which_it_is_killed_below(tmp_path):
    crash = no_crash()
    async with three(tmp_path, party_crashes={VICTIM: crash}) as running:
        job_id = await running.submit(complete(statistics_spec()))
        assert (await running.result(job_id)).state is JobState.COMPLETED
        await running.wrote("erase", by=VICTIM)
    assert crash.writes == ["record_start", *WRITES]


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("write", "nth"), KILLS, ids=lambda value: str(value))
@asynchronous
async def test_killed_party_comes_back_and_says_the_same_again(tmp_path, write, nth, after):
    crash = Crash(write, nth=nth, after=after)
    async with three(tmp_path, party_crashes={VICTIM: crash}) as running:
        job_id = await running.submit(complete(statistics_spec()))
        await crash.reached.wait()
        await running.kill(VICTIM)
        await running.start_party(VICTIM)
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        assert len({running.model(party_id, job_id) for party_id in running.parties}) == 1
        assert [entry.status for entry in running.party_store(VICTIM).ledger("play")] == [ReservationStatus.COMMITTED]
        for kind in (JobReply, Encapsulations, MaskedReply):
            said = {running.wire(m) for party_id, m in running.passed if party_id == VICTIM and isinstance(m, kind)}
            assert len(said) == 1, kind


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(
    "write",
    ["put_acceptance", "put_encapsulations", "start_round", "put_contribution", "put_reply_list", "finish"],
)
@asynchronous
async def test_killed_aggregator_comes_back_and_the_job_completes(tmp_path, write, after):
    crash = Crash(write, after=after)
    async with three(tmp_path, aggregator_crash=crash) as running:
        job_id = await running.submit(complete(tree_spec()))
        await crash.reached.wait()
        await running.restart_aggregator()
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        queries = {(query.fields.session_id, query.signature) for query in of_kind(running, Query)}
        assert len(queries) == 2


# Refusals.


def losing(kind: type, *of: PartyId) -> Intercept:
    return lambda party_id, message: None if isinstance(message, kind) and party_id in of else message


@asynchronous
async def test_late_acceptance_of_a_job_that_ended_leaves_nothing_in_the_spool(tmp_path):
    async with three(tmp_path, intercept=losing(JobReply, VICTIM)) as running:
        job_id = await running.submit(complete(statistics_spec()))
        late = await running.saw(lambda party_id, message: party_id == VICTIM and isinstance(message, JobReply))
        await running.wrote("put_acceptance", count=2)
        await running.settled()
        assert (tmp_path / "spool" / job_id).is_dir()
        await running.cancel(job_id)
        running.to_aggregator(VICTIM, cast(JobReply, late))
        await running.settled()
        assert not (tmp_path / "spool" / job_id).exists()
        # It is still checked.
        running.to_aggregator(
            VICTIM, replace(cast(JobReply, late), ephemeral_key=b"").signed_by(running.federation.party_keys[VICTIM])
        )
        assert (await running.refused("malformed-message")).culprits == (VICTIM,)


@asynchronous
async def test_party_that_refuses_the_acceptances_fails_the_job_at_once(tmp_path):
    def forge(party_id: PartyId, message: Message) -> Message:
        if party_id == VICTIM and isinstance(message, Acceptances):
            return replace(message, replies=message.replies[1:])
        return message

    async with three(tmp_path, intercept=forge) as running:
        job_id = await running.submit(complete(statistics_spec()))
        status = await running.result(job_id)
        refusal = await running.refused("invalid-signature", by=VICTIM)
        assert status.state is JobState.FAILED
        assert status.reason == f"not all parties agreed on secrets; refused: {VICTIM} ({refusal.code})"
        assert of_kind(running, Query) == []


@asynchronous
async def test_refusal_by_a_party_that_does_not_take_part_leaves_the_job_agreeing(tmp_path):
    outsider, silent = PARTIES[4], PARTIES[0]
    options: dict[str, Any] = {"policies": {outsider: generous_policy()}, "intercept": losing(Encapsulations, silent)}
    datasets = write_play(tmp_path, PARTIES)
    async with InProcessFederation(FEDERATION, tmp_path, datasets, policy=policy(), **options) as running:
        job_id = await running.submit(complete(statistics_spec()))
        await running.saw(lambda _, message: isinstance(message, Encapsulations), count=4)
        refusal = Rejection(code="invalid-signature", detail="", job_id=job_id, round_number=0)
        running.to_aggregator(outsider, refusal)
        await running.settled()
        assert not (await running.status(job_id, lambda _: True)).state.is_final
        running.to_aggregator(silent, refusal)
        assert (await running.result(job_id)).reason.endswith(f"refused: {silent} (invalid-signature)")


# Secrets.


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


@asynchronous
async def test_secrets_are_gone_from_disk_after_the_job(tmp_path):
    crash = Crash("accept_query", after=False)
    async with three(tmp_path, party_crashes={VICTIM: crash}) as running:
        job_id = await running.submit(complete(statistics_spec()))
        await crash.reached.wait()
        (kept,) = [JobSecrets(path.parent).of(job_id, running.clock.now()) for path in secrets_of(running, VICTIM)]
        secrets = [each.reveal() for each in kept.pairs.values()]
        assert (len(secrets), kept.secret) == (2, None)
        assert all(secret.hex().encode() in on_disk(tmp_path / VICTIM) for secret in secrets)
        await running.kill(VICTIM)
        await running.start_party(VICTIM)
        assert (await running.result(job_id)).state is JobState.COMPLETED
        await running.wrote("erase", by=VICTIM)
        left = on_disk(tmp_path)
        for secret in secrets:
            assert secret not in left
            assert secret.hex().encode() not in left
        assert all(secrets_of(running, party_id) == [] for party_id in running.parties)


def secrets_of(running: InProcessFederation, party_id: PartyId) -> list[Path]:
    return [path for path in (running.folder / party_id / "ephemeral").rglob("*") if path.is_file()]


@asynchronous
async def test_secrets_are_erased_when_the_steward_withdraws(tmp_path):
    def withheld(party_id: PartyId, message: Message) -> Message | None:
        return None if party_id == VICTIM and isinstance(message, Query) else message

    async with three(tmp_path, intercept=withheld) as running:
        job_id = await running.submit(complete(statistics_spec()))
        await running.saw(lambda party_id, message: party_id == VICTIM and isinstance(message, Query))
        await running.settled()
        party, store = running.parties[VICTIM], running.party_store(VICTIM)
        await party.look_again()
        assert len(secrets_of(running, VICTIM)) == 1
        store.rule(job_id, is_approved=False, now=running.clock.now())
        await party.look_again()
        assert secrets_of(running, VICTIM) == []
        running.intercept = lambda _, message: message
        await running.reconnect(VICTIM)
        status = await running.result(job_id)
        assert status.state is JobState.FAILED
        assert f"refused: {VICTIM} (consent-denied)" in status.reason


@asynchronous
async def test_member_that_vanishes_costs_a_spare_round_and_the_rest_go_on_without_it(tmp_path):
    gone = PARTIES[4]
    crash = Crash("accept_query")
    datasets = write_play(tmp_path, PARTIES)
    options: dict[str, Any] = {"policy": policy(), "party_crashes": {gone: crash}}
    async with InProcessFederation(FEDERATION, tmp_path, datasets, **options) as running:
        job_id = await running.submit(complete(tree_spec(spare_rounds=1)))
        await crash.reached.wait()
        await running.kill(gone)
        await running.status(job_id, lambda s: s.round is not None and len(s.round.contributed) == 4)
        pass_deadline(running, job_id, DeadlinePassed())
        await running.status(job_id, lambda s: sum(party.model_received for party in s.parties) == 4)
        queries = {query.fields.round_number: query.fields for query in of_kind(running, Query)}
        assert [(each.plan_step, each.round_quorum) for each in queries.values()] == [(1, 5), (1, 4), (2, 4)]
        assert gone not in queries[2].cohort
