# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What is said at the enrolment port, bound to one connection: proofs of applicants, greetings, the founder's orders.

The port has a certificate of its own that nobody issued. So every proof covers the fingerprint of the certificate that
its maker saw, and fresh numbers of both sides: it is good on this connection, once, and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from coterie_common.crypto.certificates import Role
from coterie_common.crypto.hashing import Item, Label, tuple_hash
from coterie_common.crypto.identity import SigningKey, VerifyKey
from coterie_common.errors import InvalidSignature, InvitationReplayed, NotTheAggregator, PeerError, UnknownInvitation
from coterie_common.membership.invitations.application import Application
from coterie_common.membership.invitations.invitation import Invitation
from coterie_common.membership.invitations.token import Token

NONCE_BYTES: Final = 32


class DocumentKind(StrEnum):
    """What the founder publishes for a request."""

    CREDENTIAL = "credential"
    BUNDLE = "bundle"


def document_digest(kind: DocumentKind, content: bytes) -> bytes:
    """Return the digest by which a desk says what it has."""
    return tuple_hash(Label.PUBLISHED, kind.value, content)


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """An application at the desk, as it tells the founder; nothing in it is verified.

    Attributes:
        application: its bytes.
        published: digests of the documents that are published for it.
    """

    application: bytes
    published: frozenset[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class Channel:
    """One session with the aggregator's desk, as each side sees it.

    Attributes:
        certificate: fingerprint of the TLS certificate, 32 bytes.
        guest_nonce, desk_nonce: fresh numbers of the two sides, 32 bytes each.
    """

    certificate: bytes
    guest_nonce: bytes
    desk_nonce: bytes

    @property
    def items(self) -> tuple[Item, ...]:
        """What every proof of this session covers."""
        return self.certificate, self.guest_nonce, self.desk_nonce

    def prove_application(self, application: Application, token: Token) -> bytes:
        """Return the applicant's proof that it hands in this application here and now."""
        return token.signing_key.sign(Label.APPLICATION_CHANNEL, *self.items, application.digest)

    def check_application(self, application: Application, proof: bytes) -> None:
        """Check the applicant's proof; raises ``InvitationReplayed``."""
        _check(application.invitation.key, proof, Label.APPLICATION_CHANNEL, *self.items, application.digest)

    def sign_order(self, order: Order, position: int, founder: SigningKey) -> bytes:
        """Return the founder's signature of an order that is the ``position``-th of this session, from 0."""
        return founder.sign(Label.DESK_ORDER, *self.items, position, *order.items)

    def check_order(self, order: Order, position: int, signature: bytes, founder_key: VerifyKey) -> None:
        """Check the founder's signature of an order; raises ``InvitationReplayed``."""
        _check(founder_key, signature, Label.DESK_ORDER, *self.items, position, *order.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What the founder asks of the desk: to list who waits, or to keep a document for a request.

    Attributes:
        request: digest of the request that the document is for; empty: list who waits.
        kind: of the document; ``None`` for a list.
        content: the document; empty for a list.
    """

    request: bytes = b""
    kind: DocumentKind | None = None
    content: bytes = b""

    @property
    def items(self) -> tuple[Item, ...]:
        """What the founder's signature covers."""
        return self.request, self.kind.value if self.kind else None, self.content


@dataclass(frozen=True, slots=True, kw_only=True)
class Greeting:
    """The desk's proof that it is the founder's aggregator; nothing in it is trusted before ``verify``.

    Attributes:
        invitation: the aggregator's own.
        signature: of the invitation's key, over the channel.
    """

    invitation: Invitation
    signature: bytes

    @classmethod
    def create(cls, token: Token, channel: Channel) -> Greeting:
        """Greet as the owner of the aggregator's token."""
        return cls(invitation=token.invitation, signature=token.signing_key.sign(Label.DESK_GREETING, *channel.items))

    def verify(self, founder_key: VerifyKey, channel: Channel) -> None:
        """Check that the founder's aggregator greets on this very channel.

        The aggregator's invitation names it also after it has expired. Somebody who stole its token could keep requests
        from the founder, which anybody on the way can do, and nothing else: it carries, the founder's machine decides.

        Raises:
            NotTheAggregator: it does not.
        """
        try:
            self.invitation.require_of(founder_key)
            if self.invitation.role is not Role.AGGREGATOR:
                raise NotTheAggregator("the invitation in the greeting is not an aggregator's")
            self.invitation.key.verify(self.signature, Label.DESK_GREETING, *channel.items)
        except (PeerError, UnknownInvitation) as cause:
            raise NotTheAggregator(
                "what answers at the address of the token is not this founder's aggregator; nothing was sent to it"
            ) from cause


def _check(key: VerifyKey, signature: bytes, label: Label, *items: Item) -> None:
    try:
        key.verify(signature, label, *items)
    except InvalidSignature as cause:
        raise InvitationReplayed("the proof was not made for this connection") from cause
