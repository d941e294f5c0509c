# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Every command in README.md and docs/ is one that the programs take as written there, or is accounted for by name.

Nothing is run here: programs, subcommands, options and the number of arguments are those of the command lines.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import coterie.cli
import coterie_aggregator.cli
import coterie_party.cli
from tests.support.repository import ROOT

PROGRAMS = {
    "coterie": coterie.cli.main,
    "coterie-aggregator": coterie_aggregator.cli.main,
    "coterie-party": coterie_party.cli.main,
}

OTHERS = {
    "scripts/demo": "tests/e2e/test_demo.py runs it",
    "scripts/example": "tests/e2e/test_examples.py runs it; MNIST is not on a test machine",
    "scripts/testbed": "tests/e2e/test_testbed.py runs it where there is a container engine",
    "scripts/test": "runs the tests themselves",
    "scripts/torch": "installs PyTorch: a download",
    "scripts/bench": "tests/e2e/test_benchmark_rounds.py runs its rounds; the whole takes minutes",
    "scripts/evaluate": "tests/unit/evaluation runs its parts; the whole takes hours",
    "docker": "needs a container engine: tests/e2e/test_testbed.py",
    "python": "looks at an installed package",
    "python3": "makes a virtual environment",
    "pip": "installs packages",
    "useradd": "changes the system's users",
    "install": "writes into the system's folders",
    "ln": "writes into the system's folders",
    "nft": "changes the system's firewall",
    "systemctl": "needs systemd as the system's first process",
    "journalctl": "needs systemd as the system's first process",
    "cp": "copies a file",
    "cat": "appends a file to another",
    "export": "sets a variable",
}
"""Programs that are not ours, or not parsed here, with the reason or the test that runs them."""

_BLOCK = re.compile(r"^```(?:console|sh|bash)\n(.*?)^```$", re.M | re.S)
_PROMPT = re.compile(r"^(?:\w+\s*)?\$ ")
_COMMENT = re.compile(r"(?:^|\s{2,})#.*$")


def documented() -> Iterator[tuple[str, str]]:
    """Yield page and command, with prompts, comments and line breaks taken away."""
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))):
        for block in _BLOCK.findall(page.read_text()):
            for line in block.replace("\\\n", " ").splitlines():
                bare = _COMMENT.sub("", _PROMPT.sub("", line)).strip()
                yield from ((page.name, command.strip()) for command in bare.split(" && ") if command.strip())
    for job in sorted((ROOT / "examples/jobs").glob("*.toml")):
        for command in re.findall(r"(?:[Ss]ubmit with|first): (coterie .*)$", job.read_text(), re.M):
            yield job.name, command


COMMANDS = sorted(set(documented()))


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_documented_command_is_taken_as_written(page: str, command: str) -> None:
    program, *arguments = shlex.split(command)
    name = Path(program).name
    if name not in PROGRAMS:
        assert program in OTHERS or name in OTHERS, f"{page}: {command}: say in OTHERS why it is not checked"
        return
    group = typer.main.get_command(PROGRAMS[name].app)
    with group.make_context(name, list(arguments)) as context:
        # Down to the command itself: each level parses its own options, and none is invoked.
        rest = [*context._protected_args, *context.args]
        while rest and hasattr(context.command, "get_command"):
            inner = context.command.get_command(context, rest[0])
            assert inner is not None, f"{page}: there is no command {rest[0]!r} in {command!r}"
            context = inner.make_context(rest[0], rest[1:], parent=context)
            rest = [*getattr(context, "_protected_args", []), *context.args]
        assert not hasattr(context.command, "get_command"), f"{page}: {command!r} names no command"
        assert not rest


def test_commands_are_found_in_the_pages() -> None:
    pages = {page for page, _ in COMMANDS}
    assert {"README.md", "founding.md", "operating.md", "audit.md", "nursery-evaluation.toml"} <= pages
    assert len(COMMANDS) > 80


@pytest.mark.parametrize("command", ["coterie jobz list", "coterie jobs submit", "coterie parties --wher here"])
def test_command_that_is_not_there_is_found(command: str) -> None:
    with pytest.raises(Exception, match=r"No such|Missing|there is no command"):
        test_documented_command_is_taken_as_written("a page", command)
