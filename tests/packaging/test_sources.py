# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The form of the sources: licence lines, a docstring per module, a size that one sitting can read."""

from __future__ import annotations

import ast
import subprocess
import sys
import warnings
from collections import Counter
from collections.abc import Iterator

import pytest

from tests.support.repository import PACKAGES, ROOT, module_name, sources

HEADER = "# SPDX-License-Identifier: Apache-2.0\n# Copyright The Coterie authors\n"
USUAL_LINES, MAX_LINES = 350, 500
MAX_MODULES = 15
"""In a folder, beside its sub-packages: a listing is read at a glance."""
JUNK_DRAWERS = {"utils", "util", "helpers", "misc", "base", "manager", "common"}

MODULES = [pytest.param(path, id=module_name(path)) for path in sources()]
OTHERS = [
    pytest.param(path, id=path.relative_to(ROOT).as_posix()) for path in sources(ROOT / "tests", ROOT / "scripts")
]
COMMANDS = [
    pytest.param(path, id=path.relative_to(ROOT).as_posix())
    for path in sorted(
        path
        for folder in ("scripts", ".ci", "docker", "examples")
        for path in (ROOT / folder).rglob("*")
        if path.is_file() and path.read_bytes()[:2] == b"#!"
    )
]


@pytest.mark.parametrize("path", [*MODULES, *OTHERS])
def test_source_begins_with_the_licence(path):
    assert path.read_text("utf-8").startswith(HEADER)


@pytest.mark.parametrize("path", COMMANDS)
def test_command_states_the_licence_under_its_first_line(path):
    assert path.read_text("utf-8").partition("\n")[2].startswith(HEADER)


@pytest.mark.parametrize("path", MODULES)
def test_module_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text("utf-8")))


def test_no_module_is_longer_than_one_can_read():
    lines = {module_name(path): len(path.read_text("utf-8").splitlines()) for path in sources()}
    long = {name: count for name, count in lines.items() if count > USUAL_LINES}
    if long:
        warnings.warn(f"modules of more than {USUAL_LINES} lines: {long}", stacklevel=1)
    assert {name: count for name, count in long.items() if count > MAX_LINES} == {}


def test_no_folder_holds_more_modules_than_one_takes_in():
    folders = Counter(path.parent for path in sources(*PACKAGES.values(), ROOT / "scripts") if path.stem[:2] != "__")
    assert {folder: count for folder, count in folders.items() if count > MAX_MODULES} == {}


def test_no_module_is_a_junk_drawer():
    assert [module_name(path) for path in sources() if path.stem in JUNK_DRAWERS] == []


def test_component_readmes_list_the_modules_that_there_are():
    command = [sys.executable, str(ROOT / "scripts/module_tables.py"), "--check"]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")


def test_every_folder_of_a_package_is_a_package():
    folders = {path.parent for path in sources()}
    assert {folder for folder in folders if not (folder / "__init__.py").is_file()} == set()
    assert all((folder / "py.typed").is_file() for folder in PACKAGES.values())


Function = ast.FunctionDef | ast.AsyncFunctionDef


def functions_of(node: ast.AST, *, nested: bool = False, method: bool = False) -> Iterator[tuple[Function, bool, bool]]:
    """Yield every function, whether it is a test, and whether its first argument is its object or class."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function):
            is_test = child.name.startswith("test_") and not nested
            yield child, is_test, method and "staticmethod" not in map(ast.unparse, child.decorator_list)
            yield from functions_of(child, nested=True)
        else:
            yield from functions_of(child, nested=nested, method=isinstance(child, ast.ClassDef))


def annotations_of(function: Function, *, bound: bool) -> list[ast.expr | None]:
    """Return the annotation of each argument, without that of the object itself, and of the result."""
    arguments = function.args
    of_arguments = [*arguments.posonlyargs, *arguments.args][bound:] + arguments.kwonlyargs
    of_arguments += [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
    return [*(argument.annotation for argument in of_arguments), function.returns]


def test_functions_of_tests_are_annotated_in_one_style():
    """A test says all in its name, and pytest passes its arguments; every other function is read by its types."""
    wrong = []
    for path in sources(ROOT / "tests"):
        for function, is_test, bound in functions_of(ast.parse(path.read_text("utf-8"))):
            annotated = [annotation is not None for annotation in annotations_of(function, bound=bound)]
            if any(annotated) if is_test else not all(annotated):
                wrong.append(f"{path.relative_to(ROOT)}:{function.lineno} {function.name}")
    assert wrong == []


OWN_JSON = {
    "coterie_common.host.listing": "what this process has just written",
    "coterie_party.training.__main__": "an argument that the daemon gives to its own process",
}
"""Modules that parse JSON which nobody else could have written."""


def test_json_is_parsed_only_where_it_is_counted_before():
    parsers = {}
    for path in sources():
        found = {
            node.attr if isinstance(node, ast.Attribute) else alias.name
            for node in ast.walk(ast.parse(path.read_text("utf-8")))
            for alias in (node.names if isinstance(node, ast.ImportFrom) and node.module == "json" else [None])
            if alias
            or (isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "json")
        }
        if found & {"load", "loads", "JSONDecoder", "scanner"}:
            parsers[module_name(path)] = found & {"load", "loads", "JSONDecoder", "scanner"}
    assert parsers.keys() == {"coterie_common.document", *OWN_JSON}
