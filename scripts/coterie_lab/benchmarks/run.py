# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One run from a plan to its figures."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from coterie_common.crypto.threshold import KeyKind
from coterie_lab.benchmarks.checking import measure_checking
from coterie_lab.benchmarks.measuring import Yardstick
from coterie_lab.benchmarks.memory import measure_memory
from coterie_lab.benchmarks.opening_keys import measure_opening
from coterie_lab.benchmarks.peers import PeerFigures, measure_peers
from coterie_lab.benchmarks.plan import Plan
from coterie_lab.benchmarks.primitives import measure_primitives
from coterie_lab.benchmarks.rows import REFERENCE_VALUES, Results, measured
from coterie_lab.benchmarks.whole_rounds.federation import running_federation
from coterie_lab.benchmarks.whole_rounds.rounds import measure_rounds
from coterie_lab.benchmarks.workload import Workload

_PEER_PARTIES, _PEER_REPETITIONS = 10, 3


@dataclass(frozen=True)
class Outcome:
    """The results of a run.

    Attributes:
        results: all rows.
        peers: other libraries' figures.
        missing: name of each other library that was left out, and why.
    """

    results: Results
    peers: list[PeerFigures]
    missing: list[tuple[str, str]]


def run(plan: Plan, scratch: Path, say: Callable[[str], None]) -> Outcome:
    """Measure everything that the plan names.

    Args:
        plan: what to measure.
        scratch: folder for vectors.
        say: receives a line on the next step.

    Raises:
        WrongSum: vectors did not add up.
        NotTheSum: a key did not open what it encrypted.
        MemoryNotMeasured: a process failed.
        RoundFailed: a round was not released.
        CommandError: a daemon died.
    """
    yardstick, results = Yardstick(), Results()
    yardstick.measure()
    for values, parties in plan.steps:
        say(f"steps: {values:,} values, {parties} parties")
        workload = Workload(values, parties, plan.key_bits)
        results.add(measure_primitives(workload, yardstick, plan.repetitions_at(values)))
    for values, parties in plan.checking:
        say(f"proofs and verifications: {parties} parties")
        results.add(measure_checking(values, parties, plan.key_bits, yardstick, plan.repetitions))
    for parties, key_bits in plan.opening:
        for kind in KeyKind:
            say(f"opening the key: {parties} parties, {kind.value}, {key_bits} bits")
            results.add(measure_opening(parties, key_bits, kind, yardstick, plan.repetitions))
    if plan.rounds:
        say(f"rounds: founding a federation of {plan.round_parties}")
        with running_federation(scratch / "federation", plan.round_parties) as federation:
            for values in plan.rounds:
                say(f"rounds: {values:,} values, {plan.round_parties} parties")
                results.add(measure_rounds(federation, plan, values))
    for values, parties in plan.memory:
        say(f"memory: {values:,} values, {parties} parties")
        results.add(measure_memory(Workload(values, parties, plan.key_bits), scratch))
    peers: list[PeerFigures] = []
    missing: list[tuple[str, str]] = []
    if plan.peers:
        say("other libraries")
        peers, missing = measure_peers(yardstick, _PEER_PARTIES, _PEER_REPETITIONS)
    # One for the whole run: least against least, so that a busy moment of the yardstick flatters nothing.
    results.all.insert(0, measured("reference", REFERENCE_VALUES, 1, yardstick.ms))
    return Outcome(results, peers, missing)
