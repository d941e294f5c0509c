# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The enrolment port: gRPC behind TLS without client certificates, for everybody who has a token, and for the founder.

It has a server of its own. Its certificate is made at every start and issued by nobody: guests pin the one that they
see, and the greeting proves that it is the aggregator's.

Invariants:
- Nothing reaches the desk before its proofs hold on this very session.
- An order counts only with the founder's signature over this session and the order's place in it.
- A guest that says nothing is sent away after ``CALL_SECONDS``, and so is a connection without a session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import grpc
import grpc.aio
import structlog

from coterie_aggregator.enrolment.desk import Desk
from coterie_aggregator.enrolment.doors import Doors, host_of
from coterie_common.clock import Clock
from coterie_common.crypto.authority import create_self_signed
from coterie_common.crypto.certificates import fingerprint
from coterie_common.errors import (
    ConfigurationError,
    CoterieError,
    DeadlineExceeded,
    InvitationExpired,
    InvitationUsed,
    PeerError,
    QuotaExceeded,
    RefusedError,
    UnexpectedMessage,
)
from coterie_common.host.incidents import Incidents
from coterie_common.limits import CALL_SECONDS, DESK_SESSIONS, SESSION_SECONDS, SHUTDOWN_SECONDS
from coterie_common.membership.invitations.channel import NONCE_BYTES, Channel, DocumentKind, Greeting
from coterie_common.membership.invitations.token import Token
from coterie_common.randomness import RandomSource
from coterie_common.rpc.abort import translated
from coterie_common.rpc.credentials import DESK_OPTIONS, desk_credentials
from coterie_common.rpc.enrolment.messages import (
    METHOD,
    SERVICE,
    Done,
    FromGuest,
    Greeted,
    HandedIn,
    Hello,
    Ordered,
    Published,
    desk_to_bytes,
    guest_from_bytes,
)
from coterie_common.rpc.enrolment.transport import DESK_NAME

log = structlog.get_logger(__name__)

_LIFETIME: Final = timedelta(days=3653)
_SKEW: Final = timedelta(days=2)
"""Guests whose clock is wrong by less can connect: their own command names a wrong clock better than TLS does."""


class EnrolmentService:
    """Serves the sessions of guests.

    Args:
        desk: keeps what they hand in.
        token: the aggregator's own, which proves that it is the founder's.
        certificate: fingerprint of the TLS certificate that guests see.
        clock: by which invitations expire.
        random: for fresh numbers.
        incidents: takes unforeseen failures.
        on_published: called with the digest of the request and the kind after a document was kept.
    """

    def __init__(
        self,
        desk: Desk,
        token: Token,
        certificate: bytes,
        *,
        clock: Clock,
        random: RandomSource,
        incidents: Incidents,
        on_published: Callable[[bytes, DocumentKind], None],
    ) -> None:
        self._desk = desk
        self._token = token
        self._certificate = certificate
        self._clock = clock
        self._random = random
        self._incidents = incidents
        self._on_published = on_published
        self._doors = Doors()
        # The desk does one thing at a time: those who wait for it here hold no thread.
        self._one_at_a_time = asyncio.Lock()

    def handler(self) -> Any:
        """Return the handler of the service for a server; bytes are parsed here, strictly."""
        meet: Any = grpc.stream_stream_rpc_method_handler(
            self._meet, request_deserializer=None, response_serializer=desk_to_bytes
        )
        return grpc.method_handlers_generic_handler(SERVICE, {METHOD: meet})

    async def _meet(self, _: Any, context: Any) -> None:
        host = host_of(context.peer())
        async with translated(context, self._incidents):
            with self._doors.passing(host, self._clock.monotonic()):
                try:
                    async with asyncio.timeout(SESSION_SECONDS):
                        await self._session(context)
                except TimeoutError:
                    raise DeadlineExceeded(f"a session ends after {SESSION_SECONDS:g} s") from None
                except CoterieError as error:
                    self._count(host, error)
                    raise

    async def _session(self, context: Any) -> None:
        hello = await _read(context)
        if not isinstance(hello, Hello):
            raise UnexpectedMessage("a session begins with a hello")
        channel = Channel(
            certificate=self._certificate,
            guest_nonce=hello.nonce,
            desk_nonce=self._random.token_bytes(NONCE_BYTES),
        )
        await context.write(Greeted(channel.desk_nonce, Greeting.create(self._token, channel)))
        message = await _read(context)
        if isinstance(message, HandedIn):
            await self._take(message, channel, context)
            return
        position = 0
        while message is not None:
            if not isinstance(message, Ordered):
                raise UnexpectedMessage("a session holds one application, or orders of the founder")
            channel.check_order(message.order, position, message.signature, self._desk.founder_key)
            await self._obey(message, context)
            position += 1
            message = await _read(context)

    async def _take(self, handed_in: HandedIn, channel: Channel, context: Any) -> None:
        application = handed_in.application
        channel.check_application(application, handed_in.proof)
        about = {"role": application.invitation.role.value, "id": application.invitation.id}
        try:
            async with self._one_at_a_time:
                is_known = self._desk.is_known(application)
                documents = await asyncio.to_thread(self._desk.hand_in, application, now=self._clock.now())
        except InvitationUsed:
            log.warning("a token is used twice", **about)
            raise
        # Who waits asks again and again; only the first time is news.
        (log.debug if is_known else log.info)("handed in", published=sorted(documents), **about)
        for kind, content in documents.items():
            await context.write(Published(kind, content))
        await context.write(Done())

    async def _obey(self, ordered: Ordered, context: Any) -> None:
        order = ordered.order
        if order.kind is None:
            async with self._one_at_a_time:
                kept = await asyncio.to_thread(self._desk.kept)
            for each in kept:
                await context.write(each)
        else:
            async with self._one_at_a_time:
                await asyncio.to_thread(self._desk.publish, order.request, order.kind, order.content)
            log.info("published", kind=order.kind.value, request=order.request.hex()[:16])
            self._on_published(order.request, order.kind)
        await context.write(Done())

    def _count(self, host: str, error: CoterieError) -> None:
        """Count what proves nothing; a person whose token expired or was used by another has proved to have it.

        Silence counts, too: whoever holds sessions open to keep others out is soon out itself.
        """
        is_proven = isinstance(error, InvitationExpired | InvitationUsed | QuotaExceeded)
        if is_proven or not isinstance(error, PeerError | RefusedError | DeadlineExceeded):
            return
        if self._doors.count_guess(host, self._clock.monotonic()):
            log.warning("guesses are refused for a while", host=host, code=error.code)


@dataclass(frozen=True, slots=True)
class EnrolmentServer:
    """A server of the enrolment port that listens.

    Attributes:
        port: the bound port, also where 0 was asked for.
    """

    port: int
    _server: grpc.aio.Server

    async def stop(self, grace_s: float = SHUTDOWN_SECONDS) -> None:
        """Take no new sessions, and end open ones after at most ``grace_s`` seconds."""
        await self._server.stop(grace_s)


async def start_enrolment(
    address: str,
    desk: Desk,
    token: Token,
    *,
    clock: Clock,
    random: RandomSource,
    incidents: Incidents,
    on_published: Callable[[bytes, DocumentKind], None],
) -> EnrolmentServer:
    """Listen on ``address`` (``HOST:PORT``, port 0: any free one) under a fresh certificate; see ``EnrolmentService``.

    Raises:
        ConfigurationError: the address cannot be bound.
    """
    key, certificate = create_self_signed(DESK_NAME, now=clock.now() - _SKEW, lifetime=_LIFETIME)
    service = EnrolmentService(
        desk,
        token,
        fingerprint(certificate),
        clock=clock,
        random=random,
        incidents=incidents,
        on_published=on_published,
    )
    server = grpc.aio.server(options=DESK_OPTIONS, maximum_concurrent_rpcs=2 * DESK_SESSIONS)
    server.add_generic_rpc_handlers((service.handler(),))
    try:
        port = server.add_secure_port(address, desk_credentials(key, certificate))
    except RuntimeError as cause:
        raise ConfigurationError(f"cannot listen on {address}: it is in use, or no address of this machine") from cause
    await server.start()
    return EnrolmentServer(port, server)


async def _read(context: Any) -> FromGuest | None:
    """Return the guest's next message; ``None`` at the end of what it says.

    Raises:
        DeadlineExceeded: it said nothing for too long.
        PeerError, RefusedError: its message, or the application in it, does not prove itself.
    """
    try:
        async with asyncio.timeout(CALL_SECONDS):
            data = await context.read()
    except TimeoutError:
        raise DeadlineExceeded(f"nothing came within {CALL_SECONDS:g} s") from None
    if data is grpc.aio.EOF:
        return None
    return await asyncio.to_thread(guest_from_bytes, data)
