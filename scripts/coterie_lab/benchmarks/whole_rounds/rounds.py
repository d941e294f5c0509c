# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Whole rounds of every kind in turn: from one release to the next, of jobs with a few rounds each.

The first round of a job is not counted: parties start their training processes and make tables in it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from typing import Final

from coterie_common.identifiers import PartyId
from coterie_common.protocol.job_spec import JobSealing, JobSpec
from coterie_common.protocol.progress import JobState
from coterie_lab.benchmarks.plan import Plan
from coterie_lab.benchmarks.rows import Measured, measured
from coterie_lab.benchmarks.whole_rounds.algorithm import VectorsConfig
from coterie_lab.benchmarks.whole_rounds.federation import ALGORITHM, DATASET, BenchmarkFederation
from coterie_lab.benchmarks.whole_rounds.plain_sealing import PLAIN_CLIP_NORM
from coterie_lab.benchmarks.whole_rounds.processes import core_ms, peak_mib

SEALED_CLIP_NORM: Final = 1
_EPSILON: Final = Decimal(4)

_KINDS: Final = {
    "round_sealed": (SEALED_CLIP_NORM, JobSealing.THRESHOLD),
    "round_complete": (SEALED_CLIP_NORM, JobSealing.COMPLETE),
    "round_plain": (PLAIN_CLIP_NORM, JobSealing.THRESHOLD),
}
"""By metric the clipping norm, which says whether the daemons of a benchmark seal, and the sealing of the job."""


class RoundFailed(Exception):
    """A job of the benchmark did not complete; its reason is in the text."""


@dataclass(frozen=True, slots=True)
class Mark:
    """The beginning of a round, and the resources that all processes had used by then."""

    seconds: float
    core_ms: float | None


def measure_rounds(federation: BenchmarkFederation, plan: Plan, values: int) -> Iterator[Measured]:
    """Run jobs of every kind in turn.

    Args:
        federation: running.
        plan: gives the numbers of rounds and jobs.
        values: length of the vector.

    Yields:
        A row for each kind: the least over all counted rounds, with the mean use of cores.

    Raises:
        RoundFailed: a job did not complete.
    """
    times: dict[str, list[float]] = {metric: [] for metric in _KINDS}
    cores: dict[str, list[float]] = {metric: [] for metric in _KINDS}
    for _ in range(plan.jobs_each):
        for metric, (clip_norm, sealing) in _KINDS.items():
            config = VectorsConfig(values=values, rounds=plan.rounds_each + 1, clip_norm=clip_norm)
            marks = run_job(federation, config, sealing)
            for before, after in pairwise(marks):
                times[metric].append(1000 * (after.seconds - before.seconds))
            first, last = marks[0].core_ms, marks[-1].core_ms
            if first is not None and last is not None:
                cores[metric].append((last - first) / (len(marks) - 1))
    aggregator, *others = federation.processes
    peaks = peak_mib([aggregator]), peak_mib(others)
    memory = None if peaks[0] is None or peaks[1] is None else (peaks[0], peaks[1])
    for metric, figures in times.items():
        row = measured(metric, values, plan.round_parties, figures)
        yield replace(row, core_ms=min(cores[metric], default=None), memory=memory)


def run_job(
    federation: BenchmarkFederation,
    config: VectorsConfig,
    sealing: JobSealing = JobSealing.THRESHOLD,
    *,
    without: Sequence[PartyId] = (),
) -> list[Mark]:
    """Run one job to its end; returns a mark for the beginning of every round but the first, and for the end.

    Args:
        federation: runs.
        config: of the job.
        sealing: that the job asks for.
        without: parties that take no part.

    Raises:
        RoundFailed: it did not complete.
    """
    job_id = federation.client.submit(_spec(config, sealing, without).to_bytes(), despite_noise=True, again=True)
    marks: list[Mark] = []
    begun = 1
    for status in federation.client.watch(job_id):
        federation.check()
        if status.state in (JobState.FAILED, JobState.CANCELLED):
            raise RoundFailed(f"a job with {config.values} values {status.state.value}: {status.reason}")
        is_over = status.state in (JobState.DELIVERING, JobState.COMPLETED) and len(marks) < config.rounds
        if is_over or (status.round is not None and status.round.number > begun):
            marks.append(Mark(time.monotonic(), core_ms(federation.processes)))
            begun += 1
    if len(marks) != config.rounds:
        raise RoundFailed(f"a job with {config.values} values showed {len(marks)} of {config.rounds} rounds")
    return marks


def _spec(config: VectorsConfig, sealing: JobSealing, without: Sequence[PartyId]) -> JobSpec:
    column = {"name": "x", "lower": 0, "upper": 1, "bins": 2}
    return JobSpec.from_table(
        {
            "name": "benchmark",
            "algorithm": ALGORITHM,
            "dataset": DATASET,
            "config": config.model_dump(),
            "sealing": sealing,
            "privacy": {"epsilon": _EPSILON, "delta": Decimal("1e-5"), "unit": "party"},
            "rounds": {"deadline_s": 600, "timeout_s": 3600, "patience_s": 600, "without": list(without)},
            "schema": {"max_records": 1, "columns": [column]},
        }
    )
