# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Deadlines that pass when a test says so, after everything that must come before them, however slow the machine is."""

from __future__ import annotations

from functools import partial as bind
from typing import Any

from coterie_aggregator.machines import job_events, round_events
from coterie_common.identifiers import JobId
from tests.support.in_process import InProcessFederation


def pass_deadline(running: InProcessFederation, job_id: JobId, event: job_events.Event | round_events.Event) -> None:
    """Let a time that the aggregator waits for be over now.

    Raises:
        AssertionError: it has no timer for this event.
    """
    live_job = running.aggregator._jobs[job_id]
    lives: list[Any] = [live_job, *([live_job.round] if live_job.round else [])]
    for live in lives:
        if any(getattr(effect, "event", None) == event for effect in live._machine._active):
            running.aggregator._context.post(bind(live.take, event))
            return
    raise AssertionError(f"the aggregator does not wait for {event}")
