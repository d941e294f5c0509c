# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Calls that send nothing, and calls whose answer is never taken: they count, and are refused, like any other."""

from __future__ import annotations

import asyncio
import ssl
import struct
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import grpc
import grpc.aio

from coterie_aggregator.service import gate
from coterie_common.limits import MAX_CALLS, SUBMISSIONS_AT_ONCE
from coterie_common.membership.membership import TlsCredentials
from coterie_common.rpc.credentials import CHANNEL_OPTIONS, channel_credentials
from coterie_common.rpc.status import CODE_KEY
from tests.support.asynchronous import asynchronous
from tests.support.handlers import Aggregator
from tests.support.raw_party import RawParty, raw_call

CHECK: Final = "/grpc.health.v1.Health/Check"
ONE_REQUEST: Final = (
    "/coterie.v1.Operator/SubmitJob",
    "/coterie.v1.Operator/ListJobs",
    "/coterie.v1.Operator/WatchJob",
    "/coterie.v1.Operator/FetchModel",
    CHECK,
    "/grpc.health.v1.Health/Watch",
)
"""Of one response and of many."""


def channel(port: int, tls: TlsCredentials) -> grpc.aio.Channel:
    return grpc.aio.secure_channel(f"localhost:{port}", channel_credentials(tls), options=CHANNEL_OPTIONS)


async def nothing() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


def silent(open_channel: grpc.aio.Channel, method: str) -> Any:
    """Open a call that sends its headers and no request."""
    call: grpc.aio.StreamStreamMultiCallable[bytes, bytes] = open_channel.stream_stream(method)
    return call(nothing())


async def end(call: Any) -> tuple[str, str | None]:
    """Return the status and code that a call ends with."""
    async with asyncio.timeout(60):
        return (await call.code()).name, dict(await call.trailing_metadata()).get(CODE_KEY)


@asynchronous
async def test_calls_without_a_request_take_the_places_of_their_own_certificate_only(federation):
    async with Aggregator(federation).running() as server:
        channels = [channel(server.port, federation.scientist) for _ in range(3)]
        calls = [silent(one, "/coterie.v1.Operator/ListJobs") for one in channels for _ in range(MAX_CALLS)]
        waiting = {asyncio.ensure_future(end(call)) for call in calls}
        refused: Counter[tuple[str, str | None]] = Counter()
        while sum(refused.values()) < 2 * MAX_CALLS:
            done, waiting = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            refused.update(task.result() for task in done)
        assert refused == {("RESOURCE_EXHAUSTED", "overloaded"): 2 * MAX_CALLS}
        # The others are open, and are counted.
        assert len(waiting) == MAX_CALLS
        assert await end(silent(channels[0], CHECK)) == ("RESOURCE_EXHAUSTED", "overloaded")
        async with channel(server.port, federation.operator) as others:
            assert await end(raw_call(others, CHECK, b"")) == ("OK", None)
        async with RawParty(server.port, federation.parties["beta"]) as party:
            await party.greet("beta", federation.roster)
        for one in channels:
            await one.close()
        await asyncio.gather(*waiting)


@asynchronous
async def test_submissions_without_a_specification_count_as_submissions(federation):
    async with Aggregator(federation).running() as server, channel(server.port, federation.scientist) as theirs:
        calls = [silent(theirs, "/coterie.v1.Operator/SubmitJob") for _ in range(SUBMISSIONS_AT_ONCE + 1)]
        ends = [asyncio.ensure_future(end(call)) for call in calls]
        (first,), held = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
        assert first.result() == ("RESOURCE_EXHAUSTED", "overloaded")
        assert len(held) == SUBMISSIONS_AT_ONCE
        for call in calls:
            call.cancel()
        await asyncio.gather(*held)


@asynchronous
async def test_who_is_denied_is_refused_before_a_request(federation):
    async with (
        Aggregator(federation).running(denied=("scientist/sam",)) as server,
        channel(server.port, federation.scientist) as theirs,
    ):
        for method in ONE_REQUEST:
            assert await end(silent(theirs, method)) == ("PERMISSION_DENIED", "permission-denied")


@asynchronous
async def test_call_without_a_request_ends(federation, monkeypatch):
    monkeypatch.setattr(gate, "CALL_SECONDS", 0.1)
    async with Aggregator(federation).running() as server, channel(server.port, federation.scientist) as theirs:
        calls = [silent(theirs, method) for method in ONE_REQUEST]
        ends = await asyncio.gather(*map(end, calls))
        assert Counter(ends) == {("DEADLINE_EXCEEDED", "deadline-exceeded"): len(ONE_REQUEST)}


@asynchronous
async def test_call_that_ends_without_its_request_is_malformed(federation):
    aggregator = Aggregator(federation)
    async with aggregator.running() as server, channel(server.port, federation.scientist) as theirs:
        for method in ONE_REQUEST:
            call: Any = theirs.stream_stream(method)()
            await call.done_writing()
            assert await end(call) == ("INVALID_ARGUMENT", "malformed-message")
    assert aggregator.operator_handler.calls == []


# A client of HTTP/2 that takes no answer: gRPC's own always takes some.

_PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
_DATA, _HEADERS, _SETTINGS = 0, 1, 4
_END_STREAM, _END_HEADERS = 1, 4
_NO_WINDOW: Final = struct.pack(">HI", 4, 0)


def _frame(kind: int, flags: int, stream: int, payload: bytes) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def _call(stream: int, path: str) -> bytes:
    """Return the frames of a call with an empty request."""
    fields = {":method": "POST", ":scheme": "https", ":path": path, ":authority": "localhost"}
    fields |= {"content-type": "application/grpc", "te": "trailers"}
    block = b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode()
        for name, value in fields.items()
    )
    return _frame(_HEADERS, _END_HEADERS, stream, block) + _frame(_DATA, _END_STREAM, stream, bytes(5))


class Miser:
    """A connection on which the server may send no byte of a message."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        writer.write(_PREFACE + _frame(_SETTINGS, 0, 0, _NO_WINDOW))

    async def settled(self) -> None:
        """Wait until the server has taken the settings."""
        while (await self._next())[:2] != (_SETTINGS, 1):
            pass

    def call(self, stream: int, path: str) -> None:
        self._writer.write(_call(stream, path))

    async def first_end(self) -> int:
        """Return which stream the server ends first."""
        while True:
            kind, flags, stream = await self._next()
            assert kind != _DATA
            if kind == _HEADERS and flags & _END_STREAM:
                return stream

    async def _next(self) -> tuple[int, int, int]:
        async with asyncio.timeout(60):
            head = await self._reader.readexactly(9)
            payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
        if head[3] == _SETTINGS and not head[4]:
            self._writer.write(_frame(_SETTINGS, 1, 0, b""))
        assert head[3] != 7, f"the server ends the connection: {payload!r}"
        return head[3], head[4], int.from_bytes(head[5:], "big")


@asynccontextmanager
async def miser(port: int, tls: TlsCredentials, folder: Path) -> AsyncIterator[Miser]:
    files = {"key": tls.key.reveal(), "certificate": tls.certificate, "authority": tls.authority}
    for name, data in files.items():
        (folder / name).write_bytes(data)
    context = ssl.create_default_context(cafile=str(folder / "authority"))
    context.load_cert_chain(folder / "certificate", folder / "key")
    context.set_alpn_protocols(["h2"])
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    try:
        client = Miser(reader, writer)
        await client.settled()
        yield client
    finally:
        writer.close()


@asynchronous
async def test_call_counts_until_its_answer_is_taken(federation, tmp_path):
    async with (
        Aggregator(federation).running() as server,
        miser(server.port, federation.scientist, tmp_path) as theirs,
    ):
        for number in range(MAX_CALLS + 1):
            theirs.call(2 * number + 1, CHECK)
        # Only a refusal has no message.
        await theirs.first_end()
        async with channel(server.port, federation.scientist) as another:
            assert await end(raw_call(another, CHECK, b"")) == ("RESOURCE_EXHAUSTED", "overloaded")
        async with channel(server.port, federation.operator) as others:
            assert await end(raw_call(others, CHECK, b"")) == ("OK", None)
