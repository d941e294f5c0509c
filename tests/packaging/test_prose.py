# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Prose keeps to the width of the code: paragraphs that are patched are wrapped again."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from tests.support.repository import ROOT

MAX_WIDTH = 120
"""Characters, as ruff counts them in code: σ and √ are one each."""


def tracked_pages() -> list[str]:
    """Return the pages that git tracks; outside a clone nothing is tracked, and there are none."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--", "*.md"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    return sorted({name for name in listed.stdout.split("\0") if name})


def overlong(text: str) -> Iterator[tuple[int, int]]:
    """Yield number and length of every line of prose that is too long and could have been broken.

    Code blocks and tables are left out; a link or the name of a test that has a line to itself cannot be broken.
    """
    is_code = False
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.strip()
        if bare.startswith("```"):
            is_code = not is_code
        elif not is_code and not bare.startswith("|") and len(line) > MAX_WIDTH and " " in bare:
            yield number, len(line)


@pytest.mark.parametrize("page", tracked_pages())
def test_prose_is_no_wider_than_code(page):
    assert list(overlong((ROOT / page).read_text("utf-8"))) == []


def test_long_prose_is_found_and_code_tables_and_names_are_not():
    words, name = "word " * 23, "x" * 121
    text = "\n".join(
        [
            f"{words}words",  # 120 characters
            f"{words}longer",
            f"- {words}word",
            f"| {words}longer |",
            f"({name})",
            "  ```console",
            f"$ {words}longer",
            "  ```",
            f"σ{'√ ' * 59}√",  # 120 characters, 240 bytes
        ]
    )
    assert list(overlong(text)) == [(2, 121), (3, 121)]
