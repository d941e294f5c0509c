# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie-party ledger``: what is spent, reserved and left of each data set's privacy budget."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from coterie_common.host.console import say, say_json
from coterie_common.shown import counted
from coterie_party.cli.options import AsJson, PartyFolder
from coterie_party.cli.steward_view import open_lines, open_steward_view

if TYPE_CHECKING:
    from coterie_party.steward.ledger_file import LedgerFile
    from coterie_party.steward.ledger_report import LedgerReport


class _ShowsByDefault(TyperGroup):
    """A group whose command ``show`` need not be written."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """See click."""
        if not args or (args[0] not in self.commands and args[0] != "--help"):
            args = ["show", *args]
        return super().parse_args(ctx, args)


app = typer.Typer(
    cls=_ShowsByDefault,
    help="Show what is spent, reserved and left of each data set's privacy budget, or take the ledger elsewhere.",
    pretty_exceptions_enable=False,
)


@app.command()
def export(
    file: Annotated[Path, typer.Argument(help="Where to write it.")],
    home: PartyFolder = Path("party"),
) -> None:
    """Write all lines of the ledger to a file, for another machine or another federation's folder."""
    from coterie_party.steward.ledger_file import LedgerFile

    with open_lines(home) as lines:
        found = LedgerFile(*lines.everything())
    found.write(file)
    count = sum(map(len, found.entries.values()))
    say(f"{file} holds {counted(count, 'line')}, and the secret that sets records aside: keep it as private as {home}.")


@app.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(help="What 'coterie-party ledger export' or 'coterie-party audit export' wrote.")
    ],
    home: PartyFolder = Path("party"),
) -> None:
    """Add the lines of an exported ledger, or of this party's own record. Spending recorded here is never reduced."""
    say(import_ledger(home, file))


def import_ledger(home: Path, file: Path) -> str:
    """Add an exported ledger to a folder's, and return the message for the user; see the command."""
    from coterie_common.clock import SystemClock

    found, limits = _read(home, file)
    with open_lines(home) as lines:
        added = lines.add(found.entries, found.salts, SystemClock().now())
    if not added:
        return f"All of {file} was in this folder's ledger before: that changes nothing."
    now_in = f"{counted(added, 'line')} of {file} {'is' if added == 1 else 'are'} in this folder's ledger now"
    return f"{now_in}; 'coterie-party ledger' shows what is left.{limits}"


def _read(home: Path, file: Path) -> tuple[LedgerFile, str]:
    """Read an exported ledger, or the one that follows from an exported record, and any remark on it."""
    from coterie_common.audit.entry import Owner
    from coterie_common.audit.page import is_record
    from coterie_common.files import read_bytes
    from coterie_common.limits import AUDIT_EXPORT_BYTES
    from coterie_party.home.home import PartyHome
    from coterie_party.steward.ledger_file import LedgerFile
    from coterie_party.steward.ledger_of_record import ledger_of_record

    config = PartyHome(home).config()
    data = read_bytes(file, "the ledger", maximum=AUDIT_EXPORT_BYTES)
    if not is_record(data):
        return LedgerFile.read(file), ""
    limits = " What was asked after the record was exported is not among them."
    return ledger_of_record(file, data, Owner(config.founder, config.id)), limits


@app.command()
def show(
    dataset: Annotated[str | None, typer.Argument(metavar="DATASET", help="Of this data set only.")] = None,
    home: PartyFolder = Path("party"),
    as_json: AsJson = False,
    plot: Annotated[Path | None, typer.Option(metavar="FILE.svg", help="Draw it into this file, too.")] = None,
) -> None:
    """Show what is spent, reserved and left of each data set's privacy budget, per limit and per job."""
    from coterie_common.files import write_atomically
    from coterie_party.steward.ledger_plot import draw
    from coterie_party.steward.ledger_report import report

    with open_steward_view(home) as view:
        names = view.store.datasets() if dataset is None else (dataset,)
        reports = [found for name in names for found in report(name, view.store.ledger(name), view.policy, view.now)]
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
    from coterie_common.host.listing import moment, print_table
    from coterie_party.policy.budget import decimal_text

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
