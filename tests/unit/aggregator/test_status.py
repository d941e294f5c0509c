# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What people see of a job while parties answer, refuse and stay away; whole jobs are in tests/protocol."""

from __future__ import annotations

from coterie_aggregator.machines.job_events import PartyReplied
from coterie_aggregator.machines.job_machine import AggregatorJob, JobParameters, step
from coterie_common.identifiers import PartyId
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import JobOutcome, Message
from coterie_common.protocol.progress import JobParty, JobState, RoundPhase, RoundProgress
from coterie_common.protocol.reason import is_one_line
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.small_jobs import statistics_spec, tree_spec, write_play

LAST = PartyId("party-5")


@asynchronous
async def test_status_follows_a_job_from_its_proposal_to_its_models(tmp_path):
    federation = make_federation()
    holding = True

    def hold(party_id: PartyId, message: Message) -> Message | None:
        return None if holding and isinstance(message, EncryptedReply) and message.round_number == 2 else message

    running = InProcessFederation(
        federation,
        tmp_path,
        write_play(tmp_path, federation.parties),
        policies={LAST: generous_policy(algorithms=())},
        intercept=hold,
    )
    async with running:
        job_id = await running.submit(tree_spec())
        status = await running.status(job_id, lambda s: s.round is not None and s.round.number == 2)
        assert status.state is JobState.RUNNING
        assert (status.name, status.algorithm, status.dataset) == ("play", "decision_tree", "play")
        assert status.round == RoundProgress(
            number=2, phase=RoundPhase.COLLECTING, plan_step=2, quorum=4, contributed=(), decrypted=()
        )
        # Four take part, and all of them are needed.
        assert status.waiting_for == 4
        accepted = JobParty(
            party_id=federation.parties[0],
            decision=Decision.ACCEPTED,
            code="",
            detail="",
            model_received=False,
            connected=True,
        )
        assert status.parties[0] == accepted
        refused = status.parties[4]
        assert (refused.party_id, refused.decision, refused.code) == (LAST, Decision.REFUSED, "consent-denied")
        assert status.finished_at is None

        holding = False
        for party_id in federation.parties:
            await running.reconnect(party_id)
        status = await running.result(job_id)
        assert (status.state, status.waiting_for, status.reason) == (JobState.COMPLETED, 0, "")
        assert status.round is not None
        assert status.round.phase is RoundPhase.RELEASED
        assert status.round.contributed == federation.parties[:4]
        assert len(status.round.decrypted) >= 4
        assert [party.model_received for party in status.parties] == [True] * 4 + [False]
        assert status.finished_at is not None
        assert status.submitted_at < status.finished_at
        (model,) = await running.aggregator.models()
        assert (model.job_id, model.name, model.rounds) == (job_id, "play", 2)
        assert model.size_bytes == len(await running.aggregator.model(job_id))
        assert status.submitted_at < model.finished_at <= status.finished_at


@asynchronous
async def test_status_of_a_failed_job_says_why(tmp_path):
    federation = make_federation(3, 3)
    running = InProcessFederation(
        federation,
        tmp_path,
        write_play(tmp_path, federation.parties),
        policy=generous_policy(algorithms=()),
    )
    async with running:
        status = await running.result(await running.submit(statistics_spec()))
        assert status.state is JobState.FAILED
        assert status.reason.startswith("fewer than 3 parties can take part; refused: party-")
        assert "(consent-denied)" in status.reason
        assert await running.aggregator.models() == ()


def test_reason_of_a_job_that_hundreds_refused_is_one_line_that_fits_a_message():
    members = tuple(PartyId(f"hospital-of-a-long-name-{number}") for number in range(200))
    state = AggregatorJob(parameters=JobParameters(members=members, round_quorum=10))
    for party_id in members:
        state = step(state, PartyReplied(party_id, Decision.REFUSED, "budget-exhausted", ""))
    assert state.outcome is JobOutcome.FAILED
    assert is_one_line(state.reason)
    assert state.reason.startswith("fewer than 10 parties can take part; refused: hospital-of-a-long-name-0 (budget-")
