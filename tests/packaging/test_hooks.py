# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What exists for tests only is reached by nothing in the product: no check is left out, no small key is made."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

from tests.support.repository import PACKAGES, module_name, sources

GENERATION = "coterie_common.crypto.generation"

# Who names a hook, and why that is none of the product's ways. A further entry is a decision.
NAMING = {
    (f"{GENERATION}.steps.setup", "_left_out"): "the field, which only the hook sets, and the question for it",
    (f"{GENERATION}.machine", "_take_broadcast"): "what remains of taking a broadcast once its length was checked",
    (f"{GENERATION}.record", "_insecure_for_tests"): "the record of a size that only parameters of tests have",
    ("coterie_common.crypto.dealer", "_insecure_for_tests"): "in the dealing of given primes, itself for tests",
}


def is_hook(name: str) -> bool:
    return name.endswith("_for_tests") or name in ("_left_out", "_take_broadcast")


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"))


@cache
def named_hooks(path: Path) -> set[str]:
    """Return the hooks that a module names, but for their definitions."""
    found = set[str]()
    for node in ast.walk(parsed(path)):
        match node:
            case ast.Attribute(attr=name) | ast.Name(id=name) | ast.alias(name=name) | ast.keyword(arg=str(name)):
                found.add(name)
            case ast.Constant(value=str(text)):
                # setattr and getattr
                found.add(text)
    return {name for name in found if is_hook(name)}


def test_hooks_of_the_tests_are_named_where_it_was_decided():
    found = {(module_name(path), name) for path in sources() for name in named_hooks(path)}
    assert found == set(NAMING)


def test_dealing_for_tests_is_named_nowhere():
    assert "_deal_insecure_for_tests" in (PACKAGES["coterie_common"] / "crypto/dealer.py").read_text("utf-8")
    assert not any("_deal_insecure_for_tests" in named_hooks(path) for path in sources())


def test_checks_of_a_generation_are_only_asked_for():
    """Every use of a check is ``makes(Check.…)``: nothing else can become a list of those that are left out."""
    uses = 0
    for path in sources():
        tree = parsed(path)
        asked = {
            id(node.args[0])
            for node in ast.walk(tree)
            if isinstance(node, ast.Call)
            and (getattr(node.func, "attr", None) == "makes" or getattr(node.func, "id", None) == "makes")
        }
        checks = [
            node
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Check"
        ]
        uses += len(checks)
        assert [ast.unparse(node) for node in checks if id(node) not in asked] == []
    assert uses > 10
