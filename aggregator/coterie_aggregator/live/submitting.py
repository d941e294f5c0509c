# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Parsing and planning a person's submission, once: the resulting value serves the job until it ends."""

from __future__ import annotations

from collections.abc import Callable

from coterie_aggregator.live.context import Context
from coterie_aggregator.live.submission import Submission, check_beginning, check_left_out, make_proposal, understand
from coterie_aggregator.store import StoredJob
from coterie_common import document
from coterie_common.errors import InternalError, InvalidJob, MalformedMessage
from coterie_common.identifiers import JobId, MemberId, parse_job_id
from coterie_common.learning.agreement import PlannedJob, propose_terms, round_quorum
from coterie_common.learning.noise_warning import check_noise
from coterie_common.limits import JOB_TERMS_BYTES
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.progress import JobRequest
from coterie_common.protocol.sealing.choice import check_capacity
from coterie_common.protocol.terms import JobTerms, RoundTerms
from coterie_common.wire.federation import aggregator_message_to_wire


async def understand_request(
    context: Context, request: JobRequest, submitter: MemberId, check_new: Callable[[JobSpec], None]
) -> tuple[Submission, StoredJob]:
    """Check a request, plan and price it, and sign its proposal; nothing is stored yet.

    Args:
        context: of the aggregator.
        request: as it came.
        submitter: who sent it.
        check_new: raises ``AlreadySubmitted`` where a job of the very same specification may not be repeated.

    Returns:
        The job, and the same as it is to be stored.

    Raises:
        DrownedInNoise: its noise leaves nothing to learn, and the person has not asked for it all the same.
        AlreadySubmitted: see ``check_new``.
        InvalidJob, CapacityExceeded, QuorumTooSmall, UnsupportedMechanism: it cannot be run as written.
        MissingLibrary: this host lacks what it needs.
        MalformedMessage: no canonical specification.
    """
    # On workers: a person's specification may take seconds to plan, and the parties' streams must not wait for it.
    planned = await context.compute(understand, request.spec)
    if not request.again:
        check_new(planned.spec)
    job_id = parse_job_id(f"{planned.spec.name}-{context.random.token_bytes(4).hex()}")
    return await context.compute(_propose, context, request, planned, job_id, submitter)


def _propose(
    context: Context, request: JobRequest, planned: PlannedJob, job_id: JobId, submitter: MemberId
) -> tuple[Submission, StoredJob]:
    roster, key = context.roster, context.key.public_key
    # Before the parties hear of it: a job that cannot begin here would cost them a round.
    check_beginning(planned)
    check_left_out(planned.spec, roster)
    terms = propose_terms(planned, roster.parameters, key.plaintext_bits)
    # A sum must also fit with the widest shares, those of the fewest parties.
    fewest = roster.parameters.honest_shares(round_quorum(planned.spec, roster.parameters))
    check_capacity(terms.in_shares(fewest), roster.parameters.parties, key)
    if not request.despite_noise:
        check_noise(planned, terms, roster.parameters.parties)
    _check_readable(terms)
    proposal = make_proposal(job_id, roster, request.spec, terms, context.signing_key)
    now = context.clock.now()
    stored = StoredJob(
        job_id=job_id, proposal=aggregator_message_to_wire(proposal), submitter=submitter, submitted_at=now
    )
    return Submission(proposal=proposal, planned=planned, terms=terms, submitter=submitter, submitted_at=now), stored


def _check_readable(terms: JobTerms) -> None:
    # Parties read the terms from their bytes, and so does this aggregator when it starts again.
    for different in dict.fromkeys(terms.rounds):
        try:
            data = document.encode(different.to_document())
            again = RoundTerms.from_document(document.decode(data, "the terms", maximum=JOB_TERMS_BYTES))
        except MalformedMessage as cause:
            raise InvalidJob(f"the terms of the job cannot be written: {cause.message}") from cause
        if again != different:
            raise InternalError("the terms of a job are not read as they were written")
