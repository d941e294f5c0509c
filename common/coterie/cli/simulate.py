# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie simulate``: run a job as in a federation of any size, in one process. Works offline."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from coterie.cli.options import AsJson, DecimalMark, Encoding, Missing, Separator, Trim, file_format
from coterie.simulation.method import Method
from coterie_common.host.console import say, say_json

if TYPE_CHECKING:
    from coterie.simulation.comparison import Contest
    from coterie.simulation.scores import Scores


def simulate(
    job: Annotated[Path, typer.Argument(metavar="JOB.toml", help="The job specification.")],
    data: Annotated[Path, typer.Option(help="All records: CSV, gzipped or not, or Parquet.")],
    parties: Annotated[int, typer.Option(min=1, help="Number of parties to deal the records out to.")],
    seeds: Annotated[int, typer.Option(min=1, help="Number of runs, each with another seed.")] = 5,
    corruption_bound: Annotated[int | None, typer.Option(help="Maximum number of parties that may collude.")] = None,
    quorum: Annotated[int | None, typer.Option(help="Minimum number of contributors to a release.")] = None,
    epsilon: Annotated[str | None, typer.Option(help="Instead of the job's.")] = None,
    method: Annotated[
        list[Method] | None,
        typer.Option(help="Method of learning to compare; repeatable. All by default."),
    ] = None,
    held_out: Annotated[float, typer.Option(min=0.01, max=0.99, help="Share of the records to test with.")] = 0.2,
    separator: Separator = None,
    decimal: DecimalMark = ".",
    encoding: Encoding = "utf-8",
    trim: Trim = False,
    missing: Missing = None,
    as_json: AsJson = False,
) -> None:
    """Train a job's model as a federation would, and by the methods it competes with; compare them.

    No encryption, no network, and seeded noise: for research, never for records that need protection.
    """
    from fractions import Fraction

    from coterie.job_file import read_job
    from coterie.simulation.comparison import Contest, Division
    from coterie.simulation.job import with_privacy
    from coterie.simulation.scores import mean_of, stddev_of
    from coterie_common.errors import DataError
    from coterie_common.host.listing import print_table
    from coterie_common.learning.agreement import plan_job
    from coterie_common.learning.data.dataset_file import load_dataset
    from coterie_common.protocol.parameters import choose_parameters

    spec = read_job(job)
    if epsilon is not None:
        spec = with_privacy(spec, epsilon=epsilon)
    planned = plan_job(spec)
    methods = [each for each in Method.of(planned.algorithm) if not method or each in method]
    parameters = choose_parameters(parties, corruption_bound=corruption_bound, quorum=quorum)
    contests = [Contest(each, spec, parameters) for each in methods]
    form = file_format(separator, decimal, encoding, trim=trim, missing=missing)
    dataset = load_dataset(data, planned.schema, form)
    if not dataset.rows:
        raise DataError(f"{data}: there are columns, but no records to simulate with")
    divisions = [Division.of(dataset, parties, Fraction(str(held_out)), seed) for seed in range(seeds)]
    rows = []
    for contest in contests:
        scores = [contest.score(division) for division in divisions]
        rows.append(_row(contest, mean_of(scores), stddev_of(scores)))
    if as_json:
        return _print_json(rows, parties, parameters.corruption_bound, seeds, spec.privacy.epsilon_text)
    figures = list(rows[0]["mean"]) if rows else []
    table = [
        (row["method"], _noise(row["noise_stddev"]), *(_spread(row, name, seeds) for name in figures)) for row in rows
    ]
    say("".join(f"{sentence}\n" for sentence in parameters.explain()))
    if warning := _warning(contests):
        say(f"warning: {warning}\n", err=True)
    return print_table(("method", "noise", *(name.replace("_", " ") for name in figures)), table, empty="Nothing.")


def _warning(contests: list[Contest]) -> str:
    """Return why the federation's noise drowns the job's result; empty if it does not."""
    from coterie_common.learning.noise_warning import noise_warning

    for contest in contests:
        simulation = contest.simulation
        if contest.method is Method.DISTRIBUTED and simulation is not None:
            return noise_warning(simulation.job, simulation.terms, simulation.parameters.parties)
    return ""


def _row(contest: Contest, mean: Scores, stddev: Scores) -> dict[str, Any]:
    noise = contest.noise_stddev
    return {"method": contest.method.value, "noise_stddev": list(noise), "mean": dict(mean), "std": dict(stddev)}


def _noise(stddevs: list[float]) -> str:
    """Show the standard deviation of the noise in the rounds of a job, the first and the last of many."""
    shown = [f"{stddev:.3g}" for stddev in stddevs]
    return ", ".join(shown if len(shown) <= 4 else [shown[0], "…", shown[-1]]) or "-"


def _spread(row: dict[str, Any], name: str, seeds: int) -> str:
    if math.isnan(row["mean"][name]):
        return "too few records"
    mean = f"{row['mean'][name]:.3f}"
    return mean if seeds == 1 else f"{mean} ± {row['std'][name]:.3f}"


def _print_json(rows: list[dict[str, Any]], parties: int, corruption_bound: int, seeds: int, epsilon: str) -> None:
    shared = {"parties": parties, "corruption_bound": corruption_bound, "seeds": seeds, "epsilon": epsilon}
    say_json([{**row, **shared} for row in rows])
