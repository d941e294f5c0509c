# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Certificates for mutual TLS: the identity of a member, certified by the federation's authority.

The identity is one URI name, ``coterie://FEDERATION/ROLE/ID``. Keys are ECDSA P-256, because gRPC's TLS
refuses Ed25519 leaf certificates. Certificates are PEM bytes throughout. ``authority`` issues them.

Deviation: keys come from OpenSSL's generator, which takes no random source.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature as SignatureRefused
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from coterie_common.errors import ConfigurationError, IdentityMismatch, KeyFileError, MalformedMessage, Unauthenticated
from coterie_common.identifiers import FederationName, MemberId, parse_federation_name, parse_member_id
from coterie_common.secret import Secret

UNREADABLE_NAMES: Final = (
    x509.ExtensionNotFound,
    x509.DuplicateExtension,
    x509.UnsupportedGeneralNameType,
    ValueError,
)
"""Exceptions of ``cryptography`` for a certificate or request without readable alternative names."""


class TlsKey(Secret[bytes]):
    """A TLS private key: PKCS #8 PEM, unencrypted."""


class Role(StrEnum):
    """The role that a certificate gives its owner."""

    AGGREGATOR = "aggregator"
    PARTY = "party"
    OPERATOR = "operator"
    SCIENTIST = "scientist"


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """The identity of the owner of a certificate."""

    federation: FederationName
    role: Role
    id: MemberId

    @property
    def uri(self) -> str:
        """The URI name that represents it in a certificate."""
        return f"coterie://{self.federation}/{self.role.value}/{self.id}"

    @classmethod
    def parse(cls, uri: str) -> Identity:
        """Parse a URI name; raises ``IdentityMismatch`` for anything but the exact form."""
        scheme, _, rest = uri.partition("://")
        parts = rest.split("/")
        if scheme != "coterie" or len(parts) != 3:
            raise IdentityMismatch("the certificate's URI name is not of the form coterie://FEDERATION/ROLE/ID")
        try:
            return cls(federation=parse_federation_name(parts[0]), role=Role(parts[1]), id=parse_member_id(parts[2]))
        except (ConfigurationError, ValueError) as cause:
            raise IdentityMismatch("the certificate's URI name has a malformed federation, role or id") from cause


def make_tls_key() -> TlsKey:
    """Return a new ECDSA P-256 key."""
    key = ec.generate_private_key(ec.SECP256R1())
    return TlsKey(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )


def identity_of(certificate: bytes) -> Identity:
    """Return the identity in a certificate (PEM); ``check_issued`` checks its issuer.

    Raises:
        IdentityMismatch: no URI name, several, or a malformed one.
        MalformedMessage: no certificate.
    """
    try:
        names = load_certificate(certificate).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    except UNREADABLE_NAMES as cause:
        raise IdentityMismatch("the certificate has no URI name") from cause
    if len(uris) != 1:
        raise IdentityMismatch(f"the certificate must have one URI name, it has {len(uris)}")
    return Identity.parse(uris[0])


def fingerprint(certificate: bytes) -> bytes:
    """Return the SHA-256 of a certificate's DER form, 32 bytes, as in the roster."""
    return load_certificate(certificate).fingerprint(hashes.SHA256())


def expires_at(certificate: bytes) -> datetime:
    """Return the end of a certificate's validity, in UTC."""
    return load_certificate(certificate).not_valid_after_utc


def check_issued(certificate: bytes, authority: bytes, *, now: datetime) -> None:
    """Check that an authority issued a certificate and that both are valid now.

    Args:
        certificate: PEM of the member's.
        authority: PEM of the authority's.
        now: the time to judge by.

    Raises:
        Unauthenticated: issued by another authority, expired or not yet valid; the message names the reason.
        MalformedMessage: one of the two is not a certificate.
    """
    leaf, root = load_certificate(certificate), load_certificate(authority)
    try:
        root.verify_directly_issued_by(root)
        leaf.verify_directly_issued_by(root)
    except (SignatureRefused, ValueError, TypeError) as cause:
        raise Unauthenticated("the certificate was not issued by the federation's authority") from cause
    for what, checked in (("certificate", leaf), ("authority's certificate", root)):
        if now < checked.not_valid_before_utc:
            raise Unauthenticated(
                f"the {what} is not valid before {checked.not_valid_before_utc:%Y-%m-%d %H:%M} UTC, and this machine's"
                f" clock says {now:%Y-%m-%d %H:%M}: is it right?"
            )
        if now > checked.not_valid_after_utc:
            raise Unauthenticated(f"the {what} expired on {checked.not_valid_after_utc:%Y-%m-%d %H:%M} UTC")


def check_belongs(certificate: bytes, key: TlsKey) -> None:
    """Check that a certificate is for a TLS key.

    Raises:
        IdentityMismatch: it is for another key.
        KeyFileError: the key cannot be read.
        MalformedMessage: no certificate.
    """
    certified = require_p256(load_certificate(certificate).public_key())
    if certified.public_numbers() != load_key(key).public_key().public_numbers():
        raise IdentityMismatch("the certificate was issued for another TLS key")


def load_certificate(certificate: bytes) -> x509.Certificate:
    """Parse PEM; raises ``MalformedMessage``."""
    try:
        return x509.load_pem_x509_certificate(certificate)
    except ValueError as cause:
        raise MalformedMessage("this is no certificate in PEM form") from cause


def load_key(key: TlsKey) -> ec.EllipticCurvePrivateKey:
    """Parse PEM; raises ``KeyFileError``."""
    try:
        loaded = serialization.load_pem_private_key(key.reveal(), password=None)
    except (ValueError, TypeError) as cause:
        raise KeyFileError("the TLS key is no unencrypted private key in PEM form") from cause
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise KeyFileError("the TLS key is no ECDSA key")
    return loaded


def require_p256(key: object) -> ec.EllipticCurvePublicKey:
    """Return ``key`` if it is a public key on P-256; raises ``MalformedMessage``."""
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise MalformedMessage("the TLS key must be an ECDSA key on the curve P-256")
    return key
