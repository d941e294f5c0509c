# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Options that the party's commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

PartyFolder: TypeAlias = Annotated[
    Path, typer.Option("--home", envvar="COTERIE_PARTY_HOME", help="The party's folder.")
]
PasswordFile: TypeAlias = Annotated[
    Path | None,
    typer.Option(help="File whose one line is the password; else as configured, else asked for at the terminal."),
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
