# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A submitted job: its specification and terms, the progress of its algorithm, and the model that results."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import structlog

from coterie_aggregator.store import StoredJob
from coterie_common import arrays
from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import (
    ConfigurationError,
    InvalidJob,
    MalformedMessage,
    QuorumTooSmall,
    RefusedError,
    StorageError,
)
from coterie_common.identifiers import JobId, MemberId, PartyId
from coterie_common.learning.agreement import PlannedJob, plan_job, round_quorum
from coterie_common.learning.algorithm import Ask, Release, check_installed
from coterie_common.learning.model import Lineage, Model
from coterie_common.limits import MAX_COMPLETE_COHORT, QUERY_BODY_BYTES, STATE_BYTES
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import JobProposal, ModelDelivery, Query
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.terms import JobTerms
from coterie_common.wire.federation import aggregator_message_from_wire

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress stored with every round: the algorithm's state, and the number of contributors to each release."""

    state: Any
    contributors: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Advanced:
    """The state of a job after a release.

    Attributes:
        progress: after it.
        saved: the same, as it is stored.
        is_finished: whether the algorithm wants no further round.
    """

    progress: Progress
    saved: bytes
    is_finished: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Submission:
    """A submitted job; built once, when it is submitted or when the aggregator starts.

    Attributes:
        proposal: signed.
        planned: the specification, understood.
        terms: as proposed.
        submitter: id of the person who submitted it.
        submitted_at: with time zone.
    """

    proposal: JobProposal
    planned: PlannedJob
    terms: JobTerms
    submitter: MemberId
    submitted_at: datetime

    @property
    def job_id(self) -> JobId:
        """The job's id."""
        return self.proposal.job_id

    def encode(self, progress: Progress) -> bytes:
        """Return the bytes stored with a round."""
        state = arrays.split(self.planned.algorithm.state_to_document(progress.state))
        return arrays.encode({"state": state.document, "contributors": list(progress.contributors)}, state.arrays)

    def decode(self, data: bytes) -> Progress:
        """Read what ``encode`` wrote."""
        stored = arrays.decode(data, "the stored state", maximum=STATE_BYTES)
        value = {**stored.document["state"], **stored.arrays}
        state = self.planned.algorithm.state_from_document(self.planned.config, self.planned.schema, value)
        return Progress(state, tuple(stored.document["contributors"]))

    def advance(self, progress: Progress, query: Query, release: Release) -> Advanced:
        """Update the algorithm's state with the release of the round that ``query`` asked from ``progress``."""
        ask = Ask.from_bytes(query.fields.plan_step, query.body, maximum=QUERY_BODY_BYTES)
        state = self.planned.algorithm.update(progress.state, ask, release)
        following = Progress(state, (*progress.contributors, release.contributors))
        is_finished = self.planned.algorithm.next_ask(state) is None
        return Advanced(following, self.encode(following), is_finished)

    def model(
        self,
        progress: Progress,
        transcripts: tuple[bytes, ...],
        roster: Roster,
        *,
        unfinished: Literal["failed", "cancelled"] | None = None,
    ) -> Model:
        """Return the model with its lineage.

        Args:
            progress: after the last released round.
            transcripts: digests of all released rounds.
            roster: in force.
            unfinished: how the job ended, where the algorithm wanted more rounds.
        """
        return Model(
            name=self.planned.spec.name,
            algorithm=self.planned.spec.algorithm,
            schema=self.planned.schema,
            body=self.planned.algorithm.finish(progress.state),
            lineage=Lineage.of_job(
                self.planned.spec,
                federation=roster.federation,
                job_id=self.job_id,
                roster_digest=self.proposal.roster_digest,
                contributors=progress.contributors,
                transcripts=transcripts,
                unfinished=unfinished,
                rounds_planned=len(self.terms.rounds) if unfinished else None,
            ),
        )


def understand(spec: bytes) -> PlannedJob:
    """Parse and plan a specification; a long one takes seconds.

    Raises:
        MalformedMessage: it is not a specification.
        InvalidJob, ConfigurationError: its algorithm is not there, or cannot run it.
    """
    return plan_job(JobSpec.from_bytes(spec))


def check_beginning(planned: PlannedJob) -> None:
    """Begin a job and forget it, to check that this host has every library it needs, such as PyTorch; may take seconds.

    Raises:
        MissingLibrary: it lacks something.
        InvalidJob: the algorithm cannot begin, also for unforeseen reasons.
    """
    check_installed(planned.algorithm, planned.config)
    try:
        planned.algorithm.initial_state(planned.config, planned.schema)
    except (RefusedError, MalformedMessage):
        raise
    except Exception as failure:  # a supervisor: networks and algorithms are other people's code
        log.exception("job cannot begin", algorithm=planned.spec.algorithm)
        raise InvalidJob(
            f"the algorithm {planned.spec.algorithm} cannot begin: {type(failure).__name__}; its log has more"
        ) from failure


def members_asked(spec: JobSpec, roster: Roster) -> tuple[PartyId, ...]:
    """Return the parties that a job is proposed to, in the roster's order: all that it does not leave out."""
    return tuple(member.party_id for member in roster.members if member.party_id not in spec.rounds.without)


def check_left_out(spec: JobSpec, roster: Roster) -> None:
    """Check that a job leaves out members only, and enough of them in.

    Raises:
        InvalidJob: it names someone who is not a member; or it is sealed completely, and asks too many.
        QuorumTooSmall: fewer parties are left than the quorum of its rounds.
    """
    strangers = set(spec.rounds.without) - {member.party_id for member in roster.members}
    if strangers:
        raise InvalidJob(f"rounds.without: {', '.join(sorted(strangers))} is no party of this federation")
    left, quorum = len(members_asked(spec, roster)), round_quorum(spec, roster.parameters)
    if left < quorum:
        raise QuorumTooSmall(f"rounds.without leaves {left} parties, and a sum needs the replies of {quorum}")
    if spec.is_complete and left > MAX_COMPLETE_COHORT:
        raise InvalidJob(
            f"sealing: a job of {left} parties cannot be sealed completely, which takes {MAX_COMPLETE_COHORT} at most: "
            "name those to leave out in rounds.without"
        )


def make_proposal(job_id: JobId, roster: Roster, spec: bytes, terms: JobTerms, key: SigningKey) -> JobProposal:
    """Return the signed proposal of a job to all parties."""
    proposal = JobProposal(
        job_id=job_id, roster_digest=roster.digest, spec=spec, terms=terms.to_bytes(), signature=UNSIGNED
    )
    return proposal.signed_by(key)


def make_delivery(job_id: JobId, model: bytes, key: SigningKey) -> tuple[ModelDelivery, bytes]:
    """Return the signed delivery of a model, and its digest; a long one takes seconds."""
    delivery = ModelDelivery(job_id=job_id, model=model, signature=UNSIGNED).signed_by(key)
    return delivery, delivery.model_digest


def load_submission(stored: StoredJob) -> Submission:
    """Read a job as it was submitted.

    Raises:
        StorageError: it is damaged, or no longer understood: its algorithm was removed, or changed.
    """
    try:
        proposal = stored_proposal(stored)
        return Submission(
            proposal=proposal,
            planned=understand(proposal.spec),
            terms=JobTerms.from_bytes(proposal.terms),
            submitter=MemberId(stored.submitter),
            submitted_at=stored.submitted_at,
        )
    except (RefusedError, ConfigurationError, MalformedMessage) as cause:
        raise StorageError(f"job {stored.job_id} cannot be understood any more: {cause.message}") from cause
    except StorageError:
        raise
    except Exception as failure:  # a supervisor: an algorithm's own code may raise anything
        kind = type(failure).__name__
        raise StorageError(
            f"job {stored.job_id} cannot be understood any more: its algorithm raised {kind}"
        ) from failure


def stored_proposal(stored: StoredJob) -> JobProposal:
    """Read a job's proposal; its algorithm need not be there.

    Raises:
        StorageError, MalformedMessage: it is damaged.
    """
    proposal = aggregator_message_from_wire(stored.proposal)
    if not isinstance(proposal, JobProposal):
        raise StorageError(f"the stored proposal of job {stored.job_id} is another message")
    return proposal
