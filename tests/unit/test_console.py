# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import pytest
import typer

from coterie_common.errors import DataError, InvalidJob, KeyFileError
from coterie_common.host.console import Program


@pytest.fixture
def program() -> Program:
    program = Program("tool", "A tool.")

    @program.app.command()
    def configuration() -> None:
        raise KeyFileError("wrong password")

    @program.app.command()
    def data() -> None:
        raise DataError("row 3")

    @program.app.command()
    def refused() -> None:
        raise InvalidJob("no such algorithm")

    @program.app.command()
    def defect() -> None:
        raise ZeroDivisionError("a secret")

    @program.app.command()
    def fine(name: str) -> None:
        typer.echo(f"hello {name}")

    return program


def run(program: Program, *arguments: str) -> str | int | None:
    with pytest.raises(SystemExit) as caught:
        program(arguments)
    return caught.value.code


def test_program_that_succeeds_exits_with_zero(program, capsys):
    assert run(program, "fine", "you") == 0
    assert capsys.readouterr() == ("hello you\n", "")


@pytest.mark.parametrize(
    ("command", "status", "line"),
    [
        ("configuration", 78, "error: wrong password [key-file]\n"),
        ("data", 78, "error: row 3 [data]\n"),
        ("refused", 78, "error: no such algorithm [invalid-job]\n"),
    ],
)
def test_program_that_fails_says_so_in_one_line(program, capsys, command, status, line):
    assert run(program, command) == status
    assert capsys.readouterr() == ("", line)


def test_program_with_a_defect_says_where_but_not_what(program, capsys):
    assert run(program, "defect") == 1
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.count("\n") == 1
    assert output.err.startswith("error: incident ")
    assert "ZeroDivisionError in defect, line" in output.err
    assert "a secret" not in output.err
    assert output.err.endswith("[internal]\n")


@pytest.mark.parametrize(("command", "status", "last"), [("defect", 1, "[internal]"), ("refused", 78, "[invalid-job]")])
def test_program_with_debug_shows_the_traceback_before_the_line(program, capsys, command, status, last):
    assert run(program, "--debug", command) == status
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "Traceback (most recent call last):"
    assert lines[-1].endswith(last)


def test_program_forgets_debug_between_runs(program, capsys):
    run(program, "--debug", "refused")
    capsys.readouterr()
    run(program, "refused")
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [("unknown",), ("fine",), ("fine", "--unknown", "you")])
def test_program_with_a_wrong_command_line_exits_with_two(program, capsys, arguments):
    assert run(program, *arguments) == 2
    assert "Traceback" not in capsys.readouterr().err


def test_program_shows_its_version(program, capsys):
    assert run(program, "--version") == 0
    assert capsys.readouterr().out.strip()[0].isdigit()
