# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Consent to queries, and the jobs and queries that wait for the steward's decision or for the hours of the policy.

Invariant: a query that comes outside the hours is neither answered nor refused, because refusals could end the round.
"""

from __future__ import annotations

import structlog

from coterie_common.errors import ConsentDenied, OutsideHours, StorageError
from coterie_common.identifiers import JobId
from coterie_common.learning.agreement import PlannedJob
from coterie_common.limits import QUERIES_WAITING_BYTES
from coterie_common.protocol.acceptance import JobReply
from coterie_common.protocol.messages import Query, Rejection
from coterie_common.protocol.reason import one_line
from coterie_party.live.accepted_jobs import AcceptedJobs
from coterie_party.live.context import Context
from coterie_party.live.proposals import asked_others, decide_again
from coterie_party.policy.decision import check_asked_others, check_confinement, check_consent, check_floors

log = structlog.get_logger(__name__)


class Waiting:
    """Held jobs are in the store; the aggregator repeats queries, so keeping some in memory is enough."""

    def __init__(self, context: Context, jobs: AcceptedJobs) -> None:
        self._context = context
        self._jobs = jobs
        self._queries: dict[JobId, Query] = {}
        # Jobs whose decision failed as nobody foresaw: not tried again before the next start.
        self._failed: set[JobId] = set()

    async def admits(self, query: Query, job: PlannedJob, *, is_new: bool) -> bool:
        """Check that the steward still agrees to a job; keep a query that has to wait, the last one of each job.

        Args:
            query: verified.
            job: its own, which was accepted.
            is_new: whether no work on it was begun yet; work once begun is finished at any time of day.

        Raises:
            ConsentDenied: the policy does not allow it any more, the steward withdrew, or its sums without noise could
                be subtracted from another job's.
            NotConfined: the policy now demands a confinement that the system does not provide.
            QuorumTooSmall: below the floors of the policy.
        """
        fields, policy = query.fields, self._context.policy
        ruling = await self._context.on_writer(self._context.store.ruling, fields.job_id)
        if ruling is not None and not ruling.is_approved:
            raise ConsentDenied("this party's steward withdrew from the job")
        check_consent(policy, job.spec, job.algorithm)
        check_confinement(policy, job, self._context.confinement)
        check_floors(policy, cohort=len(fields.cohort), round_quorum=fields.round_quorum)
        if is_new:
            # Jobs that were accepted before any of them asked could not see each other.
            check_asked_others(await asked_others(job.spec, fields.cohort, self._context))
        if not is_new or policy.is_open(self._context.local_time()):
            return True
        log.info("waiting for the hours of the policy", job=fields.job_id, round=fields.round_number)
        self._queries.pop(fields.job_id, None)
        if sum((len(other.body) for other in self._queries.values()), len(query.body)) > QUERIES_WAITING_BYTES:
            # Not refused: the aggregator repeats it when this party connects again.
            log.warning("too many queries wait for the hours, one is dropped", job=fields.job_id)
        else:
            self._queries[fields.job_id] = query
        return False

    def notice(self, query: Query) -> Rejection:
        """Return what is said of a query that waits: no refusal, but why nothing comes yet."""
        words = f"waits for its hours: it answers {self._context.policy.hours_in_words()} only, local time"
        job_id, number = query.fields.job_id, query.fields.round_number
        return Rejection(code=OutsideHours.code, detail=one_line(words), job_id=job_id, round_number=number)

    def forget(self, job_id: JobId) -> None:
        """Drop the waiting queries of a job that is over."""
        self._queries.pop(job_id, None)

    def forget_queries(self) -> None:
        """Drop all queries."""
        self._queries.clear()

    def queries(self) -> tuple[Query, ...]:
        """Take out the queries that may be answered now."""
        if not self._queries or not self._context.policy.is_open(self._context.local_time()):
            return ()
        due = tuple(self._queries.values())
        self._queries.clear()
        return due

    async def replies(self) -> tuple[JobReply, ...]:
        """Decide on the held jobs whose time has come, and return the replies to send; decisions are stored.

        Raises:
            StorageError: durable state failed.
        """
        replies: list[JobReply] = []
        policy, local = self._context.policy, self._context.local_time()
        for job, ruling in await self._context.on_writer(self._context.store.held_jobs):
            is_refused = ruling is not None and not ruling.is_approved
            reason = policy.reason_to_hold(job.dataset, local, is_approved=ruling is not None)
            if job.job_id in self._failed or not (is_refused or one_line(reason) != job.detail):
                continue
            try:
                reply = await decide_again(job, self._context, self._jobs)
            except StorageError:
                raise
            except Exception as failure:  # noqa: BLE001  # a supervisor: one job's trouble must not keep the others waiting
                self._failed.add(job.job_id)
                self._context.incidents.take(failure, "decide again", job=job.job_id)
            else:
                replies += [] if reply is None else [reply]
        return tuple(replies)
