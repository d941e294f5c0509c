# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The width of the noise in a released sum, against a trusted curator's: computed from the terms, not simulated.

Two things widen it. Colluding parties know their own shares, so honest ones must add all of the noise. And spare rounds
are reserved out of the same ε, so that less of it is left for each round.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from coterie.simulation.job import Simulation, without_spare_rounds
from coterie_common.protocol.parameters import choose_parameters
from coterie_lab.evaluation.csv_file import read_csv
from coterie_lab.evaluation.points import FULL, Grid, default_bound, few
from coterie_lab.evaluation.workloads import workload

FILE = "widths.csv"
PARTIES = (10, 50)


@dataclass(frozen=True)
class Width:
    """The noise of a job's first round, in units of what a trusted curator adds, who reserves no spare round.

    Attributes:
        model, parties, epsilon, corruption_bound: of the job and the federation.
        rounds: that the job plans.
        spare_rounds: that it reserves by default.
        all_present: with the default's spare rounds, and the noise divided by all.
        no_spare_rounds: with none, and the noise divided by the quorum.
        worst_case: with the default's spare rounds, and the noise divided by the quorum.
    """

    model: str
    parties: int
    epsilon: float
    corruption_bound: int
    rounds: int
    spare_rounds: int
    all_present: float
    no_spare_rounds: float
    worst_case: float


def widths(models: Sequence[str] = tuple(FULL)) -> Iterator[Width]:
    """Yield the widths that docs/evaluation.md lists; all parties contribute to every round."""
    for grid in (FULL[model] for model in models):
        for parties in PARTIES:
            bounds = (few(parties), default_bound(parties)) if grid.has_few else (default_bound(parties),)
            for bound in bounds:
                yield _width(grid, parties, bound)


def _width(grid: Grid, parties: int, bound: int) -> Width:
    parameters = choose_parameters(parties, corruption_bound=bound)
    spec = workload(grid.model, None).spec_at(grid.epsilon)
    usual, bare = Simulation(spec, parameters), Simulation(without_spare_rounds(spec), parameters)
    curator = Simulation(spec, parameters, curator=True).noise_stddev(parties)[0]
    return Width(
        model=grid.model,
        parties=parties,
        epsilon=float(grid.epsilon),
        corruption_bound=bound,
        rounds=len(usual.terms.rounds),
        spare_rounds=usual.terms.spares.rounds,
        all_present=usual.noise_stddev(parties)[0] / curator,
        no_spare_rounds=bare.noise_stddev(parties, bare.fewest)[0] / curator,
        worst_case=usual.noise_stddev(parties, usual.fewest)[0] / curator,
    )


def width_table(folder: Path) -> Iterator[str]:
    """Yield the lines of the table of widths."""
    yield "| model | ε | rounds | spare rounds by default | n | c | all present | no spare rounds | worst case |\n"
    yield "|---|---|---|---|---|---|---|---|---|\n"
    for row in read_csv(folder / FILE, Width):
        yield (
            f"| {row.model} | {row.epsilon:g} | {row.rounds} | {row.spare_rounds} | {row.parties} | "
            f"{row.corruption_bound} | {row.all_present:.2f} | {row.no_spare_rounds:.2f} | {row.worst_case:.2f} |\n"
        )
