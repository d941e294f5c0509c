# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie-party audit``: read, verify and hand out the party's audit record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie_common.host.console import say
from coterie_common.shown import counted
from coterie_party.cli.options import PartyFolder

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coterie_common.audit.entry import Entry, Head
    from coterie_common.audit.export import Export

app = typer.Typer(
    help="Read, verify and export the record of what this party was asked, sent, decrypted and refused.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.command()
def verify(
    home: PartyFolder = Path("party"),
    file: Annotated[Path | None, typer.Option(help="An exported record, instead of the one in the folder.")] = None,
    head: Annotated[
        list[str] | None,
        typer.Option(help="What the record had reached before: SEQUENCE:HASH, or a file that was exported then."),
    ] = None,
    founder: Annotated[
        str | None, typer.Option(help="The founder's fingerprint; by default the one that the folder pins.")
    ] = None,
) -> None:
    """Check that no entry was altered, removed, moved or cut off; list any that was. Exit status 0 only if none was."""
    from coterie_common.fingerprint import parse_fingerprint
    from coterie_party.home.home import PartyHome
    from coterie_party.steward.audit_folder import FolderRecord, read_folder

    kept = read_folder(home) if file is None else FolderRecord(_read(file))
    export = kept.export
    pinned = parse_fingerprint(founder) if founder is not None else PartyHome(home).config().founder
    findings = (*export.verify(pinned, tuple(_head(text) for text in head or ())), *kept.gaps)
    for finding in findings:
        say(str(finding))
    if findings:
        raise typer.Exit(1)
    say(f"The record of {export.party_id} is whole: {counted(len(export.entries), 'entry')}.")
    say(f"Head {export.head}: note it elsewhere, and --head shows later whether the record was cut off or rewritten.")


@app.command()
def show(
    home: PartyFolder = Path("party"),
    job: Annotated[str | None, typer.Option(help="Only entries about this job.")] = None,
) -> None:
    """Show the record as a table, oldest entry first; below it the local causes of failures, which are in no record."""
    from coterie_party.cli.steward_view import open_steward_view
    from coterie_party.steward.audit_folder import read_folder

    entries = [entry for entry in read_folder(home).export.entries if job in (None, entry.job_id)]
    _print(entries)
    with open_steward_view(home) as view:
        for job_id in dict.fromkeys(entry.job_id for entry in entries if entry.job_id):
            for note in view.notes.of_job(job_id):
                where = f" round {note.round_number}" if note.round_number else ""
                say(f"For you alone: {job_id}{where}: {note.detail} [{note.code}]")


@app.command()
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="FILE.html to be read, FILE.json to be compared.")],
    home: PartyFolder = Path("party"),
) -> None:
    """Write the whole record, with all signatures and the roster that verifies them, to one file."""
    from coterie_common.audit.page import render
    from coterie_common.errors import ConfigurationError
    from coterie_common.files import write_atomically
    from coterie_party.steward.audit_folder import read_folder

    if file.suffix not in (".html", ".json"):
        raise ConfigurationError(f"{file} must end in .html, to be read by people, or .json, to be compared")
    record = read_folder(home).export
    write_atomically(file, render(record) if file.suffix == ".html" else record.to_bytes())
    say(f"{file}: {counted(len(record.entries), 'entry')}; head {record.head}")


def _read(path: Path) -> Export:
    from coterie_common.audit.page import read_record
    from coterie_common.files import read_bytes
    from coterie_common.limits import AUDIT_EXPORT_BYTES

    return read_record(read_bytes(path, "the record", maximum=AUDIT_EXPORT_BYTES))


def _head(text: str) -> Head:
    """Return a head given as text, or that of a file."""
    from coterie_common.audit.entry import Head

    path = Path(text)
    return _read(path).head if path.suffix in (".html", ".json") or path.is_file() else Head.parse(text)


def _print(entries: Sequence[Entry]) -> None:
    from coterie_common.audit.words import sentence
    from coterie_common.host.listing import print_table

    print_table(
        ("entry", "time (UTC)", "job", "round", "what happened"),
        [
            (str(entry.sequence), entry.time[:19], entry.job_id, str(entry.round_number or ""), sentence(entry))
            for entry in entries
        ],
        empty="There are no such entries.",
    )
