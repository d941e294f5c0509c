# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Membership: the certificate, the signed roster and the threshold key that belong together.

The founder hands it out in a bundle; a home folder keeps it in one file, so that it is either complete or absent.
Everything in it can be checked from the founder's fingerprint alone: the founder signed the roster, and the roster
names the authority, the key and every certificate.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from coterie_common import document
from coterie_common.crypto.certificates import Role, TlsKey, check_belongs, check_issued, fingerprint, identity_of
from coterie_common.crypto.identity import PUBLIC_BYTES, VerifyKey
from coterie_common.crypto.threshold import ThresholdPublicKey
from coterie_common.errors import IdentityMismatch, MalformedMessage, OldKeyError, ParameterMismatch
from coterie_common.fields import Fields
from coterie_common.limits import KEY_FILE_BYTES
from coterie_common.protocol.roster import Roster, SignedRoster
from coterie_common.protocol.roster.members import AggregatorMember, Member

_FORMAT: Final = "coterie-membership"
_VERSION: Final = 2
_FORMER_VERSION: Final = 1
CERTIFICATE_LONGEST: Final = 8192
"""Characters of a certificate in PEM form: P-256 with sixteen host names takes 6,000 at most."""


def is_former_file(value: Any, format_: str) -> bool:
    """Return true for the document of a file of this format that versions before protocol version 2 wrote."""
    return isinstance(value, dict) and (value.get("format"), value.get("version")) == (format_, _FORMER_VERSION)


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsCredentials:
    """The material for mutual TLS in gRPC, all PEM: own key and certificate, and the authority required of others."""

    key: TlsKey
    certificate: bytes
    authority: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnKeys:
    """A member's own keys, to be compared with those in the founder's bundle.

    Attributes:
        role: party or aggregator.
        id: own id.
        tls_key: own TLS key.
        verify_key: public half of the own signing key.
        sealing_key: public half of the own sealing key; parties only.
    """

    role: Role
    id: str
    tls_key: TlsKey
    verify_key: VerifyKey
    sealing_key: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Membership:
    """A member's place in the federation; nothing in it is trusted before ``verify``.

    Attributes:
        certificate: the member's own, PEM.
        authority: the authority's, PEM.
        signed_roster: the roster with the founder's signature.
        key: the threshold public key with its verification keys.
    """

    certificate: bytes
    authority: bytes
    signed_roster: SignedRoster
    key: ThresholdPublicKey

    @property
    def roster(self) -> Roster:
        """The roster, which ``verify`` has checked."""
        return self.signed_roster.roster

    @property
    def serial(self) -> int:
        """Serial of the roster."""
        return self.roster.serial

    def verify(self, founder: str) -> None:
        """Check that the pinned founder vouches for all of it.

        Args:
            founder: fingerprint, canonical.

        Raises:
            IdentityMismatch: another founder's.
            InvalidSignature: the roster is not signed by the founder's key.
            ParameterMismatch: authority or threshold key are not those of the roster.
        """
        roster = self.signed_roster.verify(founder)
        if fingerprint(self.authority) != roster.authority_digest:
            raise ParameterMismatch("the authority's certificate is not the one that the roster names")
        if self.key.digest != roster.key_digest:
            raise ParameterMismatch("the threshold key is not the one that the roster names")
        parameters = roster.parameters
        expected = (roster.key_kind, parameters.key_holders, parameters.decryption_threshold)
        if (self.key.kind, self.key.holders, self.key.decryption_threshold) != expected:
            raise ParameterMismatch("the threshold key was made for other parameters than the roster's")

    def check_addressee(self, role: Role, member_id: str) -> None:
        """Check the member this membership was made for, before any key is at hand; raises ``IdentityMismatch``."""
        identity = identity_of(self.certificate)
        if (identity.role, identity.id) != (role, member_id):
            raise IdentityMismatch(
                f"the bundle was made for the {identity.role.value} {identity.id}, not for the {role.value} {member_id}"
            )

    def check_owner(self, own: OwnKeys, *, now: datetime) -> None:
        """Check that this membership is the caller's own, after ``verify``.

        Raises:
            IdentityMismatch: the certificate or the roster's entry is somebody else's, or has other keys.
            Unauthenticated: the certificate is not the authority's, or not valid now.
            NotInCohort: the roster has no such party.
        """
        self.check_addressee(own.role, own.id)
        roster = self.roster
        if identity_of(self.certificate).federation != roster.federation:
            raise IdentityMismatch("certificate and roster are of different federations")
        check_belongs(self.certificate, own.tls_key)
        check_issued(self.certificate, self.authority, now=now)
        is_party = own.role is Role.PARTY
        entry: Member | AggregatorMember = roster.member(own.id) if is_party else roster.aggregator
        if entry.certificate_fingerprint != fingerprint(self.certificate):
            raise IdentityMismatch("the roster has another certificate under this id")
        if entry.verify_key != own.verify_key:
            raise IdentityMismatch("the roster has another signing key under this id")
        if is_party and roster.member(own.id).sealing_key != own.sealing_key:
            raise IdentityMismatch("the roster has another sealing key under this id")

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value from which ``from_document`` makes an equal object."""
        return {
            "format": _FORMAT,
            "version": _VERSION,
            "certificate": self.certificate.decode("ascii"),
            "authority": self.authority.decode("ascii"),
            "signed_roster": self.signed_roster.to_document(),
            "key": self.key.to_document(),
        }

    @classmethod
    def from_document(cls, value: Any) -> Membership:
        """Parse without verifying.

        Raises:
            OldKeyError: it was made by an earlier version.
            MalformedMessage: it is no membership.
        """
        if is_former_file(value, _FORMAT):
            raise OldKeyError("the membership")
        fields = Fields.of_file(value, "the membership", _FORMAT, _VERSION, cls.__slots__)
        return cls(
            certificate=fields.text("certificate", longest=CERTIFICATE_LONGEST).encode("utf-8"),
            authority=fields.text("authority", longest=CERTIFICATE_LONGEST).encode("utf-8"),
            signed_roster=SignedRoster.from_document(fields.value("signed_roster")),
            key=ThresholdPublicKey.from_document(fields.value("key")),
        )

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return document.encode(self.to_document())

    @classmethod
    def from_bytes(cls, data: bytes) -> Membership:
        """Parse canonical bytes without verifying; raises as ``from_document``."""
        return cls.from_document(document.decode(data, "the membership", maximum=KEY_FILE_BYTES))


@dataclass(frozen=True, slots=True, kw_only=True)
class FormerMembership:
    """What still counts of a membership that an earlier version wrote: nothing goes back behind it.

    Attributes:
        serial: of its roster.
        founder_key: the public key of the founder who signed it.
    """

    serial: int
    founder_key: VerifyKey

    @classmethod
    def from_bytes(cls, data: bytes) -> FormerMembership:
        """Parse canonical bytes, which were verified when they were written; raises ``MalformedMessage``."""
        what = "the membership of an earlier version"
        value = document.decode(data, what, maximum=KEY_FILE_BYTES)
        # Rosters have gained entries without a new version of the file that holds them.
        version = _FORMER_VERSION if is_former_file(value, _FORMAT) else _VERSION
        fields = Fields.of_file(value, what, _FORMAT, version, Membership.__slots__)
        signed = Fields(fields.value("signed_roster"), what, SignedRoster.__slots__)
        roster = signed.value("roster")
        serial = roster.get("serial") if isinstance(roster, dict) else None
        if type(serial) is not int or serial < 1:
            raise MalformedMessage(f"{what} has no serial")
        return cls(
            serial=serial,
            founder_key=VerifyKey(signed.octets("founder_key", minimum=PUBLIC_BYTES, maximum=PUBLIC_BYTES)),
        )
