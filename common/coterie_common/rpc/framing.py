# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Transfers cut into frames and reassembled: pure, no input or output.

A transfer is any number of bytes: a message, or content that the message before it announced and that is too large to
be held as a whole. Its first frame announces length and digest, so that the receiver knows the required memory before
it allocates any, and can check that it received the transfer intact. Frames of one transfer follow each other without a
gap; the stream below keeps their order.

Invariants:
- An ``Assembler`` never holds more than the announced length, and that is at most its limit; and never much more than
  it has received.
- Broken framing raises ``MalformedMessage``; the stream is unusable after that.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from hmac import compare_digest

from coterie_common.crypto.hashing import Label, LongDigest
from coterie_common.errors import MalformedMessage, StateError, StorageError
from coterie_common.limits import FRAME_BYTES, TRANSFER_BYTES
from coterie_common.wire.strict import Octets
from coterie_common.wire.types import Announcement, Frame


class FrameDigest(LongDigest):
    """Digest of a message's transfer, piece by piece."""

    def __init__(self) -> None:
        super().__init__(Label.FRAME)


def split(data: Octets) -> Iterator[Frame]:
    """Yield the frames of one message's transfer; the first one requires reading all of it once.

    Args:
        data: 1 to ``TRANSFER_BYTES`` bytes.

    Raises:
        StateError: empty or longer; every message has its own smaller limit.
    """
    if not 1 <= len(data) <= TRANSFER_BYTES:
        raise StateError(f"a transfer must have 1 to {TRANSFER_BYTES} bytes, not {len(data)}")
    digest = FrameDigest()
    digest.update(data)
    announcement: Announcement | None = Announcement(len(data), digest.digest())
    for start in range(0, len(data), FRAME_BYTES):
        yield Frame(announcement, bytes(data[start : start + FRAME_BYTES]))
        announcement = None


def split_content(read: Callable[[int], bytes], length: int, digest: bytes) -> Iterator[Frame]:
    """Yield the frames of content, holding one at a time.

    Args:
        read: returns the given number of next bytes, fewer only at the end.
        length: of the content in bytes, 1 or more.
        digest: to announce.

    Raises:
        StorageError: ``read`` returned less than announced; the stream is unusable after that.
    """
    announcement: Announcement | None = Announcement(length, digest, is_content=True)
    while length:
        chunk = read(min(length, FRAME_BYTES))
        if not chunk:
            raise StorageError(f"content that is being sent ended {length} bytes early")
        length -= len(chunk)
        yield Frame(announcement, chunk)
        announcement = None


class _Progress:
    """The state of one transfer."""

    def __init__(self, announced: Announcement) -> None:
        self.announced = announced
        self.missing = announced.length
        self._has_begun = False

    def take(self, frame: Frame) -> bytes:
        """Return the chunk of the next frame, which is the first at first."""
        if self._has_begun and frame.announcement is not None:
            raise MalformedMessage("a transfer began before the last one was complete")
        if len(frame.chunk) > self.missing:
            raise MalformedMessage("a transfer is longer than announced")
        self._has_begun = True
        self.missing -= len(frame.chunk)
        return frame.chunk


class Assembler:
    """Reassembles the messages of one stream from frames, one transfer after the other.

    Args:
        maximum: longest transfer accepted, in bytes; at most ``TRANSFER_BYTES``.
    """

    def __init__(self, maximum: int = TRANSFER_BYTES) -> None:
        self._most = min(maximum, TRANSFER_BYTES)
        self._progress: _Progress | None = None
        self._data = bytearray()
        self._digest = FrameDigest()

    def allow(self, maximum: int) -> None:
        """Accept transfers of up to ``maximum`` bytes from the next one on, at most ``TRANSFER_BYTES``."""
        self._most = min(maximum, TRANSFER_BYTES)

    @property
    def is_between_transfers(self) -> bool:
        """True when no transfer has begun, so that the stream may end here."""
        return self._progress is None

    def add(self, frame: Frame) -> bytearray | None:
        """Take the next frame.

        Returns:
            The whole transfer once it is complete, otherwise ``None``.

        Raises:
            MalformedMessage: an announcement that is too long, missing, of content or in the middle; more bytes than
                announced; or a digest that differs.
        """
        progress = self._progress = self._progress or self._begin(frame)
        chunk = progress.take(frame)
        # Grown as data arrive: an announcement alone must not make us allocate memory for data that may never come.
        self._data += chunk
        self._digest.update(chunk)
        if progress.missing:
            return None
        data, digest = self._data, self._digest.digest()
        self._progress, self._data, self._digest = None, bytearray(), FrameDigest()
        if not compare_digest(digest, progress.announced.digest):
            raise MalformedMessage("the digest of a transfer differs from the announced one")
        return data

    def _begin(self, frame: Frame) -> _Progress:
        if frame.announcement is None:
            raise MalformedMessage("a transfer must begin with its announcement")
        if frame.announcement.is_content:
            raise MalformedMessage("content came without a message that announces it")
        if not 1 <= frame.announcement.length <= self._most:
            raise MalformedMessage(f"a transfer must have 1 to {self._most} bytes")
        return _Progress(frame.announcement)


class ContentFrames:
    """Takes the frames of one content, chunk by chunk; the code that keeps them checks their digest.

    Args:
        announced: by its first frame.
        length: that its message announced, in bytes.

    Raises:
        MalformedMessage: it is not content of that length.
    """

    def __init__(self, announced: Announcement | None, length: int) -> None:
        if announced is None or not announced.is_content:
            raise MalformedMessage("a message announced content, and something else came")
        if announced.length != length:
            raise MalformedMessage(f"content of {announced.length} bytes came where {length} were announced")
        self._progress = _Progress(announced)

    @property
    def digest(self) -> bytes:
        """The announced digest."""
        return self._progress.announced.digest

    @property
    def is_complete(self) -> bool:
        """True when all frames were taken."""
        return self._progress.missing == 0

    def take(self, frame: Frame) -> bytes:
        """Return the chunk of the next frame, beginning with the first.

        Raises:
            MalformedMessage: an announcement in the middle, or more bytes than announced.
        """
        return self._progress.take(frame)
