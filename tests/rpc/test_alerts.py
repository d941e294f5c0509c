# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""gRPC's server sends no alerts; what stands in front of it may. OpenSSL's own server sends them all."""

from __future__ import annotations

import socket
import ssl
import threading
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from coterie_common.crypto.certificates import Role, load_key
from coterie_common.errors import Unauthenticated
from coterie_common.membership.membership import TlsCredentials
from coterie_common.randomness import OsRandom
from coterie_common.rpc.probe import probe


def strict_server_context(tls: TlsCredentials, folder: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(cadata=tls.authority.decode())
    path = folder / "server.pem"
    key = load_key(tls.key).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(key + tls.certificate)
    context.load_cert_chain(path)
    return context


@pytest.mark.parametrize(
    ("credential", "words"),
    [
        (lambda f: None, "none was shown"),
        (lambda f: f.certificates.issue_expired(Role.PARTY, "alpha"), "our certificate has expired"),
        (lambda f: f.aggregator, "not made for connecting"),
    ],
    ids=["none", "expired", "certificate of a server"],
)
def test_probe_names_the_alert(federation, tmp_path, credential, words):
    context = strict_server_context(federation.aggregator, tmp_path)
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve_once() -> None:
            plain, _ = listener.accept()
            # A session that ends with an alert leaves the socket open: the alert is read before the end comes.
            with plain, pytest.raises(ssl.SSLError), context.wrap_socket(plain, server_side=True) as secured:
                secured.recv(1)

        server = threading.Thread(target=serve_once)
        server.start()
        error = probe(f"localhost:{listener.getsockname()[1]}", credential(federation), OsRandom())
        server.join()
    assert isinstance(error, Unauthenticated)
    assert words in error.message
