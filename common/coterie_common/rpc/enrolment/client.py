# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The guest's side of enrolment: a session with the desk of the founder's aggregator, for applicants and the founder.

Invariants:
- Before the greeting is verified, nothing but a fresh number is sent.
- Before, nothing is believed either: whatever answers may say that it is busy or gone, which anybody on the way can
  bring about, but neither the text nor the code of an error comes from it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import grpc

from coterie_common.address import Address
from coterie_common.crypto.certificates import fingerprint
from coterie_common.crypto.identity import SigningKey, VerifyKey
from coterie_common.errors import (
    CoterieError,
    DeadlineExceeded,
    MalformedMessage,
    NotTheAggregator,
    Overloaded,
    Unavailable,
)
from coterie_common.limits import SESSION_SECONDS
from coterie_common.membership.invitations.application import Application
from coterie_common.membership.invitations.channel import NONCE_BYTES, Channel, DocumentKind, Kept, Order
from coterie_common.membership.invitations.token import Token
from coterie_common.randomness import RandomSource
from coterie_common.rpc.enrolment.messages import (
    METHOD,
    SERVICE,
    Done,
    FromDesk,
    FromGuest,
    Greeted,
    HandedIn,
    Hello,
    Ordered,
    Published,
    desk_from_bytes,
    guest_to_bytes,
)
from coterie_common.rpc.enrolment.transport import fetch_certificate, open_channel, proxy_for
from coterie_common.rpc.status import error_from_rpc


class _Exchange:
    """The messages of one call, one answer at a time."""

    def __init__(self, channel: grpc.Channel, seconds: float) -> None:
        self._outgoing: SimpleQueue[bytes | None] = SimpleQueue()
        # Without serialisers gRPC passes the bytes, which are read as strictly as everywhere.
        meet: Any = channel.stream_stream(f"/{SERVICE}/{METHOD}", request_serializer=None, response_deserializer=None)
        self._call: Any = meet(iter(self._outgoing.get, None), timeout=seconds)

    def ask(self, message: FromGuest) -> FromDesk:
        """Say something and return the first answer; raises the desk's error."""
        self._outgoing.put(guest_to_bytes(message))
        return self.next()

    def next(self) -> FromDesk:
        """Return the next answer; raises the desk's error."""
        try:
            return desk_from_bytes(next(self._call))
        except StopIteration:
            raise MalformedMessage("the desk ended the session before it answered") from None
        except grpc.RpcError as failure:
            raise error_from_rpc(failure) from failure

    def end(self) -> None:
        """End the call."""
        self._outgoing.put(None)
        self._call.cancel()


class Session:
    """A session with a desk that proved who it is; made by ``open_desk``. Errors of the desk are raised as they are."""

    def __init__(self, exchange: _Exchange, channel: Channel) -> None:
        self._exchange = exchange
        self._channel = channel
        self._orders = 0

    def hand_in(self, application: Application, token: Token) -> dict[DocumentKind, bytes]:
        """Hand in an application, and return what the founder published for it; nothing: it waits.

        Raises:
            InvitationUsed: another request came with the same token before.
            InvitationExpired: the token was used too late.
            UnknownInvitation: this aggregator's founder did not sign the invitation.
        """
        proof = self._channel.prove_application(application, token)
        found = {}
        answer = self._exchange.ask(HandedIn(application, proof))
        while isinstance(answer, Published):
            found[answer.kind] = answer.content
            answer = self._exchange.next()
        _require_done(answer)
        return found

    def kept(self, founder: SigningKey) -> tuple[Kept, ...]:
        """Return the applications that the desk keeps, unverified, in the order in which they came."""
        found = []
        answer = self._order(Order(), founder)
        while isinstance(answer, Kept):
            found.append(answer)
            answer = self._exchange.next()
        _require_done(answer)
        return tuple(found)

    def publish(self, request: bytes, kind: DocumentKind, content: bytes, founder: SigningKey) -> None:
        """Publish a document for the request with this digest; one of the same kind is replaced.

        Raises:
            NotFound: the desk has no such request.
        """
        _require_done(self._order(Order(request=request, kind=kind, content=content), founder))

    def _order(self, order: Order, founder: SigningKey) -> FromDesk:
        signature = self._channel.sign_order(order, self._orders, founder)
        self._orders += 1
        return self._exchange.ask(Ordered(order, signature))


@contextmanager
def open_desk(
    address: Address, founder_key: VerifyKey, random: RandomSource, seconds: float = SESSION_SECONDS
) -> Iterator[Session]:
    """Open a session with the desk of a founder's aggregator, through the environment's proxy; blocking.

    Args:
        address: of the enrolment port.
        founder_key: whose aggregator it must prove to be.
        random: for the guest's fresh number.
        seconds: that the session may last.

    Raises:
        NotTheAggregator: something else answers; nothing was sent to it.
        Overloaded: what answers says that it is busy; it need not be the aggregator.
        Unavailable: nobody answers, or not in time.
        ConfigurationError: the environment names a proxy that cannot be used.
    """
    proxy = proxy_for(address)
    certificate = fetch_certificate(address, proxy)
    with open_channel(address, certificate, proxy) as channel:
        exchange = _Exchange(channel, seconds)
        try:
            yield Session(exchange, _greeted(exchange, founder_key, certificate, random))
        finally:
            exchange.end()


def _greeted(exchange: _Exchange, founder_key: VerifyKey, certificate: bytes, random: RandomSource) -> Channel:
    nonce = random.token_bytes(NONCE_BYTES)
    try:
        answer = exchange.ask(Hello(nonce))
    except Overloaded as cause:
        raise Overloaded("the enrolment port is overloaded", retry_after_s=cause.retry_after_s) from cause
    except (Unavailable, DeadlineExceeded) as cause:
        raise Unavailable("the enrolment port ended the connection before it greeted") from cause
    except CoterieError as cause:
        raise NotTheAggregator("what answers at the address is no enrolment desk of this founder") from cause
    if not isinstance(answer, Greeted):
        raise NotTheAggregator("what answers at the address does not greet")
    channel = Channel(certificate=fingerprint(certificate), guest_nonce=nonce, desk_nonce=answer.nonce)
    answer.greeting.verify(founder_key, channel)
    return channel


def _require_done(answer: FromDesk) -> None:
    if not isinstance(answer, Done):
        raise MalformedMessage("the desk answered something else than it was asked")
