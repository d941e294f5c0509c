# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Mutual TLS for gRPC: credentials of both sides, options of every channel and server, and the peer's identity.

Invariants:
- No server without a client certificate of the federation's authority, but for the enrolment port; no channel in clear.
- Limits of messages and connections come from ``limits``.

NOTE: gRPC checks chain, validity and host name; federation, role and id are checked here and by the services.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc

from coterie_common.crypto.certificates import Identity, TlsKey, fingerprint, identity_of
from coterie_common.errors import Unauthenticated
from coterie_common.limits import (
    CALL_SECONDS,
    FRAME_MESSAGE_BYTES,
    HANDSHAKE_SECONDS,
    KEEPALIVE_SECONDS,
    KEEPALIVE_TIMEOUT_SECONDS,
    MAX_CONNECTION_CALLS,
    METADATA_BYTES,
)

if TYPE_CHECKING:
    from coterie_common.membership.membership import TlsCredentials

_Option = tuple[str, int]

_IDENTITY_ONLY: Final = 1

_COMMON: Final[tuple[_Option, ...]] = (
    ("grpc.max_receive_message_length", FRAME_MESSAGE_BYTES),
    ("grpc.max_send_message_length", FRAME_MESSAGE_BYTES),
    ("grpc.max_metadata_size", METADATA_BYTES),
    ("grpc.absolute_max_metadata_size", METADATA_BYTES),
    # A compressed message may be a thousandth of its real size, and the limit would apply to the compressed size.
    ("grpc.compression_enabled_algorithms_bitset", _IDENTITY_ONLY),
    ("grpc.per_message_compression", 0),
    ("grpc.per_message_decompression", 0),
    ("grpc.keepalive_time_ms", int(KEEPALIVE_SECONDS * 1000)),
    ("grpc.keepalive_timeout_ms", int(KEEPALIVE_TIMEOUT_SECONDS * 1000)),
    ("grpc.http2.max_pings_without_data", 0),
)

CHANNEL_OPTIONS: Final[tuple[_Option, ...]] = (
    *_COMMON,
    # Each channel has its own connection and its own back-off, so that a retry connects at once.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.min_reconnect_backoff_ms", int(HANDSHAKE_SECONDS * 1000)),
    # A proxy of the environment would see the connections, and most parties could not reach it anyway.
    ("grpc.enable_http_proxy", 0),
)

SERVER_OPTIONS: Final[tuple[_Option, ...]] = (
    *_COMMON,
    # Windows that grow with the line would hold megabytes of a stream that is not read; without, a line still carries
    # a frame for each time it takes there and back.
    ("grpc.http2.bdp_probe", 0),
    ("grpc.max_concurrent_streams", MAX_CONNECTION_CALLS),
    ("grpc.keepalive_permit_without_calls", 1),
    # Parties ping as often as we do; twice as often is not yet abuse.
    ("grpc.http2.min_ping_interval_without_data_ms", int(KEEPALIVE_SECONDS * 500)),
    ("grpc.server_handshake_timeout_ms", int(HANDSHAKE_SECONDS * 1000)),
    # Two servers on one port would share its connections at random.
    ("grpc.so_reuseport", 0),
)

DESK_OPTIONS: Final[tuple[_Option, ...]] = (
    *SERVER_OPTIONS,
    # Anybody may connect. Connections without a session would take file descriptors from the members.
    ("grpc.max_connection_idle_ms", int(CALL_SECONDS * 1000)),
)


def server_credentials(tls: TlsCredentials) -> grpc.ServerCredentials:
    """Return credentials of a server that demands a client certificate of the same authority."""
    return grpc.ssl_server_credentials(
        [(tls.key.reveal(), tls.certificate)], root_certificates=tls.authority, require_client_auth=True
    )


def desk_credentials(key: TlsKey, certificate: bytes) -> grpc.ServerCredentials:
    """Return credentials of the enrolment port, where guests have no certificate yet and prove themselves otherwise."""
    return grpc.ssl_server_credentials([(key.reveal(), certificate)])


def channel_credentials(tls: TlsCredentials) -> grpc.ChannelCredentials:
    """Return credentials of a client that trusts only the federation's authority and presents its own certificate."""
    return grpc.ssl_channel_credentials(
        root_certificates=tls.authority, private_key=tls.key.reveal(), certificate_chain=tls.certificate
    )


def peer_of(context: Any) -> tuple[Identity, bytes]:
    """Return the caller's identity and the fingerprint of its certificate, which TLS has verified.

    Args:
        context: the ``ServicerContext`` of the call.

    Raises:
        Unauthenticated: the connection presents no certificate.
        IdentityMismatch: its certificate names nobody, or more than one.
    """
    certificates = list(context.auth_context().get("x509_pem_cert", ()))
    if len(certificates) != 1:
        raise Unauthenticated("the connection shows no certificate")
    return identity_of(certificates[0]), fingerprint(certificates[0])
