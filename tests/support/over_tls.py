# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party on a real stream: its own gRPC client over mutual TLS, to a server that says what a test puts in its mouth.

The server is the aggregator's place in the roster, with the certificate that the roster names, and nothing else of it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable
from contextlib import suppress
from dataclasses import replace
from functools import cache
from typing import Any

import grpc
import grpc.aio

from coterie_common.crypto.certificates import Role, fingerprint
from coterie_common.host.incidents import Incidents
from coterie_common.identifiers import PartyId
from coterie_common.membership.membership import TlsCredentials
from coterie_common.protocol.messages import Hello, PartyMessage, Welcome
from coterie_common.protocol.session import PROTOCOL_VERSION
from coterie_common.randomness import OsRandom
from coterie_common.rpc.content import WithContent
from coterie_common.rpc.credentials import SERVER_OPTIONS, server_credentials
from coterie_common.rpc.framing import Assembler, split
from coterie_common.wire.federation import aggregator_message_to_wire, party_message_from_wire
from coterie_common.wire.types import frame_from_bytes, frame_from_wire, frame_to_wire
from coterie_party.connection import Connection, Endpoint
from tests.support.federation import Federation, make_federation
from tests.support.in_process import InProcessFederation, Link
from tests.support.tls import Certificates


@cache
def _issued() -> tuple[Certificates, dict[str, TlsCredentials]]:
    """One authority for all tests of a process, and what it issued to everybody in the roster."""
    roster = make_federation().roster
    certificates = Certificates(roster.federation)
    issued = {str(each.party_id): certificates.issue(Role.PARTY, each.party_id) for each in roster.members}
    issued[roster.aggregator.id] = certificates.issue(Role.AGGREGATOR, roster.aggregator.id)
    return certificates, issued


class OverTls(InProcessFederation):
    """Parties whose aggregator is a server on the loopback interface, where only a test speaks."""

    @staticmethod
    def prepared(federation: Federation) -> Federation:
        """Return the federation with certificates for all who are in its roster."""
        certificates, issued = _issued()
        roster, prints = federation.roster, {name: fingerprint(tls.certificate) for name, tls in issued.items()}
        return replace(
            federation,
            roster=replace(
                roster,
                authority_digest=fingerprint(certificates.authority.certificate),
                members=tuple(replace(each, certificate_fingerprint=prints[each.party_id]) for each in roster.members),
                aggregator=replace(roster.aggregator, certificate_fingerprint=prints[roster.aggregator.id]),
            ),
        )

    def link(self, party_id: PartyId) -> Link:
        """Return a new stream of a party."""
        return _TlsLink(self, party_id)


class _TlsLink:
    """The server's end of one party's stream, and the party's client."""

    def __init__(self, running: OverTls, party_id: PartyId) -> None:
        self._running = running
        self._party_id = party_id
        self._tls = _issued()[1]
        self._server = grpc.aio.server(options=SERVER_OPTIONS)
        self._greeted = asyncio.Event()
        self._client: asyncio.Task[None] | None = None
        self.down: asyncio.Queue[bytes] = asyncio.Queue()
        self.up: asyncio.Queue[tuple[bytes, WithContent[PartyMessage] | None]] = asyncio.Queue()

    async def open(self) -> None:
        connect: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
            self._serve, request_deserializer=frame_from_bytes
        )
        handler = grpc.method_handlers_generic_handler("coterie.v1.Federation", {"Connect": connect})
        self._server.add_generic_rpc_handlers((handler,))
        roster = self._running.federation.roster
        port = self._server.add_secure_port("127.0.0.1:0", server_credentials(self._tls[roster.aggregator.id]))
        await self._server.start()
        endpoint = Endpoint(
            target=f"127.0.0.1:{port}", tls=self._tls[self._party_id], party_id=self._party_id, roster=roster
        )
        random = OsRandom()
        party = self._running.parties[self._party_id]
        connection = Connection(endpoint, party, random, Incidents("the party's", random))
        self._client = asyncio.create_task(connection.run())
        greeted = asyncio.create_task(self._greeted.wait())
        await asyncio.wait({greeted, self._client}, return_when=asyncio.FIRST_COMPLETED)

    async def close(self, *, tell_aggregator: bool) -> None:
        if self._client is not None:
            self._client.cancel()
            with suppress(asyncio.CancelledError):
                await self._client
        await self._server.stop(0)

    async def _serve(self, request_iterator: AsyncIterable[Any], context: grpc.aio.ServicerContext[Any, bytes]) -> None:
        """Greet the party, then say what is queued and take what it says."""
        # Mutual: the party has shown the certificate that its roster has.
        (shown,) = context.auth_context()["x509_pem_cert"]
        assert fingerprint(shown) == self._running.federation.roster.member(self._party_id).certificate_fingerprint
        assembler, speaking = Assembler(), None
        try:
            async for frame in request_iterator:
                data = assembler.add(frame_from_wire(frame))
                if data is None:
                    continue
                message = party_message_from_wire(data)
                if not isinstance(message, Hello):
                    self._running.see(self._party_id, message)
                    continue
                await self._write(context, aggregator_message_to_wire(self._welcome()))
                speaking = asyncio.create_task(self._speak(context))
                self._greeted.set()
        finally:
            if speaking is not None:
                speaking.cancel()

    def _welcome(self) -> Welcome:
        roster = self._running.federation.roster
        return Welcome(protocol_version=PROTOCOL_VERSION, roster_serial=roster.serial, roster_digest=roster.digest)

    async def _speak(self, context: grpc.aio.ServicerContext[Any, bytes]) -> None:
        while True:
            data = await self.down.get()
            await self._write(context, data)
            self.down.task_done()

    async def _write(self, context: grpc.aio.ServicerContext[Any, bytes], data: bytes) -> None:
        for frame in split(data):
            await context.write(frame_to_wire(frame).SerializeToString())
