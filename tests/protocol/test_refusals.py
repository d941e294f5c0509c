# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Parties that decline: for which reason, what of it leaves the house, and what becomes of the job."""

from __future__ import annotations

from decimal import Decimal

import pytest

from coterie_common.errors import DrownedInNoise
from coterie_common.identifiers import PartyId
from coterie_common.learning.model import Model
from coterie_common.protocol.acceptance import Decision, JobReply
from coterie_common.protocol.messages import JobEnd, JobProposal, Message, ModelDelivery, Query, Rejection
from coterie_common.protocol.progress import JobParty, JobState, JobStatus
from coterie_party.store import ReservationStatus
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.small_jobs import make_spec, statistics_spec, tree_spec, write_play

FIVE = PartyId("party-5")
MARKER = "a-patients-name"


def part_of(status: JobStatus, party_id: PartyId) -> JobParty:
    return next(party for party in status.parties if party.party_id == party_id)


@pytest.mark.parametrize(
    ("policy", "spec", "code", "words"),
    [
        (generous_policy(epsilon_per_job=Decimal(7)), statistics_spec(), "budget-exhausted", ("ε = 8", "job is 7")),
        (generous_policy(delta_per_job=Decimal("1e-6")), statistics_spec(), "budget-exhausted", ("δ", "0.000001")),
        (generous_policy(algorithms=("decision_tree",)), statistics_spec(), "consent-denied", ("statistics",)),
        (generous_policy(rounds_per_job=1), tree_spec(), "consent-denied", ("2 rounds", "1")),
        (generous_policy(minimum_cohort=6), statistics_spec(), "quorum-too-small", ("5", "6")),
        (generous_policy(minimum_quorum=5), statistics_spec(), "quorum-too-small", ("4", "5")),
        (generous_policy(), statistics_spec(privacy={"placement": "local"}), "consent-denied", ("local",)),
    ],
    ids=["ε", "δ", "algorithm", "rounds", "cohort", "quorum", "local noise"],
)
@asynchronous
async def test_job_against_the_policy_of_one_party_goes_on_without_it(tmp_path, policy, spec, code, words):
    federation = make_federation()
    others = generous_policy(placements=["distributed", "local"])
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, policy=others, policies={FIVE: policy}) as running:
        job_id = await running.submit(spec)
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        declined = part_of(status, FIVE)
        assert (declined.decision, declined.code) == (Decision.REFUSED, code)
        assert all(word in declined.detail for word in words)
        assert not [party_id for party_id, m in running.passed if party_id == FIVE and isinstance(m, Query)]
        assert running.party_store(FIVE).ledger("play") == ()
        # It keeps no model of it, but learns of the end.
        assert set(Model.from_bytes(await running.aggregator.model(job_id)).lineage.contributors) == {4}
        await running.saw(lambda party_id, m: party_id == FIVE and isinstance(m, JobEnd))
        assert not [m for party_id, m in running.passed if party_id == FIVE and isinstance(m, ModelDelivery)]


@asynchronous
async def test_job_drowned_in_its_noise_reaches_nobody_until_a_person_wants_it_all_the_same(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    config = {"rounds": 2, "records": 30, "clip_norm": Decimal(1)}
    spec = make_spec("logistic_regression", config, privacy={"epsilon": Decimal("0.1")})
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        with pytest.raises(DrownedInNoise, match="sum over 30 records is at most 30 long"):
            await running.submit(spec, despite_noise=False)
        assert await running.aggregator.jobs() == ()
        assert not any(isinstance(message, JobProposal) for _, message in running.passed)
        job_id = await running.submit(spec, despite_noise=True)
        assert [status.job_id for status in await running.aggregator.jobs()] == [job_id]


@asynchronous
async def test_job_without_noise_is_not_run_without_a_party_that_refuses_it(tmp_path):
    # The sum of the others, beside a later one of all, would show that party's exact reply.
    federation = make_federation()
    spec = statistics_spec(privacy={"placement": "none"})
    others = generous_policy(jobs_without_noise=(spec.digest.hex(),))
    datasets, own = write_play(tmp_path, federation.parties), {FIVE: generous_policy()}
    async with InProcessFederation(federation, tmp_path, datasets, policy=others, policies=own) as running:
        status = await running.result(await running.submit(spec))
        assert status.state is JobState.FAILED
        assert part_of(status, FIVE).code == "consent-denied"
        assert "fewer than 5 parties can take part" in status.reason
        assert not [m for _, m in running.passed if isinstance(m, Query)]


@asynchronous
async def test_data_set_that_is_not_bound_is_refused_with_the_code_only(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    del datasets[FIVE]
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        declined = part_of(await running.result(await running.submit(statistics_spec())), FIVE)
        assert (declined.decision, declined.code) == (Decision.REFUSED, "data")
        assert "its steward sees what" in declined.detail


def assert_nothing_says(running: InProcessFederation, marker: str) -> None:
    for party_id, message in running.passed:
        assert marker not in repr(message), (party_id, type(message))


@pytest.mark.parametrize(
    "content",
    [f"{MARKER},weak,1,no", f"sunny,weak,{MARKER},no", f"sunny,weak,1,\n{MARKER},weak,1,no", f"{MARKER},weak"],
    ids=["an unknown category", "no number", "an empty cell", "a ragged row"],
)
@asynchronous
async def test_unreadable_data_is_refused_without_a_word_of_its_content(tmp_path, content):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    header = datasets[FIVE].read_text().splitlines()[0]
    datasets[FIVE].write_text(f"{header}\n{content}\n")
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        status = await running.result(await running.submit(statistics_spec()))
        assert status.state is JobState.COMPLETED
        declined = part_of(status, FIVE)
        assert (declined.decision, declined.code) == (Decision.REFUSED, "data")
        assert "its steward sees what" in declined.detail
        assert_nothing_says(running, MARKER)
        (note,) = running.party_notes(FIVE).of_job(status.job_id)
        assert (note.round_number, note.code) == (0, "data")
        assert f"{datasets[FIVE].name}: row " in note.detail
        assert MARKER not in repr(running.audit_log(FIVE).entries())


@asynchronous
async def test_data_that_becomes_unreadable_between_proposal_and_round_is_refused_without_its_content(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)

    def spoil(party_id: PartyId, message: Message) -> Message:
        if party_id == FIVE and isinstance(message, Query):
            with datasets[FIVE].open("a") as stream:
                stream.write(f"{MARKER},weak,1,no\n")
        return message

    async with InProcessFederation(federation, tmp_path, datasets, intercept=spoil) as running:
        job_id = await running.submit(statistics_spec())
        status = await running.result(job_id)
        # The refusal is known at once: nobody waits for the deadline.
        assert status.state is JobState.COMPLETED
        assert Model.from_bytes(running.model(FIVE, job_id)).lineage.contributors == (4,)
        said = await running.saw(lambda party_id, m: party_id == FIVE and isinstance(m, Rejection))
        assert isinstance(said, Rejection)
        assert (said.code, said.detail, said.round_number) == ("data", "", 1)
        assert_nothing_says(running, MARKER)
        (note,) = running.party_notes(FIVE).of_job(job_id)
        assert (note.round_number, note.code) == (1, "data")
        assert MARKER in note.detail
        # It was asked, so its reservation stays spent although nothing left.
        assert [entry.status for entry in running.party_store(FIVE).ledger("play")] == [ReservationStatus.COMMITTED]


@asynchronous
async def test_too_many_refusals_fail_the_job_with_who_and_why(tmp_path):
    federation = make_federation()
    strict = generous_policy(epsilon_per_job=Decimal(1))
    policies = {PartyId("party-1"): strict, FIVE: generous_policy(algorithms=())}
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, policies=policies) as running:
        job_id = await running.submit(tree_spec())
        status = await running.result(job_id)
        assert status.state is JobState.FAILED
        assert status.reason == (
            "fewer than 4 parties can take part; refused: party-1 (budget-exhausted), party-5 (consent-denied)"
        )
        ends = [m for _, m in running.passed if isinstance(m, JobEnd)]
        assert {end.reason for end in ends} == {status.reason}
        for party_id in federation.parties[1:4]:
            # A party may have accepted only after the others had refused.
            await running.wrote("end_job", by=party_id)
            spent = {entry.status for entry in running.party_store(party_id).ledger("play")}
            assert spent == {ReservationStatus.RELEASED}
        assert not [m for _, m in running.passed if isinstance(m, Query)]


@asynchronous
async def test_too_many_refusals_in_a_round_fail_the_job_with_who_and_why(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    spoilt = federation.parties[3:]

    def spoil(party_id: PartyId, message: Message) -> Message:
        if party_id in spoilt and isinstance(message, Query):
            datasets[party_id].write_text("nothing of use\n")
        return message

    async with InProcessFederation(federation, tmp_path, datasets, intercept=spoil) as running:
        status = await running.result(await running.submit(statistics_spec()))
        assert status.state is JobState.FAILED
        assert status.reason.startswith("round 1 was aborted: too-few-parties; refused: ")
        assert status.reason.count("(data)") == 2
        assert "party-4" in status.reason
        assert "party-5" in status.reason


@pytest.mark.slow  # a deadline of a second, the shortest there is, must pass
@asynchronous
async def test_held_job_waits_until_the_steward_lets_it_pass(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    held = generous_policy(automatic=False)
    running = InProcessFederation(federation, tmp_path, datasets, policies={federation.parties[3]: held, FIVE: held})
    async with running:
        job_id = await running.submit(statistics_spec(proposal_deadline_s=1, patience_s=1))
        status = await running.status(job_id, lambda s: all(party.decision for party in s.parties))
        assert (part_of(status, FIVE).decision, status.waiting_for) == (Decision.HELD, 1)
        assert running.party_store(FIVE).ledger("play") == ()
        await running.kill(FIVE)
        running.policies[FIVE] = generous_policy()
        await running.start_party(FIVE)
        status = await running.result(job_id)
        assert (status.state, part_of(status, FIVE).decision) == (JobState.COMPLETED, Decision.ACCEPTED)
        assert Model.from_bytes(await running.delivered(FIVE, job_id)).lineage.contributors == (4,)


@asynchronous
async def test_held_job_that_has_ended_is_not_accepted_any_more(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    running = InProcessFederation(federation, tmp_path, datasets, policies={FIVE: generous_policy(automatic=False)})
    async with running:
        job_id = await running.submit(statistics_spec())
        await running.saw(lambda party_id, m: party_id == FIVE and isinstance(m, JobReply))
        proposal = next(m for party_id, m in running.passed if party_id == FIVE)
        await running.cancel(job_id)
        await running.wrote("end_job", by=FIVE)
        await running.kill(FIVE)
        running.policies[FIVE] = generous_policy()
        await running.start_party(FIVE)
        running.to_party(FIVE, proposal)  # type: ignore[arg-type]  # the aggregator's first message
        said = await running.saw(lambda party_id, m: party_id == FIVE and isinstance(m, JobReply), count=2)
        assert isinstance(said, JobReply)
        assert said.decision is Decision.HELD
        assert running.party_store(FIVE).ledger("play") == ()


@asynchronous
async def test_same_proposal_always_gets_the_same_answer(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    policies = {FIVE: generous_policy(epsilon_per_job=Decimal(1))}
    async with InProcessFederation(federation, tmp_path, datasets, policies=policies) as running:
        await running.result(await running.submit(statistics_spec()))
        proposal = next(m for party_id, m in running.passed if party_id == FIVE)
        await running.kill(FIVE)
        running.policies[FIVE] = generous_policy()
        await running.start_party(FIVE)
        running.to_party(FIVE, proposal)  # type: ignore[arg-type]  # the aggregator's first message
        said = await running.saw(lambda party_id, m: party_id == FIVE and isinstance(m, JobReply), count=2)
        assert isinstance(said, JobReply)
        assert (said.decision, said.code) == (Decision.REFUSED, "budget-exhausted")
