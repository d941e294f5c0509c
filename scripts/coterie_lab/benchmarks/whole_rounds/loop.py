# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``scripts/bench loop``: the longest stall of every daemon's event loop during rounds of a long vector.

One more party than take part is a member of the federation and left out of the job. Its daemon is connected and idle:
what its loop waits for, on a machine whose cores all others use, is the machine's doing, not the product's.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coterie_common.identifiers import PartyId
from coterie_lab.benchmarks.whole_rounds.algorithm import VectorsConfig
from coterie_lab.benchmarks.whole_rounds.federation import running_federation
from coterie_lab.benchmarks.whole_rounds.rounds import SEALED_CLIP_NORM, run_job
from coterie_lab.benchmarks.whole_rounds.watchdog import Delay, longest, read_delays

VALUES: Final = 10_000_000
PARTIES: Final = 10
ROUNDS: Final = 3


@dataclass(frozen=True, slots=True)
class LoopResult:
    """The results of one run.

    Attributes:
        values: length of the vector.
        parties: that took part.
        rounds: of the job.
        daemons: the worst of each daemon, by name; the idle one's last.
    """

    values: int
    parties: int
    rounds: int
    daemons: dict[str, Delay]

    @property
    def idle(self) -> Delay:
        """The daemon that took no part."""
        return list(self.daemons.values())[-1]


def measure_loop(
    scratch: Path, say: Callable[[str], None], *, values: int = VALUES, parties: int = PARTIES, rounds: int = ROUNDS
) -> LoopResult:
    """Run two jobs, and read what the watchdogs of all daemons saw of the second, from submission to completion.

    Raises:
        RoundFailed: the job did not complete.
        CommandError: a daemon died.
    """
    say(f"loops: founding a federation of {parties}, and one member more")
    with running_federation(scratch / "federation", parties + 1, watched=True) as federation:
        idle = PartyId(f"party-{parties + 1}")
        say(f"loops: {rounds} rounds of {values:,} values, {parties} parties")
        config = VectorsConfig(values=values, rounds=rounds, clip_norm=SEALED_CLIP_NORM)
        # In a first job daemons load libraries, which keeps an interpreter busy for tenths of a second.
        run_job(federation, config.model_copy(update={"rounds": 1}), without=(idle,))
        start = time.monotonic()
        run_job(federation, config, without=(idle,))
        end = time.monotonic()
    found = {name: longest(read_delays(path), start, end) for name, path in federation.watched.items()}
    return LoopResult(values, parties, rounds, found)


def loop_markdown(result: LoopResult, machine: str) -> str:
    """Return the result as a table, with what it was measured on."""
    active = list(result.daemons.items())[:-1]
    worst = max(figure.ms for _, figure in active)
    lines = [
        f"{machine} {result.rounds} rounds of {result.values:,} values, {result.parties} parties.",
        "",
        "| daemon | longest stall, ms | above the idle daemon, ms | ms of one core that the daemon used meanwhile "
        "| most ms of one core that its loop used in one go |",
        "|---|---:|---:|---:|---:|",
    ]
    for name, figure in result.daemons.items():
        label = f"{name}, idle" if figure is result.idle else name
        above = figure.ms - result.idle.ms
        lines.append(f"| {label} | {figure.ms:.0f} | {above:.0f} | {figure.process_ms:.0f} | {figure.loop_ms:.1f} |")
    lines += ["", f"The longest stall of all was {worst - result.idle.ms:.0f} ms above the idle daemon's."]
    return "\n".join(lines) + "\n"
