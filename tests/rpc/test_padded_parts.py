# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Padded parts over real streams: from a party's file to the aggregator's spool, whole or not at all."""

from __future__ import annotations

import asyncio
import io
import tracemalloc
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from grpc import StatusCode

from coterie_aggregator.live.rounds.padded_upload import receive_padded
from coterie_aggregator.store.spool import Spool
from coterie_common.errors import MalformedMessage, StaleRound
from coterie_common.files import FileDraft
from coterie_common.identifiers import JobId, PartyId
from coterie_common.limits import FRAME_BYTES, PADDED_PART_BYTES
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import ModelReceipt, PaddedPart, Rejection
from coterie_common.protocol.padded_part import PaddedDigest, PaddedFacts
from coterie_common.rpc.framing import split, split_content
from coterie_common.wire.federation import party_message_to_wire
from coterie_common.wire.types import Frame
from coterie_party.store.files.padded_parts import PaddedParts
from tests.rpc.test_connection import Party
from tests.rpc.test_federation_service import reply_of
from tests.support.asynchronous import asynchronous
from tests.support.handlers import Aggregator, RecordingFederationHandler
from tests.support.raw_party import RawParty

JOB, ALPHA = JobId("job-1"), PartyId("alpha")
CONTENT = bytes(range(256)) * (5 << 14)
"""20 MiB: more than streams and queues hold between them."""
PART = PaddedPart(job_id=JOB, round_number=3, session_id=bytes(32), party_id=ALPHA, size=len(CONTENT))
RECEIPT = ModelReceipt(job_id=JOB, party_id=ALPHA, model_digest=bytes(32), signature=bytes(64))


def facts_of(content: bytes) -> PaddedFacts:
    digest = PaddedDigest()
    digest.update(content)
    return digest.facts()


def content_frames(content: bytes = CONTENT, digest: bytes | None = None) -> list[Frame]:
    return list(split_content(io.BytesIO(content).read, len(content), digest or facts_of(content).digest))


def header_frames(part: PaddedPart = PART) -> list[Frame]:
    return list(split(party_message_to_wire(part)))


class SpoolingHandler(RecordingFederationHandler):
    """Keeps padded parts of one size as the aggregator does, without rounds."""

    def __init__(self, folder: Path, size: int = len(CONTENT)) -> None:
        super().__init__()
        self.folder = folder / "spool"
        self.spool = Spool(self.folder)
        self.size = size

    @property
    def files(self) -> list[Path]:
        """Whatever lies in the spool, finished or not."""
        return [path for path in self.folder.rglob("*") if path.is_file()]

    async def padded_part(self, party_id: PartyId, part: Any, content: Any) -> None:
        await self.gate.wait()

        async def now(work: Any) -> Any:
            return await work()

        this: Any = self
        await receive_padded(party_id, part, content, lambda: this, now)
        self.events.put("padded", party_id, part)

    async def padded_begins(self, party_id: PartyId, part: PaddedPart, digest: bytes) -> FileDraft | None:
        if self.failure is not None:
            raise self.failure
        if part.size != self.size:
            raise MalformedMessage("another size than this round has")
        if self.spool.padded_facts(JOB, 3, party_id).size:
            return None
        draft = self.spool.begin_padded(JOB, 3, party_id)
        self.events.put("begins", party_id, part)
        return draft

    async def padded_received(self, party_id: PartyId, draft: FileDraft, digest: bytes) -> None:
        self.spool.commit_padded(JOB, 3, party_id, draft, digest)


@asynccontextmanager
async def raw_party(federation: Any, handler: RecordingFederationHandler) -> AsyncIterator[RawParty]:
    async with (
        Aggregator(federation, handler).running() as server,
        RawParty(server.port, federation.parties["alpha"]) as party,
    ):
        await party.greet("alpha", federation.roster)
        assert (await handler.events.next())[0] == "connected"
        yield party


async def rejection(party: RawParty) -> tuple[str, str, int]:
    answer = await party.receive()
    assert isinstance(answer, Rejection)
    return answer.code, answer.job_id, answer.round_number


def stored_reply(folder: Path, size: int) -> tuple[PaddedParts, EncryptedReply, PaddedFacts]:
    """A party's file with the reply that names it."""
    padded, digest = PaddedParts(folder / "padded"), PaddedDigest()
    draft = padded.begin(JOB, 3)
    for number in range(size // FRAME_BYTES):
        piece = number.to_bytes(4, "little") * (FRAME_BYTES // 4)
        digest.update(piece)
        draft.write(piece)
    draft.commit()
    reply = reply_of("alpha")
    contribution = replace(reply.contribution, padded_digest=digest.digest())
    return padded, replace(reply, contribution=contribution), digest.facts()


@asynchronous
async def test_padded_part_goes_from_disk_to_disk_before_its_reply(federation, tmp_path):
    padded, reply, facts = stored_reply(tmp_path, 8 * FRAME_BYTES)
    handler = SpoolingHandler(tmp_path, facts.size)
    async with Aggregator(federation, handler).running() as server, Party(federation, server.port).running() as party:
        await party.handler.events.next()
        await handler.events.next()
        for _ in range(2):  # the second time as when it is asked for again: nothing of it is kept, nobody complains
            for item in padded.outgoing(party_message_to_wire(reply)):
                await party.handler.send(item)
        part = replace(PART, size=facts.size)
        assert [await handler.events.next() for _ in range(5)] == [
            ("begins", ALPHA, part),
            ("padded", ALPHA, part),
            ("message", ALPHA, reply),
            ("padded", ALPHA, part),
            ("message", ALPHA, reply),
        ]
        assert party.handler.events.is_empty
    assert [path.name for path in handler.files] == ["alpha"]
    assert Spool(handler.folder).padded_facts(JOB, 3, ALPHA) == facts


@asynchronous
async def test_padded_part_that_is_gone_is_left_out(federation, tmp_path):
    padded, reply, facts = stored_reply(tmp_path, 2 * FRAME_BYTES)
    handler = SpoolingHandler(tmp_path, facts.size)
    outgoing = padded.outgoing(party_message_to_wire(reply))
    padded.delete_job(JOB)
    async with Aggregator(federation, handler).running() as server, Party(federation, server.port).running() as party:
        await party.handler.events.next()
        await handler.events.next()
        for item in outgoing:
            await party.handler.send(item)
        assert await handler.events.next() == ("message", ALPHA, reply)


@pytest.mark.parametrize(
    "frames",
    [
        content_frames()[:-1],
        [*content_frames()[:-1], Frame(None, bytes(FRAME_BYTES - 1))],
        [*content_frames(), Frame(None, b"x")],
        [*content_frames()[:-1], *split(b"something else")],
        content_frames(CONTENT + b"x")[:1],
        content_frames(CONTENT[:-1])[:1],
        [],
    ],
    ids=[
        "a frame short",
        "a byte short",
        "a frame too many",
        "cut off by a message",
        "announced longer",
        "announced shorter",
        "nothing",
    ],
)
@asynchronous
async def test_padded_part_with_broken_framing_ends_the_stream(federation, tmp_path, frames):
    handler = SpoolingHandler(tmp_path)
    async with raw_party(federation, handler) as party:
        await party.send_frames([*header_frames(), *frames])
        await party.call.done_writing()
        assert await party.failure() == (StatusCode.INVALID_ARGUMENT, "malformed-message")
        while (event := await handler.events.next())[0] != "disconnected":
            assert event[0] in ("begins", "padded")
    # One frame too many comes after a padded part that is complete.
    assert [path.name for path in handler.files] == (["alpha"] if frames[-1:] == [Frame(None, b"x")] else [])


@asynchronous
async def test_padded_part_with_another_digest_is_rejected_and_the_right_one_still_taken(federation, tmp_path):
    handler = SpoolingHandler(tmp_path)
    async with raw_party(federation, handler) as party:
        await party.send_frames([*header_frames(), *content_frames(digest=facts_of(b"other").digest)])
        assert await rejection(party) == ("malformed-message", JOB, 3)
        assert (await handler.events.next())[0] == "begins"
        assert handler.files == []
        await party.send_frames([*header_frames(), *content_frames()])
        assert [(await handler.events.next())[0] for _ in range(2)] == ["begins", "padded"]
    assert handler.spool.padded_facts(JOB, 3, ALPHA) == facts_of(CONTENT)


@asynchronous
async def test_padded_part_that_was_cut_off_comes_whole_on_the_next_stream(federation, tmp_path):
    handler = SpoolingHandler(tmp_path)
    credential = federation.parties["alpha"]
    async with Aggregator(federation, handler).running() as server:
        async with RawParty(server.port, credential) as party:
            await party.greet("alpha", federation.roster)
            await party.send_frames([*header_frames(), *content_frames()[:7]])
            assert [(await handler.events.next())[0] for _ in range(2)] == ["connected", "begins"]
        assert (await handler.events.next())[0] == "disconnected"
        assert handler.files == []
        async with RawParty(server.port, credential) as party:
            await party.greet("alpha", federation.roster)
            await party.send_frames([*header_frames(), *content_frames()])
            assert [(await handler.events.next())[0] for _ in range(3)] == ["connected", "begins", "padded"]
    assert [path.name for path in handler.files] == ["alpha"]
    assert handler.spool.padded_facts(JOB, 3, ALPHA) == facts_of(CONTENT)


@pytest.mark.parametrize(
    ("part", "failure", "code"),
    [
        (PART, StaleRound("the round is over"), "stale-round"),
        (replace(PART, party_id=PartyId("beta")), None, "identity-mismatch"),
    ],
    ids=["too late", "of another party"],
)
@asynchronous
async def test_padded_part_that_is_not_wanted_is_rejected_and_skipped(federation, tmp_path, part, failure, code):
    handler = SpoolingHandler(tmp_path)
    handler.failure = failure
    async with raw_party(federation, handler) as party:
        sending = asyncio.create_task(party.send_frames([*header_frames(part), *content_frames()]))
        assert await rejection(party) == (code, JOB, 3)
        await sending
        handler.failure = None
        await party.send(RECEIPT)
        assert await handler.events.next() == ("message", ALPHA, RECEIPT)
        assert handler.files == []


@asynchronous
async def test_padded_part_of_another_size_is_rejected_before_anything_is_kept(federation, tmp_path):
    handler = SpoolingHandler(tmp_path, len(CONTENT) + 4)
    async with raw_party(federation, handler) as party:
        # Only the first frame: the answer does not wait for the others.
        await party.send_frames([*header_frames(), *content_frames()[:1]])
        assert await rejection(party) == ("malformed-message", JOB, 3)
        assert handler.events.is_empty
        assert handler.files == []


@asynchronous
async def test_padded_part_larger_than_any_ends_the_stream(federation, tmp_path):
    handler = SpoolingHandler(tmp_path)
    async with raw_party(federation, handler) as party:
        await party.send_frames([*header_frames(replace(PART, size=PADDED_PART_BYTES + 1)), *content_frames()[:1]])
        assert await party.failure() == (StatusCode.INVALID_ARGUMENT, "malformed-message")
        assert (await handler.events.next())[0] == "disconnected"


@asynchronous
async def test_others_are_heard_while_a_padded_part_comes(federation, tmp_path):
    handler = SpoolingHandler(tmp_path)
    async with (
        Aggregator(federation, handler).running() as server,
        RawParty(server.port, federation.parties["alpha"]) as alpha,
        RawParty(server.port, federation.parties["beta"]) as beta,
    ):
        await alpha.greet("alpha", federation.roster)
        await beta.greet("beta", federation.roster)
        assert {(await handler.events.next())[0] for _ in range(2)} == {"connected"}
        first, *rest = content_frames()
        await alpha.send_frames([*header_frames(), first])
        assert (await handler.events.next())[0] == "begins"
        theirs = replace(RECEIPT, party_id=PartyId("beta"))
        await beta.send(theirs)
        assert await handler.events.next() == ("message", "beta", theirs)
        await alpha.send_frames(rest)
        assert await handler.events.next() == ("padded", ALPHA, PART)


@asynchronous
async def test_party_is_held_up_while_the_aggregator_does_not_take_its_padded_part(federation, tmp_path):
    handler = SpoolingHandler(tmp_path)
    handler.gate.clear()
    async with raw_party(federation, handler) as party:
        sending = asyncio.create_task(party.send_frames([*header_frames(), *content_frames()]))
        # Flow control: without anybody who takes them, 20 MiB cannot have left the party.
        await asyncio.wait({sending}, timeout=0.5)
        assert not sending.done()
        handler.gate.set()
        await sending
        assert [(await handler.events.next())[0] for _ in range(2)] == ["begins", "padded"]


@asynchronous
async def test_long_padded_part_takes_a_few_frames_of_memory_at_both_ends(federation, tmp_path):
    size = 64 * FRAME_BYTES
    padded, reply, facts = stored_reply(tmp_path, size)
    handler = SpoolingHandler(tmp_path, size)
    async with Aggregator(federation, handler).running() as server, Party(federation, server.port).running() as party:
        await party.handler.events.next()
        await handler.events.next()
        resident = _resident("VmRSS")
        _forget_peak()
        tracemalloc.start()
        try:
            for item in padded.outgoing(party_message_to_wire(reply)):
                await party.handler.send(item)
            assert [(await handler.events.next())[0] for _ in range(3)] == ["begins", "padded", "message"]
            traced = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        beyond = _resident("VmHWM") - resident
    assert handler.spool.padded_facts(JOB, 3, ALPHA) == facts
    # Both ends in this one process: the frames themselves, and what gRPC and TLS hold of them.
    assert traced < 16 * FRAME_BYTES
    assert beyond < 40 * FRAME_BYTES


def _forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _resident(entry: str) -> int:
    """Return bytes of memory of this process."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(entry))
    return int(line.split()[1]) << 10


@asynchronous
async def test_stream_that_ends_while_a_whole_padded_part_gets_its_name_harms_nothing(tmp_path):
    content = CONTENT[:FRAME_BYTES]
    handler, facts = SpoolingHandler(tmp_path, len(content)), facts_of(content)
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def pieces() -> AsyncGenerator[bytes]:
        yield content

    async def received(party_id: PartyId, draft: FileDraft, digest: bytes) -> None:
        reached.set()
        await go_on.wait()
        await SpoolingHandler.padded_received(handler, party_id, draft, digest)

    works: list[asyncio.Task[Any]] = []

    async def in_order(work: Any) -> Any:
        # As in the coordinator's task, which does not stop because the stream did.
        works.append(asyncio.create_task(work()))
        return await asyncio.shield(works[-1])

    this: Any = handler
    this.padded_received = received
    incoming: Any = SimpleNamespace(digest=facts.digest, pieces=pieces)
    part = replace(PART, size=len(content))
    upload = asyncio.create_task(receive_padded(ALPHA, part, incoming, lambda: this, in_order))
    await reached.wait()
    upload.cancel()
    await asyncio.gather(upload, return_exceptions=True)
    go_on.set()
    await works[-1]
    assert handler.spool.padded_facts(JOB, 3, ALPHA) == facts
    assert len(handler.files) == 1
