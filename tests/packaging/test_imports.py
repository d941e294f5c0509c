# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Who may import whom: the contracts of pyproject.toml, and what they cannot say."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.repository import PACKAGES, ROOT, module_name, pyproject, sources

CONTRACTS = {contract["name"]: contract for contract in pyproject()["tool"]["importlinter"]["contracts"]}
PURE = next(contract for name, contract in CONTRACTS.items() if name.startswith("The core is pure"))


def is_in(module: str, parents: list[str]) -> bool:
    return any(module == parent or module.startswith(f"{parent}.") for parent in parents)


CORE = [
    pytest.param(path, id=module_name(path)) for path in sources() if is_in(module_name(path), PURE["source_modules"])
]


def lint(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command; lint_imports_command()"]
    return subprocess.run(
        [*command, "--no-cache", *arguments], cwd=folder, capture_output=True, text=True, check=False, timeout=120
    )


def test_import_contracts_hold():
    run = lint(ROOT)
    assert run.returncode == 0, run.stdout + run.stderr


def test_import_contracts_name_the_whole_core():
    assert set(PURE["source_modules"]) >= {
        "coterie_common.crypto",
        "coterie_common.privacy",
        "coterie_common.protocol",
        "coterie_aggregator.machines.round_machine",
        "coterie_aggregator.machines.job_machine",
        "coterie_party.round",
    }


@pytest.mark.parametrize("path", CORE)
def test_core_takes_time_and_randomness_as_arguments(path):
    banned = {"OsRandom", "SystemClock", "now", "utcnow", "today", "urandom", "SystemRandom"}
    named = {
        name
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        for name in (getattr(node, "attr", None), getattr(node, "id", None), getattr(node, "name", None))
        if isinstance(node, (ast.Attribute, ast.Name, ast.alias))
    }
    # ``now`` as a parameter or variable is how time comes in; only calling something's ``now`` is fetching it.
    called = {
        node.func.attr
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)
    }
    assert (named - {"now", "today"}) & banned == set()
    assert called & banned == set()


def test_packages_are_all_linted():
    assert set(pyproject()["tool"]["importlinter"]["root_packages"]) == set(PACKAGES)
