# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import asyncio

import pytest
from grpc import StatusCode
from structlog.testing import capture_logs

from coterie_common.crypto.certificates import Role
from coterie_common.errors import Overloaded, StaleRound, StorageError, Unavailable
from coterie_common.identifiers import JobId, PartyId
from coterie_common.limits import CIPHERTEXT_BYTES, FRAME_BYTES, MAX_CIPHERTEXTS, PARTY_TRANSFER_BYTES, QUEUED_MESSAGES
from coterie_common.protocol.encrypted_reply import Contribution, EncryptedReply, KeyPart
from coterie_common.protocol.messages import JobEnd, JobOutcome, ModelDelivery, ModelReceipt, Rejection
from coterie_common.rpc.framing import split
from coterie_common.wire.federation import party_message_to_wire
from coterie_common.wire.types import Announcement, Frame
from tests.support.handlers import Aggregator
from tests.support.raw_party import RawParty, hello

ALPHA = PartyId("alpha")
RECEIPT = ModelReceipt(job_id=JobId("job-1"), party_id=ALPHA, model_digest=bytes(32), signature=bytes(64))
JOB_END = JobEnd(job_id=JobId("job-1"), outcome=JobOutcome.FAILED, reason="nobody came", signature=bytes(64))


def reply_of(party_id: str, ciphertexts: int = 1) -> EncryptedReply:
    contribution = Contribution(
        party_id=PartyId(party_id),
        key_part=KeyPart(ciphertexts=(b"\x01" * CIPHERTEXT_BYTES,) * ciphertexts, proof=b"\x01"),
        padded_digest=bytes(32),
        signature=bytes(64),
    )
    return EncryptedReply(job_id=JobId("job-1"), round_number=3, session_id=bytes(32), contribution=contribution)


def test_party_messages_go_both_ways_in_order(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        handler = aggregator.handler
        delivery = ModelDelivery(job_id=JobId("job-1"), model=b"m" * (3 * FRAME_BYTES), signature=bytes(64))
        async with aggregator.running() as server, RawParty(server.port, federation.parties["alpha"]) as party:
            welcome = await party.greet("alpha", federation.roster)
            assert welcome.roster_digest == federation.roster.digest
            kind, name, outbox = await handler.events.next()
            assert (kind, name) == ("connected", "alpha")
            for message in (delivery, JOB_END):
                await outbox.send(message)
            assert [await party.receive(), await party.receive()] == [delivery, JOB_END]
            await party.send(RECEIPT)
            await party.send(reply_of("alpha"))
            assert await handler.events.next() == ("message", "alpha", RECEIPT)
            assert await handler.events.next() == ("message", "alpha", reply_of("alpha"))
            await party.call.done_writing()
            assert await handler.events.next() == ("disconnected", "alpha", outbox)
            with pytest.raises(Unavailable):
                await outbox.send(JOB_END)

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("credential", "status", "code"),
    [
        (lambda f: f.operator, StatusCode.PERMISSION_DENIED, "permission-denied"),
        (lambda f: f.scientist, StatusCode.PERMISSION_DENIED, "permission-denied"),
        (
            lambda f: f.certificates.issue(Role.PARTY, "alpha"),
            StatusCode.PERMISSION_DENIED,
            "identity-mismatch",
        ),
        (
            lambda f: f.certificates.issue(Role.PARTY, "omega"),
            StatusCode.PERMISSION_DENIED,
            "identity-mismatch",
        ),
    ],
    ids=["operator", "scientist", "other certificate of a member", "no member"],
)
def test_stream_with_wrong_certificate_is_refused(federation, credential, status, code):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        async with aggregator.running() as server, RawParty(server.port, credential(federation)) as party:
            await party.send(hello("alpha", federation.roster))
            assert await party.failure() == (status, code)
            assert aggregator.handler.events.is_empty

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("first", "status", "code"),
    [
        (lambda r: hello("beta", r), StatusCode.PERMISSION_DENIED, "identity-mismatch"),
        (lambda r: hello("alpha", r, protocol_version=3), StatusCode.FAILED_PRECONDITION, "parameter-mismatch"),
        (
            lambda r: hello("alpha", r, roster_serial=1, roster_digest=bytes(32)),
            StatusCode.FAILED_PRECONDITION,
            "parameter-mismatch",
        ),
        (lambda r: hello("alpha", r, roster_digest=bytes(32)), StatusCode.FAILED_PRECONDITION, "parameter-mismatch"),
        (lambda r: RECEIPT, StatusCode.FAILED_PRECONDITION, "unexpected-message"),
    ],
    ids=["another party", "other version", "other serial", "other roster", "no hello"],
)
def test_stream_with_wrong_hello_is_refused(federation, first, status, code):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        async with aggregator.running() as server, RawParty(server.port, federation.parties["alpha"]) as party:
            await party.send(first(federation.roster))
            assert await party.failure() == (status, code)
            assert aggregator.handler.events.is_empty

    with capture_logs() as logs:
        asyncio.run(scenario())
    # The operator, who sees a party that is away, finds in the log why.
    turned_away = [(log["party"], log["code"]) for log in logs if log["event"] == "party turned away"]
    assert turned_away == ([("alpha", code)] if code != "unexpected-message" else [])


def test_stream_that_ends_before_hello_is_refused(federation):
    async def scenario() -> None:
        async with (
            Aggregator(federation).running() as server,
            RawParty(server.port, federation.parties["alpha"]) as party,
        ):
            await party.call.done_writing()
            assert await party.failure() == (StatusCode.FAILED_PRECONDITION, "unexpected-message")

    asyncio.run(scenario())


def broken_framings() -> dict[str, list[Frame]]:
    data = party_message_to_wire(reply_of("alpha"))
    (whole,) = split(data)
    long = bytes(2 * FRAME_BYTES)
    first, second = split(long)
    return {
        "oversize": [Frame(Announcement(PARTY_TRANSFER_BYTES + 1, bytes(32)), b"x")],
        "bad digest": [Frame(Announcement(len(data), bytes(32)), data)],
        "no announcement": [Frame(None, data)],
        "two beginnings": [first, first],
        "second frame first": [second, first],
        "longer than announced": [Frame(Announcement(len(data) - 1, whole.announcement.digest), data)],
        "empty chunk": [first, Frame(None, b"")],
    }


@pytest.mark.parametrize("frames", broken_framings().values(), ids=broken_framings().keys())
def test_broken_framing_ends_the_stream(federation, frames):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        async with aggregator.running() as server, RawParty(server.port, federation.parties["alpha"]) as party:
            await party.greet("alpha", federation.roster)
            await party.send_frames(frames)
            assert await party.failure() == (StatusCode.INVALID_ARGUMENT, "malformed-message")
            kinds = [(await aggregator.handler.events.next())[0] for _ in range(2)]
            assert kinds == ["connected", "disconnected"]

    asyncio.run(scenario())


def test_stream_that_ends_inside_a_transfer_is_broken_framing(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        async with aggregator.running() as server, RawParty(server.port, federation.parties["alpha"]) as party:
            await party.greet("alpha", federation.roster)
            first, *_ = split(bytes(2 * FRAME_BYTES))
            await party.send_frames([first])
            await party.call.done_writing()
            assert await party.failure() == (StatusCode.INVALID_ARGUMENT, "malformed-message")

    asyncio.run(scenario())


def test_bad_messages_are_rejected_and_the_stream_goes_on(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        handler = aggregator.handler
        async with aggregator.running() as server, RawParty(server.port, federation.parties["alpha"]) as party:
            await party.greet("alpha", federation.roster)
            await handler.events.next()
            unknown_kind = b"\xfa\x07\x01x"
            for message, expected in (
                (unknown_kind, ("malformed-message", "", 0)),
                (b"garbage", ("malformed-message", "", 0)),
                (party_message_to_wire(hello("alpha", federation.roster)), ("unexpected-message", "", 0)),
                (party_message_to_wire(reply_of("beta")), ("identity-mismatch", "job-1", 3)),
            ):
                await party.send_bytes(message)
                answer = await party.receive()
                assert isinstance(answer, Rejection)
                assert (answer.code, answer.job_id, answer.round_number) == expected
            handler.failure = StaleRound("round 3 is over")
            await party.send(reply_of("alpha"))
            assert await party.receive() == Rejection(
                code="stale-round", detail="round 3 is over", job_id="job-1", round_number=3
            )
            assert (await handler.events.next())[0] == "message"
            # A rejection is never answered with another.
            await party.send(Rejection(code="stale-round", detail="", job_id="", round_number=0))
            assert (await handler.events.next())[0] == "message"
            handler.failure = None
            await party.send(RECEIPT)
            assert await handler.events.next() == ("message", "alpha", RECEIPT)
            await handler.outboxes["alpha"].send(JOB_END)
            assert await party.receive() == JOB_END

    asyncio.run(scenario())


def test_failure_of_our_own_ends_the_stream_without_its_words(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        async with aggregator.running() as server, RawParty(server.port, federation.parties["alpha"]) as party:
            await party.greet("alpha", federation.roster)
            aggregator.handler.failure = StorageError("disk /var/lib/secret-place is full")
            await party.send(RECEIPT)
            assert await party.failure() == (StatusCode.INTERNAL, "internal")
            assert "secret-place" not in await party.call.details()
            assert "incident" in await party.call.details()

    asyncio.run(scenario())


def test_second_stream_of_a_party_replaces_the_first(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        events = aggregator.handler.events
        tls = federation.parties["alpha"]
        async with aggregator.running() as server, RawParty(server.port, tls) as first:
            await first.greet("alpha", federation.roster)
            _, _, first_outbox = await events.next()
            async with RawParty(server.port, tls) as second:
                await second.greet("alpha", federation.roster)
                assert await first.failure() == (StatusCode.ABORTED, "superseded")
                assert await events.next() == ("disconnected", "alpha", first_outbox)
                kind, _, second_outbox = await events.next()
                assert kind == "connected"
                assert second_outbox is not first_outbox
                await second_outbox.send(JOB_END)
                assert await second.receive() == JOB_END

    asyncio.run(scenario())


def test_replaced_stream_that_is_stuck_in_the_handler_does_not_hold_up_the_new_one(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        handler = aggregator.handler
        tls = federation.parties["alpha"]
        async with aggregator.running() as server, RawParty(server.port, tls) as first:
            await first.greet("alpha", federation.roster)
            handler.gate.clear()
            await first.send(RECEIPT)
            assert [(await handler.events.next())[0] for _ in range(2)] == ["connected", "message"]
            async with RawParty(server.port, tls) as second:
                await second.greet("alpha", federation.roster)
                assert [(await handler.events.next())[0] for _ in range(2)] == ["disconnected", "connected"]

    asyncio.run(scenario())


def test_vanished_party_is_reported_disconnected(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        async with aggregator.running() as server:
            async with RawParty(server.port, federation.parties["alpha"]) as party:
                await party.greet("alpha", federation.roster)
                assert (await aggregator.handler.events.next())[0] == "connected"
            assert (await aggregator.handler.events.next())[0] == "disconnected"

    asyncio.run(scenario())


def test_outbox_of_a_party_that_does_not_read_is_bounded(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        delivery = ModelDelivery(job_id=JobId("job-1"), model=b"m" * (FRAME_BYTES // 4), signature=bytes(64))
        async with aggregator.running() as server, RawParty(server.port, federation.parties["alpha"]) as party:
            await party.greet("alpha", federation.roster)
            _, _, outbox = await aggregator.handler.events.next()
            sent = 0
            while len(outbox) < QUEUED_MESSAGES:
                outbox.put_nowait(delivery)
                sent += 1
                await asyncio.sleep(0)
            with pytest.raises(Overloaded) as caught:
                outbox.put_nowait(delivery)
            assert caught.value.code == "overloaded"
            waiting = asyncio.create_task(outbox.send(JOB_END))
            for _ in range(sent):
                assert await party.receive() == delivery
            await waiting
            assert await party.receive() == JOB_END

    asyncio.run(scenario())


def test_party_that_floods_a_busy_handler_is_held_up(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        handler = aggregator.handler
        async with aggregator.running() as server, RawParty(server.port, federation.parties["alpha"]) as party:
            await party.greet("alpha", federation.roster)
            await handler.events.next()
            handler.gate.clear()
            big = reply_of("alpha", ciphertexts=MAX_CIPHERTEXTS)

            async def flood() -> None:
                for _ in range(128):
                    await party.send(big)

            flooding = asyncio.create_task(flood())
            assert (await handler.events.next())[0] == "message"
            # Flow control: with the handler waiting, 512 MiB cannot have left the party.
            await asyncio.wait({flooding}, timeout=0.5)
            assert not flooding.done()
            assert handler.events.is_empty
            flooding.cancel()

    asyncio.run(scenario())


def test_shutdown_sends_what_waits_and_ends_streams_as_unavailable(federation):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        server = await aggregator.start()
        async with RawParty(server.port, federation.parties["alpha"]) as party:
            await party.greet("alpha", federation.roster)
            _, _, outbox = await aggregator.handler.events.next()
            for _ in range(5):
                outbox.put_nowait(JOB_END)
            stopping = asyncio.create_task(server.stop())
            assert [await party.receive() for _ in range(5)] == [JOB_END] * 5
            assert await party.failure() == (StatusCode.UNAVAILABLE, "unavailable")
            await stopping
            assert (await aggregator.handler.events.next())[0] == "disconnected"

    asyncio.run(scenario())
