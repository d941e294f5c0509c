# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Tables and figures of the attacks, from committed numbers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from coterie_lab.evaluation.attacks.campaign import EPSILONS, Breach, read_breaches
from coterie_lab.evaluation.attacks.eavesdropping import Leak, View
from coterie_lab.evaluation.csv_file import read_csv
from coterie_lab.evaluation.figures import Line, Stroke, draw

_ATTACKS = {
    "loss": "loss of the model",
    "shadow": "likelihood ratio, shadow models",
    "releases": "all released sums",
}


def membership_table(folder: Path) -> Iterator[str]:
    """Yield the lines of the table of memberships."""
    yield "| promised ε | attack | sees | AUC | members found at 1 % false alarms | proven: ε at least |\n"
    yield "|---|---|---|---|---|---|\n"
    for found in read_breaches(folder):
        sees = "what the aggregator sees" if found.attack == "releases" else "the model"
        yield (
            f"| {found.epsilon or 'none: no noise'} | {_ATTACKS[found.attack]} | {sees} | {found.auc:.3f} | "
            f"{found.true_alarms:.1%} | {found.bound:.2f} |\n"
        )


def leak_table(folder: Path) -> Iterator[str]:
    """Yield the lines of the table of what an aggregator learns from replies and from sums."""
    leaks = read_csv(folder / "leaks.csv", Leak)
    columns = list(dict.fromkeys((leak.attack, leak.records) for leak in leaks))
    heads = (f"{attack}, {records} record{'s' if records > 1 else ''}" for attack, records in columns)
    yield f"| the aggregator sees | {' | '.join(heads)} |\n"
    yield "|---|" + "---|" * len(columns) + "\n"
    for view in View:
        found = {(leak.attack, leak.records): leak.success for leak in leaks if leak.view is view}
        yield f"| {view.value} | {' | '.join(f'{found[column]:.3f}' for column in columns)} |\n"


def draw_membership(folder: Path) -> None:
    """Draw the ROC curves of the strongest attack, and of the model's loss without noise."""
    breaches = {(found.epsilon, found.attack): found for found in read_breaches(folder)}
    lines = [_curve(breaches[epsilon, "releases"], number) for number, epsilon in enumerate(EPSILONS)]
    lines += [_curve(breaches[None, attack], 4 + number) for number, attack in enumerate(("shadow", "loss"))]
    draw(
        folder / "membership.svg",
        lines,
        title="Was this person in the data?",
        x="false alarms",
        y="members found",
        diagonal=True,
    )


def _curve(found: Breach, style: int) -> Line:
    promised = "no noise" if found.epsilon is None else f"ε = {found.epsilon}"
    false, true = zip(*found.curve, strict=True)
    stroke = Stroke.SOLID if found.attack == "releases" else Stroke.DASHED
    return Line(f"{promised}: {_ATTACKS[found.attack]}", false, true, stroke=stroke, style=style)
