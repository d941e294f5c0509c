# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party that may break every rule: sends whatever frames it is told to over a real stream."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Iterable
from typing import Any

import grpc.aio

from coterie_common.protocol.messages import AggregatorMessage, Hello, PartyMessage, Welcome
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.session import PROTOCOL_VERSION
from coterie_common.rpc.credentials import CHANNEL_OPTIONS, channel_credentials
from coterie_common.rpc.framing import Assembler, split
from coterie_common.rpc.status import error_from_rpc
from coterie_common.wire.federation import aggregator_message_from_wire, party_message_to_wire
from coterie_common.wire.pb import federation_pb2_grpc
from coterie_common.wire.types import Frame, frame_from_wire, frame_to_wire
from tests.support.handlers import SECONDS


def hello(party_id: Any, roster: Roster, **changes: Any) -> Hello:
    values = {
        "protocol_version": PROTOCOL_VERSION,
        "party_id": party_id,
        "roster_serial": roster.serial,
        "roster_digest": roster.digest,
    }
    return Hello(**(values | changes))


def raw_call(channel: grpc.aio.Channel, method: str, request: bytes) -> Any:
    """Call a method with a request that is bytes already, whatever they say."""
    call: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = channel.unary_unary(method)
    return call(request)


class RawParty:
    def __init__(self, port: int, tls: Any, *, host: str = "localhost") -> None:
        self._channel = grpc.aio.secure_channel(f"{host}:{port}", channel_credentials(tls), options=CHANNEL_OPTIONS)
        self.call = federation_pb2_grpc.FederationStub(self._channel).Connect()
        self._assembler = Assembler()

    async def __aenter__(self) -> RawParty:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._channel.close()

    async def send_frames(self, frames: Iterable[Frame]) -> None:
        # A refusal may come before all is written; ``failure`` tells which.
        with contextlib.suppress(grpc.aio.AioRpcError, asyncio.InvalidStateError):
            for frame in frames:
                await self.call.write(frame_to_wire(frame))

    async def send_bytes(self, data: bytes) -> None:
        await self.send_frames(split(data))

    async def send(self, message: PartyMessage) -> None:
        await self.send_bytes(party_message_to_wire(message))

    async def receive(self) -> AggregatorMessage:
        async with asyncio.timeout(SECONDS):
            while (frame := await self.call.read()) is not grpc.aio.EOF:
                data = self._assembler.add(frame_from_wire(frame))
                if data is not None:
                    return aggregator_message_from_wire(data)
        raise EOFError

    async def greet(self, party_id: Any, roster: Roster, **changes: Any) -> Welcome:
        await self.send(hello(party_id, roster, **changes))
        welcome = await self.receive()
        assert isinstance(welcome, Welcome)
        return welcome

    async def failure(self) -> tuple[grpc.StatusCode, str]:
        """Wait for the stream to end; return its status and the code of the error behind it."""
        try:
            while True:
                await self.receive()
        except grpc.aio.AioRpcError as failure:
            return failure.code(), error_from_rpc(failure).code
