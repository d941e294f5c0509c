# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The parties' messages of one round: in the spool as bytes, and in memory as values, so that each is parsed once.

The memory is that of the decryption request, which holds the same contributions, and of the partial decryptions that
open its sum; messages sent before a restart are read from the spool when they are first needed.
"""

from __future__ import annotations

from functools import partial as bind

from coterie_aggregator.live.context import Context
from coterie_common.errors import MalformedMessage
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.masked_reply import MaskedReply
from coterie_common.protocol.messages import PartialDecryption, Reply
from coterie_common.wire.federation import party_message_from_wire
from coterie_common.wire.strict import Octets


class Received:
    """Replies and partial decryptions of one round.

    Args:
        context: of the aggregator.
        job_id: the job.
        number: of the round.
    """

    def __init__(self, context: Context, job_id: JobId, number: int) -> None:
        self._context = context
        self._round = job_id, number
        self._replies: dict[PartyId, Reply] = {}
        self._partials: dict[PartyId, PartialDecryption] = {}

    async def keep_reply(self, party_id: PartyId, reply: Reply, data: Octets, then: bind[None]) -> None:
        """Spool a reply, then record that it was received.

        Args:
            party_id: its sender.
            reply: as it was parsed.
            data: its bytes as they came.
            then: makes the event durable.

        Raises:
            Equivocation: another reply of this party is in the spool.
            StorageError: something could not be written.
        """
        put = bind(self._context.spool.put_contribution, *self._round, party_id, data)
        await self._context.on_writer_in_turn(put, then)
        self._replies[party_id] = reply

    async def keep_partial(self, party_id: PartyId, partial: PartialDecryption, data: Octets, then: bind[None]) -> None:
        """Spool a partial decryption, then record that it was received; as ``keep_reply``."""
        put = bind(self._context.spool.put_partial, *self._round, party_id, data)
        await self._context.on_writer_in_turn(put, then)
        self._partials[party_id] = partial

    async def reply(self, party_id: PartyId) -> Reply:
        """Return a reply that was spooled; raises ``StorageError``, or ``MalformedMessage`` where it is none."""
        if party_id not in self._replies:
            data = await self._context.on_writer(self._context.spool.contribution, *self._round, party_id)
            self._replies[party_id] = await self._context.compute(_parsed_reply, data)
        return self._replies[party_id]

    async def partial(self, party_id: PartyId) -> PartialDecryption:
        """Return a partial decryption that was spooled; raises as ``reply``."""
        if party_id not in self._partials:
            data = await self._context.on_writer(self._context.spool.partial, *self._round, party_id)
            self._partials[party_id] = await self._context.compute(_parsed_partial, data)
        return self._partials[party_id]

    def drop_reply(self, party_id: PartyId) -> None:
        """Let go of a reply that was rejected: what a dishonest party sends stays on disk alone."""
        self._replies.pop(party_id, None)

    def drop_partial(self, party_id: PartyId) -> None:
        """Let go of a partial decryption that was rejected."""
        self._partials.pop(party_id, None)

    def forget(self) -> None:
        """Let go of all values: the round is over."""
        self._replies.clear()
        self._partials.clear()


def _parsed_reply(data: bytes) -> Reply:
    message = party_message_from_wire(data)
    if not isinstance(message, EncryptedReply | MaskedReply):
        raise MalformedMessage("the spooled message is no reply")
    return message


def _parsed_partial(data: bytes) -> PartialDecryption:
    message = party_message_from_wire(data)
    if not isinstance(message, PartialDecryption):
        raise MalformedMessage("the spooled message is no partial decryption")
    return message
