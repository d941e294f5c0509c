# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Upper bounds on the cost of jobs to each data set, as known to the aggregator: for orientation, never for decisions.

The sum of the jobs' promises is an upper bound (basic composition: ε and δ add up). Parties decide by their own
ledgers, which compose more tightly, know other federations' jobs on the same data, and give back unasked rounds.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from coterie_common.privacy.noise.mechanisms import Placement
from coterie_common.protocol.progress import JobState, JobStatus


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """The promises of the jobs on one data set, for one unit of privacy.

    Attributes:
        dataset: the name that jobs use for it.
        unit: of privacy; those of different units do not add up.
        completed: jobs that completed.
        others: jobs that asked at least one round and are running, failed or were cancelled.
        epsilon, delta: sums over both, as exact decimal text.
        without_noise: of these jobs, those that promise nothing; if there are any, the sum promises nothing either.
    """

    dataset: str
    unit: str
    completed: int
    others: int
    epsilon: str
    delta: str
    without_noise: int


def spending(jobs: Iterable[JobStatus]) -> tuple[Spending, ...]:
    """Add up the promises of jobs that asked at least one round, by data set and unit."""
    groups: dict[tuple[str, str], list[JobStatus]] = {}
    for job in jobs:
        if job.round is not None:
            groups.setdefault((job.dataset, job.privacy.unit), []).append(job)
    return tuple(_spending(*key, asked) for key, asked in sorted(groups.items()))


def _spending(dataset: str, unit: str, jobs: list[JobStatus]) -> Spending:
    noised = [job for job in jobs if job.privacy.placement != Placement.NONE]
    completed = sum(job.state is JobState.COMPLETED for job in jobs)
    return Spending(
        dataset=dataset,
        unit=unit,
        completed=completed,
        others=len(jobs) - completed,
        epsilon=f"{sum((Decimal(job.privacy.epsilon) for job in noised), Decimal(0)):f}",
        delta=f"{sum((Decimal(job.privacy.delta) for job in noised), Decimal(0)):f}",
        without_noise=len(jobs) - len(noised),
    )
