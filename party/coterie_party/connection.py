# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party's one outbound stream to the aggregator: opens it, exchanges greetings, keeps it, and reopens it.

This is the shell: it knows TLS, frames and back-off, but nothing about jobs; those are the handler's.

Invariants:
- The handler learns of a stream only after Welcome agrees with our roster; for each, ``connected`` comes first and
  ``disconnected`` last.
- It never gives up. A failure that only a person can repair (a certificate, a roster) is logged as an error and retried
  slowly.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

import grpc.aio
import structlog

from coterie_common.errors import (
    CoterieError,
    DeadlineExceeded,
    IdentityMismatch,
    ParameterMismatch,
    PeerError,
    PermissionDenied,
    RefusedError,
    StorageError,
    Superseded,
    TransientError,
    Unauthenticated,
    Unavailable,
    UnexpectedMessage,
)
from coterie_common.host.incidents import Incidents
from coterie_common.identifiers import PartyId
from coterie_common.limits import (
    BACKOFF_FIRST_SECONDS,
    BACKOFF_REFUSED_SECONDS,
    HANDSHAKE_SECONDS,
    MAX_BACKOFF_SECONDS,
    TRANSFER_BYTES,
)
from coterie_common.membership.membership import TlsCredentials
from coterie_common.protocol.messages import AggregatorMessage, Hello, Rejection, Welcome
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.session import PROTOCOL_VERSION
from coterie_common.randomness import RandomSource
from coterie_common.rpc.credentials import CHANNEL_OPTIONS, channel_credentials
from coterie_common.rpc.outbox import Outbox
from coterie_common.rpc.probe import probe
from coterie_common.rpc.receiving import receive
from coterie_common.rpc.status import error_from_rpc
from coterie_common.rpc.stream import Transfers, connect, read_message, until_first, write_messages
from coterie_common.wire.federation import aggregator_message_from_wire, party_message_to_wire
from coterie_common.wire.strict import Octets
from coterie_common.wire.types import frame_from_bytes
from coterie_party.store.files.padded_parts import Outgoing

log = structlog.get_logger(__name__)

_FOR_A_PERSON: Final = (Unauthenticated, IdentityMismatch, PermissionDenied, ParameterMismatch, Superseded)
"""Errors that an early retry does not cure."""

Send = Callable[[Outgoing], Awaitable[None]]


class ConnectionHandler(Protocol):
    """The coordinator's interface for the connection. Calls may be cancelled while they wait; they must not block."""

    async def connected(self, send: Send) -> None:
        """The stream is open; ``send`` queues a message, and raises ``Unavailable`` once the stream has ended."""
        ...

    async def message(self, message: AggregatorMessage) -> None:
        """The aggregator sent a message; an error of the peer or a refusal becomes a ``Rejection``."""
        ...

    async def rejected(self, error: CoterieError) -> None:
        """The aggregator sent something malformed or out of place; called before any ``Rejection`` is sent."""
        ...

    async def disconnected(self) -> None:
        """The stream has ended; called also when ``connected`` failed."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The aggregator's address and our own identity.

    Attributes:
        target: ``HOST:PORT``.
        tls: our certificate and key, and the authority that the aggregator must show.
        party_id: our own id.
        roster: the roster that we go by.
    """

    target: str
    tls: TlsCredentials
    party_id: PartyId
    roster: Roster


class Connection:
    """Keeps one stream to the aggregator.

    Args:
        endpoint: the aggregator's address and our own identity.
        handler: acts on the aggregator's messages.
        random: for jitter.
        incidents: takes unforeseen failures; the connection is then opened again.
        sleep: waits some seconds; ``asyncio.sleep`` except in tests.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        handler: ConnectionHandler,
        random: RandomSource,
        incidents: Incidents,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._incidents = incidents
        self._endpoint = endpoint
        self._handler = handler
        self._random = random
        self._sleep = sleep
        self._failures = 0
        self._greeted = False
        self._connected = False

    @property
    def is_connected(self) -> bool:
        """Whether the aggregator has greeted us on a stream that is still open, as far as we know."""
        return self._connected

    async def run(self) -> None:
        """Connect, serve, and connect again, until cancelled.

        Raises:
            StorageError: the handler's durable state failed.
        """
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            try:
                await self._attempt()
                error: CoterieError = Unavailable("the aggregator ended the stream")
            except (PeerError, RefusedError, TransientError) as failure:
                error = failure
            except StorageError:
                raise
            except Exception as unforeseen:  # noqa: BLE001  # a supervisor: without a connection the party would be silent
                error = self._incidents.take(unforeseen, "connection")
            # Welcome alone proves nothing: an aggregator that greets and then fails must not be asked twice a second.
            self._failures = 1 if loop.time() - began > MAX_BACKOFF_SECONDS else self._failures + 1
            pause = self._pause(error)
            self._report(error, pause)
            await self._sleep(pause)

    def _pause(self, error: CoterieError) -> float:
        """Return the seconds until the next attempt: doubling, capped, of which half is at random."""
        maximum = BACKOFF_REFUSED_SECONDS if isinstance(error, _FOR_A_PERSON) else MAX_BACKOFF_SECONDS
        first = MAX_BACKOFF_SECONDS if isinstance(error, Superseded) else BACKOFF_FIRST_SECONDS
        longest = min(maximum, first * 2.0 ** min(self._failures - 1, 30))
        return longest * (0.5 + self._random.randbelow(1 << 20) / (1 << 21))

    def _report(self, error: CoterieError, pause: float) -> None:
        say = log.error if isinstance(error, _FOR_A_PERSON) else log.warning
        say(
            "no connection to the aggregator",
            aggregator=self._endpoint.target,
            code=error.code,
            reason=error.message,
            attempts=self._failures,
            retry_in_s=round(pause, 1),
        )

    async def _attempt(self) -> None:
        """Open one stream and serve it to its end."""
        endpoint, self._greeted = self._endpoint, False
        credentials = channel_credentials(endpoint.tls)
        async with grpc.aio.secure_channel(endpoint.target, credentials, options=CHANNEL_OPTIONS) as channel:
            try:
                await self._serve(connect(channel))
            except grpc.aio.AioRpcError as failure:
                raise await self._named(failure) from failure

    async def _named(self, failure: grpc.aio.AioRpcError) -> CoterieError:
        """Return the error behind a failed call; where gRPC does not report it, one TLS handshake finds out."""
        error = error_from_rpc(failure)
        if not isinstance(error, (PeerError, RefusedError, TransientError)):
            return Unavailable(error.message)
        if self._greeted or type(error) is not Unavailable:
            return error
        return await asyncio.to_thread(probe, self._endpoint.target, self._endpoint.tls, self._random) or error

    async def _serve(self, call: Any) -> None:
        transfers = Transfers(_frames(call), maximum=TRANSFER_BYTES)
        outbox: Outbox[Outgoing] = Outbox()
        roster = self._endpoint.roster
        outbox.put_nowait(
            Hello(
                protocol_version=PROTOCOL_VERSION,
                party_id=self._endpoint.party_id,
                roster_serial=roster.serial,
                roster_digest=roster.digest,
            )
        )
        await until_first(
            write_messages(outbox, party_message_to_wire, _writer(call)), self._converse(outbox, transfers)
        )

    async def _converse(self, outbox: Outbox[Outgoing], transfers: Transfers) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                welcome = await read_message(await anext(transfers), aggregator_message_from_wire)
        except TimeoutError:
            raise DeadlineExceeded("the aggregator did not answer in time") from None
        except StopAsyncIteration:
            raise UnexpectedMessage("the aggregator ended the stream before Welcome") from None
        self._check_welcome(welcome)
        self._greeted = self._connected = True
        log.info("connected to the aggregator", aggregator=self._endpoint.target)
        try:
            await self._handler.connected(outbox.send)
            while await self._receive(outbox, transfers):
                pass
        finally:
            self._connected = False
            outbox.close()
            await self._handler.disconnected()

    def _check_welcome(self, welcome: AggregatorMessage) -> None:
        if not isinstance(welcome, Welcome):
            raise UnexpectedMessage("the aggregator's first message must be Welcome")
        if welcome.protocol_version != PROTOCOL_VERSION:
            raise ParameterMismatch(f"the aggregator speaks protocol version {welcome.protocol_version}")
        if welcome.roster_digest != self._endpoint.roster.digest:
            raise ParameterMismatch("the aggregator has another roster")

    async def _receive(self, outbox: Outbox[Outgoing], transfers: Transfers) -> bool:
        """Take the next message; ``False`` once there are no more. It holds a long one's bytes only to parse them."""
        data = await anext(transfers, None)
        if data is None:
            return False
        taking = take_message(data, self._handler, outbox.send)
        del data
        await taking
        return True


async def take_message(
    data: Octets, handler: ConnectionHandler, answer: Callable[[Rejection], Awaitable[None]]
) -> CoterieError | None:
    """Take one transfer that follows on Welcome: hand on its message, or answer why it is refused.

    Args:
        data: the transfer; it is let go of once it is read, so the caller should keep no reference.
        handler: of the messages.
        answer: says something to the aggregator.

    Returns:
        Why it was refused; ``None`` if it was not.

    Raises:
        Exception: what the handler raised that is ours alone.
    """

    async def handle(message: AggregatorMessage) -> None:
        if isinstance(message, Welcome):
            raise UnexpectedMessage("Welcome comes only once")
        await handler.message(message)

    receiving = receive(data, aggregator_message_from_wire, handle)
    del data
    refused = await receiving
    if refused is None:
        return None
    error, message = refused.error, refused.message
    log.warning("message rejected", code=error.code, detail=error.message)
    if message is None or isinstance(message, Welcome):
        await handler.rejected(error)
    if refused.answer is not None:
        await answer(refused.answer)
    return error


def _writer(call: Any) -> Callable[[Any], Awaitable[None]]:
    async def write(frame: Any) -> None:
        try:
            await call.write(frame)
        except asyncio.InvalidStateError:
            # The call ended while this frame waited: its status gives the reason, as a reading task would see it.
            raise grpc.aio.AioRpcError(
                await call.code(), await call.initial_metadata(), await call.trailing_metadata(), await call.details()
            ) from None

    return write


async def _frames(call: Any) -> AsyncIterator[Any]:
    """Yield what the aggregator sends until it ends the stream."""
    try:
        while (frame := await call.read()) is not grpc.aio.EOF:
            # Read here: gRPC would hand over nothing at all where it cannot be read.
            yield frame_from_bytes(frame)
    except asyncio.CancelledError:
        # gRPC raises this also where the other side sent the status CANCELLED; only our own cancelling is a task's.
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise
        raise Unavailable("the aggregator cancelled the stream") from None
