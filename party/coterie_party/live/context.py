# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The state shared by all rounds of one party: its membership, its key share, its data, its store."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial as bind
from pathlib import Path
from typing import ParamSpec, TypeVar

from coterie_common.clock import Clock
from coterie_common.crypto.identity import SigningKey
from coterie_common.crypto.paillier import Encryptor
from coterie_common.crypto.threshold import KeyShare, ThresholdPublicKey
from coterie_common.files import FileDraft
from coterie_common.host.incidents import Incidents, contained
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.sealing.choice import SealingMaker
from coterie_common.randomness import RandomSource
from coterie_party.data.bindings import BoundDataset
from coterie_party.data.bindings_file import BindingSource
from coterie_party.live.notifying import Notifier
from coterie_party.policy.file import PolicySource
from coterie_party.policy.policy import Policy
from coterie_party.store import AuditLog, PartyStore, StewardNotes
from coterie_party.store.files.job_secrets import JobSecrets
from coterie_party.store.files.padded_parts import PaddedParts
from coterie_party.training.confinement import Confinement
from coterie_party.training.process import TrainingLimits

Q = ParamSpec("Q")
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Context:
    """One party.

    Attributes:
        party_id: own id.
        roster: in force, verified under the pinned founder's key.
        key: the threshold public key.
        encryptor: for the public key.
        make_sealing: chooses how replies are sealed, from the terms of their round.
        share: own key share.
        signing_key: own.
        bindings: provides the data sets that the steward bound.
        policies: provides the policy in force.
        store: durable state; called on the ``writer`` thread only.
        padded: padded parts of replies on disk.
        secrets: of jobs that are sealed completely, on disk; called on the ``writer`` thread only.
        audit: the record of what happened, in the same database; likewise.
        notes: reasons that only the steward reads; likewise.
        models: folder that delivered models go to.
        notifier: notifies the steward of jobs that wait.
        training: limits of a process that computes vectors.
        confinement: restrictions that the system enforces on such a process.
        random: source of noise and nonces.
        clock: wall time.
        writer: one thread that owns the database.
        workers: threads for data and big-integer work.
        incidents: unforeseen failures.
    """

    party_id: PartyId
    roster: Roster
    key: ThresholdPublicKey
    encryptor: Encryptor
    make_sealing: SealingMaker
    share: KeyShare
    signing_key: SigningKey
    bindings: BindingSource
    policies: PolicySource
    store: PartyStore
    padded: PaddedParts
    secrets: JobSecrets
    audit: AuditLog
    notes: StewardNotes
    models: Path
    training: TrainingLimits
    confinement: Confinement
    random: RandomSource
    clock: Clock
    writer: ThreadPoolExecutor
    workers: ThreadPoolExecutor
    incidents: Incidents
    notifier: Notifier = field(default_factory=lambda: Notifier((), Path()))

    @property
    def datasets(self) -> Mapping[str, BoundDataset]:
        """The data sets that are bound now, by name."""
        return self.bindings.current()

    @property
    def policy(self) -> Policy:
        """The policy in force now; take it once per decision."""
        return self.policies.current()

    def local_time(self) -> datetime:
        """Return the current time in the machine's own zone."""
        return self.clock.now().astimezone()

    async def on_writer(self, function: Callable[Q, T], /, *arguments: Q.args, **named: Q.kwargs) -> T:
        """Run a function of the store on the one writer thread, in the order of the calls."""
        work = bind(contained, function, *arguments, **named)
        return await asyncio.get_running_loop().run_in_executor(self.writer, work)

    @asynccontextmanager
    async def drafting(self, job_id: JobId, number: int) -> AsyncIterator[FileDraft]:
        """Give a draft of a reply's padded part, which is durable when the body ends, and gone if it raises."""
        draft = await self.compute(self.padded.begin, job_id, number)
        try:
            yield draft
            await self.compute(draft.sync)
            await self.on_writer(draft.commit)
        finally:
            draft.discard()

    async def look(self, function: Callable[Q, T], /, *arguments: Q.args, **named: Q.kwargs) -> T:
        """Run what reads all of a message, beside the event loop and without waiting for workers, which may train."""
        return await asyncio.to_thread(contained, function, *arguments, **named)

    async def compute(self, function: Callable[Q, T], /, *arguments: Q.args, **named: Q.kwargs) -> T:
        """Run data or big-integer work on a worker thread; anything that it raises comes as an ``Exception``."""
        work = bind(contained, function, *arguments, **named)
        return await asyncio.get_running_loop().run_in_executor(self.workers, work)
