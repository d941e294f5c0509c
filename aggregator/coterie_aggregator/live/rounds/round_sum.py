# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The running sum of one round as it is kept: replies go in as they are verified, and their padded parts off the disk.

Invariants:
- Only a reply whose verification is durable is added, and each one once: after a restart those are added again that
  are not in the checkpoint.
- A padded part is deleted only when a durable checkpoint contains it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import partial as bind
from typing import Final

from coterie_aggregator.live.context import Context
from coterie_aggregator.live.rounds.arithmetic import RoundArithmetic
from coterie_aggregator.live.rounds.complete_arithmetic import CompleteArithmetic
from coterie_common.errors import StateError
from coterie_common.files import FileDraft
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.padded_part import NOTHING_PADDED, PaddedFacts
from coterie_common.protocol.sealing.running_sum import RunningSum

_PIECE_BYTES: Final = 4 << 20
"""Bytes of a padded part read and added at a time: whole values, and little compared with a vector."""


class RoundSum:
    """See the module.

    Args:
        context: of the aggregator.
        arithmetic: of the round.
        job_id: the job.
        number: of the round.
    """

    def __init__(
        self, context: Context, arithmetic: RoundArithmetic | CompleteArithmetic, job_id: JobId, number: int
    ) -> None:
        self._context = context
        self._arithmetic = arithmetic
        self._round = job_id, number
        self._running: RunningSum | None = None
        self._unsaved: dict[PartyId, PaddedFacts] = {}
        self._found: frozenset[PartyId] = frozenset()
        self._arrived: dict[PartyId, PaddedFacts] = {}
        self._starting, self._one_at_a_time = asyncio.Lock(), asyncio.Lock()

    async def padded_facts(self, party_id: PartyId) -> PaddedFacts:
        """Return size and digest of the padded part that a party sent, also once it was deleted; of none: of nothing.

        Raises:
            StorageError: what is stored cannot be read, or is damaged.
        """
        known = (await self._started()).members.get(party_id) or self._arrived.get(party_id)
        if known is None:
            # One that came before a restart, or none.
            known = PaddedFacts(0, NOTHING_PADDED)
            if party_id in self._found:
                known = await self._context.on_writer(self._context.spool.padded_facts, *self._round, party_id)
            self._arrived[party_id] = known
        return known

    def received(self, party_id: PartyId, padded: PaddedFacts) -> None:
        """Note size and digest of a padded part that was spooled."""
        self._arrived[party_id] = padded

    async def add(self, party_id: PartyId) -> None:
        """Add a reply that was verified, unless it is in the sum.

        Raises:
            StorageError: the file system refused, or what is stored is damaged.
        """
        running = await self._started()
        async with self._one_at_a_time:
            if party_id in running.members:
                return
            padded = await self.padded_facts(party_id)
            if padded.size:
                await self._context.compute(running.add, party_id, padded, self._pieces(party_id))
            else:
                running.add(party_id, padded, ())
            if padded.size:
                self._unsaved[party_id] = padded
            if sum(each.size for each in self._unsaved.values()) >= self._context.checkpoint_bytes:
                await self._save(running)

    async def of(self, contributors: Sequence[PartyId]) -> RunningSum:
        """Return the sum of exactly these contributors; those who are not in it yet are added first.

        Raises:
            StateError: somebody else is in it.
            StorageError: as ``add``.
        """
        for party_id in contributors:
            await self.add(party_id)
        running = await self._started()
        if running.members.keys() != set(contributors):
            raise StateError(f"the sum of round {self._round[1]} holds others than the contributors of its transcript")
        return running

    async def reject(self, party_id: PartyId) -> None:
        """Delete the padded part of a reply that was rejected: it is never added. Raises ``StorageError``."""
        self._arrived.pop(party_id, None)
        await self._context.on_writer(self._context.spool.delete_padded, *self._round, (party_id,))

    def forget(self) -> None:
        """Let go of the sum: the round is over."""
        self._running = None

    async def _started(self) -> RunningSum:
        # Not under the other lock: whoever only asks who is in the sum does not wait until a long part is added.
        async with self._starting:
            if self._running is None:
                spool = self._context.spool
                pieces, self._found = await self._context.on_writer_in_turn(
                    bind(spool.sum_pieces, *self._round, _PIECE_BYTES), bind(spool.padded_parties, *self._round)
                )
                running = await self._context.compute(self._arithmetic.start_sum, pieces)
                # Those that a crash left there between the checkpoint and their deletion.
                await self._delete(running.members)
                self._running = running
            return self._running

    async def _save(self, running: RunningSum) -> None:
        draft = await self._context.on_writer(self._context.spool.begin_sum, *self._round)
        try:
            # Not on the writer, which other jobs need; it only gives the file its name.
            await self._context.compute(_write, draft, running)
            await self._context.on_writer(self._context.spool.commit_sum, draft)
        finally:
            draft.discard()
        await self._delete(self._unsaved)
        self._unsaved = {}

    async def _delete(self, members: Mapping[PartyId, PaddedFacts]) -> None:
        parts = tuple(party_id for party_id, padded in members.items() if padded.size)
        if parts:
            await self._context.on_writer(self._context.spool.delete_padded, *self._round, parts)

    def _pieces(self, party_id: PartyId) -> Iterator[bytes]:
        return self._context.spool.padded_pieces(*self._round, party_id, _PIECE_BYTES)


def _write(draft: FileDraft, running: RunningSum) -> None:
    for piece in running.checkpoint():
        draft.write(piece)
    draft.sync()
