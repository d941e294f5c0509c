# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie-party keys``: import the bundle from the founder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coterie_common.console import say
from coterie_party.cli.options import PartyFolder, PasswordFile

app = typer.Typer(help="Import the bundle from the founder.", no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _keys() -> None:
    """Import the bundle from the founder."""


@app.command("import")
def import_(
    bundle: Annotated[Path, typer.Argument(help="The file that the founder returned, ID.bundle.")],
    home: PartyFolder = Path("party"),
    password_file: PasswordFile = None,
) -> None:
    """Verify the bundle against the pinned founder, check the key share, and keep it locked."""
    from coterie_common.clock import SystemClock
    from coterie_common.passwords import read_password
    from coterie_common.randomness import OsRandom
    from coterie_party.home import PartyHome
    from coterie_party.joining import import_bundle

    folder = PartyHome(home)
    joined = import_bundle(
        folder,
        bundle,
        ask_password=lambda: read_password(folder.password_file(password_file), what="this party's keys"),
        random=OsRandom(),
        now=SystemClock().now(),
    )
    roster = joined.roster
    state = "is imported and checked" if joined.is_new else "was imported before; nothing changed"
    say(
        f"Key share {joined.index} of {roster.parameters.parties}, epoch {roster.key_epoch} of {roster.federation}, "
        f"{state}."
    )
    for sentence in roster.parameters.explain() if joined.is_new else ():
        say(f"  {sentence}")
    say(f"Next: bind your data sets in {folder.config_path}, then run 'coterie-party run'.")
