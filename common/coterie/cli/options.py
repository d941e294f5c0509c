# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Options that several commands of the founder share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

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
