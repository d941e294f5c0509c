# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from structlog.testing import capture_logs

from coterie_common.crypto.certificates import Role
from coterie_common.errors import CoterieError, StaleRound, StorageError, Unavailable
from coterie_common.host.incidents import Incidents
from coterie_common.identifiers import JobId, PartyId
from coterie_common.limits import BACKOFF_FIRST_SECONDS, BACKOFF_REFUSED_SECONDS, MAX_BACKOFF_SECONDS, MAX_CIPHERTEXTS
from coterie_common.membership.membership import TlsCredentials
from coterie_common.protocol.messages import AggregatorMessage, JobEnd, JobOutcome, ModelReceipt, Rejection
from coterie_common.protocol.roster import Roster
from coterie_common.randomness import OsRandom
from coterie_lab.local_federation.ports import free_port
from coterie_lab.local_federation.relay import Relay
from coterie_party.connection import Connection, Endpoint, Send
from tests.rpc.test_federation_service import reply_of
from tests.support.handlers import SECONDS, Aggregator, Events
from tests.support.tls import Certificates, Federation

ALPHA = PartyId("alpha")
RECEIPT = ModelReceipt(job_id=JobId("job-1"), party_id=ALPHA, model_digest=bytes(32), signature=bytes(64))
JOB_END = JobEnd(job_id=JobId("job-1"), outcome=JobOutcome.FAILED, reason="nobody came", signature=bytes(64))


class RecordingHandler:
    def __init__(self) -> None:
        self.events = Events()
        self.send: Send
        self.failure: Exception | None = None

    async def connected(self, send: Send) -> None:
        self.send = send
        self.events.put("connected")

    async def message(self, message: AggregatorMessage) -> None:
        self.events.put("message", message)
        if self.failure is not None:
            raise self.failure

    async def rejected(self, error: CoterieError) -> None:
        self.events.put("rejected", error.code)

    async def disconnected(self) -> None:
        self.events.put("disconnected")


class ManualSleep:
    """Back-off that a test ends by hand: it sees how long the pause would be."""

    def __init__(self) -> None:
        self.pauses = asyncio.Queue[float]()
        self._go_on = asyncio.Semaphore(0)

    async def __call__(self, seconds: float) -> None:
        self.pauses.put_nowait(seconds)
        await self._go_on.acquire()

    async def began(self) -> float:
        async with asyncio.timeout(SECONDS):
            return await self.pauses.get()

    def end(self) -> None:
        self._go_on.release()


class Party:
    def __init__(
        self,
        federation: Federation,
        port: int,
        *,
        tls: TlsCredentials | None = None,
        roster: Roster | None = None,
        party_id: PartyId = ALPHA,
    ) -> None:
        self.handler = RecordingHandler()
        self.sleep = ManualSleep()
        endpoint = Endpoint(
            target=f"localhost:{port}",
            tls=tls or federation.parties[party_id],
            party_id=party_id,
            roster=roster or federation.roster,
        )
        self.connection = Connection(
            endpoint, self.handler, OsRandom(), Incidents("the party's", OsRandom()), self.sleep
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Party]:
        self.task = asyncio.create_task(self.connection.run())
        try:
            yield self
        finally:
            self.task.cancel()
            with suppress(asyncio.CancelledError):
                await self.task


def test_messages_go_both_ways(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        handler = aggregator.handler
        async with aggregator.running() as server, Party(federation, server.port).running() as party:
            assert await party.handler.events.next() == ("connected",)
            assert (await handler.events.next())[:2] == ("connected", "alpha")
            await party.handler.send(RECEIPT)
            assert await handler.events.next() == ("message", "alpha", RECEIPT)
            await handler.outboxes["alpha"].send(JOB_END)
            assert await party.handler.events.next() == ("message", JOB_END)
            party.task.cancel()
            assert await party.handler.events.next() == ("disconnected",)
            assert (await handler.events.next())[0] == "disconnected"
            with pytest.raises(Unavailable):
                await party.handler.send(RECEIPT)

    asyncio.run(scenario())


def test_bad_message_is_rejected_and_the_stream_goes_on(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        handler = aggregator.handler
        async with aggregator.running() as server, Party(federation, server.port).running() as party:
            await party.handler.events.next()
            await handler.events.next()
            party.handler.failure = StaleRound("long over")
            await handler.outboxes["alpha"].send(JOB_END)
            expected = Rejection(code="stale-round", detail="long over", job_id="job-1", round_number=0)
            assert await handler.events.next() == ("message", "alpha", expected)
            await handler.outboxes["alpha"].send(expected)
            party.handler.failure = None
            await party.handler.send(RECEIPT)
            # What the handler had against the rejection was not answered.
            assert await handler.events.next() == ("message", "alpha", RECEIPT)

    asyncio.run(scenario())


def test_failure_of_the_handlers_own_ends_the_connection(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        async with aggregator.running() as server, Party(federation, server.port).running() as party:
            await party.handler.events.next()
            party.handler.failure = StorageError("the disk is full")
            await aggregator.handler.events.next()
            await aggregator.handler.outboxes["alpha"].send(JOB_END)
            with pytest.raises(StorageError):
                await party.task
            assert await party.handler.events.next() == ("message", JOB_END)
            assert await party.handler.events.next() == ("disconnected",)
            party.task = asyncio.create_task(asyncio.sleep(0))

    asyncio.run(scenario())


def test_failure_that_nobody_foresaw_makes_the_connection_anew(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        async with aggregator.running() as server, Party(federation, server.port).running() as party:
            await party.handler.events.next()
            party.handler.failure = KeyError("what a library raised")
            await aggregator.handler.events.next()
            await aggregator.handler.outboxes["alpha"].send(JOB_END)
            assert await party.handler.events.next() == ("message", JOB_END)
            assert await party.handler.events.next() == ("disconnected",)
            party.handler.failure = None
            await party.sleep.began()
            party.sleep.end()
            assert await party.handler.events.next() == ("connected",)
            assert not party.task.done()

    asyncio.run(scenario())


def test_party_reconnects_after_the_aggregator_restarted(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        server = await aggregator.start(port=free_port())
        async with Party(federation, server.port).running() as party:
            assert await party.handler.events.next() == ("connected",)
            await server.stop(0)
            assert await party.handler.events.next() == ("disconnected",)
            first = await party.sleep.began()
            assert BACKOFF_FIRST_SECONDS / 2 <= first <= BACKOFF_FIRST_SECONDS
            party.sleep.end()
            second = await party.sleep.began()
            assert BACKOFF_FIRST_SECONDS <= second <= 2 * BACKOFF_FIRST_SECONDS
            async with aggregator.running(port=server.port):
                party.sleep.end()
                assert await party.handler.events.next() == ("connected",)

    asyncio.run(scenario())


def test_party_reconnects_after_the_network_broke(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        async with (
            aggregator.running() as server,
            Relay("127.0.0.1", server.port) as relay,
            Party(federation, relay.port).running() as party,
        ):
            for connection in (1, 2):
                assert await party.handler.events.next() == ("connected",)
                assert (await aggregator.handler.events.next())[0] == "connected"
                assert relay.traffic.connections == connection
                relay.cut()
                assert await party.handler.events.next() == ("disconnected",)
                assert (await aggregator.handler.events.next())[0] == "disconnected"
                await party.sleep.began()
                party.sleep.end()

    asyncio.run(scenario())


def test_pause_grows_to_its_cap_while_nobody_answers(federation):
    async def scenario() -> None:
        with capture_logs() as logs:
            async with Party(federation, free_port()).running() as party:
                pauses = []
                for _ in range(9):
                    pauses.append(await party.sleep.began())
                    party.sleep.end()
        longest = [min(MAX_BACKOFF_SECONDS, BACKOFF_FIRST_SECONDS * 2**k) for k in range(9)]
        assert all(maximum / 2 <= pause <= maximum for pause, maximum in zip(pauses, longest, strict=True))
        assert {entry["code"] for entry in logs} == {"unavailable"}
        assert all("refused" in entry["reason"] for entry in logs)
        assert party.handler.events.is_empty

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (lambda f: {"tls": Certificates().issue(Role.PARTY, "alpha")}, "unauthenticated", "this federation's"),
        (
            lambda f: {"tls": f.certificates.issue_expired(Role.PARTY, "alpha")},
            "unauthenticated",
            "does not accept our certificate: the certificate expired",
        ),
        (lambda f: {"tls": f.operator}, "permission-denied", "for parties"),
        (lambda f: {"tls": f.parties["beta"]}, "identity-mismatch", "another party"),
        (lambda f: {"roster": f.other_roster()}, "parameter-mismatch", "serial 3"),
    ],
    ids=["other authority", "expired", "operator", "another party's certificate", "other roster"],
)
def test_what_only_a_person_can_repair_is_named_and_tried_again_slowly(federation, options, code, words):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        async with aggregator.running() as server:
            with capture_logs() as logs:
                async with Party(federation, server.port, **options(federation)).running() as party:
                    for _ in range(12):
                        pause = await party.sleep.began()
                        party.sleep.end()
            assert BACKOFF_REFUSED_SECONDS / 2 <= pause <= BACKOFF_REFUSED_SECONDS
            ours = [entry for entry in logs if entry["event"] == "no connection to the aggregator"]
            assert all((entry["code"], entry["log_level"]) == (code, "error") for entry in ours)
            assert all(words in entry["reason"] for entry in ours)
            assert aggregator.handler.events.is_empty
            assert party.handler.events.is_empty

    asyncio.run(scenario())


def test_second_daemon_of_one_party_is_said_loudly_and_waits(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        async with aggregator.running() as server, Party(federation, server.port).running() as first:
            await first.handler.events.next()
            with capture_logs() as logs:
                async with Party(federation, server.port).running() as second:
                    assert await second.handler.events.next() == ("connected",)
                    assert await first.handler.events.next() == ("disconnected",)
                    assert await first.sleep.began() >= MAX_BACKOFF_SECONDS / 2
            assert any(entry.get("code") == "superseded" and entry["log_level"] == "error" for entry in logs)

    asyncio.run(scenario())


def test_failing_aggregator_is_not_asked_twice_a_second(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        aggregator.handler.failure = RuntimeError("a bug")
        async with aggregator.running() as server, Party(federation, server.port).running() as party:
            pauses = []
            for _ in range(4):
                assert await party.handler.events.next() == ("connected",)
                await party.handler.send(RECEIPT)
                pauses.append(await party.sleep.began())
                assert await party.handler.events.next() == ("disconnected",)
                party.sleep.end()
            assert pauses[3] >= 4 * BACKOFF_FIRST_SECONDS

    asyncio.run(scenario())


def test_long_transfers_arrive_whole(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        handler = aggregator.handler
        reply, long = reply_of("alpha"), reply_of("alpha", ciphertexts=MAX_CIPHERTEXTS)
        async with aggregator.running() as server, Party(federation, server.port).running() as party:
            await party.handler.events.next()
            await handler.events.next()
            for message in (long, reply, long):
                await party.handler.send(message)
            assert [(await handler.events.next())[2] for _ in range(3)] == [long, reply, long]

    asyncio.run(scenario())
