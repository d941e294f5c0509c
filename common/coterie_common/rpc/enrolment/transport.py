# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The way to an enrolment port: through the proxy of the environment, to a certificate that nobody issued.

gRPC shows no certificate that it does not trust already. So one plain TLS handshake fetches the certificate, and gRPC
then accepts this one and no other. Nothing is sent before the greeting proved that the certificate is the aggregator's
(``client``): until then it may be anybody's.

The proxy is the one of ``https_proxy``, unless ``no_proxy`` lists the host. It is spoken to in clear, sees an address
and the bytes of a TLS connection, and can do no more than interrupt it.
"""

from __future__ import annotations

import base64
import socket
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies_environment, proxy_bypass

import grpc

from coterie_common.address import ENROLMENT_PORT, Address
from coterie_common.errors import ConfigurationError, NotTheAggregator, Unavailable
from coterie_common.limits import HANDSHAKE_SECONDS
from coterie_common.rpc.credentials import CHANNEL_OPTIONS

DESK_NAME: Final = "desk.coterie.invalid"
"""The name in every enrolment certificate: the certificate itself is pinned, so its name says nothing."""

_RESPONSE_BYTES: Final = 8 << 10
_PROXY_PORT: Final = 3128


@dataclass(frozen=True, slots=True)
class Proxy:
    """An HTTP proxy that connects on request; its URL may hold a password, so it is not shown.

    Attributes:
        address: where it listens.
        url: as gRPC takes it.
        authorization: value of the header that names its user; empty without one.
    """

    address: Address
    url: str
    authorization: str

    def __repr__(self) -> str:
        return f"Proxy({self.address})"


def proxy_for(address: Address) -> Proxy | None:
    """Return the proxy of the environment for this address; ``None``: connect directly.

    Raises:
        ConfigurationError: ``https_proxy`` names something else than an HTTP proxy.
    """
    # A bare host name is enough for the suffixes in no_proxy; with the port, entries with ports count too.
    url = getproxies_environment().get("https", "")
    if not url or proxy_bypass(str(address)) or proxy_bypass(address.host):
        return None
    with suppress(ValueError):
        parts = urlsplit(url if "://" in url else f"http://{url}")
        if parts.scheme == "http" and parts.hostname:
            proxy = Address(parts.hostname, parts.port or _PROXY_PORT)
            user = f"{unquote(parts.username)}:{unquote(parts.password or '')}" if parts.username else ""
            authorization = f"Basic {base64.b64encode(user.encode()).decode('ascii')}" if user else ""
            own = f"{parts.netloc.rpartition('@')[0]}@" if user else ""
            return Proxy(proxy, f"http://{own}{proxy}", authorization)
    raise ConfigurationError("https_proxy must be of the form http://HOST:PORT")


def fetch_certificate(address: Address, proxy: Proxy | None) -> bytes:
    """Return the certificate (PEM) that is shown at an address, trusting nothing; blocking.

    Raises:
        Unavailable: nobody answers, or not with TLS; the message gives the reason.
        NotTheAggregator: it is the certificate of another service, such as the port of the federation's members.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_alpn_protocols(["h2"])
    try:
        with _connect(address, proxy) as plain, context.wrap_socket(plain, server_hostname=DESK_NAME) as secured:
            shown = secured.getpeercert(binary_form=True)
    except ssl.SSLError as error:
        raise Unavailable(f"the TLS handshake with {address} failed: {error.reason or 'connection closed'}") from error
    except socket.gaierror as error:
        raise Unavailable(f"the host name {(proxy.address if proxy else address).host} cannot be resolved") from error
    except TimeoutError as error:
        raise Unavailable(f"{address} does not answer") from error
    except OSError as error:
        raise Unavailable(f"{address} cannot be reached: {error.strerror or type(error).__name__}") from error
    if shown is None:
        raise Unavailable(f"{address} shows no certificate")
    # Proves nothing, and need not: it tells a wrong port at once, where gRPC would only fail to connect.
    if DESK_NAME.encode("ascii") not in shown:
        raise NotTheAggregator(
            f"{address} is another service's port; applicants are usually received at {ENROLMENT_PORT}"
        )
    return ssl.DER_cert_to_PEM_cert(shown).encode("ascii")


def open_channel(address: Address, certificate: bytes, proxy: Proxy | None) -> grpc.Channel:
    """Return a channel to an address that accepts exactly this certificate (PEM)."""
    options: dict[str, int | str] = dict(CHANNEL_OPTIONS)
    options["grpc.ssl_target_name_override"] = DESK_NAME
    if proxy is not None:
        options |= {"grpc.enable_http_proxy": 1, "grpc.http_proxy": proxy.url}
    credentials = grpc.ssl_channel_credentials(root_certificates=certificate)
    return grpc.secure_channel(str(address), credentials, options=tuple(options.items()))


def _connect(address: Address, proxy: Proxy | None) -> socket.socket:
    first = proxy.address if proxy else address
    stream = socket.create_connection((first.host, first.port), timeout=HANDSHAKE_SECONDS)
    if proxy is not None:
        try:
            _ask(stream, address, proxy)
        except BaseException:
            stream.close()
            raise
    return stream


def _ask(stream: socket.socket, address: Address, proxy: Proxy) -> None:
    lines = [f"CONNECT {address} HTTP/1.1", f"Host: {address}"]
    lines += [f"Proxy-Authorization: {proxy.authorization}"] if proxy.authorization else []
    stream.sendall("\r\n".join([*lines, "", ""]).encode("ascii"))
    answer = b""
    # Byte by byte: what follows the empty line belongs to TLS.
    while not answer.endswith(b"\r\n\r\n"):
        piece = stream.recv(1)
        if not piece or len(answer) > _RESPONSE_BYTES:
            raise Unavailable(f"the proxy {proxy.address} closed the connection to {address}")
        answer += piece
    status = answer.split(b" ", 2)[1:2]
    if status != [b"200"]:
        shown = status[0].decode("ascii", "replace")[:3] if status and status[0].isdigit() else "no status"
        raise Unavailable(f"the proxy {proxy.address} does not connect to {address}: {shown}")
