# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace

from coterie_lab.benchmarks.report import markdown
from coterie_lab.benchmarks.rows import REFERENCE_VALUES, Measured, Results, measured
from coterie_lab.benchmarks.whole_rounds.processes import core_ms, peak_mib

PARTIES = 10


def round_of(metric: str, values: int, ms: float, core: float | None) -> Measured:
    row = measured(metric, values, PARTIES, [ms + 1, ms, ms + 2])
    return replace(row, core_ms=core, memory=(200.0, 100.0))


def tables(*rows: Measured) -> str:
    results = Results()
    results.add([measured("reference", REFERENCE_VALUES, 1, [20.0]), *rows])
    return markdown(results, "Measured here.", [], [])


def test_rounds_show_what_further_values_cost_and_the_ratio():
    text = tables(
        round_of("round_sealed", 10_000, 1000, 2000),
        round_of("round_plain", 10_000, 500, 900),
        round_of("round_sealed", 2_010_000, 4000, 6000),
        round_of("round_plain", 2_010_000, 3000, 5900),
    )
    assert (
        "| 2,010,000 | 4,000 / 3,000 | 6,000 / 5,900 | 1,500 / 1,250 = 1.20 | 2,000 / 2,500 = 0.80 | 200 / 100 |"
        in text
    )
    assert "A sealed round of 10,000 values" in text
    assert "took 200 ms of one core per party" in text


def test_rounds_of_three_kinds_stand_side_by_side_and_are_compared_with_those_not_sealed():
    text = tables(
        round_of("round_sealed", 10_000, 1000, 2000),
        round_of("round_complete", 10_000, 600, 1000),
        round_of("round_plain", 10_000, 500, 900),
        round_of("round_sealed", 2_010_000, 4000, 6000),
        round_of("round_complete", 2_010_000, 3100, 4000),
        round_of("round_plain", 2_010_000, 3000, 5900),
    )
    assert "sealed / sealed completely / not sealed" in text
    assert "| 10,000 | 1,000 / 600 / 500 | 2,000 / 1,000 / 900 |  |  | 200 / 100 |" in text
    further = "1,500 / 1,250 / 1,250 = 1.20 / 1.00 | 2,000 / 1,500 / 2,500 = 0.80 / 0.60"
    assert f"| 2,010,000 | 4,000 / 3,100 / 3,000 | 6,000 / 4,000 / 5,900 | {further} | 200 / 100 |" in text
    joined = " ".join(text.split())
    assert "one that is sealed completely took 100 ms, one that is not sealed took 90 ms." in joined


def test_rounds_without_known_use_of_cores_leave_it_out():
    text = tables(round_of("round_sealed", 10_000, 1000, None), round_of("round_plain", 10_000, 500, None))
    assert "| 10,000 | 1,000 / 500 | ? / ? |  |  | 200 / 100 |" in text
    assert "ms of one core per party" not in text


def test_figure_is_the_least_and_the_median_stands_beside_it():
    row = measured("seal", 1000, 3, [3.0, 1.23456789, 2.0])
    assert (row.row.figure, row.median, row.row.unit) == (1.2346, 2.0, "ms")


def test_use_of_this_process_grows():
    before = core_ms([os.getpid()])
    assert before is not None
    while (core_ms([os.getpid()]) or 0) == before:
        pass
    memory = peak_mib([os.getpid()])
    assert memory is not None
    assert memory > 10


def test_use_of_a_child_that_ended_stays():
    burns = "import time\nwhile time.process_time() < 0.3: pass"
    before = core_ms([os.getpid()])
    subprocess.run([sys.executable, "-c", burns], check=True)
    after = core_ms([os.getpid()])
    assert before is not None
    assert after is not None
    # Counters tick every 10 ms, and there are four of them.
    assert after - before >= 250


def test_process_that_ended_has_used_nothing():
    beyond_any = 1 << 30
    assert core_ms([beyond_any]) == 0
    assert peak_mib([beyond_any]) is None
