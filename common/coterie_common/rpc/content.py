# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Content that follows a message: larger than memory, so it is read from disk and written there during the transfer.

Invariant: neither side holds more than a few frames of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from hmac import compare_digest
from typing import BinaryIO, Generic, TypeVar

from coterie_common.errors import MalformedMessage
from coterie_common.protocol.padded_part import PaddedDigest
from coterie_common.rpc.framing import ContentFrames

M_co = TypeVar("M_co", covariant=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class WithContent(Generic[M_co]):
    """A message to be sent, and the content that follows it.

    Attributes:
        message: it also states the length.
        length: of the content in bytes, 1 or more.
        digest: of the content, as for a padded part.
        open: opens it when it is to be sent; ``None``: it is gone, and neither is sent.
    """

    message: M_co
    length: int
    digest: bytes
    open: Callable[[], BinaryIO | None]


@dataclass(frozen=True, slots=True)
class Ready:
    """A message that is bytes already, as it was stored: it is sent as it is."""

    data: bytes


class Content:
    """Content that is coming in.

    Args:
        frames: of this content, the announcement already checked.
        take: takes the next frame of the stream as one of them, and returns its chunk.
    """

    def __init__(self, frames: ContentFrames, take: Callable[[], Awaitable[bytes]]) -> None:
        self._frames = frames
        self._take = take

    @property
    def digest(self) -> bytes:
        """The announced digest, which is that of the content once ``pieces`` has ended."""
        return self._frames.digest

    async def pieces(self) -> AsyncGenerator[bytes]:
        """Yield the content, in pieces of at most a frame; no further frame is taken before a piece is done with.

        Raises:
            MalformedMessage: at the end, the digest differs from the announced one; or the framing is broken.
        """
        digest = PaddedDigest()
        while not self._frames.is_complete:
            piece = await self._take()
            await asyncio.to_thread(digest.update, piece)
            yield piece
        if not compare_digest(digest.digest(), self.digest):
            raise MalformedMessage("the digest of the content differs from the announced one")

    async def skip(self) -> None:
        """Discard the rest; raises ``MalformedMessage`` if the framing is broken."""
        while not self._frames.is_complete:
            await self._take()
