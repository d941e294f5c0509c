# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What people are shown of jobs comes from the aggregator's store: a restart changes none of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from coterie.spending import spending
from coterie_common.identifiers import PartyId
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import Message
from coterie_common.protocol.progress import JobState, JobStatus, RoundPhase
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.plugins import install_algorithm
from tests.support.small_jobs import make_spec, statistics_spec, tree_spec, write_play

THEIRS = (
    "from coterie_common.learning.algorithms.statistics import Statistics\n\n\n"
    "class Theirs(Statistics):\n    name = 'theirs'\n"
)


def without_links(status: JobStatus) -> JobStatus:
    """Leave out who is connected right now."""
    return replace(status, parties=tuple(replace(party, connected=False) for party in status.parties))


@asynchronous
async def test_ended_jobs_keep_their_rounds_and_the_budget_its_sums(tmp_path):
    federation = make_federation(3, 3)
    silent = False

    def hold(party_id: PartyId, message: Message) -> Message | None:
        return None if silent and isinstance(message, EncryptedReply) and message.round_number == 2 else message

    running = InProcessFederation(federation, tmp_path, write_play(tmp_path, federation.parties), intercept=hold)
    async with running:
        await running.result(await running.submit(tree_spec()))
        await running.result(await running.submit(statistics_spec()))
        silent = True
        cancelled = await running.submit(tree_spec(quorum=3))
        await running.status(cancelled, lambda s: s.round is not None and s.round.number == 2)
        await running.cancel(cancelled)
        # What its first round released is delivered, before the parties' receipts are counted.
        for party_id in federation.parties:
            await running.delivered(party_id, cancelled)
        await running.settled()
        # Nothing was asked of it: it costs nothing and shows no round.
        early = await running.submit(statistics_spec(proposal_deadline_s=600))
        await running.cancel(early)
        await running.result(early)
        before = await running.aggregator.jobs()
        await running.restart_aggregator()
        after = await running.aggregator.jobs()
        assert [status.round and status.round.number for status in after[:3]] == [2, 1, 2]
        assert after[0].round is not None
        assert (after[0].round.phase, after[0].round.contributed) == (RoundPhase.RELEASED, federation.parties)
        assert list(map(without_links, after)) == list(map(without_links, before))
        assert spending(after) == spending(before)
        assert sum(use.completed + use.others for use in spending(after)) >= 3


@asynchronous
async def test_ended_job_whose_algorithm_is_gone_still_counts(tmp_path):
    federation = make_federation(3, 3)
    policy = generous_policy(algorithms=("theirs",))
    running = InProcessFederation(federation, tmp_path, write_play(tmp_path, federation.parties), policy=policy)
    async with running:
        with pytest.MonkeyPatch.context() as patched:
            install_algorithm(patched, tmp_path, "theirs", THEIRS)
            job_id = await running.submit(make_spec("theirs", {"histograms": ["play"]}))
            assert (await running.result(job_id)).state is JobState.COMPLETED
        before = await running.aggregator.jobs()
        await running.restart_aggregator()
        assert list(map(without_links, await running.aggregator.jobs())) == list(map(without_links, before))
        assert [use.completed for use in spending(before)] == [1]
        (model,) = await running.aggregator.models()
        assert len(await running.aggregator.model(job_id)) == model.size_bytes
        await running.cancel(job_id)
        assert (await running.result(job_id)).round == before[0].round
