# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One accepted job at this party: its records, and its exact answers to asks, before noise.

Rounds of counts are answered in this process; rounds of vectors are computed in a separate process, started for the
first such round.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import replace

import structlog

from coterie_common.clock import Clock
from coterie_common.errors import DataError, RecordsMoved
from coterie_common.identifiers import JobId
from coterie_common.learning.agreement import PlannedJob
from coterie_common.learning.algorithm import Ask, Int64
from coterie_common.learning.contribution import Contributor
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.plan import PlannedVectorRound, Records
from coterie_common.privacy.count_encoding import CountEncoding
from coterie_common.privacy.vector_encoding import VectorEncoding
from coterie_common.randomness import RandomSource
from coterie_party.live.accepted_jobs import AcceptedJob
from coterie_party.live.context import Context
from coterie_party.live.division import division_in_force
from coterie_party.policy.policy import Confinement
from coterie_party.training.process import TrainingLimits, TrainingProcess

log = structlog.get_logger(__name__)


def kinds_of_records(job: PlannedJob) -> frozenset[Records]:
    """Return the kinds of records that the rounds of a job count."""
    planned = (each.records if isinstance(each, PlannedVectorRound) else None for each in job.plan.rounds)
    return frozenset(kind or job.algorithm.records for kind in planned)


class JobData:
    """The records of one job, and the computation on them.

    Args:
        job: accepted.
        datasets: the party's records, of every kind that ``kinds_of_records`` names.
        limits: of a process that computes vectors.
        clock: measures its time.

    Attributes:
        turn: to be held while a round is computed; the job's process computes one at a time.
    """

    def __init__(
        self, job: PlannedJob, datasets: Mapping[Records, Dataset], limits: TrainingLimits, clock: Clock
    ) -> None:
        self.job = job
        self._datasets = datasets
        self.turn = asyncio.Lock()
        self._failures: dict[int, Exception] = {}
        self._process = TrainingProcess(job.spec.algorithm, datasets, limits, clock)

    def exact(self, ask: Ask, encoding: CountEncoding | VectorEncoding, random: RandomSource) -> Iterator[Int64]:
        """Yield the encoded answer to an ask that ``check_ask`` let pass, piece by piece, without noise.

        Args:
            ask: of the round.
            encoding: of the round's terms.
            random: of batches and rounding: the operating system's.

        Yields:
            Int64, together the length of the ask; all pieces but the last a multiple of 2,048 values.

        Raises:
            ParameterMismatch: the encoding is not of the planned kind.
            TrainingFailed: vectors could not be computed, or do not have the requested form; one of its subclasses.

        Privacy: call it once per round, and keep the result. A round of vectors that failed fails again, with the same
            words: another try would draw another batch, and whether it fails may depend on who is in it.
        """
        if ask.round_number in self._failures:
            raise self._failures[ask.round_number]
        contributor = Contributor(
            algorithm=self.job.algorithm,
            plan=self.job.plan,
            datasets=self._datasets,
            vectors=self._process.vectors,
            report=_log_unusable,
        )
        try:
            yield from contributor.exact(ask, encoding, random)
        except Exception as failure:  # of any kind: memory that ran out depends on the batch, too
            if isinstance(self.job.plan.rounds[ask.round_number - 1], PlannedVectorRound):
                self._failures[ask.round_number] = failure
            raise

    def close(self) -> None:
        """End the process that computes vectors, even while it is busy."""
        self._process.close()


def _log_unusable(unusable: int, count: int) -> None:
    log.warning("vectors that are not finite count as 0", vectors=unusable, of=count)


async def load_job_data(context: Context, job: AcceptedJob) -> JobData:
    """Load a job's records, and split them as its rounds ask.

    Args:
        context: of the party.
        job: names the data set.

    Raises:
        DataError: the records are no longer bound, or do not fit the schema.
        RecordsMoved: the records are divided differently than when the job's cost was reserved.
    """
    dataset, planned = job.row.dataset, job.planned
    binding = context.datasets.get(dataset)
    if binding is None:
        raise DataError(f"the data set {dataset} is not bound any more in party.toml")
    before = await division_in_force(binding, context)
    records = await context.compute(binding.load, planned, kinds_of_records(planned), before.salt)
    # Again: the file may have been written while it was read.
    division = await division_in_force(binding, context)
    reserved = await context.on_writer(context.store.divisions, job.job_id)
    if not reserved <= {before.name} & {division.name}:
        raise RecordsMoved(
            f"{binding.path} changed otherwise than at its end since job {job.job_id} was accepted, or set_aside of "
            f"{dataset} did: records may have changed sides, and the job's cost is reserved for one side only; "
            "have the job submitted again"
        )
    if division.version is not None and division.version != division.known:
        # Rows that were added and are counted now have their sides from now on.
        await context.on_writer(context.store.keep_data_version, dataset, division.version)
    is_demanded = context.policy.confinement is Confinement.REQUIRED
    limits = replace(context.training, must_be_confined=is_demanded)
    return JobData(planned, records, limits, context.clock)


class LoadedData:
    """The data of jobs that run, each loaded when its first round asks for it."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._loaded: dict[JobId, JobData] = {}

    async def of(self, job: AcceptedJob) -> JobData:
        """Return a job's data, split as its rounds ask; raises as ``load_job_data``."""
        if job.job_id not in self._loaded:
            self._loaded[job.job_id] = await load_job_data(self._context, job)
        return self._loaded[job.job_id]

    async def drop(self, job_id: JobId) -> None:
        """Let go of the data of a job that has ended, and of the process that computes on them."""
        if data := self._loaded.pop(job_id, None):
            await self._context.compute(data.close)

    def close(self) -> None:
        """Let go of all."""
        for data in self._loaded.values():
            data.close()
