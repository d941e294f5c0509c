# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Every test that a document names is there, and every claim of the security model names one."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from tests.support.repository import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])
NAMED = re.compile(r"\b(tests/[\w/]+(?:\.\w+)?)(?![\w{*-])(?:::(\w+))?")
"""Files, folders and functions in files; patterns that stand for many files are left out."""
SECURITY_MODEL = ROOT / "docs" / "security-model.md"


@cache
def names_in(path: Path) -> frozenset[str]:
    tree = ast.parse(path.read_text("utf-8"))
    functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    return frozenset(node.name for node in functions if node.name.startswith("test_"))


def table_below(heading: str) -> list[list[str]]:
    """The rows of the first table below a heading, without its own two."""
    text = SECURITY_MODEL.read_text("utf-8").partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows[2:]]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_tests_that_a_document_names_are_there(document):
    for file, name in NAMED.findall(document.read_text("utf-8")):
        path = ROOT / file
        assert path.exists(), f"{file} is not there"
        assert not name or name in names_in(path), f"{file} has no {name}"


def test_every_claim_of_the_security_model_names_a_test():
    rows = table_below("Who may do what")
    assert len(rows) > 10
    for row in rows:
        assert "::test_" in row[3], row


def test_every_attack_names_a_test_and_every_file_of_attacks_is_named():
    rows = table_below("Attacks, and what people see of them")
    assert len(rows) > 25
    for row in rows:
        assert "::test_" in row[4] or row[4] == "same", row
    text = SECURITY_MODEL.read_text("utf-8")
    for path in (ROOT / "tests" / "attacks").glob("test_*.py"):
        assert str(path.relative_to(ROOT)) in text, f"{path.name} is not in the security model"
