# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Texts that somebody else may put where a person reads, and what must not come of them."""

from __future__ import annotations

HOSTILE = {
    "colours": "\x1b[31mred\x1b[0m",
    "title of the window": "\x1b]0;owned\x07",
    "clears the screen": "\x1b[2J\x1b[H",
    "C1 commands": "\x9b31mred\x9d0;owned\x9c",
    "another line": "fine\n2026-11-30 12:00:00 [info     ] job accepted",
    "overwrites its line": "refused\raccepted",
    "backspaces": "refused\b\b\b\b\b\b\baccepted",
    "other separators": "one\u2028two\u2029three\x0b\x0c\x85four",
    "reordered": "abc\u202edef\u202c \u2066ghi\u2069 \u200f",
    "unseen": "hospital\u200b-1\u00ad\ufeff\U000e0041",
    "half a character": "x\ud800y",
    "markup": "[red]markup[/red] [link=file:///etc/passwd]here[/link] [/]",
    "page": "</pre></script><script>alert(1)</script><b>&amp;",
    "zeros": "a\x00b\x7f",
    "long": "A" * (1 << 20),
    "long and hostile": "\x1b[31m" * (1 << 18),
}


def assert_harmless(output: str, *, lines: int | None = None) -> None:
    """Nothing in what a person sees acts on the terminal, hides, or changes the order of its neighbours."""
    acting = sorted({character for character in output if not character.isprintable() and character != "\n"})
    assert acting == [], acting
    if lines is not None:
        assert output.count("\n") == lines, output[:500]
