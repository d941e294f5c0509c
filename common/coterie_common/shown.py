# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Text of others on its way to a person: escaped and cut, for every terminal, page and log.

Names, reasons, levels and errors come from peers, files and other people's configuration. A terminal takes some of
their characters as commands, a page displays others in a different order, and a line break splits one log line in two.
Here each such character becomes its visible escape; overlong text is cut.

All code that writes to a terminal (``console.say``, ``listing``), to a log (``telemetry``) or to a page calls this;
nothing else writes there (see ``banned-api`` in pyproject.toml). Markup of rich is never parsed: cells are
``listing.cell``.
"""

from __future__ import annotations

import re
from typing import Final

LINE_CHARACTERS: Final = 2_000
"""One line: a refusal with its numbers, the ids of the most parties. Nobody reads more of one."""

MAX_LINES: Final = 500
"""Lines of one text: a model's tree, a traceback."""

_CUT: Final = "…"
_ESCAPED_IN_JSON: Final = re.compile(r"[^\x20-\x7e]")


def counted(count: int, noun: str) -> str:
    """Return a number of things in words: ``1 round``, ``1,200 rounds``.

    Args:
        count: at least 0.
        noun: of one thing; its plural ends with an s, or with ies for a y behind a consonant.
    """
    plural = f"{noun[:-1]}ies" if noun.endswith("y") and noun[-2] not in "aeou" else f"{noun}s"
    return f"{count:,} {noun if count == 1 else plural}"


def shown(text: object, longest: int = LINE_CHARACTERS) -> str:
    r"""Return ``text`` as one line without any character that acts: ``\n``, ``\x1b``, ``\u202e`` are spelled out.

    Args:
        text: from anywhere; other objects are converted with ``str``.
        longest: maximum number of characters of the result; cut text ends with ``…``.

    Characters that a terminal acts on, that change the order of their neighbours, or that cannot be seen are those that
    Python calls not printable: control and format characters, separators other than the space, surrogates, and
    unassigned codes.
    """
    # An escape makes a text longer: no more than ``longest`` characters of it are needed.
    line = (text if isinstance(text, str) else str(text))[: longest + 1]
    if not line.isprintable():
        line = "".join(character if character.isprintable() else _escape(character) for character in line)
    return line if len(line) <= longest else line[: longest - len(_CUT)] + _CUT


def shown_lines(text: object, indent: str = "") -> str:
    r"""Return ``text`` of several lines, each as ``shown``; only ``\n`` parts lines.

    Args:
        text: from anywhere.
        indent: precedes every line but the first, so that no line of it can pass for one of ours.
    """
    lines = (text if isinstance(text, str) else str(text)).split("\n", MAX_LINES)
    if len(lines) > MAX_LINES:
        lines[MAX_LINES:] = [_CUT]
    return f"\n{indent}".join(map(shown, lines))


def shown_json(text: str) -> str:
    r"""Return equivalent JSON that is safe on a terminal: unprintable characters as ``\uXXXX``; never cut."""
    return _ESCAPED_IN_JSON.sub(lambda found: found[0] if found[0].isprintable() else _json_escape(found[0]), text)


def _escape(character: str) -> str:
    return character.encode("unicode_escape").decode("ascii")


def _json_escape(character: str) -> str:
    # Line breaks between values of indented JSON are not part of a text.
    if character == "\n":
        return character
    units = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{units[place]:02x}{units[place + 1]:02x}" for place in range(0, len(units), 2))
