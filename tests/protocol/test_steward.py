# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What a party's steward says while the daemon runs: approvals, refusals, an edited policy, hours."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from coterie_common.audit.entry import Kind
from coterie_common.identifiers import JobId, PartyId
from coterie_common.learning.model import Model
from coterie_common.protocol.acceptance import Decision, JobReply
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import Message, Query
from coterie_common.protocol.progress import JobParty, JobState, JobStatus
from coterie_party.policy.hours import WEEK, Hours
from coterie_party.policy.policy import Budget, Confinement, DatasetRules, Period, Policy
from coterie_party.store import ReservationStatus
from coterie_party.training.confinement import Confinement as KeptFrom
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.recorders import ManualClock
from tests.support.small_jobs import make_spec, statistics_spec, tree_spec, write_play

PARTY = PartyId("party-1")
HELD = generous_policy(automatic=False)
NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)


def part_of(status: JobStatus, party_id: PartyId = PARTY) -> JobParty:
    return next(party for party in status.parties if party.party_id == party_id)


async def held(running: InProcessFederation, job_id: JobId) -> JobStatus:
    return await running.status(job_id, lambda s: part_of(s).decision is Decision.HELD)


def federation_of(tmp_path: Path, **options: object) -> InProcessFederation:
    """Three parties, all of whom must take part; the first has a policy of its own."""
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    return InProcessFederation(federation, tmp_path, datasets, **options)  # type: ignore[arg-type]  # its fields


def only_at(local: datetime) -> Hours:
    """The hour that begins then."""
    until = local + timedelta(hours=1)
    return Hours.model_validate({"from": f"{local:%H:%M}", "until": f"{until:%H:%M}", "days": list(WEEK)})


def waits(running: InProcessFederation) -> bool:
    return not [m for p, m in running.passed if p == PARTY and isinstance(m, EncryptedReply)]


@asynchronous
async def test_held_job_is_approved_while_the_daemon_runs_and_told_without_a_new_connection(tmp_path):
    async with federation_of(tmp_path, policies={PARTY: HELD}) as running:
        job_id = await running.submit(statistics_spec())
        await held(running, job_id)
        party, store = running.parties[PARTY], running.party_store(PARTY)
        await party.look_again()
        # Nothing is reserved before, and nobody is told what has not changed.
        assert store.ledger("play") == ()
        assert len([m for p, m in running.passed if p == PARTY and isinstance(m, JobReply)]) == 1
        store.rule(job_id, is_approved=True, now=NOW)
        await party.look_again()
        status = await running.result(job_id)
        assert (status.state, part_of(status).decision) == (JobState.COMPLETED, Decision.ACCEPTED)
        assert Model.from_bytes(running.model(PARTY, job_id)).lineage.contributors == (3,)
        assert [entry.status for entry in store.ledger("play")] == [ReservationStatus.COMMITTED]


@asynchronous
async def test_approval_counts_for_one_job_only(tmp_path):
    async with federation_of(tmp_path, policies={PARTY: HELD}) as running:
        jobs = [await running.submit(statistics_spec(name=name)) for name in ("one", "two")]
        for job_id in jobs:
            await held(running, job_id)
        running.party_store(PARTY).rule(jobs[0], is_approved=True, now=NOW)
        await running.parties[PARTY].look_again()
        await running.result(jobs[0])
        assert part_of(await held(running, jobs[1])).decision is Decision.HELD
        await running.cancel(jobs[1])


@asynchronous
async def test_approval_while_the_party_is_away_counts_when_it_is_asked_again(tmp_path):
    async with federation_of(tmp_path, policies={PARTY: HELD}) as running:
        job_id = await running.submit(statistics_spec())
        await held(running, job_id)
        await running.kill(PARTY)
        running.party_store(PARTY).rule(job_id, is_approved=True, now=NOW)
        await running.start_party(PARTY)
        assert (await running.result(job_id)).state is JobState.COMPLETED


@asynchronous
async def test_refused_job_fails_with_the_stewards_words(tmp_path):
    async with federation_of(tmp_path, policies={PARTY: HELD}) as running:
        job_id = await running.submit(statistics_spec())
        await held(running, job_id)
        running.party_store(PARTY).rule(job_id, is_approved=False, reason="ask\nthe board first", now=NOW)
        await running.parties[PARTY].look_again()
        status = await running.result(job_id)
        assert status.state is JobState.FAILED
        assert (part_of(status).code, part_of(status).detail) == (
            "consent-denied",
            "this party's steward refused the job: ask the board first",
        )
        job = running.party_store(PARTY).job(job_id)
        assert job is not None
        assert (job.decision, job.dataset) == (Decision.REFUSED, "play")


@asynchronous
async def test_approved_job_is_checked_again_and_refused_if_the_budget_went_meanwhile(tmp_path):
    small = Budget(epsilon=Decimal(9), delta=Decimal("1e-4"))
    async with federation_of(tmp_path, policies={PARTY: generous_policy(automatic=False, lifetime=small)}) as running:
        jobs = [await running.submit(tree_spec(name=name)) for name in ("one", "two")]
        for job_id in jobs:
            await held(running, job_id)
            running.party_store(PARTY).rule(job_id, is_approved=True, now=NOW)
        await running.parties[PARTY].look_again()
        first, second = [await running.result(job_id) for job_id in jobs]
        assert first.state is JobState.COMPLETED
        assert second.state is JobState.FAILED
        assert part_of(second).code == "budget-exhausted"
        assert "this party's limit for all jobs is 9" in part_of(second).detail


@asynchronous
async def test_edited_policy_accepts_what_was_held_and_refuses_what_comes_next(tmp_path):
    async with federation_of(tmp_path, policies={PARTY: HELD}) as running:
        job_id = await running.submit(statistics_spec())
        await held(running, job_id)
        running.policies[PARTY] = generous_policy()
        await running.parties[PARTY].look_again()
        assert (await running.result(job_id)).state is JobState.COMPLETED
        running.policies[PARTY] = generous_policy(allowed_datasets=())
        status = await running.result(await running.submit(statistics_spec()))
        assert (part_of(status).decision, part_of(status).code) == (Decision.REFUSED, "consent-denied")


@asynchronous
async def test_policy_edited_during_a_job_stops_its_next_round_and_what_was_answered_stays_spent(tmp_path):
    queries: list[Message] = []

    def edit_before_round_two(party_id: PartyId, message: Message) -> Message:
        if party_id == PARTY and isinstance(message, Query) and message.fields.round_number == 2:
            running.policies[PARTY] = generous_policy(datasets={"play": DatasetRules(algorithms=())})
            queries.append(message)
        return message

    running = federation_of(tmp_path, intercept=edit_before_round_two)
    async with running:
        job_id = await running.submit(tree_spec())
        status = await running.result(job_id)
        assert status.state is JobState.FAILED
        assert "refused: party-1 (consent-denied)" in status.reason
        assert queries
        await running.wrote("end_job", by=PARTY)
        assert [entry.status for entry in running.party_store(PARTY).ledger("play")] == [
            ReservationStatus.COMMITTED,
            ReservationStatus.RELEASED,
        ]


@asynchronous
async def test_steward_withdraws_from_a_job_that_runs(tmp_path):
    def withdraw_before_round_two(party_id: PartyId, message: Message) -> Message:
        if party_id == PARTY and isinstance(message, Query) and message.fields.round_number == 2:
            running.party_store(PARTY).rule(message.fields.job_id, is_approved=False, now=NOW)
        return message

    running = federation_of(tmp_path, intercept=withdraw_before_round_two)
    async with running:
        status = await running.result(await running.submit(tree_spec()))
        assert status.state is JobState.FAILED
        assert "refused: party-1 (consent-denied)" in status.reason


@asynchronous
async def test_job_proposed_outside_the_hours_starts_when_they_come(tmp_path):
    clock = ManualClock(NOW)
    policy = generous_policy(hours=(only_at(clock.when.astimezone() + timedelta(hours=3)),))
    async with federation_of(tmp_path, policies={PARTY: policy}, clock=clock) as running:
        job_id = await running.submit(statistics_spec())
        assert "starts jobs from" in part_of(await held(running, job_id)).detail
        clock.when += timedelta(hours=2, minutes=59)
        await running.parties[PARTY].look_again()
        assert running.party_store(PARTY).ledger("play") == ()
        clock.when += timedelta(minutes=1)
        await running.parties[PARTY].look_again()
        assert (await running.result(job_id)).state is JobState.COMPLETED


@asynchronous
async def test_approved_job_waits_for_the_hours_too(tmp_path):
    clock = ManualClock(NOW)
    hours = (only_at(clock.when.astimezone() + timedelta(hours=3)),)
    policy = generous_policy(hours=hours, automatic=False)
    async with federation_of(tmp_path, policies={PARTY: policy}, clock=clock) as running:
        job_id = await running.submit(statistics_spec())
        assert "waits for its steward" in part_of(await held(running, job_id)).detail
        running.party_store(PARTY).rule(job_id, is_approved=True, now=NOW)
        await running.parties[PARTY].look_again()
        await running.status(job_id, lambda s: "starts jobs from" in part_of(s).detail)
        clock.when += timedelta(hours=3)
        await running.parties[PARTY].look_again()
        assert (await running.result(job_id)).state is JobState.COMPLETED


@asynchronous
async def test_query_outside_the_hours_is_answered_when_they_come_and_costs_nothing_before(tmp_path):
    clock = ManualClock(NOW)
    later = generous_policy(hours=(only_at(clock.when.astimezone() + timedelta(hours=3)),))

    def close_before_the_query(party_id: PartyId, message: Message) -> Message:
        if party_id == PARTY and isinstance(message, Query):
            running.policies[PARTY] = later
        return message

    running = federation_of(tmp_path, clock=clock, intercept=close_before_the_query)
    async with running:
        job_id = await running.submit(statistics_spec())
        await running.saw(lambda p, m: p != PARTY and isinstance(m, EncryptedReply), count=2)
        await running.settled()
        await running.parties[PARTY].look_again()
        assert waits(running)
        assert [entry.status for entry in running.party_store(PARTY).ledger("play")] == [ReservationStatus.RESERVED]
        clock.when += timedelta(hours=3)
        await running.parties[PARTY].look_again()
        assert (await running.result(job_id)).state is JobState.COMPLETED


@asynchronous
async def test_query_that_waited_is_forgotten_with_its_job(tmp_path):
    clock = ManualClock(NOW)
    later = generous_policy(hours=(only_at(clock.when.astimezone() + timedelta(hours=3)),))

    def close_before_the_query(party_id: PartyId, message: Message) -> Message:
        if party_id == PARTY and isinstance(message, Query):
            running.policies[PARTY] = later
        return message

    running = federation_of(tmp_path, clock=clock, intercept=close_before_the_query)
    async with running:
        job_id = await running.submit(statistics_spec())
        await running.saw(lambda p, m: p == PARTY and isinstance(m, Query))
        await running.settled()
        await running.cancel(job_id)
        await running.wrote("end_job", by=PARTY)
        clock.when += timedelta(hours=3)
        await running.parties[PARTY].look_again()
        await running.settled()
        assert waits(running)
        assert [entry.status for entry in running.party_store(PARTY).ledger("play")] == [ReservationStatus.RELEASED]


@asynchronous
async def test_budget_of_a_period_is_renewed_and_that_of_a_lifetime_is_not(tmp_path):
    clock = ManualClock(NOW)

    def policy_with(lifetime: int) -> Policy:
        period = Period(epsilon=Decimal(9), delta=Decimal("1e-4"), days=30)
        return generous_policy(lifetime=Budget(epsilon=Decimal(lifetime), delta=Decimal("1e-4")), periods=(period,))

    async with federation_of(tmp_path, policies={PARTY: policy_with(20)}, clock=clock) as running:

        async def run_job() -> JobStatus:
            return await running.result(await running.submit(tree_spec()))

        assert (await run_job()).state is JobState.COMPLETED
        clock.when += timedelta(days=29)
        refused = part_of(await run_job())
        assert (refused.code, "limit for any 30 days is 9" in refused.detail) == ("budget-exhausted", True)
        clock.when += timedelta(days=1, seconds=1)
        assert (await run_job()).state is JobState.COMPLETED
        clock.when += timedelta(days=31)
        running.policies[PARTY] = policy_with(11)
        refused = part_of(await run_job())
        assert (refused.code, "limit for all jobs is 11" in refused.detail) == ("budget-exhausted", True)


REGRESSION = {"rounds": 2, "records": 490, "clip_norm": Decimal(1)}
ALLOWED = ("logistic_regression", "statistics")
DEMANDS = generous_policy(algorithms=ALLOWED, confinement=Confinement.REQUIRED)


@asynchronous
async def test_policy_that_demands_confinement_refuses_vectors_where_the_system_does_not_confine(tmp_path):
    lacking = KeptFrom(network=True, processes=True)
    async with federation_of(
        tmp_path, policies={PARTY: DEMANDS}, policy=generous_policy(algorithms=ALLOWED), confinement=lacking
    ) as running:
        status = await running.result(await running.submit(make_spec("logistic_regression", REGRESSION)))
        assert (part_of(status).decision, part_of(status).code) == (Decision.REFUSED, "not-confined")
        assert running.party_store(PARTY).ledger("play") == ()
        # Counts are computed by the daemon's own code: nothing of others runs.
        assert (await running.result(await running.submit(statistics_spec()))).state is JobState.COMPLETED
        starts = [entry.facts for entry in running.audit_log(PARTY).entries() if entry.kind is Kind.STARTED]
        assert [start["training_process_can"] for start in starts] == ["read and delete the party's files"]


@asynchronous
async def test_policy_that_comes_to_demand_confinement_stops_a_job_that_runs_before_its_process_starts(tmp_path):
    def demand_before_round_one(party_id: PartyId, message: Message) -> Message:
        if party_id == PARTY and isinstance(message, Query):
            running.policies[PARTY] = DEMANDS
        return message

    running = federation_of(
        tmp_path, policy=generous_policy(algorithms=ALLOWED), confinement=KeptFrom(), intercept=demand_before_round_one
    )
    async with running:
        status = await running.result(await running.submit(make_spec("logistic_regression", REGRESSION)))
        assert part_of(status).decision is Decision.ACCEPTED
        assert status.state is JobState.FAILED
        assert "refused: party-1 (not-confined)" in status.reason
