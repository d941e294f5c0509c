# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``scripts/example``: private models of gradients on real data, with real daemons, compared with the alternatives."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import tomllib
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from coterie_common.errors import CoterieError
from coterie_common.protocol.job_spec import JobSealing
from coterie_lab.examples import heart, mnist
from coterie_lab.examples.federated_run import Run, job_with, prepare_folder, run_job, sealed
from coterie_lab.local_federation.data import ROOT, DataProblem
from coterie_lab.local_federation.processes import CommandError


def main() -> int:
    """Run an example; returns the exit status."""
    options = _options()
    console = Console(stderr=options.json)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        options.folder = options.folder.resolve()
        figures = _heart(options, console) if options.example == "heart" else _mnist(options, console)
        if options.json:
            print(json.dumps(figures))
    except KeyboardInterrupt:
        console.print("\ninterrupted; everything is stopped")
        return 130
    except (CommandError, DataProblem, CoterieError) as error:
        console.print(f"error: {error}", style="red", markup=False)
        return 1
    return 0


def _heart(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    hospitals = heart.Hospitals(options.seed)
    # Everything held out is judged below, so nothing is set aside for a private evaluation.
    job = job_with(heart.JOBS[options.model], epsilon=options.epsilon, rounds=options.rounds, held_out="false")
    job = sealed(job, options.sealing)
    prepare_folder(options.folder)
    run = run_job(options.folder, job, hospitals.writers(), console, key_bits=options.key_bits)
    results = heart.compare(run.model, hospitals, tomllib.loads(job), options.folder)
    heart.write_results(options.folder / "results.csv", results)
    table = Table(title=f"Area under the ROC curve on {len(hospitals.held_out)} records held out")
    table.add_column("model")
    table.add_column("AUC", justify="right")
    for number, (name, value) in enumerate(results):
        table.add_row(name, f"{value:.3f}", style="" if number else "bold")
    console.print(table)
    _say(run, console)
    return {"auc": dict(results), **_figures(run)}


def _mnist(options: argparse.Namespace, console: Console) -> dict[str, Any]:
    training, test = mnist.Digits.read(options.data, "train"), mnist.Digits.read(options.data, "t10k")
    job = sealed(job_with(mnist.JOB, epsilon=options.epsilon, rounds=options.rounds), options.sealing)
    prepare_folder(options.folder)
    data = mnist.writers(training, options.parties, options.seed)
    run = run_job(options.folder, job, data, console, key_bits=options.key_bits)
    accuracy = mnist.accuracy(run.model, test)
    console.print(f"[bold]{accuracy:.1%}[/bold] of {len(test.digits)} test images are read rightly")
    _say(run, console)
    return {"accuracy": accuracy, **_figures(run)}


def _say(run: Run, console: Console) -> None:
    lineage = run.model.lineage
    console.print(
        f"ε = {lineage.epsilon}, δ = {lineage.delta} per {lineage.unit}, {lineage.rounds} rounds in "
        f"{run.training_seconds:.0f} s after {run.founding_seconds:.0f} s of founding, "
        f"{run.bytes_sent / 2**20:.1f} MiB on the sockets between parties and aggregator"
    )


def _figures(run: Run) -> dict[str, Any]:
    return {
        "epsilon": float(run.model.lineage.epsilon),
        "rounds": run.model.lineage.rounds,
        "founding_seconds": round(run.founding_seconds, 1),
        "training_seconds": round(run.training_seconds, 1),
        "bytes_sent": run.bytes_sent,
    }


def _options() -> argparse.Namespace:
    shared = argparse.ArgumentParser(add_help=False)
    shared.add_argument("--epsilon", type=float, help="privacy of the whole job (default: as in the job file)")
    shared.add_argument("--rounds", type=int, help="of training (default: as in the job file)")
    shared.add_argument("--sealing", choices=[*JobSealing], help="of replies (default: threshold)")
    shared.add_argument("--seed", type=int, default=1, help="which records are held out or dealt to whom (default 1)")
    shared.add_argument("--key-bits", type=int, choices=(2048, 3072, 4096), default=2048, help="default 2048")
    shared.add_argument("--folder", type=Path, default=ROOT / "example-run", help="folder for all files written")
    shared.add_argument("--json", action="store_true", help="print the figures as one JSON line last")
    parser = argparse.ArgumentParser(prog="scripts/example", description=__doc__)
    examples = parser.add_subparsers(dest="example", required=True)
    hospitals = examples.add_parser("heart", parents=[shared], help="heart disease, four hospitals as parties")
    hospitals.add_argument("--model", choices=sorted(heart.JOBS), default="logistic", help="default logistic")
    digits = examples.add_parser("mnist", parents=[shared], help="handwritten digits, a network")
    digits.add_argument("--data", type=Path, required=True, help="folder with the four files of MNIST")
    digits.add_argument("--parties", type=int, default=10, help="3 to 200 (default 10)")
    options = parser.parse_args()
    if options.example == "mnist" and not 3 <= options.parties <= 200:
        parser.error("--parties must be from 3 to 200")
    return options


if __name__ == "__main__":
    sys.exit(main())
