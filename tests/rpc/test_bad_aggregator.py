# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party's stream against an aggregator that has the right certificate and breaks the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpc.aio
import pytest
from structlog.testing import capture_logs

from coterie_common.limits import TRANSFER_BYTES
from coterie_common.protocol.messages import PartyMessage, Rejection, Welcome
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.session import PROTOCOL_VERSION
from coterie_common.rpc.credentials import SERVER_OPTIONS, server_credentials
from coterie_common.rpc.framing import Assembler, split
from coterie_common.wire.federation import aggregator_message_to_wire, party_message_from_wire
from coterie_common.wire.pb import federation_pb2_grpc
from coterie_common.wire.types import Announcement, Frame, frame_from_wire, frame_to_wire
from coterie_common.wire.types import frame_from_bytes as federation_frame
from tests.rpc.test_connection import JOB_END, Party
from tests.support.tls import Federation


class NoFrame(bytes):
    """Sent as one message of gRPC's, as it is."""


Step = bytes | Frame | grpc.StatusCode


class BadAggregator(federation_pb2_grpc.FederationServicer):
    """Takes Hello and then follows a script of bytes (a transfer), frames, or a status to end with."""

    def __init__(self, script: Sequence[Step]) -> None:
        self._script = script
        self.heard = asyncio.Queue[PartyMessage]()

    async def Connect(
        self, request_iterator: AsyncIterable[Any], context: grpc.aio.ServicerContext[Any, bytes]
    ) -> None:
        assembler = Assembler()
        frames = aiter(request_iterator)
        assert assembler.add(frame_from_wire(await anext(frames))) is not None
        for step in self._script:
            if step is grpc.StatusCode.OK:
                return
            if isinstance(step, grpc.StatusCode):
                await context.abort(step, "by script")
            if isinstance(step, NoFrame):
                await context.write(bytes(step))
                continue
            for frame in split(step) if isinstance(step, bytes) else [step]:
                await context.write(frame_to_wire(frame).SerializeToString())
        async for frame in frames:
            data = assembler.add(frame_from_wire(frame))
            if data is not None:
                self.heard.put_nowait(party_message_from_wire(data))


@asynccontextmanager
async def talking_to(federation: Federation, *script: Step) -> AsyncIterator[tuple[BadAggregator, Party]]:
    service = BadAggregator(script)
    server = grpc.aio.server(options=SERVER_OPTIONS)
    connect: grpc.RpcMethodHandler[Any, Any] = grpc.stream_stream_rpc_method_handler(
        service.Connect, request_deserializer=federation_frame
    )
    handlers = {"Connect": connect}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("coterie.v1.Federation", handlers),))
    port = server.add_secure_port("127.0.0.1:0", server_credentials(federation.aggregator))
    await server.start()
    try:
        async with Party(federation, port).running() as party:
            yield service, party
    finally:
        await server.stop(0)


def welcome(roster: Roster, **changes: Any) -> bytes:
    values: dict[str, Any] = {
        "protocol_version": PROTOCOL_VERSION,
        "roster_serial": roster.serial,
        "roster_digest": roster.digest,
    }
    return aggregator_message_to_wire(Welcome(**(values | changes)))


@pytest.mark.parametrize(
    ("script", "code", "connected"),
    [
        (lambda r: [aggregator_message_to_wire(JOB_END)], "unexpected-message", False),
        (lambda r: [welcome(r, protocol_version=9)], "parameter-mismatch", False),
        (lambda r: [welcome(r, roster_digest=bytes(32))], "parameter-mismatch", False),
        (lambda r: [b"garbage"], "malformed-message", False),
        (lambda r: [NoFrame(b"\xff")], "malformed-message", False),
        (lambda r: [NoFrame(b"")], "malformed-message", False),
        (lambda r: [welcome(r), NoFrame(b"\x0a\xff\xff\xff\xff\x0f")], "malformed-message", True),
        (lambda r: [welcome(r), NoFrame(b"\x12\x01a\x7a\x00")], "malformed-message", True),
        (lambda r: [grpc.StatusCode.OK], "unexpected-message", False),
        (lambda r: [welcome(r), grpc.StatusCode.OK], "unavailable", True),
        (lambda r: [grpc.StatusCode.CANCELLED], "unavailable", False),
        (lambda r: [grpc.StatusCode.DATA_LOSS], "unavailable", False),
        (lambda r: [welcome(r), grpc.StatusCode.CANCELLED], "unavailable", True),
        (
            lambda r: [welcome(r), Frame(Announcement(TRANSFER_BYTES + 1, bytes(32)), b"x")],
            "malformed-message",
            True,
        ),
        (lambda r: [welcome(r), Frame(None, b"x")], "malformed-message", True),
    ],
    ids=[
        "no welcome",
        "other version",
        "other roster",
        "garbage",
        "no frame",
        "empty frame",
        "no frame later",
        "unknown field later",
        "ended at once",
        "ended",
        "cancelled",
        "data loss",
        "cancelled later",
        "oversize",
        "bad framing",
    ],
)
def test_broken_stream_is_named_and_tried_again(federation, script, code, connected):
    async def scenario() -> None:
        with capture_logs() as logs:
            async with talking_to(federation, *script(federation.roster)) as (_, party):
                await party.sleep.began()
                if connected:
                    assert await party.handler.events.next() == ("connected",)
                    assert await party.handler.events.next() == ("disconnected",)
                assert party.handler.events.is_empty
                assert not party.task.done()
        assert [entry["code"] for entry in logs if entry["log_level"] != "info"] == [code]

    asyncio.run(scenario())


def test_bad_messages_after_welcome_are_rejected_and_the_stream_goes_on(federation):
    async def scenario() -> None:
        hello_again = welcome(federation.roster)
        async with talking_to(
            federation, hello_again, b"garbage", hello_again, aggregator_message_to_wire(JOB_END)
        ) as (service, party):
            assert await party.handler.events.next() == ("connected",)
            # The handler hears of them too, for the party's record.
            assert await party.handler.events.next() == ("rejected", "malformed-message")
            assert await party.handler.events.next() == ("rejected", "unexpected-message")
            assert await party.handler.events.next() == ("message", JOB_END)
            rejections = [await service.heard.get() for _ in range(2)]
            assert all(isinstance(rejection, Rejection) for rejection in rejections)
            assert [rejection.code for rejection in rejections] == ["malformed-message", "unexpected-message"]

    asyncio.run(scenario())
