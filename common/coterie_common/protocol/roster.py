# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The roster: the members of the federation, their keys and its parameters, signed by its founder.

All members hold the same roster; its digest is in every session id. Members pin the founder's fingerprint and trust a
roster only under that key. The caller remembers the last serial that a member has seen.

Invariants:
- A ``Roster`` is complete and consistent: indices 1..n in order, nobody twice, no key shared by two members.
- Its bytes are canonical: one roster, one digest.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Final

from coterie_common import document
from coterie_common.address import DNS_NAME_LONGEST, parse_host_name
from coterie_common.crypto.hashing import DIGEST_BYTES, Label, tuple_hash
from coterie_common.crypto.identity import PUBLIC_BYTES, SIGNATURE_BYTES, SigningKey, VerifyKey
from coterie_common.errors import ConfigurationError, IdentityMismatch, MalformedMessage, NotInCohort
from coterie_common.fields import Fields
from coterie_common.fingerprint import printed_fingerprint, readable_fingerprint
from coterie_common.identifiers import FederationName, MemberId, PartyId, parse_federation_name, parse_member_id
from coterie_common.limits import KEY_FILE_BYTES, MAX_HOST_NAMES, MAX_PARTIES
from coterie_common.protocol.parameters import FederationParameters

_MAX_SERIAL: Final = 2**31 - 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Member:
    """One party in the roster.

    Attributes:
        party_id: stable id, as in its certificate.
        index: 1-based index of its key share.
        certificate_fingerprint: SHA-256 of its TLS certificate.
        verify_key: checks the signatures of its messages.
        sealing_key: X25519 public key to which its share was sealed.
    """

    party_id: PartyId
    index: int
    certificate_fingerprint: bytes
    verify_key: VerifyKey
    sealing_key: bytes

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value from which ``from_document`` makes an equal object."""
        return {
            "party_id": self.party_id,
            "index": self.index,
            "certificate_fingerprint": self.certificate_fingerprint.hex(),
            "verify_key": self.verify_key.encoded.hex(),
            "sealing_key": self.sealing_key.hex(),
        }

    @classmethod
    def from_document(cls, value: Any) -> Member:
        """Parse; raises ``MalformedMessage``."""
        fields = Fields(value, "a member of the roster", cls.__slots__)
        return cls(
            party_id=PartyId(_member_id(fields.text("party_id", longest=32))),
            index=fields.integer("index", minimum=1, maximum=MAX_PARTIES),
            certificate_fingerprint=fields.octets(
                "certificate_fingerprint", minimum=DIGEST_BYTES, maximum=DIGEST_BYTES
            ),
            verify_key=_verify_key(fields, "verify_key"),
            sealing_key=fields.octets("sealing_key", minimum=PUBLIC_BYTES, maximum=PUBLIC_BYTES),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatorMember:
    """The aggregator in the roster.

    Attributes:
        id: stable id, as in its certificate.
        names: host names and addresses that its certificate is valid for.
        certificate_fingerprint: SHA-256 of its TLS certificate.
        verify_key: checks the signatures of its messages.

    Raises:
        MalformedMessage: no host name, or a malformed one.
    """

    id: MemberId
    names: tuple[str, ...]
    certificate_fingerprint: bytes
    verify_key: VerifyKey

    def __post_init__(self) -> None:
        try:
            canonical = tuple(map(parse_host_name, self.names))
        except ConfigurationError as cause:
            raise MalformedMessage("a host name of the aggregator is malformed") from cause
        if not canonical or canonical != self.names:
            raise MalformedMessage("the aggregator must have host names, each in its canonical form")

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value from which ``from_document`` makes an equal object."""
        return {
            "id": self.id,
            "names": list(self.names),
            "certificate_fingerprint": self.certificate_fingerprint.hex(),
            "verify_key": self.verify_key.encoded.hex(),
        }

    @classmethod
    def from_document(cls, value: Any) -> AggregatorMember:
        """Parse; raises ``MalformedMessage``."""
        fields = Fields(value, "the aggregator of the roster", cls.__slots__)
        return cls(
            id=_member_id(fields.text("id", longest=32)),
            names=fields.texts("names", maximum=MAX_HOST_NAMES, longest=DNS_NAME_LONGEST),
            certificate_fingerprint=fields.octets(
                "certificate_fingerprint", minimum=DIGEST_BYTES, maximum=DIGEST_BYTES
            ),
            verify_key=_verify_key(fields, "verify_key"),
        )


@dataclass(frozen=True, kw_only=True)
class Roster:
    """Everything on which the members of a federation agree.

    Attributes:
        federation: its name.
        serial: grows with every roster that the founder signs; a member never goes back.
        key_epoch: the threshold key in force; a share is used only under a roster of its epoch.
        parameters: of the federation.
        key_digest: digest of the threshold public key with its verification keys.
        authority_digest: SHA-256 of the certificate authority's certificate.
        members: the parties, by index.
        aggregator: the aggregator.

    Raises:
        MalformedMessage: these do not make one consistent roster.
    """

    federation: FederationName
    serial: int
    key_epoch: int
    parameters: FederationParameters
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

    @property
    def digest(self) -> bytes:
        """Return the 32-byte digest that enters every session id."""
        return self._digest

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
            "parameters": self.parameters.to_document(),
            "key_digest": self.key_digest.hex(),
            "authority_digest": self.authority_digest.hex(),
            "members": [member.to_document() for member in self.members],
            "aggregator": self.aggregator.to_document(),
        }

    @classmethod
    def from_document(cls, value: Any) -> Roster:
        """Parse; raises ``MalformedMessage`` for anything but the exact form of a consistent roster."""
        names = [name for name in cls.__dataclass_fields__ if not name.startswith("_")]
        fields = Fields(value, "the roster", names)
        try:
            federation = parse_federation_name(fields.text("federation", longest=32))
        except ConfigurationError as cause:
            raise MalformedMessage("the roster names no federation") from cause
        return cls(
            federation=federation,
            serial=fields.integer("serial", minimum=1, maximum=_MAX_SERIAL),
            key_epoch=fields.integer("key_epoch", minimum=1, maximum=_MAX_SERIAL),
            parameters=FederationParameters.from_document(fields.value("parameters")),
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
        """Parse canonical bytes; raises ``MalformedMessage``."""
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
        """Sign a roster as its founder."""
        signature = founder.sign(Label.ROSTER_SIGNATURE, roster.digest)
        return cls(roster=roster, signature=signature, founder_key=founder.verify_key)

    def verify(self, fingerprint: str) -> Roster:
        """Check that the pinned founder signed this roster, and return it.

        Args:
            fingerprint: the founder's, canonical, as this member pinned it.

        Raises:
            IdentityMismatch: another founder's roster.
            InvalidSignature: not signed by the key that it names.
        """
        signed_by = founder_fingerprint(self.founder_key)
        if signed_by != fingerprint:
            raise IdentityMismatch(
                f"the roster is another founder's than the pinned one: its founder's fingerprint is "
                f"{printed_fingerprint(signed_by)}, pinned here is {printed_fingerprint(fingerprint)}"
            )
        self.founder_key.verify(self.signature, Label.ROSTER_SIGNATURE, self.roster.digest)
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
        """Parse without verifying; raises ``MalformedMessage``."""
        fields = Fields(value, "the signed roster", cls.__slots__)
        return cls(
            roster=Roster.from_document(fields.value("roster")),
            signature=fields.octets("signature", minimum=SIGNATURE_BYTES, maximum=SIGNATURE_BYTES),
            founder_key=_verify_key(fields, "founder_key"),
        )

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return document.encode(self.to_document())

    @classmethod
    def from_bytes(cls, data: bytes) -> SignedRoster:
        """Parse canonical bytes without verifying; raises ``MalformedMessage``."""
        return cls.from_document(document.decode(data, "the signed roster", maximum=KEY_FILE_BYTES))


def founder_fingerprint(founder_key: VerifyKey) -> str:
    """Return the fingerprint of the founder's Ed25519 public key, which people compare and members pin."""
    return readable_fingerprint(Label.FOUNDER_FINGERPRINT, founder_key.encoded)


def _verify_key(fields: Fields, name: str) -> VerifyKey:
    return VerifyKey(fields.octets(name, minimum=PUBLIC_BYTES, maximum=PUBLIC_BYTES))


def _member_id(text: str) -> MemberId:
    try:
        return parse_member_id(text)
    except ConfigurationError as cause:
        raise MalformedMessage("an id in the roster is malformed") from cause
