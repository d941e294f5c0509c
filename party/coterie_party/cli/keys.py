# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie-party keys``: import the bundle from the founder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie_common.host.console import say
from coterie_party.cli.options import PartyFolder, PasswordFile

if TYPE_CHECKING:
    from collections.abc import Callable

    from coterie_common.membership.bundle import Bundle
    from coterie_common.secret import Password
    from coterie_party.home.home import PartyHome

app = typer.Typer(help="Import the bundle from the founder.", no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _keys() -> None:
    """Import the bundle from the founder."""


@app.command("import")
def import_(
    bundle: Annotated[Path, typer.Argument(help="The file that the founder returned, ID.bundle.")],
    home: PartyFolder = Path("party"),
    password_file: PasswordFile = None,
    ledger: Annotated[
        Path | None, typer.Option(help="The exported ledger of the machine that this one replaces.")
    ] = None,
    empty_ledger: Annotated[
        bool, typer.Option("--empty-ledger", help="Nothing was ever spent of the data that will be bound here.")
    ] = False,
) -> None:
    """Verify the bundle against the pinned founder, check the key share, and keep it locked."""
    from coterie_common.host.passwords import read_password
    from coterie_common.membership.bundle import read_bundle
    from coterie_party.home.home import PartyHome

    folder = PartyHome(home)
    folder.config()

    def ask_password() -> Password:
        return read_password(folder.password_file(password_file), what="this party's keys")

    import_and_say(folder, read_bundle(bundle), ask_password, ledger=ledger, empty_ledger=empty_ledger)


def import_and_say(
    folder: PartyHome,
    bundle: Bundle,
    ask_password: Callable[[], Password],
    *,
    ledger: Path | None,
    empty_ledger: bool,
) -> None:
    """Import a bundle, from a file or from the aggregator, and say what came of it; raises as ``take_bundle`` does."""
    from coterie_common.clock import SystemClock
    from coterie_common.randomness import OsRandom
    from coterie_party.home.joining import take_bundle

    _check_ledger(folder, bundle, ledger, empty_ledger)
    joined = take_bundle(folder, bundle, ask_password=ask_password, random=OsRandom(), now=SystemClock().now())
    roster = joined.roster
    state = "is imported and checked" if joined.is_new else "was imported before; nothing changed"
    say(
        f"Key share {joined.index} of {len(roster.key_holders)}, epoch {roster.key_epoch} of {roster.federation}, "
        f"{state}."
    )
    for sentence in roster.parameters.explain() if joined.is_new else ():
        say(f"  {sentence}")
    say(f"Next: bind your data sets in {folder.config_path}, then run 'coterie-party run'.")


def _check_ledger(folder: PartyHome, bundle: Bundle, ledger: Path | None, empty_ledger: bool) -> None:
    """Import a ledger; if a share of a later epoch meets an empty one, require an explicit decision about it.

    Not where the bundle was imported before.

    Raises:
        WrongOrderError: nobody stated what became of the ledger.
    """
    import sys

    from coterie_common.errors import WrongOrderError
    from coterie_party.cli.ledger import import_ledger
    from coterie_party.cli.steward_view import open_lines

    if ledger is not None:
        say(import_ledger(folder.root, ledger))
        return
    current = folder.federation().any_membership()
    roster = bundle.membership.roster
    epoch = roster.key_epoch
    if empty_ledger or epoch == 1 or (current is not None and current.serial >= roster.serial):
        return
    if (folder.root / "store" / "party.db").is_file():
        with open_lines(folder.root) as lines:
            if not lines.is_empty():
                return
    why = (
        f"WARNING: this bundle is of epoch {epoch}, and the privacy ledger in {folder.root} is empty. If this machine "
        "replaces another one, what that spent of the same records is forgotten, and would be spent again. Give its "
        "exported ledger with --ledger FILE, or pass --empty-ledger if nothing was ever spent of these data"
    )
    if not sys.stdin.isatty():
        raise WrongOrderError(why)
    say(why + ".", err=True)
    if not typer.confirm("Go on with an empty ledger?", default=False, err=True):
        raise WrongOrderError("nothing was imported: first find the ledger of the machine that this one replaces")
