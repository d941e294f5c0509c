# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``scripts/bench``: measures, prints the tables, and writes them as Markdown, CSV and a plot."""

from __future__ import annotations

import argparse
import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from rich.console import Console

from coterie_common.errors import CoterieError
from coterie_lab.benchmarks.memory import MemoryNotMeasured
from coterie_lab.benchmarks.plan import Plan, quick, whole
from coterie_lab.benchmarks.primitives import WrongSum
from coterie_lab.benchmarks.report import markdown, plot
from coterie_lab.benchmarks.rows import to_csv, to_json
from coterie_lab.benchmarks.run import run
from coterie_lab.benchmarks.whole_rounds.loop import loop_markdown, measure_loop
from coterie_lab.benchmarks.whole_rounds.rounds import RoundFailed
from coterie_lab.local_federation.processes import CommandError


def main() -> int:
    """Run; returns the exit status."""
    options = _options()
    console = Console(stderr=True)
    began = time.monotonic()

    def say(text: str) -> None:
        console.print(text, highlight=False)

    try:
        with tempfile.TemporaryDirectory(prefix="coterie-bench-", dir=options.scratch) as scratch:
            if options.part == "loop":
                print(loop_markdown(measure_loop(Path(scratch), say), _machine()))
                return 0
            outcome = run(_plan(options), Path(scratch), say)
    except KeyboardInterrupt:
        console.print("interrupted; nothing was written")
        return 130
    except (CoterieError, CommandError, MemoryNotMeasured, RoundFailed, WrongSum) as error:
        console.print(f"error: {error}", style="red", markup=False)
        return 1
    results = outcome.results
    text = markdown(results, _machine(), outcome.peers, outcome.missing)
    print(text)
    options.folder.mkdir(parents=True, exist_ok=True)
    (options.folder / "benchmarks.md").write_text(text, encoding="utf-8")
    (options.folder / "benchmarks.csv").write_text(to_csv(results.all, results.reference_ms), encoding="utf-8")
    (options.folder / "benchmarks.svg").write_text(plot(results), encoding="utf-8")
    if options.json:
        options.json.write_text(to_json(results.all), encoding="utf-8")
    console.print(f"{time.monotonic() - began:.0f} s; tables and plot are in {options.folder}", soft_wrap=True)
    return 0


def _plan(options: argparse.Namespace) -> Plan:
    return quick(huge=options.huge) if options.quick else whole(huge=options.huge)


def _machine() -> str:
    """Return a sentence on the machine that the figures were measured on."""
    processor = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        processor = names[0] if names else processor
    return f"Measured on {os.cpu_count()} cores ({processor}), Python {platform.python_version()}."


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("part", nargs="?", choices=["loop"], help="measure this alone: stalls of event loops")
    parser.add_argument("--quick", action="store_true", help="fewer lengths and repetitions; at most three minutes")
    parser.add_argument("--huge", action="store_true", help="vectors of 10^8 values too; needs 2 GiB of disk")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to FILE as JSON")
    parser.add_argument(
        "--folder", type=Path, default=Path("bench-run"), help="for tables and plot (default bench-run)"
    )
    parser.add_argument("--scratch", type=Path, help="folder for vectors during the run (default: the system's choice)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
