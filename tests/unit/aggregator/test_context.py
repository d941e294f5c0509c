# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import asyncio
import gc
from dataclasses import fields
from typing import Any

from coterie_aggregator.live.context import Context
from coterie_aggregator.machines.driver import Tasks
from coterie_common.identifiers import PartyId
from coterie_common.protocol.messages import Rejection
from coterie_common.rpc.outbox import Outbox

PARTY = PartyId("party-1")
MESSAGE = Rejection(code="unknown-round", detail="", job_id="", round_number=0)


def context_with(outbox: Outbox[Any]) -> Context:
    unused = {field.name: None for field in fields(Context)}
    return Context(**{**unused, "outboxes": {PARTY: outbox}, "tasks": Tasks()})  # type: ignore[arg-type]


def test_message_that_waits_while_the_stream_ends_is_dropped_in_silence():
    complaints: list[dict[str, Any]] = []

    async def scenario() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, complaint: complaints.append(complaint))
        outbox: Outbox[Any] = Outbox(maximum=1)
        context = context_with(outbox)
        for _ in range(3):
            context.send(PARTY, MESSAGE)
        await asyncio.sleep(0)
        outbox.close()
        assert await outbox.next() == MESSAGE
        assert await outbox.next() is None
        await asyncio.sleep(0)
        gc.collect()

    asyncio.run(scenario())
    assert complaints == []


def test_message_to_a_party_that_is_away_is_dropped():
    async def scenario() -> None:
        context_with(Outbox()).send(PartyId("party-2"), MESSAGE)

    asyncio.run(scenario())
