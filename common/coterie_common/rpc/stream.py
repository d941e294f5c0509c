# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Both ends of the federation stream: messages out as frames, frames in as messages.

Invariants:
- Broken framing raises and ends the stream; ``receiving`` handles messages that are merely wrong.
- Content that follows a message is held a frame at a time, on the way out as on the way in.
- Work on more than one frame's bytes runs in a thread, so that one long transfer does not hold up the other streams.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, Awaitable, Callable, Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final, TypeVar

from coterie_common.errors import MalformedMessage
from coterie_common.limits import FRAME_BYTES
from coterie_common.rpc.content import Content, Ready, WithContent
from coterie_common.rpc.framing import Assembler, ContentFrames, split, split_content
from coterie_common.rpc.outbox import Outbox
from coterie_common.wire.pb import types_pb2 as pb
from coterie_common.wire.strict import Octets
from coterie_common.wire.types import Frame, frame_from_wire, frame_to_wire

M = TypeVar("M")

_CONNECT: Final = "/coterie.v1.Federation/Connect"

Write = Callable[[pb.Frame], Awaitable[Any]]


def connect(channel: Any) -> Any:
    """Open a party's stream on a ``grpc.aio`` channel; it yields the bytes of frames, unparsed."""
    open_call = channel.stream_stream(_CONNECT, request_serializer=pb.Frame.SerializeToString)
    return open_call()


async def write_messages(
    outbox: Outbox[Any],
    to_wire: Callable[[Any], Octets],
    write: Write,
    *,
    may_be_long: Callable[[Any], bool] = lambda message: False,
) -> None:
    """Write the messages of the outbox until it is closed and empty.

    Args:
        outbox: of messages, some of them ``WithContent`` or ``Ready``.
        to_wire: converts one of these messages.
        write: sends a frame; waits if the peer is slow.
        may_be_long: whether a message is converted on a thread.

    Raises:
        StorageError: content cannot be read.
    """
    while (item := await outbox.next()) is not None:
        if isinstance(item, WithContent):
            await _write_with_content(item, to_wire, write)
        elif isinstance(item, Ready):
            await write_transfer(item.data, write)
        else:
            data = await asyncio.to_thread(to_wire, item) if may_be_long(item) else to_wire(item)
            await write_transfer(data, write)
            del data
        # Neither a long message nor its bytes are kept until the next message comes.
        del item


async def write_transfer(data: Octets, write: Write) -> None:
    """Write one message's transfer; ``write`` waits if the peer is slow."""
    frames = split(data)
    if len(data) > FRAME_BYTES:  # all of it is read for its digest before the first frame goes out
        await write(frame_to_wire(await asyncio.to_thread(next, frames)))
    for frame in frames:
        await write(frame_to_wire(frame))


async def _write_with_content(item: WithContent[Any], to_wire: Callable[[Any], Octets], write: Write) -> None:
    stream = await asyncio.to_thread(item.open)
    if stream is None:
        return
    with stream:
        await write_transfer(to_wire(item.message), write)
        frames = split_content(stream.read, item.length, item.digest)
        while (frame := await asyncio.to_thread(next, frames, None)) is not None:
            await write(frame_to_wire(frame))


class Transfers:
    """The receiving end of a stream: iterates over whole messages' transfers until the peer ends the stream.

    Broken framing is raised as ``MalformedMessage``, by the iteration also if it occurred while content was read: the
    stream must end.

    Args:
        frames: as gRPC delivers them.
        maximum: longest transfer of a message accepted, in bytes.
    """

    def __init__(self, frames: AsyncIterable[pb.Frame], *, maximum: int) -> None:
        self._frames = aiter(frames)
        self._assembler = Assembler(maximum)
        self._content: Content | None = None
        self._broken: MalformedMessage | None = None

    def __aiter__(self) -> Transfers:
        """Return itself."""
        return self

    async def __anext__(self) -> Octets:
        """Return the next message's transfer; unread content before it is skipped."""
        if self._broken is not None:
            raise self._broken
        content, self._content = self._content, None
        if content is not None:
            await content.skip()
        async for wire in self._frames:
            frame = frame_from_wire(wire)
            begins = frame.announcement is not None
            data = self._assembler.add(frame) if begins else await asyncio.to_thread(self._assembler.add, frame)
            if data is not None:
                return data
        if not self._assembler.is_between_transfers:
            raise MalformedMessage("the stream ended in the middle of a transfer")
        raise StopAsyncIteration

    def allow(self, maximum: int) -> None:
        """Accept transfers of up to ``maximum`` bytes from the next one on."""
        self._assembler.allow(maximum)

    async def drop(self, idle_s: float) -> None:
        """Read and discard, until no frame comes for ``idle_s`` seconds or the peer ends its half."""
        with suppress(TimeoutError, StopAsyncIteration):
            while True:
                async with asyncio.timeout(idle_s):
                    await anext(self._frames)

    async def content(self, length: int) -> Content:
        """Begin to take the content that the last message announced; it ends where the next message is asked for.

        Args:
            length: in bytes, as announced; 1 or more.

        Raises:
            MalformedMessage: something else came.
        """
        with self._breaking():
            first = await self._following()
            frames = ContentFrames(first.announcement, length)
        waiting = [first]

        async def take() -> bytes:
            with self._breaking():
                return frames.take(waiting.pop() if waiting else await self._following())

        self._content = Content(frames, take)
        return self._content

    async def _following(self) -> Frame:
        async for wire in self._frames:
            return frame_from_wire(wire)
        raise MalformedMessage("the stream ended before the content that was announced")

    @contextmanager
    def _breaking(self) -> Iterator[None]:
        try:
            yield
        except MalformedMessage as error:
            self._broken = error
            raise


async def read_message(data: Octets, from_wire: Callable[[Octets], M]) -> M:
    """Parse one transfer; raises ``MalformedMessage``, which does not harm the stream."""
    return from_wire(data) if len(data) <= FRAME_BYTES else await asyncio.to_thread(from_wire, data)


async def until_first(*parts: Coroutine[Any, Any, None]) -> None:
    """Run the parts of a stream together until the first ends; cancel the others and raise its exception, if any."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
