# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from coterie_common.host.console import say, say_data

if TYPE_CHECKING:
    from coterie.client import Client
    from coterie_common.learning.data.file_format import FileFormat

FederationFolder: TypeAlias = Annotated[
    Path, typer.Option("--home", envvar="COTERIE_FEDERATION_HOME", help="The founder's folder.")
]
PasswordFile: TypeAlias = Annotated[
    Path | None, typer.Option(help="File whose only line is the password; without it the terminal asks.")
]
CredentialFolder: TypeAlias = Annotated[
    Path,
    typer.Option(
        "--credential", envvar="COTERIE_CREDENTIAL", help="Folder of the operator's or scientist's credential."
    ),
]
AggregatorAddress: TypeAlias = Annotated[
    str | None,
    typer.Option(
        "--aggregator",
        envvar="COTERIE_AGGREGATOR",
        metavar="HOST:PORT",
        help="The aggregator; by default the one this credential last used, or the roster's.",
    ),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

Separator: TypeAlias = Annotated[
    str | None, typer.Option(help="Delimiter between the cells of a CSV file; taken from its header by default.")
]
DecimalMark: TypeAlias = Annotated[str, typer.Option("--decimal", help="Decimal mark of numbers.")]
Encoding: TypeAlias = Annotated[str, typer.Option(help="Encoding of a CSV file, such as windows-1252.")]
Trim: TypeAlias = Annotated[bool, typer.Option("--trim", help="Strip spaces around names and text.")]
Missing: TypeAlias = Annotated[
    list[str] | None,
    typer.Option(metavar="TEXT", help="Text that marks a missing value, besides an empty cell; repeatable."),
]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", help="Do not ask.")]

DEFAULT_CREDENTIAL = Path("credential")

STANDARD_OUTPUT = Path("-")
"""Where a command that writes a file writes to standard output instead."""


def put_out(out: Path | None, data: bytes) -> bool:
    """Write the result of a command to a file, or to standard output; return true if it is in a file."""
    from coterie_common.files import write_atomically

    if out is None or out == STANDARD_OUTPUT:
        say_data(data)
        return False
    write_atomically(out, data)
    return True


def confirm(question: str, *, yes: bool, otherwise: str = "--yes answers") -> None:
    """Ask on the terminal; ends the program with status 1 unless the answer is yes.

    Args:
        question: to be answered with yes or no.
        yes: the question is already answered.
        otherwise: what to do instead where there is no terminal.

    Raises:
        ConfigurationError: there is no terminal to ask on.
    """
    import sys

    from coterie_common.errors import ConfigurationError

    if yes:
        return
    if not sys.stdin.isatty():
        raise ConfigurationError(f"{question[:-1]}: this is asked on a terminal, and there is none; {otherwise}")
    if not typer.confirm(question):
        say("Nothing was done.", err=True)
        raise typer.Exit(1)


@contextmanager
def open_client(aggregator: str | None, credential: Path) -> Iterator[Client]:
    """Yield a client that presents the credential of that folder, and remember the aggregator that answered.

    Raises:
        ConfigurationError: no aggregator is named, and the credential knows none.
        CoterieError: as raised by ``load_credential`` and the calls.
    """
    from coterie.client import Client
    from coterie.credential_folder import aggregator_of, load_credential, remember_aggregator

    shown = load_credential(credential)
    target = aggregator or aggregator_of(credential, shown)
    with Client(target, shown.tls) as client:
        try:
            yield client
        except typer.Exit:
            # A command that reports its result by exit status was answered, too.
            remember_aggregator(credential, target)
            raise
    remember_aggregator(credential, target)


def file_format(
    separator: str | None, decimal: str, encoding: str, *, trim: bool, missing: list[str] | None
) -> FileFormat:
    """Return the file format that the options above describe; raises ``ConfigurationError``."""
    from coterie_common.learning.data.file_format import FileFormat
    from coterie_common.strict_model import parse

    options = {"separator": separator, "decimal": decimal, "encoding": encoding, "trim": trim, "missing": missing or []}
    return parse(FileFormat, options, "options")
