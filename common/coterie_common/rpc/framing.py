# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Transfers cut into frames and put together again: pure, no input or output.

A transfer is any number of bytes. Its first frame announces length and digest, so that the receiver knows what it
would have to hold before it holds anything, and whether it got what was sent. Frames of one transfer follow each other
without a gap; the stream below keeps their order.

Invariants:
- An ``Assembler`` never holds more than the announced length, and that is at most its limit.
- Whatever breaks the framing raises ``MalformedMessage``; the stream is of no use after that.
"""

from __future__ import annotations

from collections.abc import Iterator
from hmac import compare_digest

from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.errors import MalformedMessage, StateError
from coterie_common.limits import FRAME_BYTES, TRANSFER_BYTES
from coterie_common.wire.types import Announcement, Frame


def split(data: bytes) -> Iterator[Frame]:
    """Yield the frames of one transfer.

    Args:
        data: 1 to ``TRANSFER_BYTES`` bytes.

    Raises:
        StateError: empty or longer; every message has its own smaller limit.
    """
    if not 1 <= len(data) <= TRANSFER_BYTES:
        raise StateError(f"a transfer must have 1 to {TRANSFER_BYTES} bytes, not {len(data)}")
    announcement: Announcement | None = Announcement(len(data), tuple_hash(Label.FRAME, data))
    for start in range(0, len(data), FRAME_BYTES):
        yield Frame(announcement, data[start : start + FRAME_BYTES])
        announcement = None


class Assembler:
    """Puts the frames of one stream together, one transfer after the other.

    Args:
        most: longest transfer accepted, in bytes; at most ``TRANSFER_BYTES``.
    """

    def __init__(self, most: int = TRANSFER_BYTES) -> None:
        self._most = min(most, TRANSFER_BYTES)
        self._announced: Announcement | None = None
        self._chunks: list[bytes] = []
        self._missing = 0

    @property
    def is_between_transfers(self) -> bool:
        """True when no transfer has begun, so that the stream may end here."""
        return self._announced is None

    def add(self, frame: Frame) -> bytes | None:
        """Take the next frame.

        Returns:
            The whole transfer once it is complete, else ``None``.

        Raises:
            MalformedMessage: an announcement that is too long, missing or in the middle; more bytes than announced; or
                a digest that differs.
        """
        announced = self._begin(frame) if self._announced is None else self._go_on(frame)
        if len(frame.chunk) > self._missing:
            raise MalformedMessage("a transfer is longer than announced")
        self._chunks.append(frame.chunk)
        self._missing -= len(frame.chunk)
        if self._missing:
            return None
        data = b"".join(self._chunks)
        self._announced, self._chunks = None, []
        if not compare_digest(tuple_hash(Label.FRAME, data), announced.digest):
            raise MalformedMessage("the digest of a transfer differs from the announced one")
        return data

    def _begin(self, frame: Frame) -> Announcement:
        if frame.announcement is None:
            raise MalformedMessage("a transfer must begin with its announcement")
        if not 1 <= frame.announcement.length <= self._most:
            raise MalformedMessage(f"a transfer must have 1 to {self._most} bytes")
        self._announced, self._missing = frame.announcement, frame.announcement.length
        return frame.announcement

    def _go_on(self, frame: Frame) -> Announcement:
        if frame.announcement is not None or self._announced is None:
            raise MalformedMessage("a transfer began before the last one was complete")
        return self._announced
