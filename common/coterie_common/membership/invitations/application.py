# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""An application: an enrolment request that comes with an invitation, and the proof that its maker has the token.

The aggregator carries it and the founder's machine checks it again, with the same code: an aggregator cannot put its
own request in the place of another, because it does not have the token.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from coterie_common import document
from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.crypto.identity import SIGNATURE_BYTES
from coterie_common.errors import InvalidSignature, MalformedMessage, UnknownInvitation
from coterie_common.fields import Fields
from coterie_common.limits import APPLICATION_BYTES, INVITATION_BYTES
from coterie_common.membership.enrolment import EnrolmentRequest
from coterie_common.membership.invitations.invitation import Invitation
from coterie_common.membership.invitations.token import Token

_FORMAT: Final = "coterie-application"
_VERSION: Final = 1


def request_digest(request: EnrolmentRequest) -> bytes:
    """Return the digest under which an aggregator finds what the founder published for a request."""
    return tuple_hash(Label.REQUEST, request.to_bytes())


@dataclass(frozen=True, slots=True, kw_only=True)
class Application:
    """A request under an invitation; ``from_bytes`` returns only those whose proofs hold.

    Attributes:
        invitation: signed by the founder that it names; the caller compares that founder with its own.
        request: asks for the role and id of the invitation.
        signature: of the invitation's key, over both.
    """

    invitation: Invitation
    request: EnrolmentRequest
    signature: bytes

    @classmethod
    def create(cls, token: Token, request: EnrolmentRequest) -> Application:
        """Apply with a token; the request must be for its role and id, else ``MalformedMessage``."""
        _check_applicant(token.invitation, request)
        signature = token.signing_key.sign(Label.APPLICATION, token.invitation.digest, request_digest(request))
        return cls(invitation=token.invitation, request=request, signature=signature)

    @property
    def digest(self) -> bytes:
        """What the proof of the channel covers."""
        return tuple_hash(Label.APPLICATION, self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return document.encode(
            {
                "format": _FORMAT,
                "version": _VERSION,
                "invitation": self.invitation.to_bytes().hex(),
                "request": self.request.to_document(),
                "signature": self.signature.hex(),
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Application:
        """Parse and check every proof in it, the founder's signature first.

        Raises:
            MalformedMessage: no application, or its request is for another role or id than the invitation.
            UnknownInvitation: the founder did not sign the invitation, or the maker does not have its token.
            InvalidSignature: the request's own proofs do not hold.
        """
        value: Any = document.decode(data, "the application", maximum=APPLICATION_BYTES)
        fields = Fields.of_file(value, "the application", _FORMAT, _VERSION, ("invitation", "request", "signature"))
        invitation = Invitation.from_bytes(fields.octets("invitation", minimum=1, maximum=INVITATION_BYTES))
        application = cls(
            invitation=invitation,
            request=EnrolmentRequest.from_document(fields.value("request")),
            signature=fields.octets("signature", minimum=SIGNATURE_BYTES, maximum=SIGNATURE_BYTES),
        )
        _check_applicant(invitation, application.request)
        try:
            invitation.key.verify(
                application.signature, Label.APPLICATION, invitation.digest, request_digest(application.request)
            )
        except InvalidSignature as cause:
            raise UnknownInvitation("the request was not made with the token of its invitation") from cause
        return application


def _check_applicant(invitation: Invitation, request: EnrolmentRequest) -> None:
    applicant = request.applicant
    if (applicant.role, applicant.id) != (invitation.role, invitation.id):
        raise MalformedMessage(
            f"the invitation is for the {invitation.role.value} {invitation.id}, "
            f"the request for the {applicant.role.value} {applicant.id}"
        )
