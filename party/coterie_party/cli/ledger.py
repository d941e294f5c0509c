# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie-party ledger``: what is spent, reserved and left of each data set's privacy budget."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie_common.console import say, say_json
from coterie_party.cli.desk import open_desk
from coterie_party.cli.options import AsJson, PartyFolder

if TYPE_CHECKING:
    from coterie_party.ledger_report import LedgerReport


def ledger(
    dataset: Annotated[str | None, typer.Argument(metavar="DATASET", help="Of this data set only.")] = None,
    home: PartyFolder = Path("party"),
    as_json: AsJson = False,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw it into this file, too.")] = None,
) -> None:
    """Show what is spent, reserved and left of each data set's privacy budget, per limit and per job."""
    from coterie_common.files import write_atomically
    from coterie_party.ledger_plot import draw
    from coterie_party.ledger_report import report

    with open_desk(home) as desk:
        names = desk.store.datasets() if dataset is None else (dataset,)
        reports = [found for name in names for found in report(name, desk.store.ledger(name), desk.policy, desk.now)]
    if plot is not None:
        write_atomically(plot, draw(reports).encode("utf-8"))
    if as_json:
        return say_json([found.to_document() for found in reports])
    if not reports:
        return say("Nothing is spent or reserved" + (f" of {dataset}." if dataset else "."))
    for found in reports:
        _show(found)
    return None


def _show(found: LedgerReport) -> None:
    from coterie_common.listing import moment, print_table
    from coterie_party.budget import decimal_text

    say(f"{found.dataset}, per {found.unit}")
    limits = [
        (
            use.words,
            f"ε = {decimal_text(use.limit.budget.epsilon)} at δ = {decimal_text(use.limit.budget.delta)}",
            _epsilon(use.epsilon),
            _percent(use.spent),
            _percent(use.reserved),
            _percent(use.left),
        )
        for use in found.limits
    ]
    print_table(
        ("limit for", "is", "ε so far", "spent", "reserved", "left"),
        limits,
        empty="No limits: the policy cannot be used.",
    )
    say("")
    rows = [
        (
            job.job_id,
            str(job.spent),
            str(job.reserved),
            str(job.given_back),
            f"{_epsilon(job.epsilon)} at δ = {decimal_text(found.delta)}",
            "-" if job.part is None else _percent(job.part),
            moment(job.last),
        )
        for job in found.jobs
    ]
    columns = ("job", "rounds spent", "reserved", "given back", "ε of it alone", "of the lifetime budget", "last")
    print_table(columns, rows, empty="No jobs.")
    say("")


def _percent(part: float) -> str:
    return "all" if math.isinf(part) else f"{100 * part:.1f} %"


def _epsilon(epsilon: float) -> str:
    return "∞" if math.isinf(epsilon) else f"{epsilon:.4g}"
