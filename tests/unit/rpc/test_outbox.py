# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coterie_common.errors import Overloaded, Unavailable
from coterie_common.rpc.outbox import Outbox


def test_messages_leave_in_order_and_senders_wait_their_turn():
    async def scenario() -> None:
        outbox = Outbox[Any](maximum=2)
        senders = [asyncio.create_task(outbox.send(number)) for number in range(6)]
        assert [await outbox.next() for _ in range(6)] == list(range(6))
        await asyncio.gather(*senders)
        assert len(outbox) == 0

    asyncio.run(scenario())


def test_full_outbox_is_overloaded_at_once_and_waits_otherwise():
    async def scenario() -> None:
        outbox = Outbox[Any](maximum=1)
        outbox.put_nowait("first")
        with pytest.raises(Overloaded) as caught:
            outbox.put_nowait("second")
        assert caught.value.code == "overloaded"
        waiting = asyncio.create_task(outbox.send("second"))
        await asyncio.sleep(0)
        assert not waiting.done()
        assert await outbox.next() == "first"
        await waiting
        assert await outbox.next() == "second"

    asyncio.run(scenario())


def test_closed_outbox_gives_out_what_waits_and_takes_nothing_more():
    async def scenario() -> None:
        outbox = Outbox[Any](maximum=1)
        outbox.put_nowait("first")
        waiting = [asyncio.create_task(outbox.send(number)) for number in range(2)]
        await asyncio.sleep(0)
        outbox.close()
        for task in waiting:
            with pytest.raises(Unavailable):
                await task
        with pytest.raises(Unavailable):
            outbox.put_nowait("late")
        assert await outbox.next() == "first"
        assert await outbox.next() is None

    asyncio.run(scenario())


def test_reader_waits_for_a_message_and_for_the_end():
    async def scenario() -> None:
        outbox = Outbox[Any]()
        reading = asyncio.create_task(outbox.next())
        await asyncio.sleep(0)
        outbox.put_nowait("late")
        assert await reading == "late"
        reading = asyncio.create_task(outbox.next())
        await asyncio.sleep(0)
        outbox.close()
        assert await reading is None

    asyncio.run(scenario())
