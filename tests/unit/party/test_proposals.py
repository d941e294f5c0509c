# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Decisions on proposals as they are stored; what a job makes of them is in tests/protocol."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from coterie_common.identifiers import PartyId
from coterie_common.learning.agreement import check_terms
from coterie_common.privacy.accounting.cost import cost, joined
from coterie_common.protocol.acceptance import Decision, JobReply
from coterie_common.protocol.verification.party_messages import verify_job_reply
from coterie_party.policy.budget import cost_of
from coterie_party.store import ReservationStatus
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.malicious_aggregator import JOB, MaliciousAggregator, Silence
from tests.support.small_jobs import tree_spec, write_play

PARTY = PartyId("party-1")


@asynccontextmanager
async def proposing(folder: Path, **options: Any) -> AsyncIterator[MaliciousAggregator]:
    """An aggregator that means well, for once, and one party."""
    federation = make_federation()
    running = InProcessFederation(
        federation,
        folder,
        options.pop("datasets", None) or write_play(folder, federation.parties),
        absent=federation.parties[1:],
        instead_of_aggregator=Silence(),
        **options,
    )
    async with running:
        yield MaliciousAggregator(federation, running, tree_spec(), PARTY)


@asynchronous
async def test_accepted_job_has_the_cost_of_every_planned_round_reserved(tmp_path):
    async with proposing(tmp_path) as aggregator:
        proposal = aggregator.proposal()
        reply = await aggregator.tell(proposal)
        assert isinstance(reply, JobReply)
        verify_job_reply(reply, proposal, aggregator.federation.roster)
        assert (reply.decision, reply.code, reply.detail) == (Decision.ACCEPTED, "", "")
        store = aggregator.running.party_store(PARTY)
        entries = store.ledger("play")
        assert [(e.round_number, e.status) for e in entries] == [
            (1, ReservationStatus.RESERVED),
            (2, ReservationStatus.RESERVED),
        ]
        events = check_terms(
            aggregator.planned,
            aggregator.terms,
            aggregator.federation.parameters,
            aggregator.federation.dealing.key.public_key.plaintext_bits,
        )
        assert joined(map(cost_of, entries)) == cost(events)
        assert [entry.records for entry in entries] == ["training"] * 2
        assert len({entry.division for entry in entries}) == 1
        job = store.job(JOB)
        assert job is not None
        assert (job.spec, job.terms, job.dataset) == (proposal.spec, proposal.terms, "play")
        assert (job.spec_digest, job.outcome) == (aggregator.spec.digest, None)


@asynchronous
async def test_same_proposal_again_reserves_nothing_more(tmp_path):
    async with proposing(tmp_path) as aggregator:
        replies = [await aggregator.tell(aggregator.proposal()) for _ in range(3)]
        assert len(set(replies)) == 1
        assert len(aggregator.running.party_store(PARTY).ledger("play")) == 2


@pytest.mark.parametrize(
    ("options", "decision", "code"),
    [
        ({"policy": generous_policy(automatic=False)}, Decision.HELD, ""),
        ({"policy": generous_policy(algorithms=())}, Decision.REFUSED, "consent-denied"),
        ({"policy": generous_policy(epsilon_per_job=Decimal(1))}, Decision.REFUSED, "budget-exhausted"),
        ({"datasets": {PartyId("party-2"): Path("elsewhere.csv")}}, Decision.REFUSED, "data"),
    ],
    ids=["held", "algorithm", "ε", "data set"],
)
@asynchronous
async def test_job_that_is_not_accepted_is_stored_without_a_cost(tmp_path, options, decision, code):
    async with proposing(tmp_path, **options) as aggregator:
        reply = await aggregator.tell(aggregator.proposal())
        assert isinstance(reply, JobReply)
        assert (reply.decision, reply.code) == (decision, code)
        store = aggregator.running.party_store(PARTY)
        job = store.job(JOB)
        assert job is not None
        assert (job.decision, job.code, job.detail) == (decision, code, reply.detail)
        assert store.ledger("play") == ()


@asynchronous
async def test_reason_of_a_refusal_is_one_line_whatever_the_specification_says(tmp_path):
    async with proposing(tmp_path) as aggregator:
        forged = "x\n2026-01-01 [info] all is well"
        table = aggregator.spec.to_bytes().replace(b'"max_depth":2', f'"{forged!s}":2'.encode().replace(b"\n", b"\\n"))
        reply = await aggregator.tell(aggregator.proposal(spec=table))
        assert isinstance(reply, JobReply)
        assert reply.code == "invalid-job"
        assert reply.detail.isprintable()
