# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The audit record of a party in whole jobs: what it said is in it before it was said, also if it is killed."""

from __future__ import annotations

import pytest

from coterie_common.audit.comparison import compare
from coterie_common.audit.entry import Entry, Kind
from coterie_common.errors import StorageError
from coterie_common.identifiers import PartyId
from coterie_common.protocol.acceptance import Decision, JobReply
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import Message, ModelReceipt, PartialDecryption, Query, Rejection
from coterie_common.protocol.progress import JobState
from tests.protocol.test_killed_party import WRITES
from tests.support import stored_words
from tests.support.asynchronous import asynchronous
from tests.support.crashes import Crash
from tests.support.federation import FOUNDER, make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.small_jobs import statistics_spec, tree_spec, write_play

VICTIM = PartyId("party-2")


def assert_whole(running: InProcessFederation, party_id: PartyId) -> tuple[Entry, ...]:
    """The chain verifies, record and promises agree, and details have listed names; returns the record."""
    record = running.record_of(party_id)
    names = {kind: stored_words.audit_details(kind) for kind in {entry.kind for entry in record.entries}}
    assert [entry for entry in record.entries if not entry.facts.keys() <= names[entry.kind]] == []
    assert record.verify(FOUNDER) == ()
    assert running.audit_log(party_id).gaps() == ()
    return record.entries


def is_recorded(message: Message, entries: tuple[Entry, ...]) -> bool:
    """Whether a message of the party has its entry."""
    match message:
        case JobReply():
            wanted = {"decision": message.decision.value, "code": message.code}
            return any(e.kind is Kind.DECISION and wanted.items() <= e.facts.items() for e in _of(message, entries))
        case EncryptedReply():
            wanted = {"contribution_digest": message.contribution.digest.hex()}
            return any(e.kind is Kind.REPLY and wanted.items() <= e.facts.items() for e in _of(message, entries))
        case PartialDecryption():
            wanted = {"transcript_digest": message.transcript_digest.hex()}
            kinds = {e.kind for e in _of(message, entries)}
            opened = [e for e in _of(message, entries) if e.kind is Kind.DECRYPTION]
            return Kind.PARTIAL in kinds and [wanted.items() <= e.facts.items() for e in opened] == [True]
        case ModelReceipt():
            wanted = {"model_digest": message.model_digest.hex()}
            return [wanted.items() <= e.facts.items() for e in _of(message, entries) if e.kind is Kind.MODEL] == [True]
        case Rejection():
            wanted = {"code": message.code}
            return any(e.kind is Kind.REFUSAL and wanted.items() <= e.facts.items() for e in _of(message, entries))
        case _:
            raise AssertionError(f"not a party's message: {message}")


def _of(message: Message, entries: tuple[Entry, ...]) -> list[Entry]:
    round_number = getattr(message, "round_number", 0)
    return [e for e in entries if (e.job_id, e.round_number) == (getattr(message, "job_id", ""), round_number)]


def said_by(running: InProcessFederation, party_id: PartyId) -> list[Message]:
    kinds = (JobReply, EncryptedReply, PartialDecryption, ModelReceipt, Rejection)
    return [m for who, m in running.passed if who == party_id and isinstance(m, kinds)]


@asynchronous
async def test_records_of_an_honest_job_are_whole_and_agree(tmp_path):
    federation = make_federation()
    refuser = federation.parties[4]
    running = InProcessFederation(
        federation,
        tmp_path,
        write_play(tmp_path, federation.parties),
        # One party refuses, and helps to decrypt all the same.
        policies={refuser: generous_policy(algorithms=("statistics",))},
    )
    async with running:
        first = await running.submit(tree_spec())
        assert (await running.result(first)).state is JobState.COMPLETED
        second = await running.submit(statistics_spec())
        assert (await running.result(second)).state is JobState.COMPLETED
        await running.settled()
        for party_id in federation.parties:
            entries = assert_whole(running, party_id)
            said = said_by(running, party_id)
            assert said
            assert [message for message in said if not is_recorded(message, entries)] == []
        kinds = [entry.kind for entry in assert_whole(running, VICTIM) if entry.job_id == second]
        once = [Kind.DECISION, Kind.LEDGER, Kind.QUERY, Kind.REPLY, Kind.MODEL, Kind.JOB_END]
        assert [kind for kind in kinds if kind not in (Kind.DECRYPTION, Kind.PARTIAL)] == once
        decisions = [e.facts["decision"] for e in assert_whole(running, refuser) if e.kind is Kind.DECISION]
        assert decisions == [Decision.REFUSED, Decision.ACCEPTED]
        comparison = compare([running.record_of(party_id) for party_id in federation.parties])
        assert (comparison.differences, comparison.jobs, comparison.rounds) == ((), 2, 3)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", WRITES)
@asynchronous
async def test_record_of_a_killed_party_is_whole_and_lacks_nothing_that_it_said(tmp_path, write, after):
    federation = make_federation(3, 3)
    crash = Crash(write, after=after)
    running = InProcessFederation(
        federation, tmp_path, write_play(tmp_path, federation.parties), party_crashes={VICTIM: crash}
    )
    async with running:
        job_id = await running.submit(statistics_spec())
        await crash.reached.wait()
        await running.kill(VICTIM)
        entries = assert_whole(running, VICTIM)
        assert [message for message in said_by(running, VICTIM) if not is_recorded(message, entries)] == []
        await running.start_party(VICTIM)
        assert (await running.result(job_id)).state is JobState.COMPLETED
        entries = assert_whole(running, VICTIM)
        assert [message for message in said_by(running, VICTIM) if not is_recorded(message, entries)] == []
        # Repeated acts have one entry; starts have one each.
        kinds = [entry.kind for entry in entries]
        assert sorted(kinds) == sorted(
            [
                *(Kind.STARTED, Kind.STARTED, Kind.DECISION, Kind.LEDGER, Kind.QUERY, Kind.REPLY),
                *(Kind.DECRYPTION, Kind.PARTIAL, Kind.MODEL, Kind.JOB_END),
            ]
        )


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@asynchronous
async def test_party_killed_while_it_records_a_refusal_has_not_said_it_or_has_it_on_record(tmp_path, after):
    federation = make_federation(3, 3)
    crash = Crash("record_refusal", after=after)

    def forge(party_id: PartyId, message: Message) -> Message | None:
        forged = party_id == VICTIM and isinstance(message, Query)
        return (
            Query(fields=message.fields, body=message.body, signature=bytes(64)) if forged else message
        )  # it is a query

    running = InProcessFederation(
        federation, tmp_path, write_play(tmp_path, federation.parties), party_crashes={VICTIM: crash}, intercept=forge
    )
    async with running:
        await running.submit(statistics_spec())
        await crash.reached.wait()
        await running.kill(VICTIM)
        refusals = [entry for entry in assert_whole(running, VICTIM) if entry.kind is Kind.REFUSAL]
        assert [entry.facts["code"] for entry in refusals] == (["invalid-signature"] if after else [])
        assert not [m for m in said_by(running, VICTIM) if isinstance(m, Rejection)]


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM audit WHERE sequence = (SELECT MAX(sequence) FROM audit)", "missing, or cut off: the end of"),
        ("DELETE FROM audit WHERE sequence > 3", "missing, or cut off: the transcript of round 1"),
        ("DELETE FROM partials", "is in the record, but not kept any more"),
        ("UPDATE transcripts SET digest = zeroblob(32)", "is kept otherwise than the record says"),
        ("UPDATE audit SET details = X'7b7d' WHERE kind = 'query'", "altered: its content does not have its hash"),
        ("DELETE FROM audit WHERE kind = 'reply'", "before it missing"),
        ("UPDATE audit SET number = 2 WHERE kind = 'reply'", "altered"),
    ],
)
@asynchronous
async def test_database_that_was_changed_behind_the_partys_back_is_found_out(tmp_path, statement, expected):
    federation = make_federation(3, 3)
    running = InProcessFederation(federation, tmp_path, write_play(tmp_path, federation.parties))
    async with running:
        await running.result(await running.submit(statistics_spec()))
        await running.kill(VICTIM)
        assert_whole(running, VICTIM)
        running.execute(VICTIM, "PRAGMA foreign_keys = OFF")
        running.execute(VICTIM, statement)
        findings = [*running.record_of(VICTIM).verify(FOUNDER), *running.audit_log(VICTIM).gaps()]
        assert any(expected in str(finding) for finding in findings), findings


@pytest.mark.parametrize("change", ["kind = 'gossip'", "details = '{}'", "hash = 1"])
@asynchronous
async def test_entry_that_cannot_be_read_is_named(tmp_path, change):
    federation = make_federation(3, 3)
    running = InProcessFederation(federation, tmp_path, {})
    async with running:
        await running.kill(VICTIM)
        running.execute(VICTIM, f"UPDATE audit SET {change}")  # noqa: S608  # a change from the list above
        with pytest.raises(StorageError, match="entry 1 of the audit record") as caught:
            running.audit_log(VICTIM).entries()
        assert caught.value.code == "storage"
