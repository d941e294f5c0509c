# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The map of the code shows the code that there is: its links, its list of packages, its state diagrams."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import coterie_party.round
import state_diagrams
from coterie_aggregator.machines import job_machine, round_machine
from tests.support.repository import PACKAGES, ROOT, module_name, sources

PAGE = ROOT / "docs/architecture.md"
TEXT = PAGE.read_text("utf-8")
LINK = re.compile(r"\[(`?)([^\]]+?)\1\]\((\.\./[^)#]+)\)")
SCHEME = ("crypto.dealer", "crypto.paillier", "crypto.proofs", "crypto.threshold")
LINKS = sorted({(quoted + text, target) for quoted, text, target in LINK.findall(TEXT)})


@cache
def names_in(path: Path) -> frozenset[str]:
    """What a module defines: functions, classes, constants, and members of classes behind a dot."""

    def defined(body: list[ast.stmt], before: str = "") -> set[str]:
        found = set()
        for node in body:
            match node:
                case ast.ClassDef():
                    found |= {before + node.name} | defined(node.body, f"{before}{node.name}.")
                case ast.FunctionDef() | ast.AsyncFunctionDef():
                    found.add(before + node.name)
                case ast.Assign():
                    found |= {before + target.id for target in node.targets if isinstance(target, ast.Name)}
                case ast.AnnAssign(target=ast.Name(id=name)):
                    found.add(before + name)
        return found

    return frozenset(defined(ast.parse(path.read_text("utf-8")).body))


def packages() -> list[Path]:
    """Every package of the product and of the tools, without generated code and database revisions."""
    roots = [*PACKAGES.values(), ROOT / "scripts/coterie_lab"]
    found = {path.parent for root in roots for path in root.rglob("__init__.py")} - set(PACKAGES.values())
    return sorted(path for path in found if path.name not in ("pb", "migrations"))


def is_right(text: str, target: str) -> bool:
    """Whether a link leads to a file or folder that there is, and to the name that stands in it, if one does."""
    path = (PAGE.parent / target).resolve()
    name = text.removeprefix("`")
    is_name = text != name and path.suffix == ".py" and re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)?", name)
    return path.exists() and (not is_name or name in {path.name, path.stem} | names_in(path))


def test_links_lead_to_what_they_name():
    assert len(LINKS) > 100
    assert [link for link in LINKS if not is_right(*link)] == []


def test_link_to_another_name_is_found():
    machine = "../aggregator/coterie_aggregator/machines/driver.py"
    assert is_right("`Machine.take", machine)
    assert not is_right("`Machine.gone", machine)
    assert not is_right("`Machine.take", machine.replace("driver", "gone"))


@pytest.mark.parametrize("package", packages(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_package_is_on_the_map(package):
    assert f"(../{package.relative_to(ROOT).as_posix()}/)" in TEXT


def test_modules_that_name_the_threshold_scheme_are_listed():
    begin, end = "<!-- modules that name the threshold scheme -->\n", "<!-- end of modules -->\n"
    part = TEXT[TEXT.index(begin) : TEXT.index(end)].replace("\n  ", " ")
    listed = {
        f"{package}.{module.replace('/', '.')}"
        for package, modules in re.findall(r"^- `(\w+)`: (.+)$", part, re.M)
        for module in re.findall(r"`([\w/]+)`", modules)
    }
    assert listed == {module_name(path) for path in sources() if "crypto" not in path.parts and names_the_scheme(path)}


def names_the_scheme(path: Path) -> bool:
    nodes = ast.walk(ast.parse(path.read_text("utf-8")))
    imported = {
        f"{node.module}.{alias.name}" for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    return any(f"{name}.".startswith(f"coterie_common.{part}.") for name in imported for part in SCHEME)


def test_state_diagrams_are_those_of_the_machines():
    command = [sys.executable, str(ROOT / "scripts/state_diagrams.py"), "--check"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")


@pytest.mark.parametrize(
    ("name", "module", "without_effect"),
    [
        ("the aggregator's job", job_machine, set()),
        ("the aggregator's round", round_machine, set()),
        # The second result of work that was started twice is dropped.
        ("the party's round", coterie_party.round, {"ReplyComputed", "PartialComputed"}),
    ],
)
def test_state_diagrams_try_every_row_of_the_table(name, module, without_effect):
    taken = {(each.before.phase, each.event) for each in state_diagrams.explored(state_diagrams.MACHINES[name]())}
    rows = set(module._HANDLERS)
    assert taken <= rows
    assert {event.__name__ for _, event in rows - taken} <= without_effect
