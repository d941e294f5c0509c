# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A job without noise is allowed once. Run again with one party less, the difference is that party's exact reply."""

from __future__ import annotations

from coterie_common.identifiers import JobId, PartyId
from coterie_common.learning.model import Model
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import Message
from coterie_common.protocol.progress import JobState, JobStatus
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.small_jobs import make_spec, write_play

VICTIM = PartyId("party-3")
EXACT = make_spec("statistics", {"histograms": ["play"]}, privacy={"placement": "none"})


def refusals(status: JobStatus) -> set[tuple[str, bool]]:
    return {(party.code, "was used by" in party.detail) for party in status.parties}


@asynchronous
async def test_job_without_noise_cannot_be_run_again_to_subtract_a_party(tmp_path):
    federation = make_federation()
    is_repeated = False

    def without_the_victim(party_id: PartyId, message: Message) -> Message | None:
        return None if is_repeated and party_id == VICTIM and isinstance(message, EncryptedReply) else message

    running = InProcessFederation(
        federation,
        tmp_path,
        write_play(tmp_path, federation.parties),
        policy=generous_policy(jobs_without_noise=(EXACT.digest.hex(),)),
        intercept=without_the_victim,
    )
    async with running:

        async def released(job_id: JobId) -> tuple[int, ...]:
            return Model.from_bytes(await running.aggregator.model(job_id)).lineage.contributors

        first = await running.submit(EXACT)
        assert (await running.result(first)).state is JobState.COMPLETED
        assert await released(first) == (5,)
        is_repeated = True
        again = await running.submit(EXACT)
        status = await running.result(again)
        assert status.state is JobState.FAILED
        assert refusals(status) <= {("consent-denied", True), ("", False)}


@asynchronous
async def test_job_without_noise_that_asked_nothing_can_be_run_again(tmp_path):
    federation = make_federation(3, 3)
    policy = generous_policy(jobs_without_noise=(EXACT.digest.hex(),))
    datasets = write_play(tmp_path, federation.parties)
    running = InProcessFederation(federation, tmp_path, datasets, policy=policy, absent=(VICTIM,))
    async with running:
        first = await running.submit(EXACT)
        await running.status(first, lambda status: sum(party.decision is not None for party in status.parties) == 2)
        await running.cancel(first)
        await running.start_party(VICTIM)
        assert (await running.result(await running.submit(EXACT))).state is JobState.COMPLETED
