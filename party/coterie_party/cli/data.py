# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie-party data``: check the party's own data before a job asks for them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coterie_common.host.console import say
from coterie_common.shown import counted
from coterie_party.cli.options import PartyFolder

app = typer.Typer(
    help="Check that the party's own data fit the schemas that they are bound to.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def check(
    dataset: Annotated[str | None, typer.Argument(metavar="DATASET", help="Only this data set.")] = None,
    home: PartyFolder = Path("party"),
) -> None:
    """Read each data set as a job would, and report what does not fit: file, row, column and value.

    Nothing leaves this machine. The daemon does not have to run. The exit status is 0 only if everything fits.
    """
    from coterie_common.errors import DataError, NotFound
    from coterie_party.data.bindings import bind_datasets
    from coterie_party.home.home import PartyHome

    bound = bind_datasets(home, PartyHome(home).config().datasets)
    if dataset is not None and dataset not in bound:
        raise NotFound(f"party.toml binds no data set {dataset}" + (f", only {', '.join(bound)}" if bound else ""))
    chosen = bound if dataset is None else {dataset: bound[dataset]}
    if not chosen:
        say("party.toml binds no data sets yet.")
    failed = 0
    for name, each in chosen.items():
        for schema, result in each.checks():
            if isinstance(result, DataError):
                failed += 1
                say(f"{name}, {schema}: {result}")
            else:
                say(f"{name}, {schema}: {counted(result, 'record')} {'fits' if result == 1 else 'fit'}")
    if failed:
        raise DataError(
            f"{failed} of {sum(len(each.schemas) for each in chosen.values())} descriptions do not fit the data; "
            "jobs that use them are refused with this code"
        )
