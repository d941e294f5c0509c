# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie schema``: help with describing data. Works offline."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coterie.cli.options import DecimalMark, Encoding, Missing, Separator, Trim, file_format, put_out
from coterie_common.host.console import say

app = typer.Typer(help="Describe data for jobs.", no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def schema() -> None:
    """Describe data for jobs."""


@app.command()
def draft(
    data: Annotated[Path, typer.Argument(metavar="DATA", help="Records: CSV, gzipped or not, or Parquet.")],
    label: Annotated[str | None, typer.Option(metavar="COLUMN", help="The column to be predicted.")] = None,
    out: Annotated[
        Path | None, typer.Option(help="TOML file to write; standard output by default, and with -.")
    ] = None,
    separator: Separator = None,
    decimal: DecimalMark = ".",
    encoding: Encoding = "utf-8",
    trim: Trim = False,
    missing: Missing = None,
) -> None:
    """Draft the schema of a job from a file, for a person to edit: names and kinds of columns, levels and bounds.

    A schema is public. Replace everything derived from the records before it leaves this machine.
    """
    from coterie_common.learning.data.dataset_file import load_table
    from coterie_common.learning.data.schema_draft import draft_schema, to_toml

    form = file_format(separator, decimal, encoding, trim=trim, missing=missing)
    table = load_table(data, form, needed=() if label is None else (label,))
    text = to_toml(draft_schema(table, label=label, form=form), data.name)
    if put_out(out, text.encode("utf-8")):
        say(f"{out}: edit it before anybody else sees it", err=True)
