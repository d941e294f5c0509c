# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import replace
from typing import Any

from coterie.spending import spending
from coterie_common.protocol.progress import JobState, JobStatus
from tests.support.handlers import job_status


def job(state: JobState = JobState.COMPLETED, *, dataset: str = "nursery", **privacy: Any) -> JobStatus:
    status = job_status(state)
    return replace(status, dataset=dataset, privacy=replace(status.privacy, **privacy))


def test_spending_adds_up_exactly_per_data_set_and_unit():
    found = spending(
        [
            job(epsilon="0.1", delta="0.00001"),
            job(epsilon="0.2", delta="0"),
            job(JobState.CANCELLED, epsilon="1", delta="0.00001"),
            job(dataset="adult", epsilon="3", delta="0.0001"),
            job(unit="party", epsilon="5", delta="0.0001"),
        ]
    )
    assert [(use.dataset, use.unit, use.completed, use.others, use.epsilon, use.delta) for use in found] == [
        ("adult", "record", 1, 0, "3", "0.0001"),
        ("nursery", "party", 1, 0, "5", "0.0001"),
        ("nursery", "record", 2, 1, "1.3", "0.00002"),
    ]


def test_spending_of_jobs_that_never_asked_is_nothing():
    assert spending([replace(job(JobState.FAILED), round=None)]) == ()


def test_spending_with_a_job_without_noise_says_how_many_promise_nothing():
    (use,) = spending([job(epsilon="1"), job(epsilon="9", placement="none")])
    assert (use.without_noise, use.epsilon) == (1, "1")
