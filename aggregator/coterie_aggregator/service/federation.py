# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The stream that every party keeps open: authenticates the party, receives its messages, notices when it is gone.

This is the shell: it checks identities and forms and knows nothing of jobs and rounds, which are the
``FederationHandler``'s.

Invariants:
- The handler hears of a party only after TLS, certificate, roster and Hello agree on who it is.
- For each stream ``party_connected`` comes first, ``party_disconnected`` last; the streams of one party never overlap.
- Only failures of authentication and framing, a newer stream and shutdown end a stream; a bad message gets a
  ``Rejection``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, Protocol
from weakref import ReferenceType, WeakKeyDictionary, ref

import structlog

from coterie_aggregator.service.sender import check_sender
from coterie_common.crypto.certificates import Role
from coterie_common.errors import (
    CoterieError,
    DeadlineExceeded,
    IdentityMismatch,
    MalformedMessage,
    ParameterMismatch,
    PermissionDenied,
    Superseded,
    Unavailable,
    UnexpectedMessage,
)
from coterie_common.identifiers import PartyId
from coterie_common.limits import HANDSHAKE_SECONDS, HELLO_BYTES, HELLOS_AT_ONCE, LINGER_SECONDS, PARTY_TRANSFER_BYTES
from coterie_common.protocol.messages import (
    AggregatorMessage,
    DecryptionRequest,
    Hello,
    ModelDelivery,
    PaddedPart,
    PartyMessage,
    Query,
    Welcome,
)
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.session import PROTOCOL_VERSION
from coterie_common.rpc.content import Content
from coterie_common.rpc.credentials import peer_of
from coterie_common.rpc.outbox import Outbox
from coterie_common.rpc.receiving import receive
from coterie_common.rpc.stream import Transfers, read_message, until_first, write_messages
from coterie_common.wire.federation import aggregator_message_to_wire, party_message_from_wire
from coterie_common.wire.pb import federation_pb2_grpc
from coterie_common.wire.strict import Octets

log = structlog.get_logger(__name__)

PartyOutbox = Outbox[AggregatorMessage]


class FederationHandler(Protocol):
    """The coordinator's interface for this service. Calls may be cancelled while they wait; they must not block."""

    async def party_connected(self, party_id: PartyId, outbox: PartyOutbox) -> None:
        """A party is connected; ``outbox`` takes the messages to it until ``party_disconnected``."""
        ...

    async def party_message(self, party_id: PartyId, message: PartyMessage, data: Octets) -> None:
        """A party sent a message under its own id, as ``data``; an error of the peer becomes its ``Rejection``."""
        ...

    async def padded_part(self, party_id: PartyId, part: PaddedPart, content: Content) -> None:
        """A party announced a padded part under its own id, and ``content`` is coming.

        What is not taken of it is skipped afterwards. An error of the peer becomes its ``Rejection``. Other than that
        of a message this call may take as long as the content does.
        """
        ...

    async def party_disconnected(self, party_id: PartyId, outbox: PartyOutbox) -> None:
        """The stream that ``outbox`` belonged to has ended; called also when ``party_connected`` failed."""
        ...


@dataclass(eq=False)
class _Stream:
    outbox: PartyOutbox = field(default_factory=Outbox)
    superseded: asyncio.Event = field(default_factory=asyncio.Event)


class Converter:
    """Converts messages for the wire, on the threads of the streams; one that goes to many parties once for all.

    What may hold a model is shared as long as one stream still writes it, which holds message and view of its bytes; a
    decryption request as long as its round holds it, since parties are asked one after the other.
    """

    def __init__(self) -> None:
        self._shared: dict[int, tuple[ReferenceType[Query | ModelDelivery], ReferenceType[memoryview]]] = {}
        self._requests: WeakKeyDictionary[DecryptionRequest, bytes] = WeakKeyDictionary()
        self._one_at_a_time = Lock()

    @staticmethod
    def may_be_long(message: AggregatorMessage) -> bool:
        """Return whether converting a message may take so long that it belongs on a thread."""
        return isinstance(message, Query | ModelDelivery | DecryptionRequest)

    def __call__(self, message: AggregatorMessage) -> bytes | memoryview:
        """Return the bytes of a message's transfer; may be called on any thread."""
        match message:
            case Query() | ModelDelivery():
                with self._one_at_a_time:
                    return self._view(message)
            case DecryptionRequest():
                with self._one_at_a_time:
                    data = self._requests.get(message)
                    if data is None:
                        data = self._requests[message] = aggregator_message_to_wire(message)
                    return data
            case _:
                return aggregator_message_to_wire(message)

    def _view(self, message: Query | ModelDelivery) -> memoryview:
        # By identity, for hashing a model takes long; another message may have the address of one that is gone.
        self._shared = {key: held for key, held in self._shared.items() if held[1]() is not None}
        known, view = self._shared.get(id(message), (None, None))
        if known and view and known() is message and (shared := view()) is not None:
            return shared
        made = memoryview(aggregator_message_to_wire(message))
        self._shared[id(message)] = ref(message), ref(made)
        return made


class FederationService(federation_pb2_grpc.FederationServicer):
    """gRPC service ``coterie.v1.Federation``.

    Args:
        roster: in force; parties outside it are not served.
        handler: acts on the parties' messages.
    """

    def __init__(self, roster: Roster, handler: FederationHandler) -> None:
        self._roster = roster
        self._handler = handler
        self._streams: dict[PartyId, _Stream] = {}
        self._greetings = {member.party_id: asyncio.Semaphore(HELLOS_AT_ONCE) for member in roster.members}
        self._turns = {member.party_id: asyncio.Lock() for member in roster.members}
        self._to_wire: Final = Converter()
        self._closing = False

    async def Connect(self, request_iterator: Any, context: Any) -> None:  # noqa: N802  # gRPC's name
        """Serve one stream until it ends."""
        party_id = self._authenticate(context)
        transfers = Transfers(request_iterator, maximum=HELLO_BYTES)
        async with self._greetings[party_id]:
            try:
                await self._receive_hello(party_id, transfers)
            except (ParameterMismatch, IdentityMismatch) as error:
                # Otherwise the operator sees a party that is away, without a reason.
                log.warning("party turned away", party=party_id, code=error.code, detail=error.message)
                raise
        transfers.allow(PARTY_TRANSFER_BYTES)
        stream = self._register(party_id)
        try:
            # The stream before, if any, ends for the handler too before this one begins.
            async with self._turns[party_id]:
                await self._serve(party_id, stream, transfers, context)
        finally:
            if self._streams.get(party_id) is stream:
                del self._streams[party_id]

    def close(self) -> None:
        """Begin to shut down: what waits in the outboxes goes out, then every stream ends as unavailable."""
        self._closing = True
        for stream in self._streams.values():
            stream.outbox.close()

    def _authenticate(self, context: Any) -> PartyId:
        """Return which party calls; that it is one of the roster, with this very certificate, the gate has seen to."""
        identity, _ = peer_of(context)
        if identity.role is not Role.PARTY:
            raise PermissionDenied(f"the federation stream is for parties, this is the certificate of {identity.uri}")
        return self._roster.member(identity.id).party_id

    async def _receive_hello(self, party_id: PartyId, transfers: Transfers) -> None:
        try:
            async with asyncio.timeout(HANDSHAKE_SECONDS):
                hello = await read_message(await self._first(transfers), party_message_from_wire)
        except TimeoutError:
            raise DeadlineExceeded("no Hello came in time") from None
        except StopAsyncIteration:
            raise UnexpectedMessage("the stream ended before Hello") from None
        if not isinstance(hello, Hello):
            raise UnexpectedMessage("the first message must be Hello")
        if hello.party_id != party_id:
            raise IdentityMismatch(f"Hello names another party than the certificate, which is {party_id}'s")
        if hello.protocol_version != PROTOCOL_VERSION:
            raise ParameterMismatch(f"protocol version {hello.protocol_version} is not {PROTOCOL_VERSION}")
        if hello.roster_digest != self._roster.digest:
            raise ParameterMismatch(
                f"the party's roster has serial {hello.roster_serial}, the aggregator's {self._roster.serial}"
                if hello.roster_serial != self._roster.serial
                else "the party has another roster of the same serial"
            )

    @staticmethod
    async def _first(transfers: Transfers) -> Octets:
        try:
            return await anext(transfers)
        except MalformedMessage as error:
            # Its traceback would keep the frame for as long as we read on.
            refused = error.with_traceback(None)
        await transfers.drop(LINGER_SECONDS)
        raise refused

    def _register(self, party_id: PartyId) -> _Stream:
        """Make a new stream the party's only one, and make the previous one, if any, end."""
        stream = _Stream()
        before, self._streams[party_id] = self._streams.get(party_id), stream
        if before is not None:
            log.warning("party connected again", party=party_id, code=Superseded.code)
            before.superseded.set()
        return stream

    async def _serve(self, party_id: PartyId, stream: _Stream, transfers: Transfers, context: Any) -> None:
        if self._closing:
            raise Unavailable("the aggregator is shutting down")
        serial, digest = self._roster.serial, self._roster.digest
        stream.outbox.put_nowait(Welcome(protocol_version=PROTOCOL_VERSION, roster_serial=serial, roster_digest=digest))
        log.info("party connected", party=party_id)
        try:
            await self._handler.party_connected(party_id, stream.outbox)
            await until_first(
                self._read(party_id, stream.outbox, transfers),
                write_messages(stream.outbox, self._to_wire, context.write, may_be_long=Converter.may_be_long),
                _raise_when_superseded(stream),
            )
        finally:
            stream.outbox.close()
            log.info("party disconnected", party=party_id)
            await self._handler.party_disconnected(party_id, stream.outbox)
        if self._closing:
            raise Unavailable("the aggregator is shutting down")

    async def _read(self, party_id: PartyId, outbox: PartyOutbox, transfers: Transfers) -> None:
        async for data in transfers:
            await take_message(data, party_id, self._handler, transfers.content, outbox.send)


async def take_message(
    data: Octets,
    party_id: PartyId,
    handler: FederationHandler,
    content: Callable[[int], Awaitable[Content]],
    answer: Callable[[AggregatorMessage], Awaitable[None]],
) -> CoterieError | None:
    """Take one transfer that follows on Hello: hand on its message, or answer why it is refused.

    Args:
        data: the transfer.
        party_id: whose stream it came on.
        handler: of the messages.
        content: begins to take the content of so many bytes that the message announced.
        answer: says something to the party.

    Returns:
        Why it was refused; ``None`` if it was not.

    Raises:
        Exception: what the handler raised that is ours alone.
    """

    async def handle(message: PartyMessage) -> None:
        if isinstance(message, PaddedPart):
            # Taken up before anything is refused, so that it is skipped if it is.
            coming = await content(message.size)
            check_sender(party_id, message)
            await handler.padded_part(party_id, message, coming)
        else:
            check_sender(party_id, message)
            await handler.party_message(party_id, message, data)

    refused = await receive(data, party_message_from_wire, handle)
    if refused is None:
        return None
    log.warning("message rejected", party=party_id, code=refused.error.code, detail=refused.error.message)
    if refused.answer is not None:
        await answer(refused.answer)
    return refused.error


async def _raise_when_superseded(stream: _Stream) -> None:
    await stream.superseded.wait()
    raise Superseded("another stream with the same identity was opened")
