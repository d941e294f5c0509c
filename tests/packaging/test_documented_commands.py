# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Every command in README.md and docs/ is one that the programs take as written there, or is accounted for by name.

Nothing is run here: programs, subcommands, options and the number of arguments are those of the command lines.
tests/e2e/test_documented_commands.py runs them.
"""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
import typer

import coterie.cli
import coterie_aggregator.cli
import coterie_party.cli
from tests.support.documented import NOT_RUN, documented

PROGRAMS = {
    "coterie": coterie.cli.main,
    "coterie-aggregator": coterie_aggregator.cli.main,
    "coterie-party": coterie_party.cli.main,
}

SHELL = {"cp", "cat", "export"}
"""Programs that are not ours, which tests/e2e/test_documented_commands.py runs."""

COMMANDS = sorted(set(documented()))


@pytest.mark.parametrize(("page", "command"), COMMANDS)
def test_documented_command_is_taken_as_written(page, command):
    program, *arguments = shlex.split(command)
    name = Path(program).name
    if name not in PROGRAMS:
        assert program in NOT_RUN or program in SHELL, f"{page}: {command}: say in NOT_RUN why it is not checked"
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


def test_commands_are_found_in_the_pages():
    pages = {page for page, _ in COMMANDS}
    assert {"README.md", "founding.md", "operating.md", "audit.md", "nursery-evaluation.toml"} <= pages
    assert len(COMMANDS) > 80


@pytest.mark.parametrize("command", ["coterie jobz list", "coterie jobs submit", "coterie parties --wher here"])
def test_command_that_is_not_there_is_found(command):
    with pytest.raises(Exception, match=r"No such|Missing|there is no command"):
        test_documented_command_is_taken_as_written("a page", command)
