# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The roster: the members of the federation, their keys and its parameters, signed by its founder.

All members hold the same roster; its digest is in every session id. Members pin the founder's fingerprint and trust a
roster only under that key. The caller remembers the last serial that a member has seen.

Some entries state what no version does yet: a key that its holders generated, fewer key holders than members, jobs that
go on under the roster that they were accepted under. They are read and signed as they will be, and refused.

Invariants:
- A ``Roster`` is complete and consistent: indices 1..n in order, nobody twice, no key shared by two members.
- Its bytes are canonical: one roster, one digest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from coterie_common import document
from coterie_common.crypto.hashing import DIGEST_BYTES, Label, tuple_hash
from coterie_common.crypto.identity import SIGNATURE_BYTES, SigningKey, VerifyKey
from coterie_common.crypto.threshold import KeyKind
from coterie_common.errors import ConfigurationError, IdentityMismatch, MalformedMessage, NotInCohort, OldKeyError
from coterie_common.fields import Fields
from coterie_common.fingerprint import printed_fingerprint, readable_fingerprint
from coterie_common.identifiers import FederationName, PartyId, parse_federation_name
from coterie_common.limits import KEY_FILE_BYTES, MAX_PARTIES
from coterie_common.protocol.parameters import FederationParameters
from coterie_common.protocol.roster.key_making import KeyMaking
from coterie_common.protocol.roster.members import AggregatorMember, Member, read_member_id, read_verify_key

_MAX_SERIAL: Final = 2**31 - 1
_ADDED: Final = (
    frozenset(("earlier_jobs_until", "ends_jobs", "key_holders", "key_kind", "key_making")),
    frozenset(("earlier_jobs_until", "key_making")),
)
"""Entries that rosters of earlier versions lack: those of protocol version 1, and those that knew dealt keys only."""


@dataclass(frozen=True, kw_only=True)
class Roster:
    """Everything on which the members of a federation agree.

    Attributes:
        federation: its name.
        serial: grows with every roster that the founder signs; a member never goes back.
        key_epoch: the threshold key in force; a share is used only under a roster of its epoch.
        ends_jobs: whether jobs accepted under earlier rosters end with this one. They always do at present.
        earlier_jobs_until: where they go on, when the last of them ends at the latest: UTC, whole seconds.
        parameters: of the federation.
        key_holders: the parties that hold a key share, in the order of their holder indices 1..k. All parties hold one
            at present.
        key_kind: whether the threshold key was dealt or generated.
        key_making: how the holders of a generated key made it, under their signatures; ``None`` for a dealt key.
        key_digest: digest of the key record.
        authority_digest: SHA-256 of the certificate authority's certificate.
        members: the parties, by index.
        aggregator: the aggregator.

    Raises:
        MalformedMessage: these do not make one consistent roster.
    """

    federation: FederationName
    serial: int
    key_epoch: int
    ends_jobs: bool = True
    earlier_jobs_until: datetime | None = None
    parameters: FederationParameters
    key_holders: tuple[PartyId, ...]
    key_kind: KeyKind
    key_making: KeyMaking | None = None
    key_digest: bytes
    authority_digest: bytes
    members: tuple[Member, ...]
    aggregator: AggregatorMember
    _digest: bytes = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not 1 <= self.key_epoch <= self.serial <= _MAX_SERIAL:
            raise MalformedMessage(
                "serial and key epoch of the roster must be positive, the epoch not above the serial"
            )
        if len(self.members) != self.parameters.parties:
            raise MalformedMessage(f"the roster must have {self.parameters.parties} members, not {len(self.members)}")
        if [member.index for member in self.members] != list(range(1, len(self.members) + 1)):
            raise MalformedMessage("the members of the roster must be in the order of their indices 1 to n")
        self._check_earlier_jobs()
        self._check_holders()
        self._check_making()
        everybody: tuple[Member | AggregatorMember, ...] = (*self.members, self.aggregator)
        for what, values in (
            ("an id", [*(member.party_id for member in self.members), self.aggregator.id]),
            ("a certificate", [entry.certificate_fingerprint for entry in everybody]),
            ("a signing key", [entry.verify_key.encoded for entry in everybody]),
            ("a sealing key", [member.sealing_key for member in self.members]),
        ):
            if len(set(values)) != len(values):
                raise MalformedMessage(f"{what} occurs twice in the roster")
        object.__setattr__(self, "_digest", tuple_hash(Label.ROSTER, self.to_bytes()))

    def _check_earlier_jobs(self) -> None:
        until = self.earlier_jobs_until
        if until is not None and (until.tzinfo != UTC or until.microsecond):
            raise MalformedMessage("the end of earlier jobs in the roster must be in UTC and whole seconds")
        if self.ends_jobs == (until is not None):
            raise MalformedMessage("the roster must either end the jobs of earlier rosters or say until when they run")
        if not self.ends_jobs:
            raise MalformedMessage("the roster must end the jobs of earlier rosters: this version continues none")

    def _check_holders(self) -> None:
        if len(self.key_holders) != self.parameters.key_holders:
            raise MalformedMessage(
                f"the roster must name {self.parameters.key_holders} key holders, not {len(self.key_holders)}"
            )
        # Other members would have to be shown what was opened: this version has no receipts for them.
        if sorted(self.key_holders) != sorted(member.party_id for member in self.members):
            raise MalformedMessage("the key holders of the roster must be its members, all of them and each once")

    def _check_making(self) -> None:
        if (self.key_kind is KeyKind.GENERATED) != (self.key_making is not None):
            raise MalformedMessage("the roster must state the making of a generated key, and of no other")
        if self.key_making is not None and len(self.key_making.signatures) != len(self.key_holders):
            raise MalformedMessage(
                f"the making of the roster's key must be signed by all {len(self.key_holders)} key holders"
            )

    def verify_making(self) -> None:
        """Check that all holders of a generated key signed how they made it.

        Raises:
            InvalidSignature: one of them did not.
        """
        if self.key_making is not None:
            holders = [self.member(party_id).verify_key for party_id in self.key_holders]
            self.key_making.verify(self.key_digest, holders)

    @property
    def digest(self) -> bytes:
        """Return the 32-byte digest that enters every session id."""
        return self._digest

    def holder_index(self, party_id: str) -> int:
        """Return the index of a party's key share, from 1.

        Raises:
            NotInCohort: it holds none.
        """
        if party_id not in self.key_holders:
            raise NotInCohort("the roster has no key holder with this id")
        return self.key_holders.index(PartyId(party_id)) + 1

    def member(self, party_id: str) -> Member:
        """Return the party with that id.

        Raises:
            NotInCohort: there is no such party.
        """
        for member in self.members:
            if member.party_id == party_id:
                return member
        raise NotInCohort("the roster has no party with this id")

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value from which ``from_document`` makes an equal object."""
        return {
            "federation": self.federation,
            "serial": self.serial,
            "key_epoch": self.key_epoch,
            "ends_jobs": self.ends_jobs,
            "earlier_jobs_until": None if self.earlier_jobs_until is None else self.earlier_jobs_until.isoformat(),
            "parameters": self.parameters.to_document(),
            "key_holders": list(self.key_holders),
            "key_kind": self.key_kind.value,
            "key_making": None if self.key_making is None else self.key_making.to_document(),
            "key_digest": self.key_digest.hex(),
            "authority_digest": self.authority_digest.hex(),
            "members": [member.to_document() for member in self.members],
            "aggregator": self.aggregator.to_document(),
        }

    @classmethod
    def from_document(cls, value: Any) -> Roster:
        """Parse.

        Raises:
            OldKeyError: a roster that an earlier version signed.
            MalformedMessage: anything but the exact form of a consistent roster.
        """
        names = {name for name in cls.__dataclass_fields__ if not name.startswith("_")}
        if isinstance(value, dict) and any(value.keys() == names - added for added in _ADDED):
            raise OldKeyError("the roster")
        fields = Fields(value, "the roster", names)
        try:
            federation = parse_federation_name(fields.text("federation", longest=32))
        except ConfigurationError as cause:
            raise MalformedMessage("the roster names no federation") from cause
        making = fields.value("key_making")
        return cls(
            federation=federation,
            serial=fields.integer("serial", minimum=1, maximum=_MAX_SERIAL),
            key_epoch=fields.integer("key_epoch", minimum=1, maximum=_MAX_SERIAL),
            ends_jobs=fields.boolean("ends_jobs"),
            earlier_jobs_until=None
            if fields.value("earlier_jobs_until") is None
            else fields.moment("earlier_jobs_until"),
            parameters=FederationParameters.from_document(fields.value("parameters")),
            key_holders=tuple(
                PartyId(read_member_id(text)) for text in fields.texts("key_holders", maximum=MAX_PARTIES, longest=32)
            ),
            key_kind=_key_kind(fields),
            key_making=None if making is None else KeyMaking.from_document(making),
            key_digest=fields.octets("key_digest", minimum=DIGEST_BYTES, maximum=DIGEST_BYTES),
            authority_digest=fields.octets("authority_digest", minimum=DIGEST_BYTES, maximum=DIGEST_BYTES),
            members=tuple(Member.from_document(entry) for entry in fields.items("members", maximum=MAX_PARTIES)),
            aggregator=AggregatorMember.from_document(fields.value("aggregator")),
        )

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return document.encode(self.to_document())

    @classmethod
    def from_bytes(cls, data: bytes) -> Roster:
        """Parse canonical bytes; raises as ``from_document``."""
        return cls.from_document(document.decode(data, "the roster", maximum=KEY_FILE_BYTES))


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRoster:
    """A roster with its founder's signature; nothing in it is trusted before ``verify``.

    Attributes:
        roster: the signed roster.
        signature: Ed25519, over the roster's digest.
        founder_key: the founder's public key, to be compared with the pinned fingerprint.
    """

    roster: Roster
    signature: bytes
    founder_key: VerifyKey

    @classmethod
    def create(cls, roster: Roster, founder: SigningKey) -> SignedRoster:
        """Sign a roster as its founder.

        Raises:
            InvalidSignature: a holder of its generated key did not sign how it was made.
        """
        roster.verify_making()
        signature = founder.sign(Label.ROSTER_SIGNATURE, roster.digest)
        return cls(roster=roster, signature=signature, founder_key=founder.verify_key)

    def verify(self, fingerprint: str) -> Roster:
        """Check that the pinned founder signed this roster, and return it.

        Args:
            fingerprint: the founder's, canonical, as this member pinned it.

        Raises:
            IdentityMismatch: another founder's roster.
            InvalidSignature: not signed by the key that it names, or its key's making not by all key holders.
        """
        signed_by = founder_fingerprint(self.founder_key)
        if signed_by != fingerprint:
            raise IdentityMismatch(
                f"the roster is another founder's than the pinned one: its founder's fingerprint is "
                f"{printed_fingerprint(signed_by)}, pinned here is {printed_fingerprint(fingerprint)}"
            )
        self.founder_key.verify(self.signature, Label.ROSTER_SIGNATURE, self.roster.digest)
        self.roster.verify_making()
        return self.roster

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value from which ``from_document`` makes an equal object."""
        return {
            "roster": self.roster.to_document(),
            "signature": self.signature.hex(),
            "founder_key": self.founder_key.encoded.hex(),
        }

    @classmethod
    def from_document(cls, value: Any) -> SignedRoster:
        """Parse without verifying; raises as ``Roster.from_document``."""
        fields = Fields(value, "the signed roster", cls.__slots__)
        return cls(
            roster=Roster.from_document(fields.value("roster")),
            signature=fields.octets("signature", minimum=SIGNATURE_BYTES, maximum=SIGNATURE_BYTES),
            founder_key=read_verify_key(fields, "founder_key"),
        )

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return document.encode(self.to_document())

    @classmethod
    def from_bytes(cls, data: bytes) -> SignedRoster:
        """Parse canonical bytes without verifying; raises as ``Roster.from_document``."""
        return cls.from_document(document.decode(data, "the signed roster", maximum=KEY_FILE_BYTES))


def founder_fingerprint(founder_key: VerifyKey) -> str:
    """Return the fingerprint of the founder's Ed25519 public key, which people compare and members pin."""
    return readable_fingerprint(Label.FOUNDER_FINGERPRINT, founder_key.encoded)


def _key_kind(fields: Fields) -> KeyKind:
    try:
        return KeyKind(fields.text("key_kind", longest=16))
    except ValueError as cause:
        raise MalformedMessage("the roster's key is neither dealt nor generated") from cause
