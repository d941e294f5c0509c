# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Time as an argument: the daemons pass ``SystemClock``, tests pass a clock that they move by hand."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Protocol

from typing_extensions import override


class Clock(Protocol):
    """Wall time for records that people read, and monotonic time for deadlines."""

    def now(self) -> datetime:
        """Return the current time with time zone UTC."""
        ...

    def monotonic(self) -> float:
        """Return seconds that never go backwards, from an arbitrary start."""
        ...


class SystemClock(Clock):
    """The clocks of the machine."""

    @override
    def now(self) -> datetime:
        return datetime.now(UTC)

    @override
    def monotonic(self) -> float:
        return time.monotonic()
