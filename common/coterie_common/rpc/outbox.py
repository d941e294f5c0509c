# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Messages that wait for one stream: bounded, so that a peer that does not read cannot fill our memory.

For one event loop; not thread safe.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from coterie_common.errors import Overloaded, Unavailable
from coterie_common.limits import QUEUED_MESSAGES

M = TypeVar("M")

_RETRY_SECONDS = 1.0


class Outbox(Generic[M]):
    """The sending end of a stream.

    Messages leave in the order in which they were put. Nothing confirms their arrival: a sender that needs confirmation
    waits for an answer of the protocol, and otherwise sends again on the next stream.
    """

    def __init__(self, maximum: int = QUEUED_MESSAGES) -> None:
        self._most = maximum
        self._waiting: deque[M] = deque()
        self._closed = False
        self._changed = asyncio.Event()
        self._senders = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._waiting)

    async def send(self, message: M) -> None:
        """Queue a message, waiting for room.

        Raises:
            Unavailable: the stream has ended.
        """
        # A lock is fair: the longest waiting sender sends first.
        async with self._senders:
            while len(self._waiting) >= self._most and not self._closed:
                await self._change()
            self.put_nowait(message)

    def put_nowait(self, message: M) -> None:
        """Queue a message at once.

        Raises:
            Overloaded: ``QUEUED_MESSAGES`` are waiting; the peer does not read.
            Unavailable: the stream has ended.
        """
        if self._closed:
            raise Unavailable("the stream has ended")
        if len(self._waiting) >= self._most:
            raise Overloaded(f"{self._most} messages wait for a peer that does not read", retry_after_s=_RETRY_SECONDS)
        self._waiting.append(message)
        self._changed.set()

    def close(self) -> None:
        """Take no further messages; waiting ones are still sent if the stream lasts that long."""
        self._closed = True
        self._changed.set()

    async def next(self) -> M | None:
        """Take the next message out, waiting for one; ``None`` once closed and empty."""
        while not self._waiting:
            if self._closed:
                return None
            await self._change()
        message = self._waiting.popleft()
        self._changed.set()
        return message

    async def _change(self) -> None:
        # All waiters look again after any change; between here and the wait nothing else runs.
        self._changed.clear()
        await self._changed.wait()
