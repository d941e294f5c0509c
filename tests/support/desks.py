# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A real enrolment port in a thread of this process, and what may stand in between: an HTTP proxy that connects."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from coterie_aggregator.enrolment.desk import Desk
from coterie_aggregator.enrolment.desk_files import DeskFiles
from coterie_aggregator.service.enrolment import start_enrolment
from coterie_common.address import Address
from coterie_common.clock import SystemClock
from coterie_common.crypto.identity import VerifyKey
from coterie_common.host.incidents import Incidents
from coterie_common.membership.invitations.channel import DocumentKind
from coterie_common.membership.invitations.token import Token
from coterie_common.randomness import OsRandom
from tests.support.invitations import FOUNDER, NOW


class MovedClock(SystemClock):
    """The machine's clocks, but the date is one that the test sets."""

    def __init__(self, now: datetime = NOW) -> None:
        self.date = now

    def now(self) -> datetime:
        return self.date


class TlsClock(MovedClock):
    """The first look at the date, for the certificate, sees the real one: TLS judges by it."""

    def __init__(self, now: datetime = NOW) -> None:
        super().__init__(now)
        self._looked = False

    def now(self) -> datetime:
        if not self._looked:
            self._looked = True
            return SystemClock().now()
        return super().now()


@dataclass
class RunningDesk:
    """Where the port listens, the desk behind it, and what was published."""

    address: Address
    desk: Desk
    clock: MovedClock
    published: list[tuple[bytes, DocumentKind]] = field(default_factory=list)


@contextmanager
def running_desk(
    folder: Path, token: Token, *, founder_key: VerifyKey = FOUNDER.verify_key, port: int = 0
) -> Iterator[RunningDesk]:
    """Serve the desk of a folder until the block is left."""
    clock, random = TlsClock(), OsRandom()
    desk = Desk(founder_key, DeskFiles(folder), now=NOW)
    running = RunningDesk(Address("localhost", port), desk, clock)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()

    async def start() -> tuple[int, asyncio.Task[None]]:
        server = await start_enrolment(
            f"localhost:{port}",
            desk,
            token,
            clock=clock,
            random=random,
            incidents=Incidents("the desk's", random),
            on_published=lambda request, kind: running.published.append((request, kind)),
        )

        async def stop_when_cancelled() -> None:
            try:
                await asyncio.get_running_loop().create_future()
            finally:
                await server.stop(0)

        return server.port, asyncio.create_task(stop_when_cancelled())

    async def stop(task: asyncio.Task[None]) -> None:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    bound, task = asyncio.run_coroutine_threadsafe(start(), loop).result(30)
    running.address = Address("localhost", bound)
    try:
        yield running
    finally:
        asyncio.run_coroutine_threadsafe(stop(task), loop).result(30)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(30)
        loop.close()


@dataclass
class ConnectProxy:
    """An HTTP proxy that speaks CONNECT and nothing else.

    Attributes:
        port: where it listens.
        asked: the targets of all requests, in their order.
        authorizations: the value of that header in each, empty without one.
        status: what it answers instead of connecting, unless 200.
    """

    port: int
    asked: list[str] = field(default_factory=list)
    authorizations: list[str] = field(default_factory=list)
    status: int = 200


@contextmanager
def connect_proxy() -> Iterator[ConnectProxy]:
    """Run a proxy until the block is left."""
    listener = socket.create_server(("127.0.0.1", 0))
    proxy = ConnectProxy(listener.getsockname()[1])
    streams: list[socket.socket] = []

    def copy(source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def serve(client: socket.socket) -> None:
        with suppress(OSError):
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                head += client.recv(1)
            first, *lines = head.decode("ascii").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            proxy.asked.append(first.split(" ")[1])
            proxy.authorizations.append(headers.get("proxy-authorization", ""))
            if not first.startswith("CONNECT ") or proxy.status != 200:
                client.sendall(f"HTTP/1.1 {proxy.status} No\r\n\r\n".encode("ascii"))
                client.close()
                return
            host, _, port = proxy.asked[-1].rpartition(":")
            server = socket.create_connection((host.strip("[]"), int(port)), timeout=30)
            streams.append(server)
            client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            threading.Thread(target=copy, args=(server, client), daemon=True).start()
            copy(client, server)

    def accept() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                streams.append(client)
                threading.Thread(target=serve, args=(client,), daemon=True).start()

    thread = threading.Thread(target=accept, daemon=True)
    thread.start()
    try:
        yield proxy
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for stream in streams:
            with suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
            stream.close()
        thread.join(30)
