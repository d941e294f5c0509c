# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A job's progress on the terminal: a live display, or one plain line per change where there is no terminal."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table

from coterie.progress_view import attendance_line, elapsed, party_lines, privacy_line, state_line
from coterie_common.clock import SystemClock
from coterie_common.errors import CoterieError
from coterie_common.host.console import say
from coterie_common.host.listing import cell
from coterie_common.protocol.progress import JobState, JobStatus, RoundPhase

_STYLES = {JobState.COMPLETED: "bold green", JobState.FAILED: "bold red", JobState.CANCELLED: "bold yellow"}
_BAR_WIDTH = 40


class JobDisplay(Protocol):
    """A display of a job's progress."""

    def show(self, status: JobStatus) -> None:
        """Show a new status."""
        ...

    def lost(self, error: CoterieError, pause: float) -> None:
        """Report that the connection broke and when it is retried."""
        ...


@contextmanager
def job_display() -> Iterator[JobDisplay]:
    """Return the display that fits standard output."""
    console = Console(highlight=False)
    if not console.is_terminal:
        yield _Lines()
        return
    display = _LiveDisplay()
    with Live(console=console, get_renderable=display.render, refresh_per_second=4):
        yield display


class _Lines:
    def __init__(self) -> None:
        self._last = ""

    def show(self, status: JobStatus) -> None:
        line = f"{status.job_id}: {state_line(status)}"
        if line == self._last:
            return
        if not self._last:
            say(f"{status.job_id}: {privacy_line(status)}")
        self._last = line
        say(line)
        if status.state.is_final:
            for party_id, doing in party_lines(status):
                say(f"  {party_id}: {doing}")
            say(f"  {attendance_line(status)}")
            say(f"  took {elapsed(status, SystemClock().now())}")

    def lost(self, error: CoterieError, pause: float) -> None:
        say(f"connection lost, next attempt in {pause:g} s: {error}", err=True)


class _LiveDisplay:
    def __init__(self) -> None:
        self._status: JobStatus | None = None
        self._notice = ""

    def show(self, status: JobStatus) -> None:
        self._status, self._notice = status, ""

    def lost(self, error: CoterieError, pause: float) -> None:
        self._notice = f"connection lost, next attempt in {pause:g} s: {error}"

    def render(self) -> RenderableType:
        """Return the current contents of the screen; called several times a second, so that the clock advances."""
        status = self._status
        if status is None:
            return cell("connecting …")
        grid = Table.grid(padding=(0, 2))
        for name, value in (
            ("job", cell(f"{status.job_id} · {status.algorithm} on {status.dataset}")),
            ("privacy", cell(privacy_line(status))),
            ("attendance", cell(attendance_line(status))),
            ("state", cell(state_line(status), style=_STYLES.get(status.state, ""))),
            ("rounds", ProgressBar(total=max(1, status.rounds_planned), completed=_rounds(status), width=_BAR_WIDTH)),
            ("elapsed", cell(str(elapsed(status, SystemClock().now())))),
        ):
            grid.add_row(cell(name, style="dim"), value)
        parties = Table.grid(padding=(0, 2))
        for party_id, doing in party_lines(status):
            parties.add_row(cell(party_id, style="dim"), cell(doing))
        parts: list[RenderableType] = [grid, cell(""), parties]
        return Group(*parts, cell(self._notice, style="yellow")) if self._notice else Group(*parts)


def _rounds(status: JobStatus) -> float:
    """Return the number of rounds done; each phase of a round counts as half."""
    if status.state in (JobState.DELIVERING, JobState.COMPLETED):
        return float(max(1, status.rounds_planned))
    if status.round is None:
        return 0.0
    share = {RoundPhase.COLLECTING: 0.0, RoundPhase.DECRYPTING: 0.5, RoundPhase.RELEASED: 1.0}
    return status.round.plan_step - 1 + share.get(status.round.phase, 0.0)
