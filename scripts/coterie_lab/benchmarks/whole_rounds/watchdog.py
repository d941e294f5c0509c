# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A watchdog in a daemon's event loop: how late it wakes, which is how long everything else in that loop waits, too.

It sleeps and looks at the clock, and keeps of every tenth of a second the longest delay. What it saw is written when
the daemon ends: a write in between could itself wait for the disk.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterable
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any, Final

TICK_S: Final = 0.005
_KEPT_S: Final = 0.1


@dataclass(frozen=True, slots=True)
class Delay:
    """The longest delay within a short time.

    Attributes:
        at: when it was noted, in seconds of the system's monotonic clock, which all processes share.
        ms: how much later than asked for the watchdog woke.
        process_ms: processor time that all threads of the process used meanwhile. A delay with little of it is somebody
            else's: other processes had the cores.
        loop_ms: the most processor time that the loop's own thread used between two looks.
    """

    at: float
    ms: float
    process_ms: float
    loop_ms: float


NO_DELAY: Final = Delay(0, 0, 0, 0)


def run_watched(work: Coroutine[Any, Any, None], path: Path) -> None:
    """Run ``work`` in an event loop, and write to ``path`` how late that was meanwhile."""
    delays: list[Delay] = []
    try:
        asyncio.run(_watched(work, delays))
    finally:
        path.write_text("".join(f"{' '.join(map(repr, astuple(delay)))}\n" for delay in delays))


async def _watched(work: Coroutine[Any, Any, None], delays: list[Delay]) -> None:
    watchdog = asyncio.create_task(_watch(delays))
    try:
        await work
    finally:
        watchdog.cancel()


async def _watch(delays: list[Delay]) -> None:
    kept, worst = time.monotonic(), NO_DELAY
    while True:
        before, process, loop = time.monotonic(), time.process_time(), time.thread_time()
        await asyncio.sleep(TICK_S)
        now = time.monotonic()
        late = Delay(now, 1000 * (now - before - TICK_S), 1000 * (time.process_time() - process), 0)
        worst = _worse(worst, late, loop_ms=1000 * (time.thread_time() - loop))
        if now - kept >= _KEPT_S:
            delays.append(worst)
            kept, worst = now, NO_DELAY


def _worse(one: Delay, other: Delay, *, loop_ms: float) -> Delay:
    longer = one if one.ms >= other.ms else other
    return Delay(other.at, longer.ms, longer.process_ms, max(one.loop_ms, other.loop_ms, loop_ms))


def read_delays(path: Path) -> list[Delay]:
    """Return what a watchdog wrote."""
    return [Delay(*map(float, line.split())) for line in path.read_text().splitlines()]


def longest(delays: Iterable[Delay], start: float, end: float) -> Delay:
    """Return the worst between two times of the monotonic clock."""
    worst = NO_DELAY
    for delay in delays:
        if start <= delay.at <= end + _KEPT_S:
            worst = _worse(worst, delay, loop_ms=0)
    return worst
