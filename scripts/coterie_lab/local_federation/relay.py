# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A TCP relay that counts the bytes passing through it, and lets a listener see them: for the demonstration and tests.

Nothing is decrypted or changed; the count is of bytes on the sockets, TLS included.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_READ_BYTES: Final = 1 << 16


class Direction(StrEnum):
    """The direction of bytes."""

    TO_SERVER = "to-server"
    TO_CLIENT = "to-client"


@dataclass(slots=True)
class Traffic:
    """Traffic so far: connections opened, and bytes each way."""

    connections: int = 0
    to_server: int = 0
    to_client: int = 0

    @property
    def total(self) -> int:
        """Bytes both ways."""
        return self.to_server + self.to_client


Listener = Callable[[int, Direction, bytes], None]
"""Called with the connection's number (from 1), the direction and the bytes, before they are passed on."""


class Relay:
    """A relay that listens on a loopback port and forwards every connection to a server.

    Use as an asynchronous context manager; leaving it cuts all connections.

    Args:
        host: of the server.
        port: of the server; may be changed while running, for connections to come.
        listener: sees all bytes.
    """

    def __init__(self, host: str, port: int, *, listener: Listener | None = None) -> None:
        self.host = host
        self.server_port = port
        self.traffic = Traffic()
        self._listener = listener
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None

    @property
    def port(self) -> int:
        """The port that clients connect to; 0 before the relay runs."""
        return int(self._server.sockets[0].getsockname()[1]) if self._server else 0

    async def __aenter__(self) -> Relay:
        """Start listening."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop listening and cut all connections."""
        if self._server is not None:
            self._server.close()
        self.cut()

    def cut(self) -> None:
        """Break all connections at once, as a failing network would."""
        for writer in list(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.traffic.connections += 1
        number = self.traffic.connections
        self._writers.add(writer)
        try:
            # The server is down or one side broke off: the other side sees its connection closed.
            with contextlib.suppress(OSError):
                server_reader, server_writer = await asyncio.open_connection(self.host, self.server_port)
                self._writers.add(server_writer)
                try:
                    await asyncio.gather(
                        self._pass_on(number, Direction.TO_SERVER, reader, server_writer),
                        self._pass_on(number, Direction.TO_CLIENT, server_reader, writer),
                    )
                finally:
                    self._writers.discard(server_writer)
                    server_writer.transport.abort()
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    async def _pass_on(
        self, number: int, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while data := await reader.read(_READ_BYTES):
            if direction is Direction.TO_SERVER:
                self.traffic.to_server += len(data)
            else:
                self.traffic.to_client += len(data)
            if self._listener is not None:
                self._listener(number, direction, data)
            writer.write(data)
            await writer.drain()
        with contextlib.suppress(OSError):
            writer.write_eof()
