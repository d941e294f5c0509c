# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie members`` and ``coterie expel``: list who was admitted to a federation, and expel a member."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coterie.cli.options import AsJson, FederationFolder, Yes, confirm
from coterie_common.host.console import say


def members(home: FederationFolder = Path("federation"), as_json: AsJson = False) -> None:
    """List everybody who was admitted, and whom of them the newest roster names."""
    from coterie.founding.home import FederationHome
    from coterie.founding.leaving import members as list_members
    from coterie_common.fingerprint import printed_fingerprint
    from coterie_common.host.listing import moment, print_json, print_table

    entries = list_members(FederationHome(home))
    if as_json:
        return print_json(entries)
    rows = [
        (
            str(entry.index or "-"),
            entry.id,
            entry.role.value,
            entry.standing.value,
            moment(entry.until),
            printed_fingerprint(entry.request) if entry.request else "-",
        )
        for entry in entries
    ]
    columns = ("index", "id", "role", "standing", "certificate until", "request")
    return print_table(columns, rows, empty="Nobody is admitted yet.")


def expel(
    member: Annotated[str, typer.Argument(metavar="ID", help="The party, operator or scientist.")],
    corruption_bound: Annotated[
        int | None, typer.Option(help="Number of remaining parties that may be corrupted; unchanged by default.")
    ] = None,
    decryption_threshold: Annotated[
        int | None, typer.Option(help="Number of remaining parties that open a sum; one fewer by default.")
    ] = None,
    quorum: Annotated[
        int | None, typer.Option(help="Minimum number of replies in a sum; one fewer by default.")
    ] = None,
    yes: Yes = False,
    home: FederationFolder = Path("federation"),
) -> None:
    """Expel a party with the next key epoch, or stop issuing credentials to a person.

    The party stays a member until 'coterie keys deal --new-epoch' has run and every member has imported its bundle.
    """
    from coterie.credential_folder import PEOPLE
    from coterie.founding.home import FederationHome
    from coterie.founding.leaving import admission_of, expel_party, expel_person, smaller_parameters
    from coterie_common.crypto.certificates import Role, expires_at
    from coterie_common.errors import ConfigurationError
    from coterie_common.identifiers import parse_member_id

    folder, member_id = FederationHome(home), parse_member_id(member)
    record = folder.record()
    admission = admission_of(folder, member_id)
    if admission.role in PEOPLE:
        expel_person(folder, member_id)
        say(
            f"{member_id} gets no further credential. Its certificate stays valid until "
            f'{expires_at(admission.certificate):%Y-%m-%d}: put "{admission.role.value}/{member_id}" into denied in '
            "aggregator.toml."
        )
        return
    if admission.role is not Role.PARTY:
        raise ConfigurationError(
            "a federation needs its aggregator: 'coterie admit --replace' admits other keys for it"
        )
    parameters = smaller_parameters(
        record.parameters, corruption_bound=corruption_bound, decryption_threshold=decryption_threshold, quorum=quorum
    )
    say(f"Without {member_id} the federation {record.federation} has {parameters.parties} parties.")
    for sentence in parameters.explain():
        say(f"  {sentence}")
    confirm(f"Expel {member_id} with the next epoch?", yes=yes)
    expel_party(folder, member_id, parameters)
    if folder.latest_epoch():
        say(f"{member_id} is out from the next key epoch on: coterie keys deal --new-epoch")
    else:
        say(f"{member_id} is out; no keys were dealt yet.")
