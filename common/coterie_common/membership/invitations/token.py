# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Tokens: an invitation and the secret that uses it, as one line of text that the founder hands to one person.

A token proves nothing about its bearer but that the bearer has it. People compare the phrase of the request
(``phrase``) because a token may be read on its way.

Invariant: one token has one text. A checksum over all of it finds text that is mistyped or cut short before anything
else is looked at; it is no protection against forgery, the founder's signature is.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from hmac import compare_digest
from typing import Final

from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import MalformedMessage, MistypedToken, UnknownInvitation
from coterie_common.limits import INVITATION_BYTES
from coterie_common.membership.invitations.invitation import Invitation
from coterie_common.secret import Secret

SECRET_BYTES: Final = 16
_PREFIX: Final = "coterie-"
_CHECK_BYTES: Final = 8
_LONGEST: Final = 4 * (INVITATION_BYTES + SECRET_BYTES + _CHECK_BYTES)
"""Characters, spaces and line ends of a mail program included."""


class InvitationSecret(Secret[bytes]):
    """The secret of a token, 16 uniform bytes."""

    def signing_key(self) -> SigningKey:
        """Return the key that this secret makes: the same one whenever it is asked for."""
        return SigningKey(tuple_hash(Label.INVITATION_KEY, self.reveal()))


@dataclass(frozen=True, slots=True, kw_only=True)
class Token:
    """An invitation and its secret; the two belong together."""

    invitation: Invitation
    secret: InvitationSecret

    def __post_init__(self) -> None:
        if self.secret.signing_key().verify_key != self.invitation.key:
            raise MistypedToken("the secret of the token is not that of its invitation")

    @property
    def signing_key(self) -> SigningKey:
        """The key that signs requests under the invitation."""
        return self.secret.signing_key()

    def reveal(self) -> str:
        """Return the text. It is secret: for the person who is invited, or a file that only its owner reads."""
        content = self.invitation.to_bytes() + self.secret.reveal()
        return _PREFIX + base64.urlsafe_b64encode(content + _check(content)).decode("ascii").rstrip("=")

    @classmethod
    def parse(cls, text: str) -> Token:
        """Return the token of a text; spaces and line ends in it do not count.

        Raises:
            MistypedToken: it is no token, or one that is mistyped, cut short or altered.
        """
        if len(text) > _LONGEST:
            raise MistypedToken("this is no token of an invitation: it is too long")
        bare = "".join(text.split())
        if not bare.startswith(_PREFIX):
            raise MistypedToken(f"a token begins with {_PREFIX!r}; copy all of it")
        encoded = bare.removeprefix(_PREFIX)
        try:
            data = base64.b64decode(encoded + "=" * (-len(encoded) % 4), altchars=b"-_", validate=True)
        except (binascii.Error, ValueError) as cause:
            raise MistypedToken(_mistyped()) from cause
        content, check = data[:-_CHECK_BYTES], data[-_CHECK_BYTES:]
        if not compare_digest(check, _check(content)):
            raise MistypedToken(_mistyped())
        try:
            token = cls(
                invitation=Invitation.from_bytes(content[:-SECRET_BYTES]),
                secret=InvitationSecret(content[-SECRET_BYTES:]),
            )
        except (MalformedMessage, UnknownInvitation) as cause:
            raise MistypedToken(f"the token cannot be used: {cause.message}") from cause
        if token.reveal() != bare:
            raise MistypedToken(_mistyped())
        return token


def _check(content: bytes) -> bytes:
    return tuple_hash(Label.INVITATION_TEXT, content, digest_bytes=_CHECK_BYTES)


def _mistyped() -> str:
    return f"the token is cut short or mistyped; copy all of it, from {_PREFIX!r} to its last character"
