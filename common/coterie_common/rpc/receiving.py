# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The handling of a received transfer: a handled message, or a refusal and the one answer to it.

Both ends of the federation stream go through here, and so does the stream of the tests that has no network.

Invariants:
- For any bytes, reading them can only end in a message or a refusal.
- An error whose text may be sent is answered with a ``Rejection``; any other propagates, to end the stream or the
  daemon.
- A ``Rejection`` is never answered with another.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import structlog

from coterie_common.errors import CoterieError, MalformedMessage
from coterie_common.protocol.messages import DecryptionRequest, Message, Query, Rejection
from coterie_common.protocol.reason import one_line
from coterie_common.rpc.stream import read_message
from coterie_common.wire.strict import Octets

log = structlog.get_logger(__name__)

M = TypeVar("M", bound=Message)


@dataclass(frozen=True, slots=True)
class Refused(Generic[M]):
    """A transfer that was not accepted.

    Attributes:
        error: the reason, whose text may be sent.
        message: its content; ``None``: it could not be read.
    """

    error: CoterieError
    message: M | None

    @property
    def answer(self) -> Rejection | None:
        """The answer to the sender."""
        if isinstance(self.message, Rejection):
            return None
        about: Any = self.message.fields if isinstance(self.message, Query | DecryptionRequest) else self.message
        return Rejection(
            code=self.error.code,
            detail=one_line(self.error.public_message),
            job_id=getattr(about, "job_id", ""),
            round_number=getattr(about, "round_number", 0),
        )


async def receive(
    data: Octets, from_wire: Callable[[Octets], M], handle: Callable[[M], Awaitable[None]]
) -> Refused[M] | None:
    """Read one transfer and handle its message.

    Args:
        data: the transfer; it is released once it is read, so the caller should keep no reference.
        from_wire: converts it; raises ``MalformedMessage``.
        handle: acts on the message.

    Returns:
        ``None`` once the message is handled.

    Raises:
        Exception: an internal error that ``handle`` raised.
    """
    message: M | None = None
    try:
        message = await _read(data, from_wire)
        del data
        await handle(message)
    except CoterieError as error:
        if not error.may_be_told:
            raise
        return Refused(error, message)
    return None


async def _read(data: Octets, from_wire: Callable[[Octets], M]) -> M:
    try:
        return await read_message(data, from_wire)
    except CoterieError:
        raise
    except Exception as cause:  # the last net: bytes of a peer must not end a stream or a process
        log.exception("a message could not be read", bytes=len(data))
        raise MalformedMessage("the message cannot be read") from cause
