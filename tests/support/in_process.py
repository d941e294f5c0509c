# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A whole federation in one process: real coordinators and stores, messages in their wire format, but no gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path

from coterie_aggregator.context import Context as AggregatorContext
from coterie_aggregator.coordinator import Coordinator as AggregatorCoordinator
from coterie_aggregator.spool import Spool
from coterie_aggregator.store import MIGRATIONS as AGGREGATOR_MIGRATIONS
from coterie_aggregator.store import AggregatorStore
from coterie_common.clock import SystemClock
from coterie_common.crypto.certificates import Identity, Role
from coterie_common.database import open_database
from coterie_common.errors import CoterieError
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import AggregatorMessage, PartyMessage, Rejection
from coterie_common.protocol.progress import JobStatus
from coterie_common.randomness import OsRandom
from coterie_common.wire.federation import (
    aggregator_message_from_wire,
    aggregator_message_to_wire,
    party_message_from_wire,
    party_message_to_wire,
)
from coterie_party.config import DatasetBinding
from coterie_party.context import Context as PartyContext
from coterie_party.coordinator import Coordinator as PartyCoordinator
from coterie_party.policy import Budget, Policy
from coterie_party.store import MIGRATIONS as PARTY_MIGRATIONS
from coterie_party.store import PartyStore
from tests.support.federation import Federation

Intercept = Callable[[PartyId, PartyMessage | AggregatorMessage], "PartyMessage | AggregatorMessage | None"]


def generous_policy() -> Policy:
    return Policy(
        automatic=True,
        algorithms=("decision_tree", "statistics", "evaluation"),
        epsilon_per_job=Decimal(10),
        delta_per_job=Decimal("1e-4"),
        lifetime=Budget(epsilon=Decimal(1000), delta=Decimal("1e-4")),
    )


class _Link:
    """One party's stream: two queues of wire bytes, each read by a task."""

    def __init__(self, federation: InProcessFederation, party_id: PartyId) -> None:
        self._federation = federation
        self._party_id = party_id
        self._down: asyncio.Queue[bytes] = asyncio.Queue()
        self._up: asyncio.Queue[bytes] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        self._tasks = [asyncio.create_task(self._pump_down()), asyncio.create_task(self._pump_up())]
        await self._federation.parties[self._party_id].connected(self._say)
        await self._federation.aggregator.party_connected(self._party_id, self)

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._federation.aggregator.party_disconnected(self._party_id, self)

    async def send(self, message: AggregatorMessage) -> None:
        changed = self._federation.intercept(self._party_id, message)
        if changed is not None:
            self._down.put_nowait(aggregator_message_to_wire(changed))  # type: ignore[arg-type]  # same direction

    async def _say(self, message: PartyMessage) -> None:
        changed = self._federation.intercept(self._party_id, message)
        if changed is not None:
            self._up.put_nowait(party_message_to_wire(changed))  # type: ignore[arg-type]  # same direction

    async def _pump_down(self) -> None:
        while True:
            message = aggregator_message_from_wire(await self._down.get())
            try:
                await self._federation.parties[self._party_id].message(message)
            except CoterieError as error:
                self._federation.errors.append((self._party_id, error))
                fields = getattr(message, "fields", message)
                await self._say(
                    Rejection(
                        code=error.code,
                        detail="",
                        job_id=getattr(fields, "job_id", ""),
                        round_number=getattr(fields, "round_number", 0),
                    )
                )

    async def _pump_up(self) -> None:
        while True:
            message = party_message_from_wire(await self._up.get())
            try:
                await self._federation.aggregator.party_message(self._party_id, message)
            except CoterieError as error:
                self._federation.errors.append((PartyId("aggregator"), error))


@dataclass
class InProcessFederation:
    """Start with ``async with``; ``kill`` and ``start_party`` may be called at any time in between."""

    federation: Federation
    folder: Path
    datasets: Mapping[PartyId, Path]
    dataset_name: str = "nursery"
    policy: Policy = field(default_factory=generous_policy)
    set_aside: Decimal = Decimal(0)
    intercept: Intercept = field(default=lambda party_id, message: message)
    parties: dict[PartyId, PartyCoordinator] = field(default_factory=dict)
    errors: list[tuple[PartyId, CoterieError]] = field(default_factory=list)
    _links: dict[PartyId, _Link] = field(default_factory=dict)
    _pools: list[ThreadPoolExecutor] = field(default_factory=list)

    async def __aenter__(self) -> InProcessFederation:
        await self.start_aggregator()
        for party_id in self.federation.parties:
            await self.start_party(party_id)
        return self

    async def __aexit__(self, *_: object) -> None:
        for party_id in list(self.parties):
            await self.kill(party_id)
        await self.aggregator.stop()
        for pool in self._pools:
            pool.shutdown(wait=True)

    async def start_aggregator(self) -> None:
        engine = open_database(f"sqlite:///{self.folder / 'aggregator.db'}", AGGREGATOR_MIGRATIONS)

        def make_context(post: Callable[[Callable[[], Awaitable[None]]], None]) -> AggregatorContext:
            return AggregatorContext(
                roster=self.federation.roster,
                key=self.federation.dealing.key,
                encryptor=self.federation.encryptor,
                signing_key=self.federation.aggregator_key,
                store=AggregatorStore(engine),
                spool=Spool(self.folder / "spool"),
                clock=SystemClock(),
                writer=self._pool(1),
                workers=self._pool(2),
                post=post,
            )

        self.aggregator = AggregatorCoordinator(make_context)
        await self.aggregator.start()

    async def restart_aggregator(self) -> None:
        """Drop the aggregator with every stream, as a crash would, and start it from what it stored."""
        for party_id in list(self._links):
            await self._disconnect(party_id)
        await self.aggregator.stop()
        await self.start_aggregator()
        for party_id in self.parties:
            await self._connect(party_id)

    async def start_party(self, party_id: PartyId) -> None:
        """Start a party from what it stored, and connect it."""
        index = self.federation.roster.member(party_id).index
        home = self.folder / party_id
        home.mkdir(exist_ok=True)
        engine = open_database(f"sqlite:///{home / 'party.db'}", PARTY_MIGRATIONS)
        context = PartyContext(
            party_id=party_id,
            roster=self.federation.roster,
            key=self.federation.dealing.key,
            encryptor=self.federation.encryptor,
            share=self.federation.dealing.shares[index - 1],
            signing_key=self.federation.party_keys[party_id],
            datasets={self.dataset_name: DatasetBinding(path=str(self.datasets[party_id]), set_aside=self.set_aside)},
            policy=self.policy,
            store=PartyStore(engine, "founder"),
            models=home / "models",
            random=OsRandom(),
            clock=SystemClock(),
            writer=self._pool(1),
            workers=self._pool(1),
        )
        self.parties[party_id] = PartyCoordinator(context)
        await self._connect(party_id)

    async def kill(self, party_id: PartyId) -> None:
        """Take a party away; what it had stored stays."""
        if party_id in self._links:
            await self._disconnect(party_id)
        await self.parties.pop(party_id).stop()

    async def submit(self, spec: JobSpec) -> JobId:
        operator = Identity(federation=self.federation.roster.federation, role=Role.OPERATOR, id=PartyId("operator"))
        return await self.aggregator.submit(spec.to_bytes(), operator)

    async def result(self, job_id: JobId, seconds: float = 60) -> JobStatus:
        """Watch a job to its end."""
        async with asyncio.timeout(seconds):
            async for status in self.aggregator.watch(job_id):
                last = status
        return last

    async def _connect(self, party_id: PartyId) -> None:
        self._links[party_id] = _Link(self, party_id)
        await self._links[party_id].open()

    async def _disconnect(self, party_id: PartyId) -> None:
        link = self._links.pop(party_id)
        await self.parties[party_id].disconnected()
        await link.close()

    def _pool(self, threads: int) -> ThreadPoolExecutor:
        pool = ThreadPoolExecutor(threads)
        self._pools.append(pool)
        return pool
