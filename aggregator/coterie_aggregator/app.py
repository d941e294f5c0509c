# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator as a process: receives applicants, opens its folder, starts coordinator and server, stops in order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from coterie_aggregator.home.home import AggregatorHome, AggregatorMembership, load_aggregator_home
from coterie_aggregator.live.context import Context
from coterie_aggregator.live.coordinator import Coordinator
from coterie_aggregator.reception import Reception, open_reception, until_member
from coterie_aggregator.service.federation import FederationService
from coterie_aggregator.service.gate import Gate
from coterie_aggregator.service.operator import OperatorService
from coterie_aggregator.service.server import start_server
from coterie_aggregator.store import MIGRATIONS, AggregatorStore
from coterie_aggregator.store.spool import Spool
from coterie_common.clock import SystemClock
from coterie_common.crypto.paillier import Encryptor
from coterie_common.files import make_private_folder
from coterie_common.host.database import open_database
from coterie_common.host.folder_lock import locked
from coterie_common.host.heartbeat import Heartbeat
from coterie_common.host.incidents import Incidents
from coterie_common.host.signals import stop_on_signals
from coterie_common.protocol.sealing.choice import SealingMaker, make_sealing
from coterie_common.randomness import OsRandom

log = structlog.get_logger(__name__)

_NO_MEMBER_YET = "waits for the bundle that the founder publishes when the keys are dealt"


async def run(root: Path) -> None:
    """Serve until SIGTERM or SIGINT: applicants at once if this aggregator was invited, everybody as soon as it can.

    Args:
        root: the aggregator's folder.

    Raises:
        WrongOrderError: the folder was not made, or no bundle was imported and none will be published here.
        ConfigurationError: another process runs on the folder, or an address cannot be bound.
        KeyFileError: a file is damaged or does not belong to the others.
        StorageError: durable state can no longer be trusted; the server is stopped.
    """
    home = AggregatorHome(root)
    home.config()
    token = home.token()
    if token is None:
        await serve(root, load_aggregator_home(root, now=SystemClock().now()))
        return
    with locked(root, "coterie-aggregator"):
        stopping = stop_on_signals()
        async with open_reception(home, token) as reception:
            reception.take_bundle()
            if not home.is_member:
                await _wait_for_membership(root, reception, stopping)
            if not stopping.done():
                membership = load_aggregator_home(root, now=SystemClock().now())
                await _serve_folder(root, membership, make_sealing, stopping)


async def _wait_for_membership(root: Path, reception: Reception, stopping: asyncio.Future[None]) -> None:
    log.info(_NO_MEMBER_YET)
    heartbeat = asyncio.create_task(Heartbeat(root, lambda: _NO_MEMBER_YET).run())
    waiting = asyncio.create_task(until_member(reception))
    try:
        await asyncio.wait({stopping, waiting, heartbeat}, return_when=asyncio.FIRST_COMPLETED)
        for task in (waiting, heartbeat):
            if task.done():
                task.result()
    finally:
        for task in (waiting, heartbeat):
            task.cancel()
        await asyncio.gather(waiting, heartbeat, return_exceptions=True)


async def serve(root: Path, membership: AggregatorMembership, *, make_sealing: SealingMaker = make_sealing) -> None:
    """Serve until SIGTERM or SIGINT.

    Args:
        root: the aggregator's folder.
        membership: loaded from it.
        make_sealing: anything but the default is for measurements only; no configuration sets it.

    Raises:
        ConfigurationError: another process runs on the folder, or the address cannot be bound.
        StorageError: durable state can no longer be trusted; the server is stopped.
    """
    with locked(root, "coterie-aggregator"):
        await _serve_folder(root, membership, make_sealing, stop_on_signals())


async def _serve_folder(
    root: Path, membership: AggregatorMembership, make_sealing: SealingMaker, stopping: asyncio.Future[None]
) -> None:
    folder = root / membership.config.store
    make_private_folder(folder)
    engine = open_database(f"sqlite:///{folder / 'aggregator.db'}", MIGRATIONS)
    try:
        await _serve(root, membership, AggregatorStore(engine), Spool(folder / "spool"), make_sealing, stopping)
    finally:
        engine.dispose()


async def _serve(
    root: Path,
    membership: AggregatorMembership,
    store: AggregatorStore,
    spool: Spool,
    make_sealing: SealingMaker,
    stopping: asyncio.Future[None],
) -> None:
    roster = membership.signed_roster.roster
    encryptor = Encryptor(membership.key.public_key)
    random = OsRandom()
    incidents = Incidents("the aggregator's", random)

    def make_context(post: Callable[[Callable[[], Awaitable[None]]], None]) -> Context:
        return Context(
            roster=roster,
            key=membership.key,
            encryptor=encryptor,
            make_sealing=make_sealing,
            signing_key=membership.signing_key,
            store=store,
            spool=spool,
            clock=SystemClock(),
            random=random,
            writer=ThreadPoolExecutor(1, thread_name_prefix="writer"),
            workers=ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="worker"),
            post=post,
            incidents=incidents,
        )

    coordinator = Coordinator(make_context)
    await coordinator.start()
    server = await start_server(
        str(membership.config.listen),
        membership.tls,
        Gate(roster, incidents, frozenset(membership.config.denied)),
        FederationService(roster, coordinator),
        OperatorService(coordinator),
    )
    log.info(
        "serving",
        federation=roster.federation,
        parties=roster.parameters.parties,
        listen=membership.config.listen.host,
        port=server.port,
    )
    # The heartbeat comes from the loop that serves every client: the only trouble it can report is its absence.
    heartbeat = Heartbeat(root, lambda: "", warnings=lambda: (coordinator.news,))
    working = {asyncio.create_task(coordinator.wait()), asyncio.create_task(heartbeat.run())}
    try:
        await asyncio.wait({stopping, *working}, return_when=asyncio.FIRST_COMPLETED)
        with incidents.ending("daemon"):
            for task in working:
                if task.done():
                    task.result()
    finally:
        log.info("stopping")
        for task in working:
            task.cancel()
        await server.stop()
        await coordinator.stop()
        log.info("stopped")
