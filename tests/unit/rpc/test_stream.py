# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import asyncio
import gc
import io
from collections.abc import AsyncIterator, Iterable
from typing import Any
from weakref import ref

import pytest

from coterie_common.errors import MalformedMessage, StorageError
from coterie_common.limits import FRAME_BYTES
from coterie_common.protocol.padded_part import PaddedDigest
from coterie_common.rpc.content import WithContent
from coterie_common.rpc.framing import split, split_content
from coterie_common.rpc.outbox import Outbox
from coterie_common.rpc.stream import Transfers, write_messages
from coterie_common.wire.types import Frame, frame_from_wire, frame_to_wire
from tests.support.asynchronous import asynchronous

CONTENT = bytes(range(256)) * 9000
MAX = 16 << 20


def digest_of(content: bytes) -> bytes:
    digest = PaddedDigest()
    digest.update(content)
    return digest.digest()


def content_frames(content: bytes = CONTENT, digest: bytes | None = None) -> list[Frame]:
    return list(split_content(io.BytesIO(content).read, len(content), digest or digest_of(content)))


class Wire:
    """What comes over a stream: how much of it was asked for is counted."""

    def __init__(self, frames: Iterable[Frame]) -> None:
        self._frames = frames
        self.taken = 0

    async def __aiter__(self) -> AsyncIterator[Any]:
        for frame in self._frames:
            self.taken += 1
            yield frame_to_wire(frame)


def transfers(*frames: Iterable[Frame]) -> Transfers:
    return Transfers(Wire(frame for some in frames for frame in some), maximum=MAX)


async def written(*items: Any) -> list[Frame]:
    outbox: Outbox[Any] = Outbox()
    for item in items:
        outbox.put_nowait(item)
    outbox.close()
    frames: list[Frame] = []

    async def write(frame: Any) -> None:
        frames.append(frame_from_wire(frame))

    await write_messages(outbox, lambda message: message, write)
    return frames


def with_content(content: bytes = CONTENT, **changes: Any) -> WithContent[bytes]:
    values: dict[str, Any] = {
        "message": b"header",
        "length": len(content),
        "digest": digest_of(content),
        "open": lambda: io.BytesIO(content),
    }
    return WithContent(**(values | changes))


@asynchronous
async def test_messages_and_content_arrive_in_the_order_in_which_they_were_put():
    frames = await written(b"before", with_content(), b"after" * FRAME_BYTES)
    read = transfers(frames)
    assert await anext(read) == b"before"
    assert await anext(read) == b"header"
    content = await read.content(len(CONTENT))
    assert content.digest == digest_of(CONTENT)
    pieces = [piece async for piece in content.pieces()]
    assert max(map(len, pieces)) == FRAME_BYTES
    assert b"".join(pieces) == CONTENT
    assert [bytes(data) async for data in read] == [b"after" * FRAME_BYTES]


@asynchronous
async def test_content_is_opened_when_its_turn_comes_and_closed_after_it():
    stream = io.BytesIO(CONTENT)
    await written(with_content(open=lambda: stream))
    assert stream.closed


@asynchronous
async def test_content_that_is_gone_is_not_sent_and_neither_is_its_message():
    frames = await written(b"before", with_content(open=lambda: None), b"after")
    assert [bytes(data) async for data in transfers(frames)] == [b"before", b"after"]


@asynchronous
async def test_content_that_is_shorter_than_announced_fails_the_sender():
    with pytest.raises(StorageError):
        await written(with_content(length=len(CONTENT) + 1))


@asynchronous
async def test_no_frame_is_asked_for_before_the_piece_before_is_done_with():
    wire = Wire([*split(b"header"), *content_frames()])
    read = Transfers(wire, maximum=MAX)
    await anext(read)
    pieces = (await read.content(len(CONTENT))).pieces()
    for taken in (2, 3, 4):
        await anext(pieces)
        assert wire.taken == taken


@pytest.mark.parametrize("taken", [0, 1, 3])
@asynchronous
async def test_what_is_not_taken_of_content_is_skipped(taken):
    read = transfers(split(b"header"), content_frames(), split(b"after"))
    await anext(read)
    pieces = (await read.content(len(CONTENT))).pieces()
    for _ in range(taken):
        await anext(pieces)
    await pieces.aclose()
    assert await anext(read) == b"after"


@asynchronous
async def test_another_digest_is_malformed_and_does_not_harm_the_stream():
    read = transfers(split(b"header"), content_frames(digest=bytes(32)), split(b"after"))
    await anext(read)
    pieces = (await read.content(len(CONTENT))).pieces()
    assert b"".join([await anext(pieces) for _ in content_frames()]) == CONTENT
    with pytest.raises(MalformedMessage, match="the digest of the content differs"):
        await anext(pieces)
    assert await anext(read) == b"after"


FIRST, SECOND, THIRD = content_frames()


@pytest.mark.parametrize(
    "frames",
    [
        [FIRST, SECOND],
        [FIRST, SECOND, Frame(None, THIRD.chunk[:-1])],
        [FIRST, SECOND, Frame(None, THIRD.chunk + b"x")],
        [FIRST, FIRST],
        [FIRST, *split(b"after")],
    ],
    ids=["a frame short", "a byte short", "a byte too long", "begun again", "a message instead"],
)
@pytest.mark.parametrize("is_taken", [True, False], ids=["taken", "skipped"])
@asynchronous
async def test_content_with_broken_framing_ends_the_stream(frames, is_taken):
    read = transfers(split(b"header"), frames)
    await anext(read)
    content = await read.content(len(CONTENT))
    if is_taken:
        with pytest.raises(MalformedMessage):
            _ = [piece async for piece in content.pieces()]
    with pytest.raises(MalformedMessage):
        await anext(read)


@pytest.mark.parametrize(
    "frames",
    [[], list(split(b"after")), content_frames(CONTENT[:-1]), content_frames(CONTENT + b"x"), [SECOND]],
    ids=["nothing", "a message", "shorter", "longer", "no announcement"],
)
@asynchronous
async def test_something_else_than_the_announced_content_ends_the_stream(frames):
    read = transfers(split(b"header"), frames)
    await anext(read)
    with pytest.raises(MalformedMessage):
        await read.content(len(CONTENT))
    with pytest.raises(MalformedMessage):
        await anext(read)


@asynchronous
async def test_content_that_no_message_announced_ends_the_stream():
    with pytest.raises(MalformedMessage, match="without a message"):
        await anext(transfers(content_frames()))


@asynchronous
async def test_message_that_was_written_is_not_kept_until_the_next_one_comes():
    class Long:
        """Stands for a query with a model in it."""

    outbox: Outbox[Any] = Outbox()
    written = asyncio.Event()

    async def write(frame: Any) -> None:
        written.set()

    message = Long()
    kept = ref(message)
    outbox.put_nowait(message)
    del message
    writing = asyncio.create_task(write_messages(outbox, lambda _: b"its bytes", write))
    await written.wait()
    await asyncio.sleep(0)
    gc.collect()
    assert kept() is None
    outbox.close()
    await writing
