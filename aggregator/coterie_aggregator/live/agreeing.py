# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The exchange by which the parties of a job that is sealed completely agree on secrets: the aggregator relays it.

It checks what it relays, so that a party that sends something else is named. It learns no secret.

Invariant: everybody is shown the same acceptances, and the same encapsulations again.
"""

from __future__ import annotations

from typing import TypeVar

from coterie_aggregator.live.context import Context
from coterie_common.crypto.masks.ephemeral import EphemeralKey
from coterie_common.errors import MalformedMessage, StorageError
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.acceptance import Acceptances, Decision, Encapsulations, JobReply, RelayedEncapsulations
from coterie_common.protocol.agreement import Agreement
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.verification.acceptance import agreement_of
from coterie_common.protocol.verification.contribution import blaming
from coterie_common.protocol.verification.encapsulation import verify_encapsulations
from coterie_common.wire.federation import party_message_from_wire, party_message_to_wire

M = TypeVar("M", JobReply, Encapsulations)


class Agreeing:
    """The exchange of one job.

    Args:
        context: of the aggregator.
        job_id: the job.
        is_complete: whether the job is sealed completely; of any other, no acceptance carries a key.
    """

    def __init__(self, context: Context, job_id: JobId, *, is_complete: bool) -> None:
        self._context = context
        self._job_id = job_id
        self._is_complete = is_complete
        self._acceptances: Acceptances | None = None
        self._agreement: Agreement | None = None
        self._informed: set[PartyId] = set()

    async def keep_acceptance(self, reply: JobReply, *, is_over: bool) -> None:
        """Check the keys of a verified reply, and keep an acceptance that carries some.

        Args:
            reply: to the proposal.
            is_over: whether the job asks nothing any more. Its files may be gone, and none are written again.

        Raises:
            MalformedMessage: it carries none where it must, or some where there must be none.
            Equivocation: the party accepted with other keys before.
            StorageError: the file system refused.
        """
        needs_key = self._is_complete and reply.decision is Decision.ACCEPTED
        with blaming(reply.party_id):
            if not needs_key:
                if reply.ephemeral_key:
                    raise MalformedMessage("a reply to a proposal carries ephemeral keys that nothing needs")
                return
            EphemeralKey(reply.ephemeral_key)
        if is_over:
            return
        data = party_message_to_wire(reply)
        await self._context.on_writer(self._context.spool.put_acceptance, self._job_id, reply.party_id, data)

    async def acceptances(self, cohort: tuple[PartyId, ...]) -> Acceptances:
        """Return the signed acceptances of everybody who takes part; raises ``StorageError``."""
        if self._acceptances is None:
            replies = []
            for party_id in sorted(cohort):
                data = await self._context.on_writer(self._context.spool.acceptance, self._job_id, party_id)
                replies.append(_parsed(JobReply, data))
            message = Acceptances(job_id=self._job_id, replies=tuple(replies), signature=UNSIGNED)
            self._acceptances = message.signed_by(self._context.signing_key)
        return self._acceptances

    async def keep_encapsulations(self, message: Encapsulations, cohort: tuple[PartyId, ...]) -> None:
        """Check what a party encapsulated to the others, and keep it.

        Raises:
            PeerError: it is not what it must be, or differs from what it sent before; the party is the culprit.
            StorageError: the file system refused.
        """
        if self._agreement is None:
            self._agreement = agreement_of(await self.acceptances(cohort), self._context.roster)
        await self._context.compute(verify_encapsulations, message, self._agreement, self._context.roster)
        data = party_message_to_wire(message)
        await self._context.on_writer(self._context.spool.put_encapsulations, self._job_id, message.party_id, data)

    async def inform(self, party_id: PartyId, cohort: tuple[PartyId, ...]) -> None:
        """Send a party what it needs before a query, once on each of its streams; raises ``StorageError``."""
        if party_id not in self._informed:
            self._context.send(party_id, await self._relayed(party_id, cohort))
            self._informed.add(party_id)

    def forget(self, party_id: PartyId) -> None:
        """A party has a new stream, and may have lost what was sent on the last one."""
        self._informed.discard(party_id)

    async def _relayed(self, party_id: PartyId, cohort: tuple[PartyId, ...]) -> RelayedEncapsulations:
        received = []
        for sender in sorted(cohort):
            if sender < party_id:
                data = await self._context.on_writer(self._context.spool.encapsulations, self._job_id, sender)
                sent = _parsed(Encapsulations, data).encapsulations
                received += [each for each in sent if each.recipient == party_id]
        return RelayedEncapsulations(job_id=self._job_id, encapsulations=tuple(received))


def _parsed(kind: type[M], data: bytes) -> M:
    message = party_message_from_wire(data)
    if not isinstance(message, kind):
        raise StorageError(f"the spooled message is no {kind.__name__}")
    return message
