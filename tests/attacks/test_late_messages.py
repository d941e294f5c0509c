# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Messages of a party that come too late or too early: nothing moves, nothing is kept, and the aggregator goes on."""

from __future__ import annotations

import pytest

from coterie_common.identifiers import PartyId
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import DecryptionRequest, Message, ModelReceipt, PartialDecryption, PartyMessage
from coterie_common.protocol.progress import JobState
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation
from tests.support.small_jobs import statistics_spec, write_play

LATE = PartyId("party-5")


@pytest.mark.parametrize(("kind", "code"), [(EncryptedReply, "stale-round"), (PartialDecryption, None)])
@asynchronous
async def test_message_after_the_job_was_cancelled_changes_nothing(tmp_path, kind, code):
    federation = make_federation()
    held: list[PartyMessage] = []

    def hold(party_id: PartyId, message: Message) -> Message | None:
        # Held back of every party: else the round would go on without the late one.
        if isinstance(message, kind) and (party_id == LATE or kind is PartialDecryption):
            held.extend([message] if party_id == LATE else [])
            return None
        return message

    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, intercept=hold) as running:
        job_id = await running.submit(statistics_spec(patience_s=1))
        if kind is EncryptedReply:
            await running.status(job_id, lambda status: status.round is not None and len(status.round.contributed) == 4)
        await running.saw(lambda party_id, message: party_id == LATE and isinstance(message, kind))
        await running.cancel(job_id)
        before = len(running.passed)
        running.to_aggregator(LATE, held[0])
        if code:
            await running.refused(code)
        again = await running.submit(statistics_spec(name="next"))
        await running.status(again, lambda status: status.round is not None)
        await running.cancel(again)
        assert [status.state for status in await running.aggregator.jobs()] == [JobState.CANCELLED] * 2
        later = [message for _, message in running.passed[before:] if isinstance(message, DecryptionRequest)]
        assert not [message for message in later if message.fields.job_id == job_id]
    assert not (tmp_path / "spool" / job_id).exists()


@asynchronous
async def test_recorded_contributions_of_an_ended_job_are_deleted_at_the_next_start(tmp_path):
    # The end of the job was stored, the process died before the files were gone.
    federation = make_federation()
    async with InProcessFederation(federation, tmp_path, write_play(tmp_path, federation.parties)) as running:
        job_id = await running.submit(statistics_spec())
        await running.result(job_id)
        await running.kill_aggregator()
        leftover = tmp_path / "spool" / job_id / "1" / "contributions"
        leftover.mkdir(parents=True)
        (leftover / "party-1").write_bytes(b"a recorded contribution")
        await running.start_aggregator()
        assert not (tmp_path / "spool" / job_id).exists()


@asynchronous
async def test_receipt_of_a_model_that_does_not_exist_is_not_expected(tmp_path):
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)

    def no_replies(party_id: PartyId, message: Message) -> Message | None:
        return None if isinstance(message, EncryptedReply) else message

    async with InProcessFederation(federation, tmp_path, datasets, intercept=no_replies) as running:
        job_id = await running.submit(statistics_spec())
        party_id = federation.parties[0]
        receipt = ModelReceipt(job_id=job_id, party_id=party_id, model_digest=bytes(32), signature=bytes(64))
        running.to_aggregator(party_id, receipt)
        await running.refused("unexpected-message")
        await running.cancel(job_id)
        assert (await running.result(job_id)).state is JobState.CANCELLED
        running.errors.clear()
        running.to_aggregator(party_id, receipt)
        await running.refused("unexpected-message")
