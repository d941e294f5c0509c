# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Converter for ``enrolment.proto``: what guest and desk say to each other.

Invariant: every failure to read is a ``MalformedMessage``, or an error of the documents inside, which say what they are
refused for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

from coterie_common.crypto.hashing import DIGEST_BYTES
from coterie_common.errors import MalformedMessage
from coterie_common.limits import APPLICATION_BYTES, KEY_FILE_BYTES, MAX_PUBLISHED
from coterie_common.membership.invitations.application import Application
from coterie_common.membership.invitations.channel import NONCE_BYTES, DocumentKind, Greeting, Kept, Order
from coterie_common.membership.invitations.invitation import Invitation
from coterie_common.wire import strict
from coterie_common.wire.pb import enrolment_pb2 as pb

SERVICE: Final = pb.DESCRIPTOR.services_by_name["Enrolment"].full_name
METHOD: Final = "Meet"

_KINDS: Final = {
    pb.DOCUMENT_KIND_CREDENTIAL: DocumentKind.CREDENTIAL,
    pb.DOCUMENT_KIND_BUNDLE: DocumentKind.BUNDLE,
}
_KINDS_TO_WIRE: Final = {kind: value for value, kind in _KINDS.items()}


@dataclass(frozen=True, slots=True)
class Hello:
    """The guest's first message: a fresh number."""

    nonce: bytes


@dataclass(frozen=True, slots=True)
class HandedIn:
    """An application, and the proof that its maker hands it in on this channel."""

    application: Application
    proof: bytes


@dataclass(frozen=True, slots=True)
class Ordered:
    """An order with the founder's signature."""

    order: Order
    signature: bytes


@dataclass(frozen=True, slots=True)
class Greeted:
    """The desk's first message: a fresh number, and its proof of who it is."""

    nonce: bytes
    greeting: Greeting


@dataclass(frozen=True, slots=True)
class Published:
    """A document that the founder published for the request that was handed in."""

    kind: DocumentKind
    content: bytes


@dataclass(frozen=True, slots=True)
class Done:
    """The end of an answer."""


FromGuest: TypeAlias = Hello | HandedIn | Ordered
FromDesk: TypeAlias = Greeted | Published | Kept | Done


def guest_to_bytes(message: FromGuest) -> bytes:
    """Return the wire form of a guest's message."""
    match message:
        case Hello(nonce):
            return pb.GuestMessage(hello=pb.GuestHello(nonce=nonce)).SerializeToString()
        case HandedIn(application, proof):
            handed_in = pb.HandedIn(application=application.to_bytes(), proof=proof)
            return pb.GuestMessage(handed_in=handed_in).SerializeToString()
        case Ordered(order, signature):
            kind = _KINDS_TO_WIRE[order.kind] if order.kind else pb.DOCUMENT_KIND_UNSPECIFIED
            signed = pb.SignedOrder(request=order.request, kind=kind, content=order.content, signature=signature)
            return pb.GuestMessage(order=signed).SerializeToString()


def guest_from_bytes(data: bytes) -> FromGuest:
    """Parse what a guest says, an application with every proof in it; raises as the documents do."""
    message = strict.parse(pb.GuestMessage, data, "the guest's message")
    match message.WhichOneof("content"):
        case "hello":
            return Hello(_nonce(message.hello.nonce))
        case "handed_in":
            application = strict.octets(
                message.handed_in.application, "application", minimum=1, maximum=APPLICATION_BYTES
            )
            return HandedIn(Application.from_bytes(application), strict.signature(message.handed_in.proof))
        case "order":
            return Ordered(_order(message.order), strict.signature(message.order.signature))
        case _:
            raise MalformedMessage("the guest's message is empty")


def desk_to_bytes(message: FromDesk) -> bytes:
    """Return the wire form of a desk's message."""
    match message:
        case Greeted(nonce, greeting):
            sent = pb.DeskGreeting(nonce=nonce, invitation=greeting.invitation.to_bytes(), signature=greeting.signature)
            answer = pb.DeskMessage(greeting=sent)
        case Published(kind, content):
            answer = pb.DeskMessage(document=pb.PublishedDocument(kind=_KINDS_TO_WIRE[kind], content=content))
        case Kept():
            kept = pb.KeptApplication(application=message.application, published=sorted(message.published))
            answer = pb.DeskMessage(application=kept)
        case Done():
            answer = pb.DeskMessage(done=pb.OrderDone())
    return answer.SerializeToString()


def desk_from_bytes(data: bytes) -> FromDesk:
    """Parse what the desk says; nothing in it is verified."""
    message = strict.parse(pb.DeskMessage, data, "the desk's message")
    match message.WhichOneof("content"):
        case "greeting":
            greeting = Greeting(
                invitation=Invitation.from_bytes(message.greeting.invitation),
                signature=strict.signature(message.greeting.signature),
            )
            return Greeted(_nonce(message.greeting.nonce), greeting)
        case "document":
            content = strict.octets(message.document.content, "content", minimum=1, maximum=KEY_FILE_BYTES)
            return Published(strict.enum(_KINDS, message.document.kind, "kind"), content)
        case "application":
            return _kept(message.application)
        case "done":
            return Done()
        case _:
            raise MalformedMessage("the desk's message is empty")


def _order(order: pb.SignedOrder) -> Order:
    if order.kind == pb.DOCUMENT_KIND_UNSPECIFIED:
        if order.request or order.content:
            raise MalformedMessage("an order to list applications has no content")
        return Order()
    return Order(
        request=strict.octets(order.request, "request", minimum=DIGEST_BYTES, maximum=DIGEST_BYTES),
        kind=strict.enum(_KINDS, order.kind, "kind"),
        content=strict.octets(order.content, "content", minimum=1, maximum=KEY_FILE_BYTES),
    )


def _kept(kept: pb.KeptApplication) -> Kept:
    published = strict.several(kept.published, "published", maximum=MAX_PUBLISHED)
    return Kept(
        application=strict.octets(kept.application, "application", minimum=1, maximum=APPLICATION_BYTES),
        published=frozenset(strict.digest(each, "published") for each in published),
    )


def _nonce(value: bytes) -> bytes:
    return strict.octets(value, "nonce", minimum=NONCE_BYTES, maximum=NONCE_BYTES)
