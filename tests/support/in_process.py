# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A whole federation in one process: real coordinators, stores and keys, messages in their wire format, but no gRPC.

A test watches and changes what passes (``intercept``, ``passed``), puts in messages of its own (``to_party``,
``to_aggregator``), and takes parties or the aggregator away at any time, also in the middle of a write (``Crash``).
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from functools import partial as bind
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, BinaryIO, Protocol, Self, TypeVar, cast

from sqlalchemy import Engine

from coterie_aggregator.live.context import Context as AggregatorContext
from coterie_aggregator.live.coordinator import Coordinator as AggregatorCoordinator
from coterie_aggregator.service import federation as federation_service
from coterie_aggregator.service.federation import Converter
from coterie_aggregator.store import MIGRATIONS as AGGREGATOR_MIGRATIONS
from coterie_aggregator.store import AggregatorStore
from coterie_aggregator.store.spool import Spool
from coterie_common.audit.entry import Owner
from coterie_common.audit.export import Export
from coterie_common.clock import Clock, SystemClock
from coterie_common.crypto.certificates import Identity, Role
from coterie_common.crypto.threshold import KeyShare
from coterie_common.errors import CoterieError
from coterie_common.host.database import Migrations, open_database
from coterie_common.host.incidents import Incidents
from coterie_common.identifiers import JobId, MemberId, PartyId
from coterie_common.learning.data.schema import Schema
from coterie_common.limits import CHECKPOINT_BYTES, PARTY_TRANSFER_BYTES
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import (
    AggregatorMessage,
    Message,
    ModelReceipt,
    PartyMessage,
)
from coterie_common.protocol.progress import JobRequest, JobStatus
from coterie_common.protocol.sealing.choice import make_sealing
from coterie_common.randomness import OsRandom
from coterie_common.rpc.content import Ready, WithContent
from coterie_common.rpc.framing import split_content
from coterie_common.rpc.stream import Transfers
from coterie_common.wire.federation import (
    aggregator_message_to_wire,
    party_message_from_wire,
    party_message_to_wire,
)
from coterie_common.wire.types import frame_to_wire
from coterie_party import connection
from coterie_party.data.bindings import BoundDataset
from coterie_party.live.coordinator import Coordinator as PartyCoordinator
from coterie_party.live.recording import record_start
from coterie_party.policy.policy import Budget, Policy
from coterie_party.store import MIGRATIONS as PARTY_MIGRATIONS
from coterie_party.store import AuditLog, PartyStore, Recorder, StewardNotes
from coterie_party.store.files.job_secrets import JobSecrets
from coterie_party.store.files.padded_parts import Outgoing, PaddedParts
from coterie_party.training.confinement import Confinement
from coterie_party.training.process import TrainingLimits
from tests.support.bindings import FixedBindings
from tests.support.crashes import Crash, CrashingAggregatorContext, CrashingPartyContext, no_crash
from tests.support.examples import nursery_schema
from tests.support.federation import FOUNDER, Federation
from tests.support.small_jobs import play_schema, wide_schema, wider_schema

T = TypeVar("T")

SECONDS = 120.0
"""Patience with something that must happen; reached only by a failing test."""

_SCHEMAS: dict[str, Callable[[], Schema]] = {
    "play": play_schema,
    "nursery": nursery_schema,
    "wide": wide_schema,
    "wider": wider_schema,
}
"""What the steward of every party accepts, by name of the data set."""

AGGREGATOR, OPERATOR = PartyId("aggregator"), MemberId("operator")

Intercept = Callable[[PartyId, Message], Message | None]
"""Sees each message with the party at the other end of its stream; returns what passes instead, or ``None``."""


def generous_policy(**changes: object) -> Policy:
    values: dict[str, object] = {
        "automatic": True,
        "algorithms": ("decision_tree", "statistics", "evaluation"),
        "epsilon_per_job": Decimal(10),
        "delta_per_job": Decimal("1e-4"),
        "lifetime": Budget(epsilon=Decimal(1000), delta=Decimal("1e-4")),
    }
    return Policy(**(values | changes))  # type: ignore[arg-type]  # names of the policy's entries


@cache
def _empty_database(migrations: Migrations) -> bytes:
    """An up-to-date database, made once: doing it durably for every party takes longer than most jobs."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "empty.db"
        open_database(f"sqlite:///{path}", migrations).dispose()
        return path.read_bytes()


class Link(Protocol):
    """One party's stream, with what the aggregator says on it and what comes back."""

    @property
    def down(self) -> asyncio.Queue[bytes]:
        """Transfers for the party."""
        ...

    @property
    def up(self) -> asyncio.Queue[tuple[bytes, WithContent[PartyMessage] | None]]:
        """Transfers for the aggregator."""
        ...

    async def open(self) -> None:
        """Connect both sides."""
        ...

    async def close(self, *, tell_aggregator: bool) -> None:
        """Break the stream."""
        ...


class _Link:
    """One party's stream: two queues of wire bytes, each read by a task, as the connection and the service do it."""

    def __init__(self, federation: InProcessFederation, party_id: PartyId) -> None:
        self._federation = federation
        self._party_id = party_id
        self._party = federation.parties[party_id]
        self._aggregator = federation.aggregator
        self.down: asyncio.Queue[bytes] = asyncio.Queue()
        self.up: asyncio.Queue[tuple[bytes, WithContent[PartyMessage] | None]] = asyncio.Queue()
        self._tasks: list[asyncio.Task[None]] = []

    async def open(self) -> None:
        pumps = (self.down, self._receive_down), (self.up, self._receive_up)
        self._tasks = [asyncio.create_task(self._pump(*pump)) for pump in pumps]
        await self._party.connected(self.say)
        await self._aggregator.party_connected(self._party_id, self)

    async def close(self, *, tell_aggregator: bool) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._party.disconnected()
        if tell_aggregator:
            await self._aggregator.party_disconnected(self._party_id, self)

    async def send(self, message: AggregatorMessage) -> None:
        passing = self._federation.see(self._party_id, message)
        if passing is not None:
            self.down.put_nowait(bytes(self._federation.to_wire(cast(AggregatorMessage, passing))))

    async def say(self, item: Outgoing) -> None:
        with_content = item if isinstance(item, WithContent) else None
        said = party_message_from_wire(item.data) if isinstance(item, Ready) else item
        passing = self._federation.see(self._party_id, with_content.message if with_content else cast(Message, said))
        if passing is None:
            return
        stored = item.data if isinstance(item, Ready) and passing is said else None
        data = stored or party_message_to_wire(cast(PartyMessage, passing))
        self.up.put_nowait((data, with_content))

    async def _pump(self, queue: asyncio.Queue[T], receive: Callable[[T], Awaitable[None]]) -> None:
        while True:
            data = await queue.get()
            try:
                await receive(data)
            except Exception as failure:
                self._federation.note(failure)
                raise
            finally:
                queue.task_done()

    async def _receive_down(self, data: bytes) -> None:
        error = await connection.take_message(data, self._party, self.say)
        if error is not None:
            self._federation.note_error(self._party_id, error)

    async def _receive_up(self, item: tuple[bytes, WithContent[PartyMessage] | None]) -> None:
        data, sent = item
        stream = None if sent is None else sent.open()
        if sent is not None and stream is None:
            return  # gone before its turn came: then neither message nor content is sent
        with stream or nullcontext():
            incoming = Transfers(_frames_of(stream, sent), maximum=PARTY_TRANSFER_BYTES)
            error = await federation_service.take_message(
                data, self._party_id, self._aggregator, incoming.content, self.send
            )
        if error is not None:
            self._federation.note_error(AGGREGATOR, error)


async def _frames_of(stream: BinaryIO | None, sent: WithContent[PartyMessage] | None) -> AsyncIterator[Any]:
    """The content that follows a message on its stream."""
    if stream is not None and sent is not None:
        for frame in split_content(stream.read, sent.length, sent.digest):
            yield frame_to_wire(frame)


@dataclass(frozen=True)
class _PoliciesOf:
    """What a party's steward has written by now."""

    federation: InProcessFederation
    party_id: PartyId

    def current(self) -> Policy:
        return self.federation.policies.get(self.party_id, self.federation.policy)


@dataclass
class InProcessFederation:
    """Start with ``async with``.

    Attributes:
        federation: keys and roster.
        folder: everything on disk lies here.
        datasets: each party's file; a party without one has no data set bound.
        instead_of_aggregator: takes the place of the aggregator's coordinator.
        checkpoint_bytes: of the aggregator's running sums.
        aggregator_clock: read whenever the aggregator is started.
        policies: of parties that do not have ``policy``; may be changed at any time, as a steward edits the file.
        clock: of the parties.
        confinement: what every party takes its system to do.
        shares: key shares of parties that do not use their own.
        intercept: sees and changes what passes.
        absent: parties that are not started at first.
        make_party: makes the coordinator of every party that is started.
        passed: every message that was sent, with the party at the other end, also if it was intercepted.
        writes: what was made durable: by whom, the function's name, its arguments.
        errors: what a side did not accept, with whoever did not.
        to_wire: converts what the aggregator says, as its service does.
        failures: what would have ended a process; a test that expects none fails at the end.
    """

    federation: Federation
    folder: Path
    datasets: Mapping[PartyId, Path]
    dataset_name: str = "play"
    policy: Policy = field(default_factory=generous_policy)
    policies: dict[PartyId, Policy] = field(default_factory=dict)
    shares: dict[PartyId, KeyShare] = field(default_factory=dict)
    set_aside: Decimal = Decimal(0)
    confinement: Confinement = field(default_factory=lambda: Confinement(network=True, files=True, processes=True))
    clock: Clock = field(default_factory=SystemClock)
    instead_of_aggregator: AggregatorCoordinator | None = None
    checkpoint_bytes: int = CHECKPOINT_BYTES
    aggregator_clock: Clock = field(default_factory=SystemClock)
    intercept: Intercept = field(default=lambda party_id, message: message)
    absent: tuple[PartyId, ...] = ()
    make_party: Callable[[CrashingPartyContext], PartyCoordinator] = PartyCoordinator
    party_crashes: dict[PartyId, Crash] = field(default_factory=dict)
    aggregator_crash: Crash = field(default_factory=no_crash)
    parties: dict[PartyId, PartyCoordinator] = field(default_factory=dict)
    passed: list[tuple[PartyId, Message]] = field(default_factory=list)
    writes: list[tuple[PartyId, str, tuple[object, ...]]] = field(default_factory=list)
    errors: list[tuple[PartyId, CoterieError]] = field(default_factory=list)
    failures: list[BaseException] = field(default_factory=list)
    to_wire: Converter = field(default_factory=Converter)
    _links: dict[PartyId, Link] = field(default_factory=dict)
    _pools: list[ThreadPoolExecutor] = field(default_factory=list)
    _engines: list[Engine] = field(default_factory=list)
    _waiting: set[asyncio.Event] = field(default_factory=set)
    _noted: list[BaseException] = field(default_factory=list)
    _watches: list[asyncio.Task[None]] = field(default_factory=list)

    @staticmethod
    def prepared(federation: Federation) -> Federation:
        """Return the federation as it has to be for this kind of link."""
        return federation

    async def __aenter__(self) -> Self:
        await self.start_aggregator(self.aggregator_crash)
        for party_id in self.federation.parties:
            if party_id not in self.absent:
                await self.start_party(party_id, self.party_crashes.get(party_id))
        return self

    async def __aexit__(self, kind: object, *_: object) -> None:
        await self._drop_all_links()
        await self.aggregator.stop()
        for party in self.parties.values():
            await party.stop()
        for watch in self._watches:
            watch.cancel()
        for pool in self._pools:
            pool.shutdown(wait=True)
        for engine in self._engines:
            engine.dispose()
        if self.failures and kind is None:
            raise self.failures[0]

    # What a test does to the federation.

    async def start_aggregator(self, crash: Crash | None = None) -> None:
        engine = self._database(self.folder / "aggregator.db", AGGREGATOR_MIGRATIONS)

        def make_context(post: Callable[[Callable[[], Awaitable[None]]], None]) -> AggregatorContext:
            return CrashingAggregatorContext(
                roster=self.federation.roster,
                key=self.federation.dealing.key,
                encryptor=self.federation.encryptor,
                make_sealing=make_sealing,
                signing_key=self.federation.aggregator_key,
                store=AggregatorStore(engine),
                spool=Spool(self.folder / "spool"),
                clock=self.aggregator_clock,
                random=OsRandom(),
                writer=self._pool(AGGREGATOR, 1),
                workers=self._pool(AGGREGATOR, 2),
                post=post,
                incidents=Incidents("the aggregator's", OsRandom()),
                crash=crash or no_crash(),
                wrote=bind(self._note_write, AGGREGATOR),
                checkpoint_bytes=self.checkpoint_bytes,
            )

        self.aggregator = self.instead_of_aggregator or AggregatorCoordinator(make_context)
        await self.aggregator.start()
        self._watch(self.aggregator.wait())

    async def kill_aggregator(self) -> None:
        """Drop the aggregator with every stream; what it had stored stays."""
        await self._drop_all_links()
        await self.aggregator.stop()

    async def restart_aggregator(self, crash: Crash | None = None) -> None:
        await self.kill_aggregator()
        await self.start_aggregator(crash)
        for party_id in self.parties:
            await self._connect(party_id)

    async def start_party(self, party_id: PartyId, crash: Crash | None = None) -> None:
        """Start a party from what it stored, and connect it."""
        member = self.federation.roster.member(party_id)
        home = self.folder / party_id
        home.mkdir(exist_ok=True)
        datasets = {}
        if party_id in self.datasets:
            datasets[self.dataset_name] = BoundDataset(
                name=self.dataset_name,
                path=self.datasets[party_id],
                schemas=(_SCHEMAS[self.dataset_name](),),
                set_aside=self.set_aside,
            )
        context = CrashingPartyContext(
            party_id=party_id,
            roster=self.federation.roster,
            key=self.federation.dealing.key,
            encryptor=self.federation.encryptor,
            make_sealing=make_sealing,
            share=self.shares.get(party_id, self.federation.dealing.shares[member.index - 1]),
            signing_key=self.federation.party_keys[party_id],
            bindings=FixedBindings(datasets),
            policies=_PoliciesOf(self, party_id),
            store=self.party_store(party_id),
            padded=PaddedParts(home / "padded"),
            secrets=JobSecrets(home / "ephemeral" / FOUNDER),
            audit=AuditLog(self._party_database(party_id), FOUNDER, self._recorder(party_id)),
            notes=StewardNotes(self._party_database(party_id), FOUNDER, self.clock),
            models=home / "models",
            training=TrainingLimits(),
            confinement=self.confinement,
            random=OsRandom(),
            clock=self.clock,
            writer=self._pool(party_id, 1),
            workers=self._pool(party_id, 1),
            incidents=Incidents("the party's", OsRandom()),
            crash=crash or no_crash(),
            wrote=bind(self._note_write, party_id),
        )
        await record_start(context, "0")
        self.parties[party_id] = self.make_party(context)
        self._watch(self.parties[party_id].failed())
        await self._connect(party_id)

    async def kill(self, party_id: PartyId) -> None:
        """Take a party away; what it had stored stays."""
        if party_id in self._links:
            await self._links.pop(party_id).close(tell_aggregator=True)
        await self.parties.pop(party_id).stop()

    async def reconnect(self, party_id: PartyId) -> None:
        """Break a party's stream, losing what was under way, and open another."""
        await self._links.pop(party_id).close(tell_aggregator=True)
        await self._connect(party_id)

    async def submit(self, spec: JobSpec, *, despite_noise: bool = True) -> JobId:
        operator = Identity(federation=self.federation.roster.federation, role=Role.OPERATOR, id=OPERATOR)
        # Tests submit the same job several times.
        request = JobRequest(spec=spec.to_bytes(), despite_noise=despite_noise, again=True)
        return await self.aggregator.submit(request, operator)

    async def cancel(self, job_id: JobId) -> None:
        operator = Identity(federation=self.federation.roster.federation, role=Role.OPERATOR, id=OPERATOR)
        await self.aggregator.cancel(job_id, operator)

    def to_party(self, party_id: PartyId, message: AggregatorMessage | bytes) -> None:
        """Say something in the aggregator's place."""
        data = message if isinstance(message, bytes) else aggregator_message_to_wire(message)
        self._links[party_id].down.put_nowait(data)

    def to_aggregator(self, party_id: PartyId, message: PartyMessage | bytes) -> None:
        """Say something in a party's place, on its stream."""
        data = message if isinstance(message, bytes) else party_message_to_wire(message)
        self._links[party_id].up.put_nowait((data, None))

    # What a test finds out.

    async def result(self, job_id: JobId, seconds: float = SECONDS) -> JobStatus:
        """Wait for the end of a job."""
        return await self.status(job_id, lambda status: status.state.is_final, seconds)

    async def status(
        self, job_id: JobId, is_wanted: Callable[[JobStatus], bool], seconds: float = SECONDS
    ) -> JobStatus:
        """Wait until a job stands as wanted."""
        async with asyncio.timeout(seconds):
            async for status in self.aggregator.watch(job_id):
                if is_wanted(status):
                    return status
        raise AssertionError(f"the job ended otherwise: {status}")

    async def saw(self, is_wanted: Callable[[PartyId, Message], bool], *, count: int = 1) -> Message:
        """Wait until so many such messages were sent since the start, and return the last of them."""

        def found() -> list[Message]:
            return [message for party_id, message in self.passed if is_wanted(party_id, message)]

        await self._until(lambda: len(found()) >= count)
        return found()[count - 1]

    async def wrote(self, name: str, *, by: PartyId = AGGREGATOR, about: type | None = None, count: int = 1) -> None:
        """Wait until a side made something durable so many times: a function's name, and the type of an argument."""
        await self._until(
            lambda: (
                sum(
                    (who, function) == (by, name) and (about is None or any(isinstance(a, about) for a in arguments))
                    for who, function, arguments in self.writes
                )
                >= count
            )
        )

    async def settled(self) -> None:
        """Wait until every message that was sent has been handled."""
        for link in self._links.values():
            await link.down.join()
            await link.up.join()

    async def failed(self) -> BaseException:
        """Wait until something would have ended a process; the test expects it."""
        await self._until(lambda: bool(self.failures))
        return self.failures.pop(0)

    async def refused(self, code: str, by: PartyId | None = None) -> CoterieError:
        """Wait until a side did not accept something for this reason, and return the error."""

        def found() -> list[CoterieError]:
            return [error for who, error in self.errors if error.code == code and by in (None, who)]

        await self._until(lambda: bool(found()))
        return found()[0]

    @staticmethod
    def wire(message: Message) -> bytes:
        """Return a party's message as it is sent and stored."""
        return party_message_to_wire(cast(PartyMessage, message))

    def party_store(self, party_id: PartyId) -> PartyStore:
        """Return a view on a party's durable state."""
        return PartyStore(self._party_database(party_id), FOUNDER, self._recorder(party_id))

    def party_notes(self, party_id: PartyId) -> StewardNotes:
        """Return what only a party's steward reads."""
        return StewardNotes(self._party_database(party_id), FOUNDER)

    def audit_log(self, party_id: PartyId) -> AuditLog:
        """Return a view on a party's audit record."""
        return AuditLog(self._party_database(party_id), FOUNDER)

    def execute(self, party_id: PartyId, statement: str) -> None:
        """Change a party's database behind its back; it must not run."""
        with closing(sqlite3.connect(self.folder / party_id / "party.db")) as connection, connection:
            connection.execute(statement)

    def record_of(self, party_id: PartyId) -> Export:
        """Return a party's audit record as it would hand it out."""
        entries = self.audit_log(party_id).entries()
        return Export(party_id=party_id, signed_roster=self.federation.signed_roster, entries=entries)

    def model(self, party_id: PartyId, job_id: JobId) -> bytes:
        """Return a party's own copy of a model."""
        (path,) = (self.folder / party_id / "models").glob(f"{job_id}.*")
        return path.read_bytes()

    async def delivered(self, party_id: PartyId, job_id: JobId) -> bytes:
        """Wait for a party's own copy of a model, and return it: a job whose patience passed may end before."""
        await self.saw(lambda p, m: p == party_id and isinstance(m, ModelReceipt) and m.job_id == job_id)
        return self.model(party_id, job_id)

    # Inside.

    def link(self, party_id: PartyId) -> Link:
        """Return a new stream of a party."""
        return _Link(self, party_id)

    def see(self, party_id: PartyId, message: Message) -> Message | None:
        self.passed.append((party_id, message))
        passing = self.intercept(party_id, message)
        self._wake()
        return passing

    def _watch(self, process: Coroutine[Any, Any, None]) -> None:
        """Note what would end a process."""

        async def watch() -> None:
            try:
                await process
            except Exception as failure:  # noqa: BLE001  # a test decides whether it was expected
                self.note(failure)

        self._watches.append(asyncio.create_task(watch()))

    def note(self, failure: BaseException) -> None:
        # The same may come up at several places.
        if not any(failure is earlier for earlier in self._noted):
            self._noted.append(failure)
            self.failures.append(failure)
            self._wake()

    def note_error(self, who: PartyId, error: CoterieError) -> None:
        self.errors.append((who, error))
        self._wake()

    def _note_write(self, who: PartyId, name: str, arguments: tuple[object, ...]) -> None:
        self.writes.append((who, name, arguments))
        self._wake()

    def _wake(self) -> None:
        for woken in self._waiting:
            woken.set()

    async def _until(self, holds: Callable[[], bool]) -> None:
        woken = asyncio.Event()
        self._waiting.add(woken)
        try:
            async with asyncio.timeout(SECONDS):
                while not holds():
                    await woken.wait()
                    woken.clear()
        finally:
            self._waiting.discard(woken)

    async def _connect(self, party_id: PartyId) -> None:
        self._links[party_id] = self.link(party_id)
        await self._links[party_id].open()

    async def _drop_all_links(self) -> None:
        while self._links:
            await self._links.popitem()[1].close(tell_aggregator=False)

    def _database(self, path: Path, migrations: Migrations) -> Engine:
        path.parent.mkdir(exist_ok=True)
        if not path.exists():
            path.write_bytes(_empty_database(migrations))
        engine = open_database(f"sqlite:///{path}", migrations)
        self._engines.append(engine)
        return engine

    def _party_database(self, party_id: PartyId) -> Engine:
        return self._database(self.folder / party_id / "party.db", PARTY_MIGRATIONS)

    def _recorder(self, party_id: PartyId) -> Recorder:
        owner = Owner(FOUNDER, party_id)
        return Recorder(owner=owner, key=self.federation.party_keys[party_id], clock=self.clock)

    def _pool(self, who: PartyId, threads: int) -> ThreadPoolExecutor:
        pool = ThreadPoolExecutor(threads, thread_name_prefix=who)
        self._pools.append(pool)
        return pool
