# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

if TYPE_CHECKING:
    from coterie.client import Client

FederationFolder: TypeAlias = Annotated[
    Path, typer.Option("--home", envvar="COTERIE_FEDERATION_HOME", help="The founder's folder.")
]
PasswordFile: TypeAlias = Annotated[
    Path | None, typer.Option(help="File whose one line is the password; asked for at the terminal otherwise.")
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
        help="The aggregator; by default the one that the credential was used with last, or the roster's.",
    ),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

DEFAULT_CREDENTIAL = Path("credential")


@contextmanager
def open_client(aggregator: str | None, credential: Path) -> Iterator[Client]:
    """Give a client that shows the credential of that folder, and remember the aggregator that answered.

    Raises:
        ConfigurationError: no aggregator is named, and the credential knows none.
        CoterieError: what ``load_credential`` and the calls raise.
    """
    from coterie.client import Client
    from coterie.credential_folder import aggregator_of, load_credential, remember_aggregator

    shown = load_credential(credential)
    target = aggregator or aggregator_of(credential, shown)
    with Client(target, shown.tls) as client:
        try:
            yield client
        except typer.Exit:
            # A command that says something with its exit status was answered, too.
            remember_aggregator(credential, target)
            raise
    remember_aggregator(credential, target)
