# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Whatever reaches a terminal, log or page goes through the few places that escape it (``coterie_common.shown``)."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

from tests.support.repository import PACKAGES, sources

COMMON, PARTY = PACKAGES["coterie_common"], PACKAGES["coterie_party"]
WRITES = {
    # What writes: where it may.
    "typer.echo": {COMMON / "host/console.py"},
    "typer.secho": set(),
    "click.echo": set(),
    "print": set(),
    "sys.stdout.write": set(),
    "sys.stderr.write": set(),
    "rich.print": set(),
    "traceback.print_exc": set(),
    "html.escape": {COMMON / "audit/page.py"},
    "escape": {PARTY / "steward/ledger_plot.py"},
    "Text": {COMMON / "host/listing.py"},
    "logging.StreamHandler": {COMMON / "host/telemetry.py"},
}
RICH = {COMMON / "host/listing.py", PACKAGES["coterie"] / "job_display.py"}


def calls(path: Path) -> set[str]:
    tree = ast.parse(path.read_text("utf-8"))
    return {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}


@cache
def all_calls() -> dict[Path, set[str]]:
    """What each file of the product calls; parsing all of them takes seconds, so not while tests are collected."""
    return {path: calls(path) for path in sources()}


@pytest.mark.parametrize("sink", WRITES)
def test_only_the_known_places_write(sink):
    writing = {path for path, called in all_calls().items() if sink in called}
    assert writing == WRITES[sink]


def test_only_the_known_places_use_rich():
    # Anything else that is handed to rich would be taken as markup.
    using = {path for path in all_calls() if "rich" in path.read_text("utf-8") and _imports_rich(path)}
    assert using == RICH
    for path in RICH:
        tree = ast.parse(path.read_text("utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith((".add_row", ".add_column")):
                shown = [ast.unparse(argument) for argument in node.args]
                assert all(text.startswith(("cell(", "*map(cell", "value")) for text in shown), (path, shown)


def _imports_rich(path: Path) -> bool:
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    return any(isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "rich" for node in nodes)
