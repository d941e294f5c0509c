# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What one member can take of the aggregator's calls and memory, whatever it opens."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from coterie_aggregator.service.operator import ALLOWED
from coterie_common.crypto.certificates import Role
from coterie_common.limits import (
    FRAME_BYTES,
    HELLO_BYTES,
    MAX_CALLS,
    MAX_FETCHES,
    MAX_PEOPLE_CALLS,
    MAX_SCIENTISTS_CALLS,
    PARTY_TRANSFER_BYTES,
    SUBMISSIONS_AT_ONCE,
)
from coterie_common.membership.membership import TlsCredentials
from coterie_common.protocol.messages import Hello
from coterie_common.protocol.progress import JobState
from coterie_common.rpc.credentials import CHANNEL_OPTIONS, channel_credentials
from coterie_common.rpc.framing import split
from coterie_common.rpc.status import CODE_KEY, RETRY_KEY
from coterie_common.wire.federation import party_message_to_wire
from coterie_common.wire.pb import operator_pb2, operator_pb2_grpc
from coterie_common.wire.types import Announcement, Frame
from tests.support.asynchronous import asynchronous
from tests.support.handlers import Aggregator, job_status
from tests.support.raw_party import RawParty, hello, raw_call
from tests.support.tls import Federation


def channel(port: int, tls: TlsCredentials, *more: tuple[str, Any]) -> grpc.aio.Channel:
    options = [*CHANNEL_OPTIONS, *more]
    return grpc.aio.secure_channel(f"localhost:{port}", channel_credentials(tls), options=options)


def watch(open_channel: grpc.aio.Channel) -> Any:
    return operator_pb2_grpc.OperatorStub(open_channel).WatchJob(operator_pb2.WatchJobRequest(job_id="nursery-1"))


def watch_health(open_channel: grpc.aio.Channel) -> Any:
    return health_pb2_grpc.HealthStub(open_channel).Watch(health_pb2.HealthCheckRequest())


def reflect(open_channel: grpc.aio.Channel) -> Any:
    async def requests() -> Any:
        yield reflection_pb2.ServerReflectionRequest(list_services="")
        await asyncio.Event().wait()

    return reflection_pb2_grpc.ServerReflectionStub(open_channel).ServerReflectionInfo(requests())


OPENERS = {"watch": watch, "health": watch_health, "reflection": reflect}


async def outcome(call: Any) -> str:
    """Return whether a call is served, or the status and code that it was refused with."""
    try:
        await asyncio.wait_for(call.read(), 120)
    except grpc.aio.AioRpcError as failure:
        metadata = dict(failure.trailing_metadata() or ())
        if failure.code() is grpc.StatusCode.RESOURCE_EXHAUSTED:
            assert float(metadata[RETRY_KEY]) > 0
        return f"{failure.code().name} {metadata.get(CODE_KEY)}"
    return "served"


async def outcomes(*calls: Any) -> Counter[str]:
    return Counter(await asyncio.gather(*map(outcome, calls)))


def running_job(federation: Federation) -> Aggregator:
    aggregator = Aggregator(federation)
    aggregator.operator_handler.statuses = [job_status(JobState.RUNNING)]
    return aggregator


@pytest.mark.parametrize("kinds", [["watch"], ["health"], ["reflection"], ["health", "watch", "reflection"]])
@asynchronous
async def test_one_person_has_so_many_calls_open_and_everybody_else_is_served(federation, kinds):
    async with running_job(federation).running() as server, channel(server.port, federation.scientist) as theirs:
        calls = [OPENERS[kinds[number % len(kinds)]](theirs) for number in range(MAX_CALLS)]
        assert await outcomes(*calls) == {"served": MAX_CALLS}
        async with channel(server.port, federation.scientist) as another:
            more = [opener(another) for opener in OPENERS.values()]
            assert await outcomes(*more) == {"RESOURCE_EXHAUSTED overloaded": 3}
        async with channel(server.port, federation.operator) as others:
            assert await outcome(watch(others)) == "served"
        async with RawParty(server.port, federation.parties["beta"]) as party:
            await party.greet("beta", federation.roster)
        calls[0].cancel()
        # The place is free once the server has heard of it.
        tries = [await outcome(watch_health(theirs)) for _ in range(20)]
        assert "served" in tries


@asynchronous
async def test_thousand_calls_of_one_person_shut_nobody_out(federation):
    async with running_job(federation).running() as server:
        channels = [channel(server.port, federation.scientist) for _ in range(20)]
        calls = [watch(one) for one in channels for _ in range(50)]
        seen = await outcomes(*calls)
        assert seen == {"served": MAX_CALLS, "RESOURCE_EXHAUSTED overloaded": 1000 - MAX_CALLS}
        async with RawParty(server.port, federation.parties["beta"]) as party:
            await party.greet("beta", federation.roster)
        for one in channels:
            await one.close()


@asynchronous
async def test_scientists_together_leave_room_for_an_operator_and_people_together_for_a_party(federation):
    names = [f"sam-{number}" for number in range(-(-MAX_SCIENTISTS_CALLS // MAX_CALLS) + 1)]
    people = [federation.certificates.issue(Role.SCIENTIST, name) for name in names]
    operators = [federation.certificates.issue(Role.OPERATOR, name) for name in ("olga", "oscar", "odile")]
    async with running_job(federation).running() as server:
        channels = [channel(server.port, person) for person in people]
        calls = [watch(one) for one in channels for _ in range(MAX_CALLS)]
        assert await outcomes(*calls) == {
            "served": MAX_SCIENTISTS_CALLS,
            "RESOURCE_EXHAUSTED overloaded": len(calls) - MAX_SCIENTISTS_CALLS,
        }
        theirs = [channel(server.port, operator) for operator in operators]
        more = [watch(one) for one in theirs for _ in range(MAX_CALLS)]
        kept = MAX_PEOPLE_CALLS - MAX_SCIENTISTS_CALLS
        assert await outcomes(*more) == {"served": kept, "RESOURCE_EXHAUSTED overloaded": len(more) - kept}
        async with RawParty(server.port, federation.parties["beta"]) as party:
            await party.greet("beta", federation.roster)
        for one in (*channels, *theirs):
            await one.close()


@pytest.mark.parametrize(
    ("open_call", "maximum", "words"),
    [
        (lambda stub: stub.SubmitJob(operator_pb2.SubmitJobRequest(spec=b"{}")), SUBMISSIONS_AT_ONCE, "submissions"),
        (lambda stub: stub.FetchModel(operator_pb2.FetchModelRequest(job_id="nursery-1")), MAX_FETCHES, "fetched"),
    ],
    ids=["submissions", "models"],
)
@asynchronous
async def test_costly_calls_of_one_person_are_fewer(federation, open_call, maximum, words):
    aggregator, gate, begun = Aggregator(federation), asyncio.Event(), asyncio.Queue[None]()

    async def wait(*_: Any) -> Any:
        begun.put_nowait(None)
        await gate.wait()
        return "nursery-1" if words == "submissions" else b"model"

    aggregator.operator_handler.submit = aggregator.operator_handler.model = wait  # type: ignore[assignment,method-assign]
    async with aggregator.running() as server, channel(server.port, federation.scientist) as theirs:
        stub = operator_pb2_grpc.OperatorStub(theirs)
        calls = [open_call(stub) for _ in range(maximum)]
        for _ in calls:
            await begun.get()
        refused = open_call(stub)
        assert await refused.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
        assert f"scientist sam has {maximum}" in await refused.details()
        assert words in await refused.details()
        async with channel(server.port, federation.operator) as others:
            another = open_call(operator_pb2_grpc.OperatorStub(others))
            await begun.get()
            gate.set()
            for call in (*calls, another):
                if words == "fetched":
                    await call.read()
                    assert await call.read() is grpc.aio.EOF
                assert await call.code() is grpc.StatusCode.OK


@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS.keys())
@asynchronous
async def test_denied_person_is_served_by_no_service(federation, opener):
    async with (
        running_job(federation).running(denied=("scientist/sam",)) as server,
        channel(server.port, federation.scientist) as theirs,
        channel(server.port, federation.operator) as others,
    ):
        assert await outcome(opener(theirs)) == "PERMISSION_DENIED permission-denied"
        assert await outcome(opener(others)) == "served"


@pytest.mark.parametrize("opener", OPENERS.values(), ids=OPENERS.keys())
@pytest.mark.parametrize("party", ["omega", "alpha"], ids=["no member", "other certificate of a member"])
@asynchronous
async def test_party_that_is_not_in_the_roster_is_served_by_no_service(federation, party, opener):
    tls = federation.certificates.issue(Role.PARTY, party)
    async with running_job(federation).running() as server, channel(server.port, tls) as theirs:
        assert await outcome(opener(theirs)) == "PERMISSION_DENIED identity-mismatch"


@asynchronous
async def test_calls_of_a_party_are_counted_before_hello(federation):
    alpha = federation.parties["alpha"]
    async with running_job(federation).running() as server, channel(server.port, alpha) as theirs:
        held = [watch_health(theirs) for _ in range(MAX_CALLS)]
        assert await outcomes(*held) == {"served": MAX_CALLS}
        async with RawParty(server.port, alpha) as stream:
            assert await stream.failure() == (grpc.StatusCode.RESOURCE_EXHAUSTED, "overloaded")
        async with RawParty(server.port, federation.parties["beta"]) as another:
            await another.greet("beta", federation.roster)


def test_longest_hello_fits_its_limit(federation):
    longest = Hello(protocol_version=2**32 - 1, party_id="a" * 32, roster_serial=2**32 - 1, roster_digest=bytes(32))  # type: ignore[arg-type]
    assert len(party_message_to_wire(longest)) <= HELLO_BYTES


@pytest.mark.parametrize("length", [HELLO_BYTES + 1, FRAME_BYTES, PARTY_TRANSFER_BYTES])
@asynchronous
async def test_stream_that_begins_with_more_than_a_hello_is_refused(federation, length):
    aggregator = Aggregator(federation)
    async with aggregator.running() as server, RawParty(server.port, federation.parties["alpha"]) as party:
        await party.send_frames([Frame(Announcement(length, bytes(32)), b"x")])
        assert await party.failure() == (grpc.StatusCode.INVALID_ARGUMENT, "malformed-message")
        assert "1 to 200 bytes" in await party.call.details()
        assert aggregator.handler.events.is_empty


@asynchronous
async def test_refusal_reaches_a_party_that_still_writes_its_long_first_transfer(federation):
    async with Aggregator(federation).running() as server, RawParty(server.port, federation.parties["alpha"]) as party:
        for frame in split(bytes(6 * FRAME_BYTES)):
            await party.send_frames([frame])
        await party.call.done_writing()
        assert await party.failure() == (grpc.StatusCode.INVALID_ARGUMENT, "malformed-message")


@asynchronous
async def test_streams_that_say_nothing_do_not_hold_up_the_one_that_does(federation):
    async with Aggregator(federation).running() as server:
        silent = [RawParty(server.port, federation.parties["alpha"]) for _ in range(3)]
        await asyncio.gather(*(stream.call.wait_for_connection() for stream in silent))
        async with RawParty(server.port, federation.parties["alpha"]) as party:
            await party.send(hello("alpha", federation.roster))
            assert (await party.receive()).roster_digest == federation.roster.digest
        for stream in silent:
            await stream.__aexit__()


@pytest.mark.parametrize("algorithm", [grpc.Compression.Gzip, grpc.Compression.Deflate])
@asynchronous
async def test_compressed_request_is_refused_without_being_expanded(federation, algorithm):
    aggregator = Aggregator(federation)
    async with aggregator.running() as server:
        credentials = channel_credentials(federation.scientist)
        # A client with gRPC's own options, which compress.
        async with grpc.aio.secure_channel(f"localhost:{server.port}", credentials, compression=algorithm) as theirs:
            request = operator_pb2.SubmitJobRequest(spec=bytes(1 << 20))
            call = operator_pb2_grpc.OperatorStub(theirs).SubmitJob(request)
            assert await call.code() in (grpc.StatusCode.UNIMPLEMENTED, grpc.StatusCode.INVALID_ARGUMENT)
    assert aggregator.operator_handler.calls == []


@asynchronous
async def test_request_that_cannot_be_read_is_refused_as_malformed(federation):
    aggregator = Aggregator(federation)
    async with aggregator.running() as server, channel(server.port, federation.operator) as theirs:
        for service, method in (*(("Operator", name) for name in ALLOWED), ("Federation", "Connect")):
            for data in (b"\xff", b"\x0a\x05ab", b"\x08\x01", b"\x7a\x01b", b"\x12\x00"):
                if method.startswith("List") and data in (b"\x08\x01", b"\x7a\x01b", b"\x12\x00"):
                    continue  # nothing is asked of these calls, so fields that they do not know say nothing
                call = raw_call(theirs, f"/coterie.v1.{service}/{method}", data)
                status, metadata = await call.code(), dict(await call.trailing_metadata())
                if method == "Connect":
                    assert (status, metadata[CODE_KEY]) == (grpc.StatusCode.PERMISSION_DENIED, "permission-denied")
                else:
                    assert (status, metadata[CODE_KEY]) == (grpc.StatusCode.INVALID_ARGUMENT, "malformed-message")
        health = raw_call(theirs, "/grpc.health.v1.Health/Check", b"\xff")
        assert await health.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert aggregator.operator_handler.calls == []
