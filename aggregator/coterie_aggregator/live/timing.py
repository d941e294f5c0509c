# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Deadlines that a restart does not postpone: they count from the stored time at which something began."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(slots=True)
class RoundTimes:
    """The times at which the phases of a round began.

    Attributes:
        started_at: its query was stored.
        fixed_at: its transcript was fixed; ``None`` before.
    """

    started_at: datetime
    fixed_at: datetime | None = None


def remaining_s(seconds: float, since: datetime, now: datetime) -> float:
    """Return how much of a period is left: 0 once it is over, all of it where the clock was set back meanwhile."""
    return seconds - min(max((now - since).total_seconds(), 0.0), seconds)
