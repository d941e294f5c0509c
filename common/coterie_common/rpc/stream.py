# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Both ends of the federation stream: messages out as frames, frames in as messages, and what to say to a bad one.

Invariants:
- What breaks the framing raises and ends the stream; a message that is merely wrong is answered with a ``Rejection``.
- A ``Rejection`` is never answered with another.
- Work on more than one frame's bytes runs in a thread, so that one long transfer does not hold up the other streams.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from coterie_common.errors import CoterieError, MalformedMessage
from coterie_common.limits import FRAME_BYTES
from coterie_common.protocol.messages import DecryptionRequest, Message, Query, Rejection
from coterie_common.protocol.reason import one_line
from coterie_common.rpc.framing import Assembler, split
from coterie_common.rpc.outbox import Outbox
from coterie_common.wire.pb import types_pb2 as pb
from coterie_common.wire.types import frame_from_wire, frame_to_wire

M = TypeVar("M")


async def write_messages(
    outbox: Outbox[M], to_wire: Callable[[M], bytes], write: Callable[[pb.Frame], Awaitable[Any]]
) -> None:
    """Write what the outbox holds until it is closed and empty; ``write`` waits where the peer is slow."""
    while (message := await outbox.next()) is not None:
        data = to_wire(message)
        frames = split(data) if len(data) <= FRAME_BYTES else await asyncio.to_thread(list, split(data))
        for frame in frames:
            await write(frame_to_wire(frame))


async def read_transfers(frames: AsyncIterable[pb.Frame], *, most: int) -> AsyncIterator[bytes]:
    """Yield whole transfers until the peer ends the stream.

    Args:
        frames: as gRPC delivers them.
        most: longest transfer accepted, in bytes.

    Raises:
        MalformedMessage: the framing is broken, so the stream must end.
    """
    assembler = Assembler(most)
    async for wire in frames:
        frame = frame_from_wire(wire)
        begins = frame.announcement is not None
        data = assembler.add(frame) if begins else await asyncio.to_thread(assembler.add, frame)
        if data is not None:
            yield data
    if not assembler.is_between_transfers:
        raise MalformedMessage("the stream ended in the middle of a transfer")


async def read_message(data: bytes, from_wire: Callable[[bytes], M]) -> M:
    """Parse one transfer; raises ``MalformedMessage``, which does not harm the stream."""
    return from_wire(data) if len(data) <= FRAME_BYTES else await asyncio.to_thread(from_wire, data)


def rejection_of(error: CoterieError, message: Message | None) -> Rejection:
    """Return what to answer to a message that ``error`` was raised for; ``None``: it could not even be parsed."""
    about: Any = message.fields if isinstance(message, Query | DecryptionRequest) else message
    return Rejection(
        code=error.code,
        detail=one_line(error.message),
        job_id=getattr(about, "job_id", ""),
        round_number=getattr(about, "round_number", 0),
    )


async def until_first(*parts: Coroutine[Any, Any, None]) -> None:
    """Run the parts of a stream together until the first ends; cancel the others and raise what it raised."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    for task in done:
        task.result()
