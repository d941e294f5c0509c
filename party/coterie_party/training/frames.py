# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The frames between a party and its training process: a kind, a length, and that many bytes, over a socket pair.

| kind | who | content |
|---|---|---|
| JOB | party | the algorithm and the schema |
| DATA | party | records of one kind, as arrays |
| ASK | party | the round and the records; the body of the ask follows as BODY |
| BODY | party | the body of the ask |
| STARTED | process | the restrictions in force |
| ROWS | process | Float32[n, length of the ask], row by row |
| DONE | process | nothing: all rows were sent |
| FAILED | process | the code and the words of an error |
"""

from __future__ import annotations

import socket
from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from coterie_common.clock import Clock
from coterie_common.long_bytes import PIECE_BYTES

_HEADER_BYTES: Final = 9


class Kind(IntEnum):
    """The kind of a frame's content."""

    JOB = 1
    DATA = 2
    ASK = 3
    BODY = 4
    STARTED = 5
    ROWS = 6
    DONE = 7
    FAILED = 8


class ChannelClosed(Exception):
    """The other side is gone, or sent something unexpected."""


class Channel:
    """One end of the socket pair.

    Args:
        end: the socket; it is closed with the channel.
        clock: measures deadlines; without it, calls wait for the other side as long as it takes.
    """

    def __init__(self, end: socket.socket, clock: Clock | None = None) -> None:
        self._end = end
        self._clock = clock
        self.deadline: float | None = None

    def send(self, kind: Kind, content: bytes | memoryview = b"") -> None:
        """Send a frame; raises ``TimeoutError`` after the deadline, ``ChannelClosed`` if the other side is gone."""
        try:
            for part in (kind.to_bytes(1, "little") + len(content).to_bytes(8, "little"), content):
                self._end.settimeout(self._left())
                self._end.sendall(part)
        except TimeoutError:
            raise
        except OSError as cause:
            raise ChannelClosed("the other side is gone") from cause

    def receive(self, maximum: Mapping[Kind, int] | None = None) -> tuple[Kind, bytes]:
        """Return the kind and the content of the next frame; as ``receive_large``, with a copy of the content."""
        kind, content = self.receive_large(maximum)
        return kind, bytes(content)

    def receive_large(self, maximum: Mapping[Kind, int] | None = None) -> tuple[Kind, bytearray]:
        """Return the kind and the content of the next frame, which is in memory once.

        Args:
            maximum: bytes that a frame may have, by kind; others are not expected. ``None`` trusts the other side.

        Raises:
            ChannelClosed: the other side is gone, or sent no frame of an expected kind.
            TimeoutError: after the deadline.
        """
        header = self._receive_bytes(_HEADER_BYTES)
        length = int.from_bytes(header[1:], "little")
        try:
            kind = Kind(header[0])
        except ValueError as cause:
            raise ChannelClosed("no frame") from cause
        if maximum is not None and length > maximum.get(kind, -1):
            raise ChannelClosed("a frame that is not expected")
        return kind, self._receive_bytes(length)

    def close(self) -> None:
        """Close this end."""
        self._end.close()

    def _receive_bytes(self, count: int) -> bytearray:
        content = zeros(count)
        view = memoryview(content)
        while view:
            # each time anew: a byte now and then must not put off the deadline
            self._end.settimeout(self._left())
            try:
                received = self._end.recv_into(view)
            except TimeoutError:
                raise
            except OSError as cause:
                raise ChannelClosed("the other side is gone") from cause
            if not received:
                raise ChannelClosed("the other side is gone")
            view = view[received:]
        return content

    def _left(self) -> float | None:
        if self._clock is None or self.deadline is None:
            return None
        left = self.deadline - self._clock.monotonic()
        if left <= 0:
            raise TimeoutError
        return left


def zeros(count: int) -> bytearray:
    """Return ``count`` zero bytes; ``bytearray(count)`` would hold the interpreter's lock until all are cleared."""
    content = bytearray()
    while len(content) < count:
        content += bytes(min(PIECE_BYTES, count - len(content)))
    return content
