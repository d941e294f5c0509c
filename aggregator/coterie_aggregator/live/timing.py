# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Deadlines that a restart does not postpone: they count from the stored time at which something began."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import assert_never

from coterie_aggregator.machines import round_effects as effects
from coterie_aggregator.machines import round_events as events
from coterie_common.protocol.job_spec import RoundSettings


@dataclass(slots=True)
class RoundTimes:
    """The times at which the phases of a round began.

    Attributes:
        started_at: its query was stored.
        fixed_at: its transcript was fixed; ``None`` before.
    """

    started_at: datetime
    fixed_at: datetime | None = None

    def remaining_s(self, event: effects.Timed, settings: RoundSettings, now: datetime) -> float:
        """Return how long to wait for a timer's event, from the beginning of the phase that it ends."""
        match event:
            case events.DeadlinePassed():
                return remaining_s(settings.deadline_s, self.started_at, now)
            case events.RoundTimedOut():
                return remaining_s(settings.timeout_s, self.started_at, now)
            case events.PatiencePassed():
                # Of a transcript that was fixed in this process, now.
                self.fixed_at = self.fixed_at or now
                return remaining_s(settings.patience_s, self.fixed_at, now)
            case _:
                assert_never(event)


def remaining_s(seconds: float, since: datetime, now: datetime) -> float:
    """Return how much of a period is left: 0 once it is over, all of it where the clock was set back meanwhile."""
    return seconds - min(max((now - since).total_seconds(), 0.0), seconds)
