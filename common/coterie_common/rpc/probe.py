# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The reason why a connection fails: gRPC reports UNAVAILABLE for everything, so one plain TLS handshake finds it.

Blocking, a few seconds at most; a daemon runs it in a thread. Nothing is sent after the handshake.

Security: the private key passes through a temporary file, because ``ssl`` reads keys from files only; there it is
encrypted under a random password that never leaves memory.
"""

from __future__ import annotations

import socket
import ssl
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from cryptography.hazmat.primitives import serialization

from coterie_common.address import Address
from coterie_common.clock import SystemClock
from coterie_common.crypto.certificates import check_issued, load_key
from coterie_common.errors import CoterieError, Unauthenticated, Unavailable

if TYPE_CHECKING:
    from coterie_common.membership.membership import TlsCredentials
    from coterie_common.randomness import RandomSource

_SECONDS: Final = 5.0

# OpenSSL's verification results (x509_vfy.h); the ssl module has no names for them.
_NOT_YET_VALID, _EXPIRED = 9, 10
_UNKNOWN_AUTHORITY: Final = (2, 18, 19, 20, 21)
_WRONG_NAME: Final = (62, 64)

_ALERTS: Final = {
    "CERTIFICATE_REQUIRED": "the aggregator asks for a certificate and none was shown",
    "UNKNOWN_CA": "the aggregator does not know the authority that issued our certificate",
    "CERTIFICATE_EXPIRED": "our certificate has expired",
    "BAD_CERTIFICATE": "the aggregator does not accept our certificate",
    "CERTIFICATE_UNKNOWN": "the aggregator does not accept our certificate",
    "UNSUPPORTED_CERTIFICATE": "our certificate is not made for connecting to an aggregator",
    "CERTIFICATE_REVOKED": "our certificate has been revoked",
}
"""End of ``ssl``'s reason for an alert, and its meaning for a person."""


def probe(target: str, tls: TlsCredentials | None, random: RandomSource) -> CoterieError | None:
    """Try one TLS handshake with ``target`` (``HOST:PORT``) and name the fault.

    Args:
        target: the aggregator's address, as given to gRPC.
        tls: our credentials; ``None``: show no certificate and trust any authority.
        random: for the password of the temporary key file.

    Returns:
        ``Unauthenticated`` if either side does not accept the other's certificate, ``Unavailable`` if nobody answers,
        ``None`` if TLS works, so that the reason is elsewhere.

    Raises:
        ConfigurationError: the target is not of this form.
    """
    address = Address.parse(target)
    host = address.host
    try:
        context = _context(tls, random)
        with (
            socket.create_connection((host, address.port), timeout=_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=host) as secured,
        ):
            return None if _is_served(secured) else _refused(target, tls)
    except ssl.SSLCertVerificationError as error:
        if error.verify_code in _WRONG_NAME:
            return Unauthenticated(_named_otherwise(address, tls, random))
        return _theirs(target, error)
    except ssl.SSLError as error:
        return _alert(target, error)
    except socket.gaierror:
        return Unavailable(f"the host name {host} cannot be resolved")
    except TimeoutError:
        return Unavailable(f"{target} does not answer")
    except OSError as error:  # also of the temporary file: then nothing is known, which is no worse than before
        return Unavailable(f"{target} cannot be reached: {error.strerror or type(error).__name__}")


def _context(tls: TlsCredentials | None, random: RandomSource) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.set_alpn_protocols(["h2"])
    if tls is None:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    context.load_verify_locations(cadata=tls.authority.decode("ascii"))
    password = random.token_bytes(16).hex().encode("ascii")
    locked = load_key(tls.key).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )
    with tempfile.TemporaryDirectory(prefix="coterie-") as folder:
        path = Path(folder) / "key.pem"
        path.write_bytes(locked + tls.certificate)
        context.load_cert_chain(path, password=password)
    return context


def _named_otherwise(address: Address, tls: TlsCredentials | None, random: RandomSource) -> str:
    """Report the names that the certificate is for; one more handshake, without a name check, shows them."""
    context = _context(tls, random)
    context.check_hostname = False
    try:
        with (
            socket.create_connection((address.host, address.port), timeout=_SECONDS) as plain,
            context.wrap_socket(plain, server_hostname=address.host) as secured,
        ):
            entries: Any = (secured.getpeercert() or {}).get("subjectAltName", ())
    except OSError:
        entries = ()
    names = ", ".join(name for kind, name in entries if kind in ("DNS", "IP Address"))
    others = f", but for {names}: use one of these, or have the certificate made again" if names else ""
    return f"the certificate of {address} is not for the name {address.host}{others}"


def _theirs(target: str, error: ssl.SSLCertVerificationError) -> Unauthenticated:
    if error.verify_code == _EXPIRED:
        return Unauthenticated(f"the certificate of {target} has expired, or this machine's clock is wrong")
    if error.verify_code == _NOT_YET_VALID:
        return Unauthenticated(f"the certificate of {target} is not valid yet, or this machine's clock is wrong")
    if error.verify_code in _UNKNOWN_AUTHORITY:
        return Unauthenticated(f"the certificate of {target} was not issued by this federation's authority")
    return Unauthenticated(f"the certificate of {target} does not verify (code {error.verify_code})")


def _is_served(secured: ssl.SSLSocket) -> bool:
    """Check that the server goes on after the handshake.

    In TLS 1.3 the client is done before the server has judged its certificate. Then follows the server's first HTTP/2
    frame, an alert, or, from gRPC's own server, just the end of the stream.
    """
    try:
        return bool(secured.recv(1))
    except (ConnectionError, ssl.SSLEOFError):
        return False


def _refused(target: str, tls: TlsCredentials | None) -> Unauthenticated:
    if tls is None:
        return Unauthenticated(f"{target} asks for a certificate and none was shown")
    try:
        check_issued(tls.certificate, tls.authority, now=SystemClock().now())
    except Unauthenticated as ours:
        return Unauthenticated(f"{target} does not accept our certificate: {ours.message}")
    return Unauthenticated(f"{target} does not accept our certificate, or is just shutting down")


def _alert(target: str, error: ssl.SSLError) -> CoterieError:
    reason = error.reason or ""
    for end, words in _ALERTS.items():
        if reason.endswith(end):
            return Unauthenticated(f"{target}: {words}")
    if reason in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"):
        return Unavailable(f"what listens at {target} does not speak TLS")
    return Unavailable(f"the TLS handshake with {target} failed: {reason or 'connection closed'}")
