# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import asyncio
import time

import pytest

from coterie_lab.benchmarks.whole_rounds.loop import LoopResult, loop_markdown
from coterie_lab.benchmarks.whole_rounds.watchdog import NO_DELAY, Delay, longest, read_delays, run_watched

EARLY, HIT, LATE = Delay(1.0, 900, 9, 9), Delay(2.0, 40, 30, 3), Delay(2.5, 20, 10, 12)


def test_longest_takes_what_came_between_two_times_only():
    assert longest([EARLY, HIT, LATE], 1.5, 3.0) == Delay(2.5, 40, 30, 12)
    assert longest([EARLY, HIT, LATE], 1.5, 2.0) == HIT
    assert longest([EARLY], 5.0, 6.0) == NO_DELAY


@pytest.mark.parametrize("works", [True, False], ids=["own work", "waiting"])
def test_watchdog_sees_what_blocks_its_loop_and_who_worked_meanwhile(tmp_path, works):
    async def block() -> None:
        await asyncio.sleep(0.05)
        end = time.monotonic() + 0.2
        while works and time.monotonic() < end:
            pass
        # Here as if the loop's process had no core.
        time.sleep(max(0.0, end - time.monotonic()))  # noqa: ASYNC251
        await asyncio.sleep(0.15)

    start = time.monotonic()
    run_watched(block(), tmp_path / "delays")
    seen = longest(read_delays(tmp_path / "delays"), start, time.monotonic())
    assert seen.ms >= 190
    assert (seen.loop_ms > 20) is works
    assert (seen.process_ms > 20) is works


def test_table_compares_every_daemon_with_the_idle_one():
    text = loop_markdown(LoopResult(10, 2, 3, {"aggregator": HIT, "party-1": LATE, "party-2": LATE}), "Here.")
    assert "| aggregator | 40 | 20 | 30 | 3.0 |" in text
    assert "| party-2, idle | 20 | 0 | 10 | 12.0 |" in text
    assert "20 ms above the idle daemon's" in text
