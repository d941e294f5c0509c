# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator as a process: opens its folder, starts coordinator and server, stops in order."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import structlog

from coterie_aggregator.home.home import AggregatorMembership
from coterie_aggregator.live.context import Context
from coterie_aggregator.live.coordinator import Coordinator
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
    folder = root / membership.config.store
    make_private_folder(folder)
    with locked(root, "coterie-aggregator"):
        engine = open_database(f"sqlite:///{folder / 'aggregator.db'}", MIGRATIONS)
        try:
            await _serve(root, membership, AggregatorStore(engine), Spool(folder / "spool"), make_sealing)
        finally:
            engine.dispose()


async def _serve(
    root: Path,
    membership: AggregatorMembership,
    store: AggregatorStore,
    spool: Spool,
    make_sealing: SealingMaker,
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
    stopping = stop_on_signals()
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
