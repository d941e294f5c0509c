# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Padded parts in whole rounds: on disk before their replies, whoever is killed when; what is refused, what is left."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import pytest

from coterie_common.errors import MalformedMessage, PeerError, StorageError
from coterie_common.files import FileDraft
from coterie_common.identifiers import JobId, PartyId
from coterie_common.learning.model import Model
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import Message, PaddedPart, Query, Rejection
from coterie_common.protocol.padded_part import padded_digest
from coterie_common.protocol.progress import JobState
from coterie_common.protocol.terms import SealingKind
from coterie_common.rpc.content import Content
from tests.support.asynchronous import asynchronous
from tests.support.crashes import Crash
from tests.support.federation import make_federation
from tests.support.in_process import AGGREGATOR, InProcessFederation
from tests.support.small_jobs import make_spec, write_wide

SPEC = make_spec("statistics", {"histograms": ["site"]}, dataset="wide", name="wide")
"""One round of 1,501 values with noise: long enough to be padded."""

VICTIM = PartyId("party-1")


def federation_of(folder: Path, parties: int = 3, quorum: int = 3, **options: Any) -> InProcessFederation:
    federation = make_federation(parties, quorum)
    return InProcessFederation(
        federation, folder, write_wide(folder, federation.parties), dataset_name="wide", **options
    )


def contributors(running: InProcessFederation, job_id: JobId) -> tuple[int, ...]:
    return Model.from_bytes(running.model(PartyId("party-2"), job_id)).lineage.contributors


def replies_of(running: InProcessFederation, party_id: PartyId) -> list[EncryptedReply]:
    return [m for p, m in running.passed if p == party_id and isinstance(m, EncryptedReply)]


def left_behind(running: InProcessFederation) -> list[Path]:
    """Files of padded parts and spools, finished or not."""
    folders = [running.folder / "spool", *(running.folder / p / "padded" for p in running.federation.parties)]
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


@asynchronous
async def test_padded_parts_go_before_their_replies_and_are_deleted_with_their_job(tmp_path):
    async with federation_of(tmp_path) as running:
        job_id = await running.submit(SPEC)
        assert (await running.result(job_id)).state is JobState.COMPLETED
        (query,) = {m.fields.session_id: m for _, m in running.passed if isinstance(m, Query)}.values()
        assert query.fields.terms.sealing is SealingKind.PADDED
        for party_id in running.federation.parties:
            part, reply = [m for p, m in running.passed if p == party_id and isinstance(m, PaddedPart | EncryptedReply)]
            assert isinstance(part, PaddedPart)
            assert isinstance(reply, EncryptedReply)
            assert part.size == 4 * query.fields.terms.encoding.length
            assert {part.session_id, reply.session_id} == {query.fields.session_id}
        assert running.errors == []
    assert left_behind(running) == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", ["accept_query", "commit", "store_reply", "end_job", "delete_job"])
@asynchronous
async def test_party_that_is_killed_sends_one_padded_part_and_none_stays(tmp_path, write, after):
    crash = Crash(write, after=after)
    async with federation_of(tmp_path, party_crashes={VICTIM: crash}) as running:
        job_id = await running.submit(SPEC)
        await crash.reached.wait()
        await running.kill(VICTIM)
        await running.start_party(VICTIM)
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        assert contributors(running, job_id) == (3,)
        assert len({reply.contribution.digest for reply in replies_of(running, VICTIM)}) == 1
        assert running.errors == []
    assert left_behind(running) == []


@asynchronous
async def test_padded_part_without_a_recorded_reply_is_made_again_and_was_never_sent(tmp_path):
    crash = Crash("store_reply")
    async with federation_of(tmp_path, party_crashes={VICTIM: crash}) as running:
        job_id = await running.submit(SPEC)
        await crash.reached.wait()
        await running.kill(VICTIM)
        path = tmp_path / VICTIM / "padded" / job_id / "1"
        first = padded_digest(path.read_bytes())
        assert not [m for p, m in running.passed if p == VICTIM and isinstance(m, PaddedPart | EncryptedReply)]
        await running.start_party(VICTIM)
        assert (await running.result(job_id)).state is JobState.COMPLETED
        (reply,) = replies_of(running, VICTIM)
        assert reply.contribution.padded_digest != first


@asynchronous
async def test_party_whose_padded_part_is_gone_refuses_and_the_others_go_on(tmp_path):
    crash = Crash("store_reply", after=True)
    async with federation_of(tmp_path, 5, 4, party_crashes={VICTIM: crash}) as running:
        job_id = await running.submit(SPEC)
        await crash.reached.wait()
        await running.kill(VICTIM)
        (tmp_path / VICTIM / "padded" / job_id / "1").unlink()
        await running.start_party(VICTIM)
        refusal = await running.saw(lambda party_id, m: party_id == VICTIM and isinstance(m, Rejection))
        assert isinstance(refusal, Rejection)
        assert refusal.code == "already-answered"
        assert (await running.result(job_id)).state is JobState.COMPLETED
        assert contributors(running, job_id) == (4,)
        assert replies_of(running, VICTIM) == []


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("write", ["begin_padded", "commit_padded"])
@asynchronous
async def test_aggregator_that_is_killed_gets_the_same_padded_parts_again(tmp_path, write, after):
    crash = Crash(write, nth=2, after=after)
    async with federation_of(tmp_path, aggregator_crash=crash) as running:
        job_id = await running.submit(SPEC)
        await crash.reached.wait()
        await running.restart_aggregator()
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        for party_id in running.federation.parties:
            assert len({reply.contribution.digest for reply in replies_of(running, party_id)}) == 1
    assert left_behind(running) == []


@asynchronous
async def test_reply_whose_padded_part_did_not_come_costs_its_party_the_round(tmp_path):
    def lose_part(party_id: PartyId, message: Message) -> Message | None:
        return None if party_id == VICTIM and isinstance(message, PaddedPart) else message

    async with federation_of(tmp_path, 5, 4, intercept=lose_part) as running:
        job_id = await running.submit(SPEC)
        assert (await running.result(job_id)).state is JobState.COMPLETED
        assert contributors(running, job_id) == (4,)


@dataclass
class Given:
    """Content that a test makes up."""

    content: bytes
    digest: bytes = b""
    taken: int = 0
    fails: bool = False

    def __post_init__(self) -> None:
        self.digest = self.digest or padded_digest(self.content)

    async def pieces(self) -> AsyncGenerator[bytes]:
        for start in range(0, len(self.content), 1000):
            self.taken += 1
            yield self.content[start : start + 1000]
        if self.fails:
            raise MalformedMessage("the digest of the content differs from the announced one")


async def give(running: InProcessFederation, party_id: PartyId, part: PaddedPart, content: Given) -> None:
    """Let the aggregator have a part as if its content came in over a stream."""
    await running.aggregator.padded_part(party_id, part, cast("Content", content))


@asynchronous
async def test_padded_part_is_refused_unless_it_is_the_one_that_is_wanted(tmp_path):
    """With a party that says nothing, in a round that waits for it."""

    def silence(party_id: PartyId, message: Message) -> Message | None:
        return None if party_id == VICTIM and isinstance(message, PaddedPart | EncryptedReply) else message

    async with federation_of(tmp_path, intercept=silence) as running:
        job_id = await running.submit(SPEC)
        sent = await running.saw(lambda party_id, m: party_id == VICTIM and isinstance(m, PaddedPart))
        assert isinstance(sent, PaddedPart)
        spooled = running.folder / "spool" / job_id / "1" / "padded"

        async def refusal(part: PaddedPart, content: Given, by: PartyId = VICTIM) -> str:
            with pytest.raises(PeerError) as refused:
                await give(running, by, part, content)
            assert refused.value.culprits == (by,)
            assert VICTIM not in {path.name for path in spooled.glob("*")}
            assert list(spooled.glob(f".{VICTIM}.*")) == []
            return refused.value.code

        content = bytes(sent.size)
        for changes, code in (
            ({"job_id": JobId("wide-0")}, "unknown-round"),
            ({"round_number": 2}, "unknown-round"),
            ({"session_id": bytes(32)}, "parameter-mismatch"),
            ({"size": sent.size - 4}, "malformed-message"),
            ({"size": sent.size + 4}, "malformed-message"),
        ):
            given = Given(content)
            assert await refusal(replace(sent, **changes), given) == code
            assert given.taken == 0
        assert await refusal(sent, Given(content, fails=True)) == "malformed-message"

        # One is kept; the same again is not even looked at, and another one is an equivocation.
        await give(running, VICTIM, sent, Given(content))
        again, other = Given(content), Given(content[:-1] + b"\1")
        await give(running, VICTIM, sent, again)
        with pytest.raises(PeerError) as refused:
            await give(running, VICTIM, sent, other)
        assert refused.value.code == "equivocation"
        assert (again.taken, other.taken) == (0, 0)
        assert (spooled / VICTIM).read_bytes() == content
        assert [who for who, _ in running.errors if who == AGGREGATOR] == []


@asynchronous
async def test_parts_that_are_in_the_checkpoint_are_deleted_and_still_known_after_a_restart(tmp_path):
    """With a party that says nothing, in a round that waits for it."""

    def silence(party_id: PartyId, message: Message) -> Message | None:
        return None if party_id == VICTIM and isinstance(message, PaddedPart | EncryptedReply) else message

    async with federation_of(tmp_path, intercept=silence, checkpoint_bytes=1) as running:
        job_id = await running.submit(SPEC)
        await running.wrote("delete_padded", count=2)
        spooled = running.folder / "spool" / job_id / "1"
        assert list((spooled / "padded").iterdir()) == []
        size = (spooled / "sum").stat().st_size
        assert {path.name for path in (spooled / "contributions").iterdir()} == {"party-2", "party-3"}
        await running.restart_aggregator()
        # The round runs again.
        await running.saw(lambda party_id, m: party_id == VICTIM and isinstance(m, Query), count=2)
        sent = await running.saw(lambda party_id, m: party_id == "party-2" and isinstance(m, PaddedPart))
        assert isinstance(sent, PaddedPart)
        content = (tmp_path / "party-2" / "padded" / job_id / "1").read_bytes()
        again, other = Given(content), Given(content[:-1] + bytes([content[-1] ^ 1]))
        await give(running, PartyId("party-2"), sent, again)
        with pytest.raises(PeerError) as refused:
            await give(running, PartyId("party-2"), sent, other)
        assert refused.value.code == "equivocation"
        assert (again.taken, other.taken) == (0, 0)
        assert list((spooled / "padded").iterdir()) == []
        # One vector, and less than 200 bytes for each member.
        assert 0 <= size - len(content) < 400


@asynchronous
async def test_short_parts_need_no_checkpoint(tmp_path):
    async with federation_of(tmp_path) as running:
        assert (await running.result(await running.submit(SPEC))).state is JobState.COMPLETED
        assert {"begin_sum", "commit_sum", "delete_padded"}.isdisjoint(name for _, name, _ in running.writes)


@asynchronous
async def test_padded_part_of_a_rejected_reply_is_deleted_and_not_taken_again(tmp_path):
    def spoil(party_id: PartyId, message: Message) -> Message | None:
        """And one says nothing, so that the round waits."""
        if party_id == "party-5" and isinstance(message, PaddedPart | EncryptedReply):
            return None
        if party_id == VICTIM and isinstance(message, EncryptedReply):
            return replace(message, contribution=replace(message.contribution, padded_digest=bytes(32)))
        return message

    async with federation_of(tmp_path, 5, 4, intercept=spoil) as running:
        job_id = await running.submit(SPEC)
        await running.wrote("delete_padded")
        spooled = running.folder / "spool" / job_id / "1" / "padded"
        assert VICTIM not in {path.name for path in spooled.iterdir()}
        sent = await running.saw(lambda party_id, m: party_id == VICTIM and isinstance(m, PaddedPart))
        assert isinstance(sent, PaddedPart)
        again = Given(bytes(sent.size))
        await give(running, VICTIM, sent, again)
        assert again.taken == 0
        assert VICTIM not in {path.name for path in spooled.iterdir()}


@asynchronous
async def test_padded_part_that_is_complete_only_after_its_job_is_refused_and_leaves_nothing(tmp_path):
    def silence(party_id: PartyId, message: Message) -> Message | None:
        return None if party_id == VICTIM and isinstance(message, PaddedPart | EncryptedReply) else message

    async with federation_of(tmp_path, intercept=silence) as running:
        job_id = await running.submit(SPEC)
        sent = await running.saw(lambda party_id, m: party_id == VICTIM and isinstance(m, PaddedPart))
        assert isinstance(sent, PaddedPart)

        class Slow(Given):
            async def pieces(self) -> AsyncGenerator[bytes]:
                yield self.content[:1000]
                await running.cancel(job_id)
                await running.result(job_id)
                yield self.content[1000:]

        with pytest.raises(PeerError) as refused:
            await give(running, VICTIM, sent, Slow(bytes(sent.size)))
        assert refused.value.code in ("unknown-round", "stale-round")
        assert [path for path in (running.folder / "spool").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize("at", ["write", "sync", "commit"])
@asynchronous
async def test_aggregator_stops_where_its_disk_takes_no_more_of_a_padded_part(monkeypatch, tmp_path, at):
    act = getattr(FileDraft, at)

    def full(draft: FileDraft, *arguments: Any) -> None:
        if "spool" in str(draft._path) and arguments != (b"",):  # at begin nothing is written yet
            raise StorageError("cannot write: No space left on device")
        act(draft, *arguments)

    monkeypatch.setattr(FileDraft, at, full)
    running = federation_of(tmp_path)

    async def run() -> None:
        async with running:
            await running.submit(SPEC)
            # Each party's stream may report it once more: at the end any of them is raised.
            running.failures.append(await running.failed())

    with pytest.raises(StorageError, match="No space left on device"):
        await run()
