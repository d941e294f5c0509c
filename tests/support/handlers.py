# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Recorders in the place of the coordinators: they keep what they are told, in order, for a test to await."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any

from coterie_aggregator.service.federation import FederationService
from coterie_aggregator.service.gate import Gate
from coterie_aggregator.service.operator import OperatorService
from coterie_aggregator.service.server import AggregatorServer, start_server
from coterie_common.crypto.certificates import Identity
from coterie_common.errors import AlreadySubmitted, CoterieError, NotFound
from coterie_common.host.incidents import Incidents
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.progress import (
    JobParty,
    JobRequest,
    JobState,
    JobStatus,
    ModelInfo,
    PartyStatus,
    Privacy,
    RoundPhase,
    RoundProgress,
)
from coterie_common.randomness import OsRandom
from tests.support.tls import Federation

SECONDS = 120.0
"""Patience with an event that must come; reached only by a failing test."""


class Events:
    """What happened, in order."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    def put(self, *event: Any) -> None:
        self._queue.put_nowait(event)

    async def next(self) -> tuple[Any, ...]:
        async with asyncio.timeout(SECONDS):
            return await self._queue.get()

    @property
    def is_empty(self) -> bool:
        return self._queue.empty()


class RecordingFederationHandler:
    def __init__(self) -> None:
        self.events = Events()
        self.outboxes: dict[str, Any] = {}
        self.failure: Exception | None = None
        """Raised for every message if set."""
        self.gate = asyncio.Event()
        """Messages wait for it; open unless a test closes it."""
        self.gate.set()

    async def party_connected(self, party_id: PartyId, outbox: Any) -> None:
        self.outboxes[party_id] = outbox
        self.events.put("connected", party_id, outbox)

    async def party_message(self, party_id: PartyId, message: Any, data: Any) -> None:
        self.events.put("message", party_id, message)
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure

    async def padded_part(self, party_id: PartyId, part: Any, content: Any) -> None:
        """Take all of it, unless a failure is set; overridden where it is to be kept."""
        self.events.put("padded", party_id, part)
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.events.put("content", party_id, b"".join([piece async for piece in content.pieces()]))

    async def party_disconnected(self, party_id: PartyId, outbox: Any) -> None:
        self.events.put("disconnected", party_id, outbox)


def job_status(state: JobState = JobState.RUNNING, **changes: Any) -> JobStatus:
    values: dict[str, Any] = {
        "job_id": "nursery-1",
        "name": "nursery",
        "algorithm": "decision_tree",
        "dataset": "nursery",
        "state": state,
        "reason": "",
        "waiting_for": 1,
        "rounds_planned": 3,
        "spare_rounds": 1,
        "spare_rounds_used": 0,
        "round": RoundProgress(
            number=2,
            phase=RoundPhase.COLLECTING,
            plan_step=2,
            quorum=3,
            contributed=(PartyId("alpha"), PartyId("beta")),
            decrypted=(),
        ),
        "privacy": Privacy(
            epsilon="1", delta="0.00001", unit="record", mechanism="discrete-gaussian", placement="distributed"
        ),
        "parties": (
            JobParty(
                party_id=PartyId("alpha"),
                decision=Decision.ACCEPTED,
                code="",
                detail="",
                model_received=False,
                connected=True,
            ),
            JobParty(
                party_id=PartyId("gamma"),
                decision=Decision.REFUSED,
                code="budget-exhausted",
                detail="1 asked, 0.5 left",
                model_received=False,
                connected=False,
            ),
        ),
        "submitted_by": "olga",
        "submitted_at": datetime(2026, 5, 1, 12, 0, tzinfo=UTC),
        "finished_at": None,
    }
    return JobStatus(**(values | changes))


MODEL = b'{"format":"coterie-model"}' * 60_000
"""More than a frame."""


class RecordingOperatorHandler:
    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.failure: CoterieError | Exception | None = None
        self.file = MODEL
        self.was_submitted = False
        self.statuses = [job_status(JobState.PROPOSED), job_status(), job_status(JobState.COMPLETED)]

    def _called(self, *call: Any) -> None:
        self.calls.append(call)
        if self.failure is not None:
            raise self.failure

    async def parties(self) -> Sequence[PartyStatus]:
        self._called("parties")
        now = datetime(2026, 5, 1, 11, 0, tzinfo=UTC)
        return [
            PartyStatus(party_id=PartyId("alpha"), index=1, connected=True, since=now),
            PartyStatus(party_id=PartyId("beta"), index=2, connected=False, since=None),
        ]

    async def submit(self, request: JobRequest, submitter: Identity) -> JobId:
        self._called("submit", request.spec, submitter.uri)
        if self.was_submitted and not request.again:
            raise AlreadySubmitted("job nursery-1 has the very same specification and is completed; use --again")
        return JobId("nursery-1")

    async def jobs(self) -> Sequence[JobStatus]:
        self._called("jobs")
        return self.statuses[-1:]

    async def watch(self, job_id: JobId) -> AsyncIterator[JobStatus]:
        self._called("watch", job_id)
        if job_id != "nursery-1":
            raise NotFound(f"there is no job {job_id}")
        for status in self.statuses:
            yield status
        if not self.statuses[-1].state.is_final:
            await asyncio.Event().wait()

    async def cancel(self, job_id: JobId, by: Identity) -> None:
        self._called("cancel", job_id, by.uri)

    async def models(self) -> Sequence[ModelInfo]:
        self._called("models")
        return [
            ModelInfo(
                job_id=JobId("nursery-1"),
                name="nursery",
                algorithm="decision_tree",
                digest=bytes(32),
                size_bytes=len(MODEL),
                rounds=3,
                rounds_planned=3,
                state=JobState.COMPLETED,
                privacy=job_status().privacy,
                finished_at=datetime(2026, 5, 1, 12, 1, tzinfo=UTC),
            )
        ]

    async def model(self, job_id: JobId) -> bytes:
        self._called("model", job_id)
        return self.file


class Aggregator:
    """A real server with recorders behind it."""

    def __init__(self, federation: Federation, handler: RecordingFederationHandler | None = None) -> None:
        self.federation = federation
        self.handler = handler or RecordingFederationHandler()
        self.operator_handler = RecordingOperatorHandler()

    async def start(self, *, port: int = 0, tls: Any = None, denied: tuple[str, ...] = ()) -> AggregatorServer:
        roster = self.federation.roster
        return await start_server(
            f"127.0.0.1:{port}",
            tls or self.federation.aggregator,
            Gate(roster, Incidents("the aggregator's", OsRandom()), frozenset(denied)),
            FederationService(roster, self.handler),
            OperatorService(self.operator_handler),
        )

    @asynccontextmanager
    async def running(self, **options: Any) -> AsyncIterator[AggregatorServer]:
        server = await self.start(**options)
        try:
            yield server
        finally:
            await server.stop(0)
