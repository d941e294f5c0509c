# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Inviting members: the founder makes tokens, and remembers which of them count.

The folder holds no secret of a token: it follows from the founder's signing key, so that the same command prints the
same token again. An id has one invitation at a time; a renewed one makes the one before worthless, because the
founder's machine admits nobody under it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from coterie.founding.home import FederationHome
from coterie.founding.register import load_register
from coterie_common import document
from coterie_common.address import DEFAULT_PORT, DNS_NAME_LONGEST, ENROLMENT_PORT, Address
from coterie_common.crypto.certificates import Role
from coterie_common.crypto.hashing import Label
from coterie_common.crypto.identity import PUBLIC_BYTES, SigningKey, VerifyKey
from coterie_common.errors import ConfigurationError, KeyFileError, PeerError
from coterie_common.fields import Fields
from coterie_common.files import read_bytes, write_atomically
from coterie_common.identifiers import FederationName, MemberId, parse_member_id
from coterie_common.limits import ADMISSIONS_BYTES
from coterie_common.membership.invitations.invitation import Invitation
from coterie_common.membership.invitations.token import SECRET_BYTES, InvitationSecret, Token
from coterie_common.secret import Password

_FORMAT: Final = "coterie-invitations"
_VERSION: Final = 1
_MAX_ENTRIES: Final = 10_000
_MAX_NUMBER: Final = 1 << 40
_ADDRESS_LONGEST: Final = DNS_NAME_LONGEST + 8
_MAX_TIME: Final = int(datetime(9999, 1, 1, tzinfo=UTC).timestamp())

MAX_DAYS: Final = 365
"""A token that is good for longer is found by somebody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Invited:
    """What the founder remembers of an invitation.

    Attributes:
        role, id: whom it invites.
        address: of the aggregator's enrolment port.
        expires: its last second.
        number: greater with each invitation of the same id.
        key: public half of the key that its owner signs with.
    """

    role: Role
    id: MemberId
    address: Address
    expires: datetime
    number: int
    key: VerifyKey

    def token(self, federation: FederationName, founder: SigningKey) -> Token:
        """Make its token, the same one whenever it is made."""
        secret = _secret(founder, self.role, self.id, self.number)
        invitation = Invitation.create(
            self.role,
            self.id,
            federation=federation,
            address=self.address,
            key=self.key,
            expires=self.expires,
            founder=founder,
        )
        return Token(invitation=invitation, secret=secret)


@dataclass(frozen=True, slots=True, kw_only=True)
class Invitations:
    """Everybody whom the founder invited, and where they hand in their requests.

    Attributes:
        address: of the enrolment port that new invitations name.
        entries: the invitation that counts, by id.
    """

    address: Address
    entries: dict[MemberId, Invited]

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        entries: list[Any] = [
            {
                "role": entry.role.value,
                "id": entry.id,
                "address": str(entry.address),
                "expires": int(entry.expires.timestamp()),
                "number": entry.number,
                "key": entry.key.encoded.hex(),
            }
            for entry in self.entries.values()
        ]
        return document.encode(
            {"format": _FORMAT, "version": _VERSION, "address": str(self.address), "entries": entries}
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Invitations:
        """Parse; raises ``PeerError`` or ``ConfigurationError``."""
        value = document.decode(data, "the invitations", maximum=ADMISSIONS_BYTES)
        fields = Fields.of_file(value, "the invitations", _FORMAT, _VERSION, cls.__slots__)
        entries = [_entry(entry) for entry in fields.items("entries", maximum=_MAX_ENTRIES)]
        return cls(
            address=Address.parse(fields.text("address", longest=_ADDRESS_LONGEST)),
            entries={entry.id: entry for entry in entries},
        )


def load_invitations(home: FederationHome) -> Invitations | None:
    """Read whom the founder invited, ``None`` if nobody was; raises ``KeyFileError`` if the record is damaged."""
    if not home.invitations_path.is_file():
        return None
    data = read_bytes(home.invitations_path, "the invitations", maximum=ADMISSIONS_BYTES)
    try:
        return Invitations.from_bytes(data)
    except (PeerError, ConfigurationError, ValueError) as cause:
        raise KeyFileError(f"{home.invitations_path} is damaged") from cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Issued:
    """A token; ``is_new`` is false if the same one was issued before."""

    token: Token
    is_new: bool


def invite(
    home: FederationHome,
    ids: Sequence[MemberId],
    role: Role,
    *,
    address: Address | None,
    lifetime: timedelta,
    renew: bool,
    ask_password: Callable[[], Password],
    now: datetime,
) -> tuple[Issued, ...]:
    """Invite some ids, all or none; an invitation that still counts is issued again as it is.

    Args:
        home: the founder's folder.
        ids: whom to invite.
        role: as what.
        address: of the enrolment port; remembered for later invitations. ``None``: the remembered one.
        lifetime: of new invitations.
        renew: make new invitations in any case; those before are worthless then.
        ask_password: called once.
        now: the current time.

    Raises:
        WrongOrderError: no federation was founded here.
        ConfigurationError: no address is known, its port is that of members, a lifetime that is not allowed, or an id
            that is taken.
        KeyFileError: wrong password, or a damaged file.
    """
    if not timedelta() < lifetime <= timedelta(days=MAX_DAYS):
        raise ConfigurationError(f"an invitation is good for 1 to {MAX_DAYS} days")
    if address is not None and address.port == DEFAULT_PORT:
        raise ConfigurationError(
            f"port {DEFAULT_PORT} is for members; applicants need another one, {ENROLMENT_PORT} by default"
        )
    with home.locked():
        record, known = home.record(), load_invitations(home)
        where = address or (known.address if known else None)
        if where is None:
            raise ConfigurationError("nobody knows where the aggregator is: name its host with --aggregator HOST")
        book = Invitations(address=where, entries=dict(known.entries) if known else {})
        keys, issued = home.unlock_keys(record, ask_password()), []
        for member in dict.fromkeys(ids):
            former = book.entries.get(member)
            _check_free(home, member, role, former, renew=renew)
            is_new = renew or former is None or former.expires < now or former.address != where
            if is_new:
                number = former.number + 1 if former else 1
                book.entries[member] = Invited(
                    role=role,
                    id=member,
                    address=where,
                    expires=(now + lifetime).replace(microsecond=0),
                    number=number,
                    key=_secret(keys.signing_key, role, member, number).signing_key().verify_key,
                )
            issued.append(Issued(token=book.entries[member].token(record.federation, keys.signing_key), is_new=is_new))
        write_atomically(home.invitations_path, book.to_bytes())
        return tuple(issued)


def _check_free(home: FederationHome, member: MemberId, role: Role, former: Invited | None, *, renew: bool) -> None:
    admission = load_register(home).find(member)
    if admission is not None and admission.role is not role:
        raise ConfigurationError(f"the id {member} is already admitted as {admission.role.value}")
    if former is not None and former.role is not role and not renew:
        raise ConfigurationError(f"{member} was invited as {former.role.value}; --renew invites it as {role.value}")
    if admission is not None and former is None and not renew:
        raise ConfigurationError(f"{member} is already admitted; --renew invites it to replace its keys")


def _secret(founder: SigningKey, role: Role, member: MemberId, number: int) -> InvitationSecret:
    derived = founder.derive(Label.INVITATION_SEED, role.value, member, number, digest_bytes=SECRET_BYTES)
    return InvitationSecret(derived)


def _entry(value: Any) -> Invited:
    fields = Fields(value, "an invitation", Invited.__slots__)
    return Invited(
        role=Role(fields.text("role", longest=16)),
        id=parse_member_id(fields.text("id", longest=32)),
        address=Address.parse(fields.text("address", longest=_ADDRESS_LONGEST)),
        expires=datetime.fromtimestamp(fields.integer("expires", minimum=0, maximum=_MAX_TIME), UTC),
        number=fields.integer("number", minimum=1, maximum=_MAX_NUMBER),
        key=VerifyKey(fields.octets("key", minimum=PUBLIC_BYTES, maximum=PUBLIC_BYTES)),
    )
