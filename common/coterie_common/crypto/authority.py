# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The founder's certificate authority: creating it, checking requests, issuing certificates.

The authority alone states identities: anything that a request proposes besides its key is ignored. There is no
revocation here: connections of a member that left the roster are refused.

Invariants:
- A certificate that ``issue`` made has exactly one URI name and is no authority.
- Only an aggregator's certificate can serve; all others can only connect.

Deviation: keys and serial numbers come from OpenSSL's generator, which takes no random source.
"""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from coterie_common.address import parse_host_name
from coterie_common.crypto.certificates import (
    UNREADABLE_NAMES,
    Identity,
    Role,
    TlsKey,
    load_certificate,
    load_key,
    make_tls_key,
    require_p256,
)
from coterie_common.errors import ConfigurationError, MalformedMessage
from coterie_common.identifiers import FederationName
from coterie_common.limits import MAX_HOST_NAMES

_SKEW: Final = timedelta(hours=1)
"""The tolerated difference between the clocks of two members before a fresh certificate looks not yet valid."""

_BINDING: Final = "coterie-request:"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authority:
    """A certificate authority: its key and its self-signed certificate."""

    key: TlsKey
    certificate: bytes


def create_authority(federation: FederationName, *, now: datetime, lifetime: timedelta) -> Authority:
    """Make a federation's certificate authority, valid from ``now`` for ``lifetime``."""
    key = make_tls_key()
    private = load_key(key)
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, federation),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Coterie authority of {federation}"),
        ]
    )
    certificate = (
        _builder(name, name, private.public_key(), now=now, until=now + lifetime)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(authority=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), critical=False)
        .sign(private, hashes.SHA256())
    )
    return Authority(key=key, certificate=certificate.public_bytes(serialization.Encoding.PEM))


def create_self_signed(host_name: str, *, now: datetime, lifetime: timedelta) -> tuple[TlsKey, bytes]:
    """Make a key and a certificate (PEM) that nobody issued, valid from an hour before ``now`` for ``lifetime``.

    It says nothing about its owner: those who connect pin it and demand another proof.
    """
    key = make_tls_key()
    private = load_key(key)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host_name)])
    certificate = (
        _builder(name, name, private.public_key(), now=now, until=now + lifetime)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=True)
        .add_extension(x509.SubjectAlternativeName([_general_name(host_name)]), critical=False)
        .sign(private, hashes.SHA256())
    )
    return key, certificate.public_bytes(serialization.Encoding.PEM)


def create_request(key: TlsKey, *, binding: bytes) -> bytes:
    """Make a certificate signing request (PEM) for a TLS key.

    Args:
        key: the key to be certified; the request is signed with it.
        binding: digest of everything else that its owner asks to be enrolled with, so that nobody can wrap
            the request into another enrolment.
    """
    private = load_key(key)
    request = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(x509.Name([]))
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(_BINDING + binding.hex())]), critical=True
        )
        .sign(private, hashes.SHA256())
    )
    return request.public_bytes(serialization.Encoding.PEM)


def check_request(request: bytes, *, binding: bytes) -> None:
    """Check that a request is signed by its own P-256 key and made for ``binding``.

    Raises:
        MalformedMessage: it is not; the message gives the reason.
    """
    parsed = _load_request(request)
    try:
        require_p256(parsed.public_key())
        is_signed = parsed.is_signature_valid
        names = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        bindings = names.get_values_for_type(x509.UniformResourceIdentifier)
    except (UnsupportedAlgorithm, *UNREADABLE_NAMES) as cause:
        raise MalformedMessage("the certificate request is not bound to an enrolment") from cause
    if not is_signed:
        raise MalformedMessage("the certificate request is not signed by its own key")
    if bindings != [_BINDING + binding.hex()]:
        raise MalformedMessage("the certificate request was made for another enrolment")


def requested_key(request: bytes) -> bytes:
    """Return the public key of a request, DER, to detect two requests for the same key."""
    public = require_p256(_load_request(request).public_key())
    return public.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def issue(
    authority: Authority,
    request: bytes,
    identity: Identity,
    *,
    host_names: tuple[str, ...] = (),
    now: datetime,
    until: datetime,
) -> bytes:
    """Issue a certificate (PEM) for the key of a request that ``check_request`` accepted.

    Args:
        authority: the signer.
        request: the certificate signing request; only its public key is used.
        identity: the owner's, as stated by the authority.
        host_names: names under which it is reached; for an aggregator one to sixteen, for others none.
        now: start of validity, less an hour for clocks that differ.
        until: end of validity.

    Raises:
        ConfigurationError: host names missing, too many, malformed, or given for a role that does not serve.
        MalformedMessage: the request cannot be parsed.
    """
    serves = identity.role is Role.AGGREGATOR
    if serves != bool(host_names) or len(host_names) > MAX_HOST_NAMES:
        raise ConfigurationError(f"an aggregator has 1 to {MAX_HOST_NAMES} host names, every other role none")
    public = require_p256(_load_request(request).public_key())
    issuer = load_certificate(authority.certificate)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(identity.uri)]
    names.extend(_general_name(parse_host_name(name)) for name in host_names)
    subject = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, identity.federation),
            x509.NameAttribute(NameOID.COMMON_NAME, identity.id),
        ]
    )
    usage = ExtendedKeyUsageOID.SERVER_AUTH if serves else ExtendedKeyUsageOID.CLIENT_AUTH
    certificate = (
        _builder(subject, issuer.subject, public, now=now, until=until)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=True)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(require_p256(issuer.public_key())), critical=False
        )
        .sign(load_key(authority.key), hashes.SHA256())
    )
    return certificate.public_bytes(serialization.Encoding.PEM)


def _builder(
    subject: x509.Name, issuer: x509.Name, public: ec.EllipticCurvePublicKey, *, now: datetime, until: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(until)
    )


def _key_usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def _load_request(request: bytes) -> x509.CertificateSigningRequest:
    try:
        return x509.load_pem_x509_csr(request)
    except ValueError as cause:
        raise MalformedMessage("this is no certificate request in PEM form") from cause
