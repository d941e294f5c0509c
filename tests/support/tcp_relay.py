# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Remembers everything that passes through the relay, per connection and direction."""

from __future__ import annotations

from collections import defaultdict

from coterie_lab.local_federation.relay import Direction

_HANDSHAKE_RECORD, _TLS_MAJOR, _CLIENT_HELLO = 0x16, 0x03, 0x01


class Recording:
    def __init__(self) -> None:
        self.streams: dict[tuple[int, Direction], bytearray] = defaultdict(bytearray)

    def __call__(self, connection: int, direction: Direction, data: bytes) -> None:
        self.streams[connection, direction] += data

    @property
    def everything(self) -> bytes:
        return b"|".join(bytes(stream) for stream in self.streams.values())

    def opens_with_client_hello(self, connection: int) -> bool:
        """Tell whether the client's first bytes are a TLS handshake record with a ClientHello."""
        opening = self.streams[connection, Direction.TO_SERVER][:6]
        return len(opening) == 6 and (opening[0], opening[1], opening[5]) == (
            _HANDSHAKE_RECORD,
            _TLS_MAJOR,
            _CLIENT_HELLO,
        )
