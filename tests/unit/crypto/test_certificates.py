# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from coterie_common.crypto.authority import (
    Authority,
    check_request,
    create_authority,
    create_request,
    issue,
    requested_key,
)
from coterie_common.crypto.certificates import (
    Identity,
    Role,
    TlsKey,
    check_belongs,
    check_issued,
    expires_at,
    fingerprint,
    identity_of,
    make_tls_key,
)
from coterie_common.errors import ConfigurationError, IdentityMismatch, KeyFileError, MalformedMessage, Unauthenticated
from coterie_common.identifiers import FederationName, MemberId

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
YEAR = timedelta(days=365)
BINDING = bytes(range(32))
PARTY = Identity(federation=FederationName("test"), role=Role.PARTY, id=MemberId("party-1"))
AGGREGATOR = Identity(federation=FederationName("test"), role=Role.AGGREGATOR, id=MemberId("aggregator"))


@pytest.fixture(scope="module")
def authority() -> Authority:
    return create_authority(FederationName("test"), now=NOW, lifetime=10 * YEAR)


@pytest.fixture(scope="module")
def key() -> TlsKey:
    return make_tls_key()


@pytest.fixture(scope="module")
def certificate(authority: Authority, key: TlsKey) -> bytes:
    return issue(authority, create_request(key, binding=BINDING), PARTY, now=NOW, until=NOW + YEAR)


def test_issued_certificate_names_its_owner_and_belongs_to_its_key(authority, key, certificate):
    assert identity_of(certificate) == PARTY
    assert identity_of(certificate).uri == "coterie://test/party/party-1"
    assert expires_at(certificate) == NOW + YEAR
    assert len(fingerprint(certificate)) == 32
    check_issued(certificate, authority.certificate, now=NOW)
    check_belongs(certificate, key)


def test_party_certificate_can_only_connect(certificate):
    parsed = x509.load_pem_x509_certificate(certificate)
    usage = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not parsed.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_aggregator_certificate_serves_under_its_names(authority, key):
    names = ("aggregator.example", "127.0.0.1", "::1")
    certificate = issue(
        authority, create_request(key, binding=BINDING), AGGREGATOR, host_names=names, now=NOW, until=NOW + YEAR
    )
    parsed = x509.load_pem_x509_certificate(certificate)
    usage = parsed.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    alternatives = parsed.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert list(usage) == [ExtendedKeyUsageOID.SERVER_AUTH]
    assert alternatives.get_values_for_type(x509.DNSName) == ["aggregator.example"]
    assert [str(address) for address in alternatives.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    assert identity_of(certificate) == AGGREGATOR


@pytest.mark.parametrize(
    ("identity", "names"),
    [(AGGREGATOR, ()), (PARTY, ("localhost",)), (AGGREGATOR, ("a",) * 17), (AGGREGATOR, ("not a host",))],
)
def test_issue_with_names_that_do_not_fit_raises(authority, key, identity, names):
    with pytest.raises(ConfigurationError):
        issue(authority, create_request(key, binding=BINDING), identity, host_names=names, now=NOW, until=NOW + YEAR)


def test_check_request_of_an_own_request_passes(key):
    check_request(create_request(key, binding=BINDING), binding=BINDING)


def test_check_request_for_another_binding_raises(key):
    with pytest.raises(MalformedMessage, match="another enrolment"):
        check_request(create_request(key, binding=bytes(32)), binding=BINDING)


def test_check_request_with_another_signature_raises(key):
    ours = x509.load_pem_x509_csr(create_request(key, binding=BINDING))
    theirs = x509.load_pem_x509_csr(create_request(make_tls_key(), binding=BINDING))
    spoiled = ours.public_bytes(serialization.Encoding.DER).replace(
        ours.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint),
        theirs.public_key().public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint),
    )
    pem = x509.load_der_x509_csr(spoiled).public_bytes(serialization.Encoding.PEM)
    with pytest.raises(MalformedMessage, match="not signed by its own key"):
        check_request(pem, binding=BINDING)


@pytest.mark.parametrize("private", [ed25519.Ed25519PrivateKey.generate(), ec.generate_private_key(ec.SECP384R1())])
def test_check_request_of_another_kind_of_key_raises(private):
    algorithm = None if isinstance(private, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(private, algorithm)
    with pytest.raises(MalformedMessage, match="P-256"):
        check_request(request.public_bytes(serialization.Encoding.PEM), binding=BINDING)


def test_check_request_without_a_binding_raises(key):
    private = private_key_of(key)
    request = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(private, hashes.SHA256())
    with pytest.raises(MalformedMessage, match="not bound"):
        check_request(request.public_bytes(serialization.Encoding.PEM), binding=BINDING)


def test_requested_key_tells_keys_apart_but_not_requests(key):
    assert requested_key(create_request(key, binding=BINDING)) == requested_key(create_request(key, binding=bytes(32)))
    assert requested_key(create_request(key, binding=BINDING)) != requested_key(
        create_request(make_tls_key(), binding=BINDING)
    )


def test_check_issued_by_another_authority_raises(certificate):
    other = create_authority(FederationName("test"), now=NOW, lifetime=10 * YEAR)
    with pytest.raises(Unauthenticated) as caught:
        check_issued(certificate, other.certificate, now=NOW)
    assert caught.value.code == "unauthenticated"


def test_check_issued_by_a_member_raises(authority, key, certificate):
    """A member's certificate must not do as an authority's, although the chain of signatures is whole."""
    forged = issue(
        Authority(key=key, certificate=certificate),
        create_request(make_tls_key(), binding=BINDING),
        Identity(federation=FederationName("test"), role=Role.OPERATOR, id=MemberId("mallory")),
        now=NOW,
        until=NOW + YEAR,
    )
    with pytest.raises(Unauthenticated):
        check_issued(forged, certificate, now=NOW)
    with pytest.raises(Unauthenticated):
        check_issued(forged, authority.certificate, now=NOW)


@pytest.mark.parametrize(
    ("now", "words"),
    [
        (NOW - timedelta(hours=2), "certificate is not valid before"),
        (NOW + 2 * YEAR, "the certificate expired"),
        (NOW + 11 * YEAR, "the certificate expired"),
    ],
)
def test_check_issued_outside_the_validity_raises(authority, certificate, now, words):
    with pytest.raises(Unauthenticated, match=words):
        check_issued(certificate, authority.certificate, now=now)


def test_check_issued_under_an_expired_authority_raises(key):
    old = create_authority(FederationName("test"), now=NOW, lifetime=YEAR)
    certificate = issue(old, create_request(key, binding=BINDING), PARTY, now=NOW, until=NOW + 5 * YEAR)
    with pytest.raises(Unauthenticated, match="authority's certificate expired"):
        check_issued(certificate, old.certificate, now=NOW + 2 * YEAR)


def test_fresh_certificate_is_valid_for_a_clock_that_is_behind(authority, certificate):
    check_issued(certificate, authority.certificate, now=NOW - timedelta(minutes=50))


def test_check_belongs_to_another_key_raises(certificate):
    with pytest.raises(IdentityMismatch) as caught:
        check_belongs(certificate, make_tls_key())
    assert caught.value.code == "identity-mismatch"


@pytest.mark.parametrize(
    "pem",
    [
        b"",
        b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        rsa.generate_private_key(65537, 2048).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    ],
)
def test_check_belongs_to_a_file_that_is_no_key_raises(certificate, pem):
    with pytest.raises(KeyFileError) as caught:
        check_belongs(certificate, TlsKey(pem))
    assert caught.value.code == "key-file"


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "https://test/party/party-1",
        "coterie://test/party",
        "coterie://test/party/party-1/more",
        "coterie://test/king/party-1",
        "coterie://Test/party/party-1",
        "coterie://test/party/",
        "coterie:test/party/party-1",
    ],
)
def test_identity_of_another_form_raises(uri):
    with pytest.raises(IdentityMismatch):
        Identity.parse(uri)


def private_key_of(key: TlsKey) -> ec.EllipticCurvePrivateKey:
    private = serialization.load_pem_private_key(key.reveal(), None)
    assert isinstance(private, ec.EllipticCurvePrivateKey)
    return private


def self_signed(key: TlsKey, *uris: str) -> bytes:
    private = private_key_of(key)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "somebody")])
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(private.public_key())
        .serial_number(1)
        .not_valid_before(NOW)
        .not_valid_after(NOW + YEAR)
    )
    if uris:
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri) for uri in uris])
        builder = builder.add_extension(names, critical=False)
    return builder.sign(private, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize("uris", [(), ("coterie://test/party/a", "coterie://test/operator/a")])
def test_identity_of_a_certificate_without_exactly_one_name_raises(key, uris):
    with pytest.raises(IdentityMismatch) as caught:
        identity_of(self_signed(key, *uris))
    assert caught.value.code == "identity-mismatch"


def test_identity_of_something_else_raises():
    with pytest.raises(MalformedMessage):
        identity_of(b"no certificate")


def test_tls_key_shows_nothing_of_itself(key):
    assert "PRIVATE" not in f"{key!r} {key}"
