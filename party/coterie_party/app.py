# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party daemon as a process: opens its folder, keeps the connection, stops in order."""

from __future__ import annotations

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version
from pathlib import Path
from typing import Final

import structlog

from coterie_common.audit.entry import Owner
from coterie_common.clock import SystemClock
from coterie_common.crypto.paillier import Encryptor
from coterie_common.errors import TrainingDied
from coterie_common.files import make_private_folder
from coterie_common.host.database import open_database
from coterie_common.host.folder_lock import locked
from coterie_common.host.heartbeat import Heartbeat
from coterie_common.host.incidents import Incidents
from coterie_common.host.signals import stop_on_signals
from coterie_common.protocol.sealing.choice import SealingMaker, make_sealing
from coterie_common.randomness import OsRandom
from coterie_party.connection import Connection, Endpoint
from coterie_party.data.bindings_file import BindingsFile
from coterie_party.home.home import PartyMembership
from coterie_party.live.context import Context
from coterie_party.live.coordinator import Coordinator
from coterie_party.live.data_watch import DataWatch
from coterie_party.live.notifying import Notifier
from coterie_party.live.recording import record_start
from coterie_party.policy.file import PolicyFile
from coterie_party.policy.policy import POLICY_FILE_NAME
from coterie_party.store import MIGRATIONS, AuditLog, PartyStore, Recorder, StewardNotes
from coterie_party.store.files.job_secrets import JobSecrets, erase_expired
from coterie_party.store.files.padded_parts import PaddedParts
from coterie_party.training.confinement import Confinement
from coterie_party.training.process import TrainingLimits, probe_confinement

log = structlog.get_logger(__name__)

EPHEMERAL: Final = "ephemeral"
"""Folder of the secrets of jobs that are sealed completely: beside the store, and in no backup."""

LOOK_AGAIN_SECONDS: Final = 2.0
"""Short for a person who has approved a job; each time one file and one row are read."""


async def run(root: Path, membership: PartyMembership, *, make_sealing: SealingMaker = make_sealing) -> None:
    """Take part until SIGTERM or SIGINT.

    Args:
        root: the party's folder.
        membership: loaded from it.
        make_sealing: anything but the default is for measurements only; no configuration sets it.

    Raises:
        ConfigurationError: another process runs on the folder, or the policy or a data set's schema cannot be used.
        StorageError: durable state can no longer be trusted; nothing more is answered.
    """
    folder = root / "store"
    make_private_folder(folder)
    with locked(root, "coterie-party"):
        engine = open_database(f"sqlite:///{folder / 'party.db'}", MIGRATIONS)
        try:
            config = membership.config
            recorder = Recorder(owner=Owner(config.founder, config.id), key=membership.signing_key, clock=SystemClock())
            store = PartyStore(engine, config.founder, recorder)
            audit = AuditLog(engine, config.founder, recorder)
            await _run(
                root, membership, store, audit, StewardNotes(engine, config.founder, SystemClock()), make_sealing
            )
        finally:
            engine.dispose()


def _confinement(training: TrainingLimits) -> Confinement:
    """Find out how far this system confines a training process, and report what it does not prevent."""
    try:
        confinement = probe_confinement(training, SystemClock())
    except TrainingDied as error:
        log.error("training process not usable", code=error.code, why=error.message)
        return Confinement()
    if confinement.missing:
        log.warning("training process not confined: code in it can " + confinement.missing)
    return confinement


async def _look_again(coordinator: Coordinator) -> None:
    """Watch for changes that no message announces: a steward's decision, an edited policy, the time of day."""
    while True:
        await asyncio.sleep(LOOK_AGAIN_SECONDS)
        await coordinator.look_again()


async def _run(
    root: Path,
    membership: PartyMembership,
    store: PartyStore,
    audit: AuditLog,
    notes: StewardNotes,
    make_sealing: SealingMaker,
) -> None:
    config, roster = membership.config, membership.signed_roster.roster
    random = OsRandom()
    incidents = Incidents("the party's", random)
    training = config.training_limits(root)
    policies, bindings = PolicyFile(root / POLICY_FILE_NAME), BindingsFile(root, config.datasets)
    context = Context(
        party_id=config.id,
        roster=roster,
        key=membership.key,
        encryptor=Encryptor(membership.key.public_key),
        make_sealing=make_sealing,
        share=membership.share,
        signing_key=membership.signing_key,
        bindings=bindings,
        policies=policies,
        store=store,
        padded=PaddedParts(root / "store" / "padded"),
        secrets=JobSecrets(root / EPHEMERAL / config.founder),
        audit=audit,
        notes=notes,
        models=root / "models",
        training=training,
        confinement=await asyncio.to_thread(_confinement, training),
        random=random,
        clock=SystemClock(),
        writer=ThreadPoolExecutor(1, thread_name_prefix="writer"),
        workers=ThreadPoolExecutor(os.cpu_count() or 1, thread_name_prefix="worker"),
        incidents=incidents,
        notifier=Notifier(config.notify or (), root),
    )
    await record_start(context, version("coterie"))
    for left in await context.on_writer(erase_expired, root / EPHEMERAL, context.clock.now()):
        log.error("secrets of a job can be neither read nor erased", path=str(left))
    coordinator = Coordinator(context)
    endpoint = Endpoint(
        target=str(membership.aggregator_address), tls=membership.tls, party_id=config.id, roster=roster
    )
    log.info("running", party=config.id, federation=roster.federation, aggregator=endpoint.target)
    stopping = stop_on_signals()
    connection = Connection(endpoint, coordinator, random, incidents)
    watch = DataWatch(context)

    def warnings() -> tuple[str, ...]:
        lacking = context.confinement.missing
        unconfined = f"code in the training process can {lacking}" if lacking else ""
        return unconfined, policies.warning(), bindings.warning(), *watch.warnings(), incidents.note

    heartbeat = Heartbeat(
        root,
        lambda: "" if connection.is_connected else f"not connected to the aggregator {endpoint.target}",
        warnings=warnings,
    )
    working = {
        asyncio.create_task(connection.run()),
        asyncio.create_task(heartbeat.run()),
        asyncio.create_task(coordinator.failed()),
        asyncio.create_task(_look_again(coordinator)),
        asyncio.create_task(watch.run()),
        asyncio.create_task(context.notifier.run()),
    }
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
        await asyncio.gather(*working, return_exceptions=True)
        await coordinator.stop()
        log.info("stopped")
