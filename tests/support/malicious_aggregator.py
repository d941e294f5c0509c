# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""An aggregator that says what it likes, with its real key, to one real party; of the others it holds the keys too.

The others stand for whoever colludes with it or was deceived by it. What it makes is well formed and signed unless an
attack says otherwise: the terms are priced and the rounds are asked as an honest aggregator would.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from coterie_aggregator.live.coordinator import Coordinator
from coterie_common import arrays
from coterie_common.identifiers import JobId, PartyId
from coterie_common.learning.agreement import plan_job, propose_terms, round_quorum
from coterie_common.protocol.encrypted_reply import Contribution, EncryptedReply
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import (
    AggregatorMessage,
    DecryptionRequest,
    JobEnd,
    JobOutcome,
    JobProposal,
    Message,
    ModelDelivery,
    PartialDecryption,
    PartyMessage,
    Query,
)
from coterie_common.protocol.session import SessionFields, body_digest
from coterie_common.protocol.signed import UNSIGNED
from coterie_party.store import PartyStore
from tests.support.crashes import Crash
from tests.support.federation import Federation, digest_of, make_federation
from tests.support.in_process import InProcessFederation
from tests.support.small_jobs import tree_spec, write_play

JOB = JobId("job-1")
PARTIES = tuple(PartyId(f"party-{index}") for index in range(1, 6))
VICTIM = PARTIES[0]
"""The first of five, of which four make a quorum and open a sum.

In complete sealing it encapsulates to all others, and nobody to it: attacks on that need ``MIDDLE``.
"""

MIDDLE = PARTIES[2]
"""Two parties encapsulate to it, and it to two others."""

SPEC = tree_spec()
"""Of the job that is proposed, unless an attack proposes another."""


class Silence(Coordinator):
    """Takes the place of the honest coordinator and does nothing."""

    def __init__(self) -> None:
        pass

    async def start(self) -> None: ...

    async def stop(self) -> None: ...

    async def wait(self) -> None: ...

    async def party_connected(self, party_id: PartyId, outbox: object) -> None: ...

    async def party_disconnected(self, party_id: PartyId, outbox: object) -> None: ...

    async def party_message(self, party_id: PartyId, message: PartyMessage, data: object) -> None: ...


@dataclass
class MaliciousAggregator:
    """Attacks one party of a federation.

    Attributes:
        federation: with every key.
        running: where the victim runs, and nobody else.
        spec: of the job that is proposed.
        victim: the party.
        job_id: of that job.
    """

    federation: Federation
    running: InProcessFederation
    spec: JobSpec
    victim: PartyId
    _answers: int = field(default=0)
    job_id: JobId = JOB

    def __post_init__(self) -> None:
        self.planned = plan_job(self.spec)
        self.terms = propose_terms(
            self.planned, self.federation.parameters, self.federation.dealing.key.public_key.plaintext_bits
        )
        ask = self.planned.algorithm.next_ask(
            self.planned.algorithm.initial_state(self.planned.config, self.planned.schema)
        )
        assert ask is not None
        self.body = ask.to_bytes()

    @property
    def others(self) -> tuple[PartyId, ...]:
        return tuple(p for p in self.federation.parties if p != self.victim)

    async def tell(self, message: AggregatorMessage | bytes) -> Message:
        """Say something to the victim and return its answer."""
        self.running.to_party(self.victim, message)
        self._answers += 1
        return await self.running.saw(lambda party_id, _: party_id == self.victim, count=self._answers)

    # Messages.

    def proposal(self, **changes: Any) -> JobProposal:
        """Return the proposal, with other entries; ``signature`` replaces the right one."""
        values: dict[str, Any] = {
            "job_id": self.job_id,
            "roster_digest": self.federation.roster.digest,
            "spec": self.spec.to_bytes(),
            "terms": self.terms.to_bytes(),
        }
        values |= {name: value for name, value in changes.items() if name != "signature"}
        proposal = JobProposal(**values, signature=UNSIGNED).signed_by(self.federation.aggregator_key)
        return replace(proposal, signature=changes.get("signature", proposal.signature))

    def fields(self, round_number: int = 1, *, body: bytes | None = None, **changes: Any) -> SessionFields:
        asked = self.body if body is None else body
        length = arrays.decode(asked, "the body", maximum=1 << 20).document["length"]
        cohort = changes.get("cohort", tuple(sorted(self.federation.parties)))
        # Of a cohort that an attack makes smaller, no more can be demanded.
        quorum = min(round_quorum(self.spec, self.federation.parameters), len(cohort))
        if self.spec.is_complete:
            quorum = len(cohort)
        terms = self.terms.rounds[changes.get("plan_step", round_number) - 1].shortened(length)
        fields = SessionFields(
            roster_digest=self.federation.roster.digest,
            key_epoch=self.federation.roster.key_epoch,
            job_id=self.job_id,
            spec_digest=self.spec.digest,
            round_number=round_number,
            plan_step=round_number,
            body_digest=body_digest(asked),
            cohort=cohort,
            round_quorum=quorum,
            terms=terms.in_shares(max(1, quorum - self.federation.parameters.corruption_bound)),
            previous_transcript=b"" if round_number == 1 else digest_of("round before"),
            acceptances=changes.get("acceptances", b""),
        )
        return replace(fields, **changes)

    def query(self, fields: SessionFields | None = None, body: bytes | None = None) -> Query:
        asked = self.body if body is None else body
        query = Query(fields=fields or self.fields(), body=asked, signature=UNSIGNED)
        return query.signed_by(self.federation.aggregator_key)

    def contributions(self, fields: SessionFields, parties: Iterable[PartyId]) -> tuple[Contribution, ...]:
        """Return replies of zero in the names of these parties, which signed them."""
        return tuple(self._contribution(fields, party_id) for party_id in parties)

    def request(self, fields: SessionFields, contributions: tuple[Contribution, ...]) -> DecryptionRequest:
        members = [member.party_id for member in self.federation.roster.members]
        ordered = tuple(sorted(contributions, key=lambda c: members.index(c.party_id)))
        return self.request_as_given(fields, ordered)

    def request_as_given(self, fields: SessionFields, contributions: tuple[Contribution, ...]) -> DecryptionRequest:
        return self.federation.request(fields, contributions)

    def delivery(self, model: bytes) -> ModelDelivery:
        return ModelDelivery(job_id=self.job_id, model=model, signature=UNSIGNED).signed_by(
            self.federation.aggregator_key
        )

    def end(self, outcome: JobOutcome = JobOutcome.CANCELLED) -> JobEnd:
        end = JobEnd(job_id=self.job_id, outcome=outcome, reason="", signature=UNSIGNED)
        return end.signed_by(self.federation.aggregator_key)

    def _contribution(self, fields: SessionFields, party_id: PartyId) -> Contribution:
        zeros = np.zeros(fields.terms.encoding.length, np.int64)
        sealed = self.federation.sealing(fields.terms).seal(zeros, fields.session_id, party_id, self.federation.random)
        return self.federation.signed(party_id, fields.session_id, sealed.key_part)

    # Honest steps, up to where an attack begins.

    async def accepted(self) -> None:
        """The victim has accepted the job."""
        await self.tell(self.proposal())

    async def answered(self, fields: SessionFields | None = None, body: bytes | None = None) -> EncryptedReply:
        """The victim has answered the query."""
        reply = await self.tell(self.query(fields, body))
        assert isinstance(reply, EncryptedReply), reply
        return reply


@asynccontextmanager
async def attacking(
    folder: Path,
    crash: Crash | None = None,
    spec: JobSpec = SPEC,
    kind: type[InProcessFederation] = InProcessFederation,
    victim: PartyId = VICTIM,
    **options: Any,
) -> AsyncIterator[MaliciousAggregator]:
    """Let one real party run, alone with its attacker.

    Args:
        folder: for everything on disk.
        crash: where the party stops.
        spec: of the job that is proposed.
        kind: how the two are connected: by wire bytes in this process, or over TLS.
        victim: the party.
        options: more of the federation's.
    """
    federation = kind.prepared(make_federation())
    running = kind(
        federation,
        folder,
        write_play(folder, federation.parties),
        absent=tuple(p for p in federation.parties if p != victim),
        instead_of_aggregator=Silence(),
        party_crashes={victim: crash} if crash else {},
        **options,
    )
    async with running:
        yield MaliciousAggregator(federation, running, spec, victim)


def memory(store: PartyStore) -> tuple[object, ...]:
    """Everything that a party remembers."""
    rounds = [store.round(JOB, number) for number in (1, 2)]
    opened = [store.opened_step(JOB, step) for step in (1, 2)]
    return store.jobs(), store.ledger("play"), store.previous_cohort(JOB), opened, rounds


async def open_honestly(attacker: MaliciousAggregator, reply: EncryptedReply) -> None:
    """Show that the party still helps with the round that it answered."""
    fields = attacker.fields()
    others = attacker.contributions(fields, attacker.others)
    answer = await attacker.tell(attacker.request(fields, (reply.contribution, *others)))
    assert isinstance(answer, PartialDecryption), answer
