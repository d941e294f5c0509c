# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A port for a server that is started later, or stopped and started again."""

from __future__ import annotations

import secrets
import socket

LOOPBACK = "127.0.0.1"
_PORTS = range(20_000, 32_000)
"""Below the ephemeral ports of Linux and macOS: the system could give one of those away before it is used."""


def free_port() -> int:
    """Return a port of the loopback interface on which nobody listens."""
    while True:
        port = secrets.choice(_PORTS)
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        return port
