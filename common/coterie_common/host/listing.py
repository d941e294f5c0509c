# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Lists of values on the terminal: a table for people, JSON for programs."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from coterie_common.host.console import say, say_json
from coterie_common.shown import shown

if TYPE_CHECKING:
    from rich.text import Text

_WIDTH_OF_A_PIPE: Final = 200
"""Width for a pipe, which has no edge; rich would fold lines at 80."""


def print_json(values: Sequence[Any]) -> None:
    """Print dataclasses as one line of JSON: times in ISO 8601, bytes in hexadecimal."""
    say_json(json.loads(json.dumps([dataclasses.asdict(value) for value in values], default=_plain)))


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]], *, empty: str) -> None:
    """Print a table, or ``empty`` if there are no rows. Nothing in a cell is taken as markup or as a command."""
    if not rows:
        say(empty)
        return
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = _WIDTH_OF_A_PIPE
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(cell(column), overflow="fold")
    for row in rows:
        table.add_row(*map(cell, row))
    console.print(table)


def print_facts(facts: Sequence[tuple[str, str]]) -> None:
    """Print names with their values, one per line."""
    width = max(len(name) for name, _ in facts)
    for name, value in facts:
        say(f"{name:<{width}}  {value}")


def cell(text: object, style: str = "") -> Text:
    """Return text from any source for a table or display of rich: escaped, cut, and never markup."""
    from rich.text import Text

    return Text(shown(text), style=style)


def moment(when: datetime | None) -> str:
    """Return a time in the machine's own zone, or ``-``."""
    return "-" if when is None else f"{when.astimezone():%Y-%m-%d %H:%M:%S}"


def _plain(value: Any) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no JSON form")
