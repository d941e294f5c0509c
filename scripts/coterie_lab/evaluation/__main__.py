# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``scripts/evaluate``: runs the experiments, and writes their tables and figures."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from coterie_common.errors import CoterieError
from coterie_lab.evaluation import daemons, defaults, defaults_report, points, report, scale, widths
from coterie_lab.evaluation.attacks.campaign import Breach, attack_all, write_breaches
from coterie_lab.evaluation.attacks.eavesdropping import Leak, infer_property, invert_gradients
from coterie_lab.evaluation.cost.campaign import FULL_EFFORT, QUICK_EFFORT, measure_all
from coterie_lab.evaluation.cost.table import cost_table
from coterie_lab.evaluation.csv_file import write_csv
from coterie_lab.evaluation.noise import Measurement, measure, settings, write_ledger
from coterie_lab.evaluation.points import Point
from coterie_lab.evaluation.report import RESULTS
from coterie_lab.evaluation.rows import Row, row_of, write_json
from coterie_lab.evaluation.runs import Cache, Result, run_missing, sources_digest
from coterie_lab.evaluation.workloads import ROOT
from coterie_lab.local_federation.data import DataProblem
from coterie_lab.local_federation.processes import CommandError

PARTS = ("tree", "svm", "cnn", "noise", "attacks", "daemons", "cost", "defaults")
NEED_DATA = {"svm", "cnn"}
CACHE = ROOT / "build" / "evaluation"


def main() -> int:
    """Run the parts chosen by the options; returns the exit status."""
    options = _options()
    console = Console(stderr=True)
    grids = points.FULL if options.full else points.QUICK
    wanted = [part for part in PARTS if not options.only or part in options.only]
    models = [part for part in wanted if part in grids]
    if options.data is None and set(models) & NEED_DATA:
        console.print("svm and cnn are left out: they need --data FOLDER, with the four files of MNIST")
        models = [name for name in models if name not in NEED_DATA]
    chosen = list(dict.fromkeys(point for name in models for point in grids[name].all_points()))
    cache = Cache(CACHE / "runs.jsonl")
    if options.fresh:
        cache.forget([key for key, result in cache.results.items() if _part_of(key, result) in wanted])
    try:
        _run(chosen, cache, options, console)
        ledger = _measure_noise(options, console) if "noise" in wanted else []
        real = _run_daemons(options, cache, console) if "daemons" in wanted else []
        tried = _try_others(cache, options, console) if "defaults" in wanted else []
        breaches, leaks = _attack(options, console) if "attacks" in wanted else ([], [])
        costs = measure_all(FULL_EFFORT if options.full else QUICK_EFFORT, console.print) if "cost" in wanted else []
    except KeyboardInterrupt:
        console.print("interrupted; the same command goes on from here; noise and cost begin anew")
        return 130
    except (CoterieError, CommandError, DataProblem) as error:
        console.print(f"error: {error}", style="red", markup=False)
        return 1
    rows = [row_of(point, cache.of(point, options.data)) for point in chosen]
    _warn_of_old_results([result for point in chosen for result in cache.of(point, options.data)], console)
    if options.json:
        write_json(options.json, rows)
    if options.write:
        RESULTS.mkdir(parents=True, exist_ok=True)
        for name in models:
            write_csv(RESULTS / f"{name}.csv", [row for row in rows if row.model == name])
        if ledger:
            write_ledger(RESULTS / "noise.csv", ledger)
            write_csv(RESULTS / widths.FILE, list(widths.widths()))
        if real:
            write_csv(RESULTS / "daemons.csv", real)
            write_csv(
                RESULTS / "daemons-simulated.csv",
                [row_of(point, cache.of(point, options.data)) for point in _real(daemons.SIMULATED, options)],
            )
        if breaches:
            write_breaches(RESULTS, breaches)
            write_csv(RESULTS / "leaks.csv", leaks)
        if costs:
            write_csv(RESULTS / "cost.csv", costs)
        if tried:
            defaults_report.write_rows(RESULTS / defaults_report.FILE, tried)
            write_csv(RESULTS / scale.FILE, [row for job in scale.JOBS for row in scale.finenesses(*job)])
        report.write(models)
    else:
        _show(rows, ledger)
        for run in real:
            print(f"{run.model} over real daemons, n = {run.parties}, ε = {run.epsilon}: {run.f1_weighted:.3f}")
        for leak in leaks:
            print(f"{leak.attack}, {leak.records} records, from {leak.view.value}: {leak.success:.3f}")
        if costs:
            print("".join(cost_table(costs)), end="")
        for model in dict.fromkeys(row.model for row in tried):
            print(f"{model}\n" + "".join(defaults_report.trial_table([row for row in tried if row.model == model])))
    return 0


def _part_of(key: str, result: Result) -> str:
    """Return the part that a result is of."""
    if key.startswith("daemons-"):
        return "daemons"
    return "defaults" if result.get("entry") else str(result["model"])


def _measure_noise(options: argparse.Namespace, console: Console) -> list[Measurement]:
    measured = []
    for setting in settings():
        measured.append(measure(setting, rounds=100 if options.full else 20))
        kind = f"{setting.method.value} {setting.mechanism.value}"
        console.print(f"noise: {kind}, {setting.contributors} of {setting.parties} parties")
    return measured


def _run_daemons(options: argparse.Namespace, cache: Cache, console: Console) -> list[daemons.RealRun]:
    if options.write:
        _run(_real(daemons.SIMULATED, options), cache, options, console)
    return daemons.run_all(
        _real(daemons.FULL if options.full else daemons.QUICK, options), options.data, cache, console
    )


def _real(points: Sequence[Point], options: argparse.Namespace) -> list[Point]:
    return [point for point in points if options.data is not None or point.model not in NEED_DATA]


def _attack(options: argparse.Namespace, console: Console) -> tuple[list[Breach], list[Leak]]:
    breaches = attack_all(48 if options.full else 12, CACHE, lambda line: console.print(line, markup=False))
    trials = 200 if options.full else 50
    leaks = [leak for records in (1, 10) for leak in invert_gradients(records, trials)]
    return breaches, leaks + infer_property(5 * trials)


def _try_others(cache: Cache, options: argparse.Namespace, console: Console) -> list[defaults_report.TrialRow]:
    """Try other values than the defaults; without MNIST, of the tree only."""
    ablations = defaults.FULL if options.full else defaults.QUICK
    chosen = [each for each in ablations if options.data is not None or each.model not in NEED_DATA]
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("trying other values", total=None)
        defaults.run_trials(
            chosen,
            cache,
            options.data,
            options.processes,
            lambda done, total, seconds: progress.update(bar, completed=done, total=total),
        )
    _warn_of_old_results(
        [
            result
            for each in chosen
            for trial in each.trials()
            for result in defaults.results_of(trial, each.seeds, cache.results, options.data)
        ],
        console,
    )
    return [row for each in chosen for row in defaults_report.rows_of(each, cache.results, options.data)]


def _run(chosen: list[Point], cache: Cache, options: argparse.Namespace, console: Console) -> None:
    with Progress(console=console, transient=True) as progress:
        bar = progress.add_task("training", total=None)
        run_missing(
            chosen,
            cache,
            options.data,
            options.processes,
            lambda done, total, seconds: progress.update(bar, completed=done, total=total),
        )


def _warn_of_old_results(results: list[Result], console: Console) -> None:
    old = sum(result["sources"] != sources_digest() for result in results)
    if old:
        console.print(f"{old} of {len(results)} results are from other sources than these; --fresh runs all again")


def _show(rows: list[Row], ledger: list[Measurement]) -> None:
    if rows:
        print(
            f"{'model':8}{'method':13}{'n':>4}{'ε':>7}{'c':>4}{'F1 weighted':>22}"
            f"{'F1 macro':>10}{'accuracy':>10}{'seeds':>7}"
        )
    for row in rows:
        epsilon = "" if row.epsilon is None else f"{row.epsilon:g}"
        bound = "" if row.corruption_bound is None else row.corruption_bound
        sure = f"{row.f1_weighted:.3f}" + (f" ± {row.half_width:.3f} ({row.std:.3f})" if row.seeds > 1 else "")
        print(
            f"{row.model:8}{row.method:13}{row.parties:>4}{epsilon:>7}{bound:>4}{sure:>22}"
            f"{row.f1_macro:>10.3f}{row.accuracy:>10.3f}{row.seeds:>7}"
        )
    for found in ledger:
        kind = f"{found.setting.method.value} {found.setting.mechanism.value}"
        print(
            f"noise {kind}, n = {found.setting.parties}, c = {found.setting.corruption_bound}, "
            f"{found.setting.contributors} contribute: {found.measured:.4f} σ instead of {found.predicted:.4f}"
        )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/evaluate", description=__doc__)
    extent = parser.add_mutually_exclusive_group()
    extent.add_argument(
        "--quick", action="store_true", help="few points, within ten minutes on two cores (the default)"
    )
    extent.add_argument("--full", action="store_true", help="all points of docs/evaluation.md, several hours")
    parser.add_argument("--only", action="append", choices=PARTS, help="only this part; repeatable")
    parser.add_argument("--data", type=Path, help="folder with the four files of MNIST, for svm and cnn")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows of tree, svm and cnn as JSON")
    parser.add_argument("--write", action="store_true", help="rewrite docs/evaluation and its figures")
    parser.add_argument("--fresh", action="store_true", help="forget earlier results of these parts")
    parser.add_argument("--processes", type=_at_least_one, default=os.cpu_count() or 1, help="how many at a time")
    options = parser.parse_args()
    if options.write and not options.full:
        parser.error("--write is for all points: add --full")
    if options.write and options.data is None and (not options.only or "daemons" in options.only):
        parser.error("--write of the part daemons needs --data FOLDER, or the models trained with it would be lost")
    if options.data is not None and not options.data.is_dir():
        parser.error(f"--data {options.data}: there is no such folder; it holds the four files of MNIST")
    if options.data is None and options.only and set(options.only) <= NEED_DATA:
        parser.error(f"--only {' and '.join(options.only)} needs --data FOLDER, with the four files of MNIST")
    if options.json and (options.json.is_dir() or not os.access(options.json.absolute().parent, os.W_OK)):
        parser.error(f"--json {options.json}: no file can be written there")
    return options


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
