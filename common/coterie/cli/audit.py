# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie audit``: compare the audit records of several parties."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie.cli.options import AsJson
from coterie_common.host.console import say
from coterie_common.shown import counted

if TYPE_CHECKING:
    from coterie_common.audit.comparison import Difference
    from coterie_common.audit.export import Export

_UNPROVEN = "proves nothing against anybody: at most one of them bears a signature that recomputes"

app = typer.Typer(help="Compare audit records of parties.", no_args_is_help=True, pretty_exceptions_enable=False)


@app.callback()
def _audit() -> None:
    """Compare audit records of parties."""


@app.command()
def compare(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Records that parties exported.")],
    founder: Annotated[
        str | None, typer.Option(help="The founder's fingerprint that you pinned; otherwise that of the first file.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Verify the records and report where the aggregator's statements to parties differ; exit status 1 if any do."""
    from coterie_common.audit.comparison import compare as compare_records
    from coterie_common.errors import ConfigurationError
    from coterie_common.host.listing import print_json

    if len(files) < 2:
        raise ConfigurationError("a comparison needs the records of two parties, or more")
    exports = _verified(files, founder)
    result = compare_records(exports)
    if as_json:
        print_json(result.differences)
    else:
        for difference in result.differences:
            _show(difference)
        parties = len({export.party_id for export in exports})
        found = len(result.differences)
        say(
            f"{counted(parties, 'party')}, {counted(result.jobs, 'job')} and {counted(result.rounds, 'round')} "
            "compared: " + (counted(found, "difference") if found else "no difference")
        )
    if result.differences:
        raise typer.Exit(1)


def _verified(files: list[Path], founder: str | None) -> list[Export]:
    """Read and verify the records; end the program if one is not intact."""
    from coterie_common.audit.page import read_record
    from coterie_common.files import read_bytes
    from coterie_common.fingerprint import parse_fingerprint, printed_fingerprint
    from coterie_common.limits import AUDIT_EXPORT_BYTES

    exports = [read_record(read_bytes(path, "the record", maximum=AUDIT_EXPORT_BYTES)) for path in files]
    pinned = parse_fingerprint(founder) if founder is not None else exports[0].owner.founder
    if founder is None:
        shown = printed_fingerprint(pinned)
        say(f"The records name the founder {shown}: compare it with the fingerprint that you pinned.", err=True)
    failed = False
    for path, export in zip(files, exports, strict=True):
        for finding in export.verify(pinned):
            failed = True
            say(f"{path}, record of {export.party_id}: {finding}", err=True)
    if failed:
        raise typer.Exit(1)
    return exports


def _show(difference: Difference) -> None:
    job = f"job {difference.job_id}" if difference.job_id else "no job"
    place = f"{job}, round {difference.round_number}" if difference.round_number else job
    say(f"{place}: {difference.what} differs")
    for version in difference.versions:
        parties = ", ".join(
            f"{party_id} (refused it)" if party_id in version.refused_by else party_id for party_id in version.parties
        )
        signed = f"signed by {version.signed_by}" if version.signed_by else "nobody's signature, their word alone"
        say(f"  {parties}: {version.value or 'nothing'}; {signed}")
    verdict = f"proven: {difference.proven_against} signed two of them" if difference.proven_against else _UNPROVEN
    say(f"  {verdict}")
