# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from grpc import StatusCode

from coterie_common.crypto.certificates import Role
from coterie_common.errors import CoterieError, Unauthenticated, Unavailable
from coterie_common.identifiers import JobId, PartyId
from coterie_common.membership.membership import TlsCredentials
from coterie_common.protocol.messages import ModelDelivery, ModelReceipt
from coterie_common.randomness import OsRandom
from coterie_common.rpc.probe import probe
from coterie_lab.local_federation.ports import free_port
from coterie_lab.local_federation.relay import Direction, Relay
from tests.support.handlers import Aggregator
from tests.support.raw_party import RawParty, hello
from tests.support.tcp_relay import Recording
from tests.support.tls import Certificates

ALPHA = PartyId("alpha")
MARKER = b"planted-marker-0123456789-planted-marker"


async def probed(port: int, tls: TlsCredentials | None, host: str = "localhost") -> CoterieError | None:
    return await asyncio.to_thread(probe, f"{host}:{port}", tls, OsRandom())


CLIENTS = {
    "other authority": (
        lambda f: Certificates().issue(Role.PARTY, "alpha"),
        "was not issued by this federation's authority",
    ),
    "expired": (
        lambda f: f.certificates.issue_expired(Role.PARTY, "alpha"),
        "does not accept our certificate: the certificate expired on",
    ),
    "certificate of a server": (lambda f: f.aggregator, "does not accept our certificate, or is"),
}


@pytest.mark.parametrize(("credential", "words"), CLIENTS.values(), ids=CLIENTS.keys())
def test_unacceptable_client_certificate_is_unavailable_to_grpc_and_named_by_the_probe(federation, credential, words):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        async with aggregator.running() as server:
            tls = credential(federation)
            async with RawParty(server.port, tls) as party:
                await party.send(hello("alpha", federation.roster))
                assert await party.failure() == (StatusCode.UNAVAILABLE, "unavailable")
            error = await probed(server.port, tls)
            assert isinstance(error, Unauthenticated)
            assert error.code == "unauthenticated"
            assert words in error.message
            assert aggregator.handler.events.is_empty

    asyncio.run(scenario())


def test_other_authority_that_trusts_ours_is_named_by_the_probe(federation):
    async def scenario() -> None:
        async with Aggregator(federation).running() as server:
            stranger = Certificates().issue(Role.PARTY, "alpha")
            tls = replace(stranger, authority=federation.certificates.authority.certificate)
            async with RawParty(server.port, tls) as party:
                await party.send(hello("alpha", federation.roster))
                assert await party.failure() == (StatusCode.UNAVAILABLE, "unavailable")
            error = await probed(server.port, tls)
            assert isinstance(error, Unauthenticated)
            assert "does not accept our certificate: the certificate was not issued by" in error.message

    asyncio.run(scenario())


def test_client_without_certificate_is_named_by_the_probe(federation):
    async def scenario() -> None:
        async with Aggregator(federation).running() as server:
            error = await probed(server.port, None)
            assert isinstance(error, Unauthenticated)
            assert "none was shown" in error.message

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("certificate", "words"),
    [
        (lambda c: c.issue_expired(Role.AGGREGATOR, "hub"), "has expired"),
        (
            lambda c: c.issue(Role.AGGREGATOR, "hub", hosts=("elsewhere.example",)),
            "is not for the name localhost, but for elsewhere.example: use",
        ),
    ],
    ids=["expired", "other host"],
)
def test_unacceptable_server_certificate_is_named_by_the_probe(federation, certificate, words):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        async with aggregator.running(tls=certificate(federation.certificates)) as server:
            tls = federation.parties["alpha"]
            async with RawParty(server.port, tls) as party:
                await party.send(hello("alpha", federation.roster))
                assert await party.failure() == (StatusCode.UNAVAILABLE, "unavailable")
            error = await probed(server.port, tls)
            assert isinstance(error, Unauthenticated)
            assert words in error.message

    asyncio.run(scenario())


def test_probe_finds_nothing_wrong_with_an_accepted_certificate(federation):
    async def scenario() -> None:
        async with Aggregator(federation).running() as server:
            for host in ("localhost", "127.0.0.1"):
                assert await probed(server.port, federation.parties["alpha"], host) is None

    asyncio.run(scenario())


def test_probe_of_a_closed_port_or_unknown_host_is_unavailable(federation):
    error = probe(f"127.0.0.1:{free_port()}", federation.parties["alpha"], OsRandom())
    assert isinstance(error, Unavailable)
    assert "refused" in error.message
    error = probe("nowhere.invalid:1", federation.parties["alpha"], OsRandom())
    assert isinstance(error, Unavailable)
    assert "cannot be resolved" in error.message


def test_probe_of_a_server_without_tls_says_so(federation):
    async def scenario() -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.read(1)
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with server:
            port = server.sockets[0].getsockname()[1]
            error = await probed(port, federation.parties["alpha"], "127.0.0.1")
            assert isinstance(error, Unavailable)
            assert "does not speak TLS" in error.message

    asyncio.run(scenario())


def test_every_connection_is_tls_and_nothing_is_readable(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        recording = Recording()
        delivery = ModelDelivery(job_id=JobId("job-1"), model=MARKER, signature=bytes(64))
        receipt = ModelReceipt(job_id=JobId("job-1"), party_id=ALPHA, model_digest=MARKER[:32], signature=bytes(64))
        async with (
            aggregator.running() as server,
            Relay("127.0.0.1", server.port, listener=recording) as relay,
        ):
            for name in ("alpha", "beta"):
                async with RawParty(relay.port, federation.parties[name]) as party:
                    await party.greet(name, federation.roster)
                    await aggregator.handler.events.next()
                    await aggregator.handler.outboxes[name].send(delivery)
                    assert await party.receive() == delivery
                    if name == "alpha":
                        await party.send(receipt)
                        assert await aggregator.handler.events.next() == ("message", "alpha", receipt)
                assert (await aggregator.handler.events.next())[0] == "disconnected"
            assert relay.traffic.connections == 2
            assert all(recording.opens_with_client_hello(number) for number in (1, 2))
            everything = recording.everything
            assert relay.traffic.total > 4000
            assert relay.traffic.to_server == sum(
                len(data) for (_, direction), data in recording.streams.items() if direction is Direction.TO_SERVER
            )
            for secret in (MARKER, MARKER[:16], b"alpha", b"job-1", b"coterie.v1.Federation"):
                assert secret not in everything

    asyncio.run(scenario())


def test_relay_shows_a_marker_that_is_sent_in_clear():
    async def scenario() -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(await reader.read(100))
            await writer.drain()
            writer.close()

        recording = Recording()
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        async with server, Relay("127.0.0.1", server.sockets[0].getsockname()[1], listener=recording) as relay:
            reader, writer = await asyncio.open_connection("127.0.0.1", relay.port)
            writer.write(MARKER)
            assert await reader.read() == MARKER
            writer.close()
            assert recording.everything.count(MARKER) == 2
            assert not recording.opens_with_client_hello(1)
            assert (relay.traffic.to_server, relay.traffic.to_client) == (len(MARKER), len(MARKER))

    asyncio.run(scenario())


def test_connection_in_clear_is_not_served(federation):
    async def scenario() -> None:
        async with Aggregator(federation).running() as server:
            reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
            answer = await reader.read()
            assert not answer.startswith(b"\x00\x00")  # no HTTP/2 settings frame
            writer.close()

    asyncio.run(scenario())
