# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The privacy ledger of a party over jobs, ends of jobs and restarts: nothing that was asked is ever given back."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from fractions import Fraction

from coterie_common.identifiers import JobId, PartyId
from coterie_common.privacy.accounting.cost import Charge
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import JobEnd, JobOutcome, Message, Query
from coterie_common.protocol.progress import JobParty, JobState, JobStatus
from coterie_party.policy.budget import charges, total
from coterie_party.policy.policy import Budget, Limit
from coterie_party.store import ReservationStatus
from tests.support.asynchronous import asynchronous
from tests.support.crashes import Crash
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.small_jobs import statistics_spec, tree_spec, write_play

PARTY = PartyId("party-1")
DELTA = Fraction(1, 10_000)


def statuses(running: InProcessFederation, job_id: JobId, party_id: PartyId = PARTY) -> list[ReservationStatus]:
    return [entry.status for entry in running.party_store(party_id).ledger("play") if entry.job_id == job_id]


def spent(running: InProcessFederation) -> Charge:
    limit = Limit(Budget(epsilon=Decimal(9), delta=Decimal("1e-4")), None)
    charge = total(charges(running.party_store(PARTY).ledger("play"), limit, running.clock.now()))
    assert charge is not None
    return charge


def first_refusal(status: JobStatus) -> JobParty:
    # A job fails as soon as too many refused; nobody waits for the other answers.
    return next(party for party in status.parties if party.decision is Decision.REFUSED)


@asynchronous
async def test_second_job_over_the_lifetime_budget_is_refused_before_it_begins_with_the_numbers(tmp_path):
    federation = make_federation()
    policy = generous_policy(lifetime=Budget(epsilon=Decimal(9), delta=Decimal("1e-4")))
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, policy=policy) as running:
        first = await running.submit(tree_spec())
        assert (await running.result(first)).state is JobState.COMPLETED
        for party_id in federation.parties:
            await running.kill(party_id)
            await running.start_party(party_id)
        second = await running.submit(tree_spec(name="again"))
        status = await running.result(second)
        assert status.state is JobState.FAILED
        refused = first_refusal(status)
        assert refused.code == "budget-exhausted"
        so_far = spent(running).epsilon(DELTA)
        assert 5 < so_far < 9
        for number in ("asks ε = 8", f"spent ε = {so_far:.4g}", "is 9"):
            assert number in refused.detail
        assert not [m for _, m in running.passed if isinstance(m, Query) and m.fields.job_id == second]
        assert statuses(running, second) == []


@asynchronous
async def test_job_that_still_fits_is_accepted_and_costs_add_up(tmp_path):
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        costs = []
        for name in ("one", "two", "three"):
            job_id = await running.submit(statistics_spec(name=name))
            assert (await running.result(job_id)).state is JobState.COMPLETED
            costs.append(spent(running).epsilon(DELTA))
        assert costs[0] < costs[1] < costs[2]
        # Composition is better than adding up ε, and no better than one of them.
        assert costs[0] < costs[2] < 3 * costs[0]


@asynchronous
async def test_round_is_charged_before_anything_is_computed_and_once(tmp_path):
    federation = make_federation(3, 3)
    crash = Crash("store_reply")
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, party_crashes={PARTY: crash}) as running:
        job_id = await running.submit(tree_spec())
        await running.wrote("record_job", by=PARTY)
        await crash.reached.wait()
        # Nothing has left, and yet it is spent.
        assert not [m for p, m in running.passed if p == PARTY and isinstance(m, EncryptedReply)]
        assert statuses(running, job_id) == [ReservationStatus.COMMITTED, ReservationStatus.RESERVED]
        before = spent(running)
        for _ in range(2):
            await running.kill(PARTY)
            await running.start_party(PARTY)
        assert (await running.result(job_id)).state is JobState.COMPLETED
        assert statuses(running, job_id) == [ReservationStatus.COMMITTED] * 2
        # Reserved counts as spent, so the whole job cost the same from the beginning.
        assert spent(running) == before


@asynchronous
async def test_cancelled_job_gives_back_what_was_not_asked_and_only_that(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)

    def hold(party_id: PartyId, message: Message) -> Message | None:
        return None if isinstance(message, EncryptedReply) and message.round_number == 2 else message

    async with InProcessFederation(federation, tmp_path, datasets, intercept=hold) as running:
        other = await running.submit(statistics_spec(name="other"))
        await running.result(other)
        whole = spent(running)
        job_id = await running.submit(tree_spec())
        await running.saw(lambda p, m: isinstance(m, EncryptedReply) and m.round_number == 2, count=5)
        third = await running.submit(tree_spec(name="third", proposal_deadline_s=30))
        # Both rounds were asked: all of it stays spent.
        await running.cancel(job_id)
        await running.wrote("end_job", by=PARTY, count=2)
        assert statuses(running, job_id) == [ReservationStatus.COMMITTED] * 2
        assert statuses(running, other) == [ReservationStatus.COMMITTED]
        assert spent(running).epsilon(DELTA) > whole.epsilon(DELTA)
        # Another job's reservations are its own.
        await running.saw(lambda p, m: p == PARTY and isinstance(m, Query) and m.fields.job_id == third)
        assert ReservationStatus.RELEASED not in statuses(running, third)
        running.intercept = lambda party_id, message: message
        await running.cancel(third)


@asynchronous
async def test_job_that_stops_early_gives_back_the_rounds_that_were_not_needed(tmp_path):
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    for party_id in federation.parties:
        # Every record plays: the first level is pure already.
        text = datasets[party_id].read_text().replace(",no\n", ",yes\n").replace(",no\r\n", ",yes\r\n")
        datasets[party_id].write_text(text)
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        # Whatever ε, noise passes for records of the other class in some jobs: counts are compared with their noise.
        for attempt in range(12):
            job_id = await running.submit(tree_spec(name=f"play-{attempt}"))
            status = await running.result(job_id)
            assert (status.state, status.rounds_planned) == (JobState.COMPLETED, 2)
            assert status.round is not None
            if status.round.number == 1:
                break
        assert status.round.number == 1
        await running.wrote("end_job", by=PARTY, count=attempt + 1)
        assert Counter(statuses(running, job_id)) == {ReservationStatus.COMMITTED: 1, ReservationStatus.RELEASED: 1}


@asynchronous
async def test_end_that_only_claims_to_be_the_aggregators_gives_nothing_back(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)

    def hold(party_id: PartyId, message: Message) -> Message | None:
        return None if isinstance(message, EncryptedReply) else message

    async with InProcessFederation(federation, tmp_path, datasets, intercept=hold) as running:
        job_id = await running.submit(tree_spec())
        await running.saw(lambda p, m: p == PARTY and isinstance(m, EncryptedReply))
        end = JobEnd(job_id=job_id, outcome=JobOutcome.CANCELLED, reason="", signature=bytes(64))
        running.to_party(PARTY, end)
        await running.refused("invalid-signature", by=PARTY)
        assert statuses(running, job_id) == [ReservationStatus.COMMITTED, ReservationStatus.RESERVED]
        await running.cancel(job_id)


@asynchronous
async def test_job_without_noise_leaves_no_budget_for_any_other(tmp_path):
    federation = make_federation(3, 3)
    spec = statistics_spec(name="exact", privacy={"placement": "none"})
    policy = generous_policy(jobs_without_noise=(spec.digest.hex(),))
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, policy=policy) as running:
        assert (await running.result(await running.submit(spec))).state is JobState.COMPLETED
        status = await running.result(await running.submit(statistics_spec()))
        assert status.state is JobState.FAILED
        refused = first_refusal(status)
        assert refused.code == "budget-exhausted"
        assert "spent ε = ∞" in refused.detail
