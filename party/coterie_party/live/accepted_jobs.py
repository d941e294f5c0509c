# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The jobs that this party accepted, as values: each is parsed and planned once, not again for every message of it.

Invariant: the kept value never replaces a job's stored row. At every message the store decides whether the job runs.
"""

from __future__ import annotations

from dataclasses import dataclass

from coterie_common.errors import StorageError
from coterie_common.identifiers import JobId
from coterie_common.learning.agreement import PlannedJob, plan_job, round_quorum
from coterie_common.limits import ACCEPTED_JOBS_BYTES
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.parameters import FederationParameters
from coterie_common.protocol.terms import JobTerms
from coterie_party.live.context import Context
from coterie_party.store import PartyJob


@dataclass(frozen=True, slots=True, kw_only=True)
class AcceptedJob:
    """A job that this party accepted.

    Attributes:
        row: as it was stored when it was accepted, or when it was first read after a restart.
        planned: its specification, understood.
        terms: accepted for each round.
        round_quorum: that the specification names, or else the federation's.
    """

    row: PartyJob
    planned: PlannedJob
    terms: JobTerms
    round_quorum: int

    @property
    def job_id(self) -> JobId:
        """The job's id."""
        return self.row.job_id


class AcceptedJobs:
    """Accepted jobs that have not ended, up to ``ACCEPTED_JOBS_BYTES``; of more, those that were used last.

    Args:
        context: of the party.
        max_bytes: of their specifications and terms together; one job is always kept.
    """

    def __init__(self, context: Context, *, max_bytes: int = ACCEPTED_JOBS_BYTES) -> None:
        self._context = context
        self._most_bytes = max_bytes
        self._kept: dict[JobId, AcceptedJob] = {}

    def keep(self, job: AcceptedJob) -> None:
        """Keep a job that was just accepted, or was just used."""
        self._kept.pop(job.job_id, None)
        self._kept[job.job_id] = job
        while len(self._kept) > 1 and sum(map(_size, self._kept.values())) > self._most_bytes:
            del self._kept[next(iter(self._kept))]

    def forget(self, job_id: JobId) -> None:
        """Drop a job that has ended."""
        self._kept.pop(job_id, None)

    async def of(self, row: PartyJob) -> AcceptedJob:
        """Return the job of a stored row; it is parsed where it is not kept, as once after a restart.

        Args:
            row: accepted, as the store has it now.

        Raises:
            StorageError: the row belongs to another job than the one that was accepted under its id.
            MalformedMessage, InvalidJob, ConfigurationError: it is not understood any more.
        """
        job = self._kept.get(row.job_id)
        if job is None:
            # Planning runs the algorithm's own code: on a worker, where any error that it raises is contained.
            job = await self._context.compute(understood, row, self._context.roster.parameters)
        if (job.row.spec_digest, job.row.terms_digest) != (row.spec_digest, row.terms_digest):
            raise StorageError(f"the stored job {row.job_id} is another one than this party accepted")
        if row.outcome is None:
            self.keep(job)
        return job


def understood(row: PartyJob, parameters: FederationParameters) -> AcceptedJob:
    """Parse and plan an accepted job; a long one takes seconds. Raises as ``AcceptedJobs.of``."""
    spec = JobSpec.from_bytes(row.spec)
    return AcceptedJob(
        row=row,
        planned=plan_job(spec),
        terms=JobTerms.from_bytes(row.terms),
        round_quorum=round_quorum(spec, parameters),
    )


def _size(job: AcceptedJob) -> int:
    return len(job.row.spec) + len(job.row.terms)
