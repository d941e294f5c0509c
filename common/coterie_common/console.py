# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What all command lines share: what they say, one line per error, its exit status, ``--version`` and ``--debug``.

Invariants:
- Nobody sees a traceback unless they ask for it with ``--debug``.
- Whatever reaches a terminal was escaped and cut (``shown``); programs that read a pipe get what was meant for them.
"""

from __future__ import annotations

import json
import os
import secrets
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated, Any, Final, NoReturn

import typer

from coterie_common.errors import ConfigurationError, CoterieError
from coterie_common.shown import shown, shown_json, shown_lines

CONFIGURATION_STATUS: Final = 78
"""``EX_CONFIG`` of sysexits.h: service managers do not restart a daemon that ends with it."""

FAILURE_STATUS: Final = 1


def say(text: object, *, err: bool = False) -> None:
    """Say something to a person, whoever the words come from: one line or several, escaped and cut."""
    typer.echo(shown_lines(text), err=err)


def say_json(value: Any) -> None:
    """Say a JSON value to a program: one line, whole, with nothing in it that a terminal would act on."""
    typer.echo(shown_json(json.dumps(value, ensure_ascii=False)))


def say_data(data: bytes) -> None:
    """Write a table: byte by byte into a file or pipe, line by line like words where a terminal shows them."""
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
        app: where commands are registered.
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
        """Run and exit: 0, 78 for what an operator has to correct, 2 for a wrong command line, else 1.

        Args:
            arguments: without the program's name; the process's own by default.
        """
        self._debug = False
        # gRPC's core writes lines of its own to stderr, if not told otherwise before it is first imported; what they
        # say is in our errors and logs, with a code.
        os.environ.setdefault("GRPC_VERBOSITY", "NONE")
        try:
            typer.main.get_command(self.app)(args=arguments, prog_name=self._name)
        except CoterieError as error:
            if self._debug:
                _say_traceback()
            say(shown(f"error: {error}"), err=True)
            sys.exit(CONFIGURATION_STATUS if isinstance(error, ConfigurationError) else FAILURE_STATUS)
        except Exception as error:  # noqa: BLE001  # the supervisor of a command: above it there is only a traceback
            say(self._incident(error), err=True)
            sys.exit(FAILURE_STATUS)
        sys.exit(0)

    def _incident(self, error: Exception) -> str:
        if self._debug:
            _say_traceback()
        # The text of an unforeseen error may quote what must not be shown; its type and place never do.
        frame = traceback.extract_tb(error.__traceback__)[-1]
        return (
            f"error: incident {secrets.token_hex(4)}: {type(error).__name__} in {frame.name}, line {frame.lineno}; "
            f"this is a defect of Coterie, '{self._name} --debug …' shows the details [internal]"
        )


def _say_traceback() -> None:
    say(shown_lines(traceback.format_exc().rstrip(), indent="  "), err=True)
