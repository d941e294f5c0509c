# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The state shared by all jobs and rounds of one aggregator: its membership, its stores, its streams to the parties."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from functools import partial as bind
from typing import Any, ParamSpec, Protocol, TypeVar

from coterie_aggregator.live.deliveries import Deliveries
from coterie_aggregator.machines.driver import Tasks
from coterie_aggregator.store import AggregatorStore
from coterie_aggregator.store.spool import Spool
from coterie_common.clock import Clock
from coterie_common.crypto.identity import SigningKey
from coterie_common.crypto.paillier import Encryptor
from coterie_common.crypto.threshold import ThresholdPublicKey
from coterie_common.errors import StorageError, TransientError
from coterie_common.host.incidents import Incidents, contained
from coterie_common.identifiers import PartyId
from coterie_common.limits import CHECKPOINT_BYTES
from coterie_common.protocol.messages import AggregatorMessage
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.sealing.choice import SealingMaker
from coterie_common.randomness import RandomSource

Q = ParamSpec("Q")
T = TypeVar("T")


class Outbox(Protocol):
    """The queue of messages to one connected party."""

    async def send(self, message: AggregatorMessage) -> None:
        """Queue a message; waits while the party does not read."""
        ...


@dataclass(frozen=True, kw_only=True)
class Context:
    """Shared by the coordinator, its jobs and their rounds.

    Attributes:
        roster: in force.
        key: the threshold public key.
        encryptor: for the public key; only its tables for verification are used here.
        make_sealing: chooses how replies are sealed, from the terms of their round.
        signing_key: the aggregator's.
        store: durable state; called on the ``writer`` thread only.
        spool: contributions and partial decryptions on disk.
        clock: wall and monotonic time.
        random: names jobs; nothing secret at the aggregator is drawn.
        writer: one thread that owns the database.
        workers: threads for big-integer work.
        post: hands a piece of work to the coordinator's one task, in order.
        outboxes: connected parties.
        deliveries: models on their way to parties.
        tasks: background work.
        incidents: unforeseen failures.
        checkpoint_bytes: as ``CHECKPOINT_BYTES``.
    """

    roster: Roster
    key: ThresholdPublicKey
    encryptor: Encryptor
    make_sealing: SealingMaker
    signing_key: SigningKey
    store: AggregatorStore
    spool: Spool
    clock: Clock
    random: RandomSource
    writer: ThreadPoolExecutor
    workers: ThreadPoolExecutor
    post: Callable[[Callable[[], Awaitable[None]]], None]
    incidents: Incidents
    checkpoint_bytes: int = CHECKPOINT_BYTES
    outboxes: dict[PartyId, Outbox] = field(default_factory=dict)
    deliveries: Deliveries = field(default_factory=Deliveries)
    tasks: Tasks = field(default_factory=Tasks)

    async def on_writer(self, function: Callable[Q, T], /, *arguments: Q.args, **named: Q.kwargs) -> T:
        """Run a function of store or spool on the one writer thread, in the order of the calls."""
        work = bind(contained, function, *arguments, **named)
        return await asyncio.get_running_loop().run_in_executor(self.writer, work)

    async def on_writer_in_turn(self, *calls: partial[Any]) -> tuple[Any, ...]:
        """Run functions of store and spool one after the other, each durable before the next, in one go.

        Waking another thread and being woken by it costs as much as a short write.
        """
        return await self.on_writer(_in_turn, calls)

    async def compute(self, function: Callable[Q, T], /, *arguments: Q.args, **named: Q.kwargs) -> T:
        """Run big-integer or learning work on a worker thread; anything that it raises comes as an ``Exception``."""
        work = bind(contained, function, *arguments, **named)
        return await asyncio.get_running_loop().run_in_executor(self.workers, work)

    def halt(self, error: StorageError) -> None:
        """Stop the daemon: from here on its memory and its store may differ."""

        async def fail() -> None:
            raise error

        self.post(fail)

    def send(self, party_id: PartyId, message: AggregatorMessage) -> None:
        """Send to a party if it is connected; everything outstanding is sent again when it connects."""
        outbox = self.outboxes.get(party_id)
        if outbox is not None:
            self.tasks.spawn(_send(outbox, message))


def _in_turn(calls: tuple[partial[Any], ...]) -> tuple[Any, ...]:
    return tuple(call() for call in calls)


async def _send(outbox: Outbox, message: AggregatorMessage) -> None:
    # The stream may have ended while the message waited: the party gets it when it is back.
    with suppress(TransientError):
        await outbox.send(message)
