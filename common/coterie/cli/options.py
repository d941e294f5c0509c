# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Options that several commands share."""

from __future__ import annotations

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
    str, typer.Option("--aggregator", envvar="COTERIE_AGGREGATOR", metavar="HOST:PORT", help="The aggregator.")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]

DEFAULT_CREDENTIAL = Path("credential")


def open_client(aggregator: str, credential: Path) -> Client:
    """Return a client that shows the credential of that folder; raises what ``load_credential`` does."""
    from coterie.client import Client
    from coterie.credential_folder import load_credential

    return Client(aggregator, load_credential(credential).tls)
