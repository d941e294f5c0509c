# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The privacy ledger as a drawing: how much of each limit is spent, reserved and left, and by which jobs. SVG."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final
from xml.sax.saxutils import escape

from coterie_common.shown import shown
from coterie_party.policy.budget import decimal_text
from coterie_party.steward.ledger_report import JobUse, LedgerReport, LimitUse

_WIDTH: Final = 760
_LEFT: Final = 220
_BAR: Final = 400
_ROW: Final = 26

# Follows the reader's light or dark setting; text and lines have a contrast of 7 : 1 or more on both grounds.
_STYLE: Final = """
svg { background: #ffffff; font: 13px sans-serif; }
text { fill: #1f2328; } .faint { fill: #57606a; }
.all { fill: none; stroke: #57606a; } .spent { fill: #0550ae; } .reserved { fill: #7fb2f0; }
@media (prefers-color-scheme: dark) {
  svg { background: #0d1117; } text { fill: #e6edf3; } .faint { fill: #9ea7b3; }
  .all { stroke: #9ea7b3; } .spent { fill: #58a6ff; } .reserved { fill: #1f4f8f; }
}
"""


def draw(reports: Sequence[LedgerReport]) -> str:
    """Return the drawing of some ledgers; bars end at the limit, however far it is overrun."""
    rows = [row for report in reports for row in _rows(report)]
    height = _ROW * (len(rows) + 2)
    legend = (
        f'<rect class="spent" x="{_LEFT}" y="{height - 20}" width="12" height="12"/>'
        f'<text x="{_LEFT + 18}" y="{height - 10}">spent</text>'
        f'<rect class="reserved" x="{_LEFT + 80}" y="{height - 20}" width="12" height="12"/>'
        f'<text x="{_LEFT + 98}" y="{height - 10}">reserved</text>'
        f'<text class="faint" x="{_LEFT + 180}" y="{height - 10}">frame: the limit</text>'
    )
    body = "\n".join(f'<g transform="translate(0 {_ROW * number + 10})">{row}</g>' for number, row in enumerate(rows))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" height="{height}" '
        f'role="img" aria-label="Privacy ledger">\n<style>{_STYLE}</style>\n{body}\n{legend}\n</svg>\n'
    )


def _rows(report: LedgerReport) -> Iterator[str]:
    yield f'<text x="10" y="16" font-weight="bold">{_text(report.dataset)}, per {_text(report.unit)}</text>'
    for use in report.limits:
        yield _limit(use)
    for job in report.jobs:
        yield _job(job)


def _limit(use: LimitUse) -> str:
    budget = use.limit.budget
    numbers = f"{_percent(use.left)} left"
    title = f"ε = {_epsilon(use.epsilon)} of {decimal_text(budget.epsilon)} at δ = {decimal_text(budget.delta)}"
    bars = _bars(use.spent, use.reserved, height=16)
    frame = f'<rect class="all" x="{_LEFT}" y="3" width="{_BAR}" height="16"/>'
    return (
        f"<title>{_text(title)}</title>"
        f'<text x="10" y="16">{_text(use.words)}</text>{bars}{frame}'
        f'<text x="{_LEFT + _BAR + 10}" y="16">{_text(numbers)}</text>'
    )


def _job(job: JobUse) -> str:
    part = job.part or 0.0
    # Rounds of a job may cost differently; the bar shows whether anything of it is reserved still.
    share = job.spent / (job.spent + job.reserved) if job.spent + job.reserved else 0.0
    spent = part * share if math.isfinite(part) else part
    bars = _bars(spent, part - spent if math.isfinite(part) else 0.0, height=8)
    return (
        f'<text class="faint" x="24" y="14" font-size="11">{_text(job.job_id[:34])}</text>{bars}'
        f'<text class="faint" x="{_LEFT + _BAR + 10}" y="14" font-size="11">ε = {_epsilon(job.epsilon)}</text>'
    )


def _bars(spent: float, reserved: float, *, height: int) -> str:
    first = _BAR * min(1.0, spent)
    second = min(_BAR - first, _BAR * min(1.0, reserved))
    top = 3 + (16 - height) // 2
    return (
        f'<rect class="spent" x="{_LEFT}" y="{top}" width="{first:.1f}" height="{height}"/>'
        f'<rect class="reserved" x="{_LEFT + first:.1f}" y="{top}" width="{second:.1f}" height="{height}"/>'
    )


def _percent(part: float) -> str:
    return f"{100 * part:.1f} %"


def _epsilon(epsilon: float) -> str:
    return "∞" if math.isinf(epsilon) else f"{epsilon:.3g}"


def _text(words: str) -> str:
    return escape(shown(words))
