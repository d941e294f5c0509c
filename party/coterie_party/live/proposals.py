# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Deciding on a job before its first round: the plan, its price, the data, the steward's policy and the ledger.

Invariants:
- The same proposal always gets the same answer: the first decision is stored and repeated.
- An accepted job has its whole worst-case cost reserved in the ledger, in the same transaction.
- Only digests are kept of a refused job; the number of open jobs at a time is limited.
- Nothing is reserved for a held job. Once the steward has decided or the hours begin, the party decides on it again.
- Errors in the party's own data stay in its log and its steward's notes; the aggregator learns only the code.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

import structlog

from coterie_common.audit.told import NOTHING_TOLD, Details, told
from coterie_common.document import Document
from coterie_common.errors import (
    ConfigurationError,
    ConsentDenied,
    DataError,
    InternalError,
    PeerError,
    RefusedError,
    StorageError,
)
from coterie_common.identifiers import JobId, PartyId
from coterie_common.learning.agreement import PlannedJob, check_terms, plan_job, round_quorum
from coterie_common.learning.algorithm import check_installed
from coterie_common.privacy.accounting.epsilon import epsilon_of
from coterie_common.privacy.event import Event
from coterie_common.privacy.noise.mechanisms import Placement
from coterie_common.protocol.acceptance import Decision, JobReply
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import JobProposal
from coterie_common.protocol.reason import one_line
from coterie_common.protocol.sealing.choice import check_capacity
from coterie_common.protocol.terms import JobTerms
from coterie_party.live.accepted_jobs import AcceptedJob, AcceptedJobs
from coterie_party.live.agreeing import make_keys, reply_of
from coterie_party.live.context import Context
from coterie_party.live.division import Division, division_in_force
from coterie_party.policy.booking import as_entry, book, per_side
from coterie_party.policy.decision import Verdict, check_algorithms, check_confinement, decide
from coterie_party.policy.policy import Policy
from coterie_party.store import AskedJob, LedgerEntry, PartyJob, Reservation, ReservationStatus, Ruling

log = structlog.get_logger(__name__)
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Priced:
    """A proposal that could be understood: its plan, the releases of its rounds, and their costs."""

    planned: PlannedJob
    terms: JobTerms
    events: tuple[Event, ...]
    lines: tuple[Reservation, ...]


@dataclass(frozen=True, slots=True)
class _Circumstances:
    """The facts that a decision depends on, besides the job.

    Attributes:
        policy: in force, the same for the whole decision.
        entries: the ledger of the job's data set.
        same: all jobs with the same specification.
        asked_others: a job without noise on the same data that other parties were asked for than this one's, which adds
            none either.
        ruling: the steward's decision on this very job.
    """

    policy: Policy
    entries: tuple[LedgerEntry, ...]
    same: tuple[JobId, ...]
    asked_others: JobId | None
    ruling: Ruling | None


async def reply_to(proposal: JobProposal, context: Context, jobs: AcceptedJobs) -> JobReply:
    """Decide on a proposal whose signature was verified, store the decision, and return the signed reply.

    Args:
        proposal: as it came.
        context: of the party.
        jobs: keeps the job as it was understood, if it is accepted.

    Raises:
        Equivocation: the same job id was proposed with another specification or other terms before.
    """
    job = await context.on_writer(context.store.job, proposal.job_id)
    digests = (proposal.spec_digest, proposal.terms_digest)
    if job is None or job.decision is Decision.HELD or (job.spec_digest, job.terms_digest) != digests:
        job = await _decide(proposal, context, jobs, is_new=job is None)
    return await reply_of(job, context, jobs)


async def decide_again(job: PartyJob, context: Context, jobs: AcceptedJobs) -> JobReply | None:
    """Decide again on a held job; as ``reply_to``, but return no reply where nothing has changed."""
    decided = await _decide(job, context, jobs)
    unchanged = (decided.decision, decided.detail) == (job.decision, job.detail)
    return None if unchanged else await reply_of(decided, context, jobs)


async def _decide(
    proposal: JobProposal | PartyJob, context: Context, jobs: AcceptedJobs, *, is_new: bool = False
) -> PartyJob:
    dataset = proposal.dataset if isinstance(proposal, PartyJob) else ""
    price: Document = None
    priced: _Priced | None = None
    reservations: tuple[Reservation, ...] = ()
    division: Division | None = None
    policy, store = context.policy, context.store
    ruling = await context.on_writer(store.ruling, proposal.job_id)
    try:
        if ruling is not None and not ruling.is_approved:
            raise ConsentDenied(f"this party's steward refused the job{': ' if ruling.reason else ''}{ruling.reason}")
        if is_new:
            await context.on_writer(store.check_room)
        priced = await _reckoned(_price, proposal, policy, context)
        dataset = priced.planned.spec.dataset
        division = await _division(dataset, context)
        name = "" if division is None else division.name
        lines = tuple(replace(line, division=name) for line in priced.lines)
        price = per_side(lines)
        entries = await context.on_writer(store.ledger, dataset)
        same = await context.on_writer(store.jobs_of, proposal.spec_digest)
        spec = priced.planned.spec
        everybody = [member.party_id for member in context.roster.members]
        others = await asked_others(spec, everybody, context)
        verdict = await _reckoned(
            _judge, replace(priced, lines=lines), _Circumstances(policy, entries, same, others, ruling), context
        )
        if verdict.decision is Decision.ACCEPTED:
            reservations = lines
    except (PeerError, RefusedError, InternalError) as error:
        verdict = Verdict(Decision.REFUSED, error.code, error.public_message)
    except ConfigurationError as error:
        log.error("own data or configuration", job=proposal.job_id, code=error.code, why=error.message)
        await context.on_writer(context.notes.add, proposal.job_id, 0, error)
        verdict = Verdict(Decision.REFUSED, error.code, "the party's own data or configuration; its steward sees what")
    job = PartyJob(
        job_id=proposal.job_id,
        spec=proposal.spec,
        terms=proposal.terms,
        spec_digest=proposal.spec_digest,
        terms_digest=proposal.terms_digest,
        decision=verdict.decision,
        code=verdict.code,
        detail=one_line(verdict.detail),
        dataset=dataset,
        cost=price,
    )
    if verdict.decision is Decision.ACCEPTED and priced is not None and priced.planned.spec.is_complete:
        known = await context.on_writer(store.job, proposal.job_id)
        # Not for a job that was decided on before: its keys are in its acceptance, which may have left.
        if known is None or known.decision is Decision.HELD:
            keys = make_keys(context, proposal.job_id, priced.planned.spec)
            await context.on_writer(context.secrets.keep, keys)
    # The store's version counts: a held job may have ended in the meantime.
    version = None if division is None else division.version
    decided = await context.on_writer(context.store.record_job, job, reservations, _told(proposal, ruling), version)
    if priced is not None and decided.decision is Decision.ACCEPTED and decided.outcome is None:
        quorum = round_quorum(priced.planned.spec, context.roster.parameters)
        jobs.keep(AcceptedJob(row=decided, planned=priced.planned, terms=priced.terms, round_quorum=quorum))
    if decided.decision is Decision.HELD and priced is not None:
        goal = priced.planned.spec.privacy
        facts = {"algorithm": priced.planned.spec.algorithm, "dataset": dataset, "name": priced.planned.spec.name}
        facts |= {"epsilon": goal.epsilon_text, "delta": goal.delta_text, "placement": goal.placement.value}
        context.notifier.job_waits(decided.job_id, decided.detail, facts)
    return decided


def _told(proposal: JobProposal | PartyJob, ruling: Ruling | None) -> Details:
    """Return the details to record with the decision: the aggregator's words, and the steward's if there are any."""
    said = told(proposal) if isinstance(proposal, JobProposal) else NOTHING_TOLD
    if ruling is None:
        return said
    word = "approved" if ruling.is_approved else "refused"
    return {**said, "steward": {"word": word, "said_at": ruling.said_at.isoformat()}}


async def _reckoned(function: Callable[..., T], *arguments: Any) -> T:
    """Run a function of data and algorithms, whose last argument is the context, on a worker thread.

    Raises:
        InternalError: an unforeseen failure; an algorithm's bug must cost only its own job.
    """
    context: Context = arguments[-1]
    try:
        return await context.compute(function, *arguments)
    except (PeerError, RefusedError, ConfigurationError, StorageError):
        raise
    except Exception as failure:  # a supervisor: see above
        raise context.incidents.take(failure, function.__name__.strip("_")) from failure


async def _division(dataset: str, context: Context) -> Division | None:
    """Return how the party divides the records of a data set that is bound."""
    bound = context.datasets.get(dataset)
    return None if bound is None else await division_in_force(bound, context)


def _price(proposal: JobProposal | PartyJob, policy: Policy, context: Context) -> _Priced:
    """Parse a proposal and check everything public about it; code that the policy does not name is never loaded."""
    spec = JobSpec.from_bytes(proposal.spec)
    check_algorithms(policy, spec)
    planned = plan_job(spec)
    check_confinement(policy, planned, context.confinement)
    check_installed(planned.algorithm, planned.config, context.training.code)
    terms, parameters, key = JobTerms.from_bytes(proposal.terms), context.roster.parameters, context.key.public_key
    events = check_terms(planned, terms, parameters, key.plaintext_bits)
    fewest = parameters.honest_shares(round_quorum(spec, parameters))
    check_capacity(terms.in_shares(fewest), parameters.parties, key)
    return _Priced(planned, terms, events, book(planned.plan, planned.algorithm.records, events, terms.spares))


async def asked_others(spec: JobSpec, parties: Sequence[PartyId], context: Context) -> JobId | None:
    """Return a job without noise on the same data that asked others than ``parties``, if ``spec`` adds none either."""
    if spec.privacy.placement is not Placement.NONE:
        return None
    asked = await context.on_writer(context.store.asked_jobs, spec.dataset)
    # Ids name persons within one federation only.
    others = [job for job in asked if not (job.is_own and set(job.cohort) == set(parties))]
    return await context.compute(_without_noise, others) if others else None


def _without_noise(jobs: Sequence[AskedJob]) -> JobId | None:
    noiseless = (job for job in jobs if JobSpec.from_bytes(job.spec).privacy.placement is Placement.NONE)
    return next((job.job_id for job in noiseless), None)


def _judge(priced: _Priced, now: _Circumstances, context: Context) -> Verdict:
    """Apply the policy, then check that the job describes the data as the steward does and that they can be read."""
    spec = priced.planned.spec
    dataset = context.datasets.get(spec.dataset)
    if dataset is None:
        raise DataError(f"the job asks for the data set {spec.dataset}, which party.toml does not bind")
    charged = {entry.job_id for entry in now.entries if entry.status is not ReservationStatus.RELEASED}
    verdict = decide(
        now.policy,
        spec=spec,
        algorithm=priced.planned.algorithm,
        parameters=context.roster.parameters,
        round_quorum=round_quorum(spec, context.roster.parameters),
        planned=[as_entry(line) for line in priced.lines],
        exact=partial(epsilon_of, priced.events),
        entries=now.entries,
        local=context.local_time(),
        is_approved=now.ruling is not None,
        run_before=next((job_id for job_id in now.same if job_id in charged), None),
        asked_others=now.asked_others,
    )
    if verdict.decision is not Decision.REFUSED:
        dataset.check(priced.planned.schema)
    return verdict
