# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Without noise, two sums that differ in one contributor show its exact reply: within one job, and across jobs.

All releases without noise on a data set are of all members of the roster, or there is none.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from coterie_common import document
from coterie_common.identifiers import JobId
from coterie_common.protocol.acceptance import Decision, JobReply
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import PartialDecryption, Query, Rejection
from coterie_common.protocol.progress import JobState
from coterie_party.policy.policy import Policy
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.malicious_aggregator import PARTIES, VICTIM, MaliciousAggregator, attacking, memory
from tests.support.present import present
from tests.support.small_jobs import make_spec, statistics_spec, tree_spec, write_play

TREE = tree_spec(privacy={"placement": "none"})
STATISTICS = statistics_spec(privacy={"placement": "none"})
CHILDREN = document.encode({"length": 36, "tree": ["outlook", None, None, None], "open": [1, 2, 3]})


def allowing(*specs: JobSpec) -> Policy:
    return generous_policy(
        jobs_without_noise=tuple(spec.digest.hex() for spec in specs),
        algorithms=("decision_tree", "statistics"),
    )


async def assert_refused(attacker: MaliciousAggregator, message: object, code: str) -> None:
    store = attacker.running.party_store(VICTIM)
    before = memory(store)
    answer = await attacker.tell(message)  # type: ignore[arg-type]  # a query or a request
    assert isinstance(answer, Rejection), answer
    assert answer.code == code
    assert memory(store) == before


async def sixth_member_has_left(attacker: MaliciousAggregator) -> None:
    """Have the victim's store say that there was another member whenever it was asked so far."""
    await attacker.running.kill(VICTIM)
    cohort = document.encode([*PARTIES, "party-6"]).hex()
    attacker.running.execute(VICTIM, f"UPDATE acceptances SET cohort = x'{cohort}'")  # noqa: S608
    await attacker.running.start_party(VICTIM)


@pytest.mark.parametrize("spec", [TREE, STATISTICS], ids=["tree", "statistics"])
@asynchronous
async def test_query_without_noise_of_fewer_than_all_is_refused(tmp_path, spec):
    async with attacking(tmp_path, spec=spec, policy=allowing(spec)) as attacker:
        await attacker.accepted()
        for missing in (PARTIES[1], PARTIES[4]):
            fewer = tuple(p for p in PARTIES if p != missing)
            await assert_refused(attacker, attacker.query(attacker.fields(cohort=fewer)), "quorum-too-small")
        # All are asked, but the sum could be of four.
        await assert_refused(attacker, attacker.query(attacker.fields(round_quorum=4)), "quorum-too-small")
        assert isinstance(await attacker.answered(), EncryptedReply)


@asynchronous
async def test_second_round_without_noise_cannot_lose_a_party(tmp_path):
    async with attacking(tmp_path, spec=TREE, policy=allowing(TREE)) as attacker:
        await attacker.accepted()
        reply = await attacker.answered()
        fields = attacker.fields()
        replies = (reply.contribution, *attacker.contributions(fields, attacker.others))
        first = attacker.request(fields, replies)
        assert isinstance(await attacker.tell(first), PartialDecryption)
        previous = present(attacker.running.party_store(VICTIM).transcript(JobId("job-1"), 1)).digest
        fewer = attacker.fields(2, body=CHILDREN, cohort=PARTIES[:4], previous_transcript=previous)
        await assert_refused(attacker, attacker.query(fewer, CHILDREN), "quorum-too-small")
        all_of_them = attacker.fields(2, body=CHILDREN, previous_transcript=previous)
        assert isinstance(await attacker.answered(all_of_them, CHILDREN), EncryptedReply)


@asynchronous
async def test_sum_without_noise_that_lacks_a_reply_is_not_opened_by_who_answered(tmp_path):
    async with attacking(tmp_path, spec=STATISTICS, policy=allowing(STATISTICS)) as attacker:
        await attacker.accepted()
        reply = await attacker.answered()
        fields = attacker.fields()
        others = attacker.contributions(fields, attacker.others)
        await assert_refused(attacker, attacker.request(fields, (reply.contribution, *others[:3])), "quorum-too-small")
        whole = attacker.request(fields, (reply.contribution, *others))
        assert isinstance(await attacker.tell(whole), PartialDecryption)


@asynchronous
async def test_sum_without_noise_that_lacks_a_reply_is_not_opened_by_who_knows_nothing_of_the_job(tmp_path):
    # Its round quorum is the aggregator's word only; that there is no noise is what the replies were sealed under.
    async with attacking(tmp_path, spec=STATISTICS, policy=allowing(STATISTICS)) as attacker:
        for fields in (attacker.fields(round_quorum=4), attacker.fields(cohort=PARTIES[1:])):
            request = attacker.request(fields, attacker.contributions(fields, PARTIES[1:]))
            await assert_refused(attacker, request, "quorum-too-small")


@asynchronous
async def test_job_without_noise_of_other_members_than_an_earlier_one_is_refused(tmp_path):
    """A member joins, or leaves, between two jobs: the sums of all members differ by its exact reply."""
    other = replace(STATISTICS, name="other")
    async with attacking(tmp_path, spec=STATISTICS, policy=allowing(STATISTICS, other)) as attacker:
        await attacker.accepted()
        await attacker.answered()
        second = MaliciousAggregator(attacker.federation, attacker.running, other, VICTIM, attacker._answers)
        store = attacker.running.party_store(VICTIM)
        await sixth_member_has_left(attacker)
        reply = await second.tell(second.proposal(job_id=JobId("job-2")))
        assert isinstance(reply, JobReply)
        assert (reply.decision, reply.code) == (Decision.REFUSED, "consent-denied")
        assert "job-1" in reply.detail
        assert [entry.job_id for entry in store.ledger("play")] == ["job-1"]


@pytest.mark.parametrize("first", ["job-1", "job-2"])
@asynchronous
async def test_jobs_without_noise_accepted_before_either_asks_are_not_asked_of_different_members(tmp_path, first):
    """When the second was accepted, nobody had been asked; a member leaves between the queries."""
    other = replace(STATISTICS, name="other")
    async with attacking(tmp_path, spec=STATISTICS, policy=allowing(STATISTICS, other)) as attacker:
        second = MaliciousAggregator(attacker.federation, attacker.running, other, VICTIM, attacker._answers)
        jobs = {"job-1": attacker, "job-2": second}

        def turn_of(name: str) -> MaliciousAggregator:
            # Both talk to one victim, whose answers are counted.
            attacker._answers = second._answers = max(attacker._answers, second._answers)
            return jobs[name]

        for name in jobs:
            reply = await turn_of(name).tell(jobs[name].proposal(job_id=JobId(name)))
            assert isinstance(reply, JobReply)
            assert reply.decision is Decision.ACCEPTED
        queries = {name: job.query(job.fields(job_id=JobId(name))) for name, job in jobs.items()}
        late = next(name for name in jobs if name != first)
        assert isinstance(await turn_of(first).tell(queries[first]), EncryptedReply)
        await sixth_member_has_left(attacker)
        await assert_refused(turn_of(late), queries[late], "consent-denied")


@asynchronous
async def test_second_job_without_noise_of_the_same_members_is_allowed(tmp_path):
    other = replace(STATISTICS, name="other")
    async with attacking(tmp_path, spec=STATISTICS, policy=allowing(STATISTICS, other)) as attacker:
        await attacker.accepted()
        await attacker.answered()
        second = MaliciousAggregator(attacker.federation, attacker.running, other, VICTIM, attacker._answers)
        reply = await second.tell(second.proposal(job_id=JobId("job-2")))
        assert isinstance(reply, JobReply)
        assert reply.decision is Decision.ACCEPTED
        query = second.query(second.fields(job_id=JobId("job-2")))
        assert await second.tell(query) == await second.tell(query)
        assert isinstance(await second.tell(query), EncryptedReply)


@asynchronous
async def test_job_without_noise_that_loses_a_party_ends_without_a_sum(tmp_path):
    """Its later rounds need everybody too: round one is released, round two waits for the party until its timeout."""
    federation = make_federation()
    lost = PARTIES[2]
    spec = make_spec("decision_tree", {"max_depth": 2}, privacy={"placement": "none"}, timeout_s=10, deadline_s=1)

    def silent_in_round_two(party_id: str, message: object) -> object:
        dropped = party_id == lost and isinstance(message, Query) and message.fields.round_number == 2
        return None if dropped else message

    running = InProcessFederation(
        federation,
        tmp_path,
        write_play(tmp_path, federation.parties),
        policy=allowing(spec),
        intercept=silent_in_round_two,  # type: ignore[arg-type]  # passes on what it is given
    )
    async with running:
        status = await running.result(await running.submit(spec))
        assert (status.state, status.waiting_for) == (JobState.FAILED, 0)
        assert "round 2 was aborted: timeout" in status.reason
        opened = {m.round_number for _, m in running.passed if isinstance(m, PartialDecryption)}
        assert opened == {1}


@pytest.mark.parametrize("quorum", [4, 3])
@asynchronous
async def test_job_without_noise_that_names_fewer_than_all_is_refused_when_it_is_submitted(tmp_path, quorum):
    federation = make_federation()
    spec = make_spec("statistics", {"histograms": ["play"]}, privacy={"placement": "none"}, quorum=quorum)
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, policy=allowing(spec)) as running:
        with pytest.raises(Exception, match="all 5 parties only") as refusal:
            await running.submit(spec)
        assert getattr(refusal.value, "code", "") == "quorum-too-small"
