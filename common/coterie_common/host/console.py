# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Code shared by all command lines: output, one line per error, exit statuses, ``--version`` and ``--debug``.

Invariants:
- Nobody sees a traceback unless they ask for it with ``--debug``.
- Text for a terminal is escaped and cut (``shown``); a program that reads a pipe gets the data unchanged.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any, Final, NoReturn

import typer

from coterie_common.errors import (
    ConfigurationError,
    CoterieError,
    IdentityMismatch,
    NotFound,
    RefusedError,
)
from coterie_common.shown import shown, shown_json, shown_lines

CONFIGURATION_STATUS: Final = 78
"""``EX_CONFIG`` of sysexits.h: service managers do not restart a daemon that ends with it."""

FAILURE_STATUS: Final = 1

INTERRUPTED_STATUS: Final = 130
"""The status that shells report for a program ended by Ctrl-C."""

EXIT_STATUSES: Final = {
    0: "done; of `jobs watch` and `submit --watch`: the job completed",
    FAILURE_STATUS: "failed; the last line says why, or a comparison or a watched job did not end well",
    2: "the command line cannot be used; nothing was done",
    CONFIGURATION_STATUS: "a person has to correct something first; service managers do not restart a daemon",
    INTERRUPTED_STATUS: "ended by Ctrl-C",
}
"""The exit statuses of the programs."""

_FOR_A_PERSON: Final = (ConfigurationError, RefusedError, IdentityMismatch, NotFound)


def exit_status(kind: type[CoterieError]) -> int:
    """Return the exit status for this error: 78 if trying again cannot help."""
    return CONFIGURATION_STATUS if issubclass(kind, _FOR_A_PERSON) else FAILURE_STATUS


def say(text: object, *, err: bool = False) -> None:
    """Print text for a person: one or more lines, escaped and cut, as the text may come from anyone."""
    typer.echo(shown_lines(text), err=err)


def say_json(value: Any) -> None:
    """Print a JSON value for a program: one complete line, with nothing that a terminal would act on."""
    typer.echo(shown_json(json.dumps(value, ensure_ascii=False)))


def say_data(data: bytes) -> None:
    """Write a table: unchanged into a file or pipe, escaped and cut on a terminal."""
    if not sys.stdout.isatty():
        typer.echo(data, nl=False)
        return
    for line in data.decode("utf-8", "replace").splitlines():
        typer.echo(shown(line))


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        say(version("coterie"))
        raise typer.Exit


class Program:
    """One command line program: a typer app, called with the process's arguments.

    Attributes:
        app: the typer app that commands are registered with.
    """

    def __init__(self, name: str, description: str) -> None:
        self.app = typer.Typer(
            name=name, help=description, pretty_exceptions_enable=False, no_args_is_help=True, add_completion=False
        )
        self.app.callback()(self._options)
        self._name = name
        self._debug = False

    def _options(
        self,
        debug: Annotated[bool, typer.Option("--debug", help="Show where an error came from.")] = False,
        version: Annotated[
            bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)
        ] = False,
    ) -> None:
        self._debug = debug

    def __call__(self, arguments: Sequence[str] | None = None) -> NoReturn:
        """Run and exit with one of ``EXIT_STATUSES``.

        Args:
            arguments: without the program's name; the process's own by default.
        """
        self._debug = False
        # gRPC's core writes its own lines to stderr unless this is set before its first import; our errors and logs
        # hold their content, with a code.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        try:
            typer.main.get_command(self.app)(args=arguments, prog_name=self._name)
        except CoterieError as error:
            if self._debug:
                _say_traceback()
            say(shown(f"error: {error}"), err=True)
            sys.exit(exit_status(type(error)))
        except Exception as error:  # noqa: BLE001  # the supervisor of a command: above it there is only a traceback
            say(self._incident(error), err=True)
            sys.exit(FAILURE_STATUS)
        sys.exit(0)

    def _incident(self, error: Exception) -> str:
        # Late: commands that end well need neither.
        from coterie_common.host.incidents import new_incident
        from coterie_common.randomness import OsRandom

        if self._debug:
            _say_traceback()
        # The text of an unforeseen error may quote secret data; its type and place never do.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return (
            f"error: incident {new_incident(OsRandom())}: {type(error).__name__} in {frame.name}, line {frame.lineno}; "
            f"this is a defect of Coterie, '{self._name} --debug …' shows the details [internal]"
        )


def _say_traceback() -> None:
    say(shown_lines(traceback.format_exc().rstrip(), indent="  "), err=True)
