# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""An invitation: the founder's signed word that one member of a stated role and id may ask to be admitted.

It is public and proves itself: whoever knows the founder's key recognises it, so nothing is published to the aggregator
beforehand. The right to use it is a signing key, whose seed follows from the secret in the token (``token``).

Invariant: one invitation has one encoding. ``from_bytes`` returns only invitations that the founder in them signed;
the caller compares that founder with its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from coterie_common.address import Address
from coterie_common.crypto.certificates import Role
from coterie_common.crypto.hashing import Item, Label, tuple_hash
from coterie_common.crypto.identity import PUBLIC_BYTES, SIGNATURE_BYTES, SigningKey, VerifyKey
from coterie_common.errors import (
    ConfigurationError,
    InvalidSignature,
    InvitationExpired,
    MalformedMessage,
    UnknownInvitation,
)
from coterie_common.identifiers import FederationName, MemberId, parse_federation_name, parse_member_id
from coterie_common.limits import INVITATION_BYTES

_VERSION: Final = 1
_LENGTH_BYTES: Final = 2
_TIME_BYTES: Final = 8
_MAX_TIME: Final = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())

_ROLES: Final = {1: Role.PARTY, 2: Role.AGGREGATOR, 3: Role.OPERATOR, 4: Role.SCIENTIST}
_ROLES_TO_BYTES: Final = {role: value for value, role in _ROLES.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitation:
    """An invitation.

    Attributes:
        role, id: the founder admits its owner as these, and as nothing else.
        federation: its name.
        address: of the aggregator's enrolment port.
        founder_key: the founder's public key.
        key: public half of the key that its owner signs with.
        expires: the last second in which it may be used first, in UTC.
        signature: the founder's.
    """

    role: Role
    id: MemberId
    federation: FederationName
    address: Address
    founder_key: VerifyKey
    key: VerifyKey
    expires: datetime
    signature: bytes

    @classmethod
    def create(
        cls,
        role: Role,
        member_id: MemberId,
        *,
        federation: FederationName,
        address: Address,
        key: VerifyKey,
        expires: datetime,
        founder: SigningKey,
    ) -> Invitation:
        """Invite somebody, as the founder; ``expires`` is cut to whole seconds."""
        expires = expires.replace(microsecond=0)
        signed = _signed(role, member_id, federation, address, key, expires)
        return cls(
            role=role,
            id=member_id,
            federation=federation,
            address=address,
            founder_key=founder.verify_key,
            key=key,
            expires=expires,
            signature=founder.sign(Label.INVITATION_SIGNATURE, *signed),
        )

    @property
    def digest(self) -> bytes:
        """What everything that is made under this invitation is bound to."""
        return tuple_hash(Label.INVITATION, self.to_bytes())

    def require_of(self, founder_key: VerifyKey) -> None:
        """Check that it is an invitation of this founder; raises ``UnknownInvitation``."""
        if self.founder_key != founder_key:
            raise UnknownInvitation("the invitation was signed by another founder than this federation's")

    def require_valid(self, now: datetime) -> None:
        """Check that it has not expired; raises ``InvitationExpired``."""
        if now > self.expires:
            raise InvitationExpired(f"the invitation of {self.id} was good until {self.expires:%Y-%m-%d %H:%M} UTC")

    def to_bytes(self) -> bytes:
        """Return the one encoding, of at most ``INVITATION_BYTES``."""
        texts = b"".join(
            len(text).to_bytes(_LENGTH_BYTES, "big") + text.encode("ascii")
            for text in (self.id, self.federation, str(self.address))
        )
        return (
            bytes([_VERSION, _ROLES_TO_BYTES[self.role]])
            + texts
            + self.founder_key.encoded
            + self.key.encoded
            + int(self.expires.timestamp()).to_bytes(_TIME_BYTES, "big")
            + self.signature
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Invitation:
        """Parse, and check the founder's signature.

        Raises:
            MalformedMessage: it is no invitation, or not in its one encoding.
            UnknownInvitation: the founder in it did not sign it.
        """
        if len(data) > INVITATION_BYTES:
            raise MalformedMessage(f"an invitation has at most {INVITATION_BYTES} bytes")
        reader = _Reader(data)
        if reader.byte() != _VERSION:
            raise MalformedMessage(f"the invitation has another version than {_VERSION}")
        try:
            invitation = cls(
                role=_ROLES[reader.byte()],
                id=parse_member_id(reader.text()),
                federation=parse_federation_name(reader.text()),
                address=Address.parse(reader.text()),
                founder_key=VerifyKey(reader.take(PUBLIC_BYTES)),
                key=VerifyKey(reader.take(PUBLIC_BYTES)),
                expires=_time(int.from_bytes(reader.take(_TIME_BYTES), "big")),
                signature=reader.take(SIGNATURE_BYTES),
            )
        except (ConfigurationError, KeyError, UnicodeDecodeError) as cause:
            raise MalformedMessage("the invitation has a malformed role, id, name or address") from cause
        if invitation.to_bytes() != data:
            raise MalformedMessage("the invitation is not in its one encoding")
        invitation._check_signature()
        return invitation

    def _check_signature(self) -> None:
        signed = _signed(self.role, self.id, self.federation, self.address, self.key, self.expires)
        try:
            self.founder_key.verify(self.signature, Label.INVITATION_SIGNATURE, *signed)
        except InvalidSignature as cause:
            raise UnknownInvitation("the invitation is not signed by its founder") from cause


def _signed(
    role: Role, member_id: str, federation: str, address: Address, key: VerifyKey, expires: datetime
) -> tuple[Item, ...]:
    return role.value, member_id, federation, str(address), key.encoded, int(expires.timestamp())


def _time(seconds: int) -> datetime:
    if seconds > _MAX_TIME:
        raise MalformedMessage("the invitation never expires")
    return datetime.fromtimestamp(seconds, UTC)


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def take(self, count: int) -> bytes:
        taken, self._data = self._data[:count], self._data[count:]
        if len(taken) != count:
            raise MalformedMessage("the invitation is cut short")
        return taken

    def byte(self) -> int:
        return self.take(1)[0]

    def text(self) -> str:
        return self.take(int.from_bytes(self.take(_LENGTH_BYTES), "big")).decode("ascii")
