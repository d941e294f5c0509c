# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The commands that are installed: quick to start, explained, and those that the documents name exist."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer

from tests.support.repository import ROOT

PROGRAMS = ("coterie", "coterie-aggregator", "coterie-party")
# Each takes 0.2 to 1.4 s to import: --help must not wait for them.
HEAVY = ("dp_accounting", "grpc", "pyarrow", "scipy", "sklearn", "sqlalchemy", "torch")

DOCUMENTS = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "common/*.md", "aggregator/*.md", "party/*.md", "examples/**/*.md")
    for path in ROOT.glob(pattern)
)

HELP = """
import sys
from importlib import metadata
program, *heavy = sys.argv[1:]
sys.argv = [program, "--help"]
(entry,) = metadata.entry_points(group="console_scripts", name=program)
try:
    entry.load()()
except SystemExit as end:
    print(*(name for name in heavy if name in sys.modules), file=sys.stderr, end="")
    sys.exit(end.code)
"""


def command_of(program: str) -> Any:
    (entry,) = metadata.entry_points(group="console_scripts", name=program)
    return typer.main.get_command(entry.load().app)


def paths(command: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from paths(below, (*path, name))


def named_commands(document: Path) -> Iterator[list[str]]:
    """Every command line of ours in a document's code blocks, as words."""
    for block in re.findall(
        r"^```(?:console|bash|sh|shell|text)?\n(.*?)^```", document.read_text("utf-8"), re.S | re.M
    ):
        for line in block.replace("\\\n", " ").splitlines():
            line = line.strip().removeprefix("$ ").removeprefix("# ")
            if re.match(rf"(?:{'|'.join(PROGRAMS)}|\.ci/run|scripts/[a-z-]+)(?:\s|$)", line):
                yield shlex.split(line, comments=True)


COMMAND_LINES = [
    pytest.param(words, id=f"{document.relative_to(ROOT)}: {' '.join(words)}")
    for document in DOCUMENTS
    for words in named_commands(document)
]


@pytest.mark.parametrize("program", PROGRAMS)
def test_help_imports_nothing_heavy(program):
    command = [sys.executable, "-c", HELP, program, *HEAVY]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (run.returncode, run.stderr) == (0, "")
    assert "Usage" in run.stdout


def test_folder_of_a_party_is_read_without_what_trains_and_logs():
    names = [*HEAVY, "coterie_party.training.process", "structlog"]
    program = "import sys, coterie_party.home.home; print(*(name for name in sys.argv[1:] if name in sys.modules))"
    run = subprocess.run(
        [sys.executable, "-c", program, *names], capture_output=True, text=True, check=True, timeout=60
    )
    assert run.stdout == "\n"


@pytest.mark.parametrize("program", PROGRAMS)
def test_every_command_and_option_is_explained(program):
    for path in paths(command_of(program), (program,)):
        command = resolve(list(path))[0]
        assert command.help, path
        for parameter in command.params:
            assert getattr(parameter, "help", None), (path, parameter.name)


def resolve(words: list[str]) -> tuple[Any, list[str]]:
    """Find the command that ``words`` call, and what is left of them."""
    command, rest = command_of(words[0]), words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    return command, rest


@pytest.mark.parametrize("words", COMMAND_LINES)
def test_command_line_in_a_document_exists(words):
    if words[0] not in PROGRAMS:
        script = ROOT / words[0]
        assert os.access(script, os.X_OK)
        return
    command, rest = resolve(words)
    options = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    used = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    assert used <= options | {"--help"}
    # A group that is left without one of its commands: the word that follows names none.
    assert not getattr(command, "commands", {}) or not rest or rest[0].startswith("-")


def test_documents_name_commands():
    assert {words[0] for document in DOCUMENTS for words in named_commands(document)} >= {
        "scripts/test",
        "scripts/demo",
    }
