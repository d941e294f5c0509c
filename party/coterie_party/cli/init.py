# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie-party init``: create a party's keys and its enrolment request."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coterie_common.host.console import say
from coterie_party.cli.options import PartyFolder, PasswordFile


def init(
    party_id: Annotated[str, typer.Argument(metavar="ID", help="The id asked for, such as hospital-1.")],
    founder: Annotated[str, typer.Option(help="The founder's fingerprint, as 'coterie found' printed it.")],
    aggregator: Annotated[str | None, typer.Option(help="Where the aggregator listens, host:port.")] = None,
    home: PartyFolder = Path("party"),
    password_file: PasswordFile = None,
) -> None:
    """Create this party's keys, its configuration, and an enrolment request for the founder to admit."""
    from coterie_common.address import Address
    from coterie_common.fingerprint import parse_fingerprint, printed_fingerprint
    from coterie_common.host.passwords import read_password
    from coterie_common.identifiers import parse_party_id
    from coterie_common.randomness import OsRandom
    from coterie_party.home.home import PartyHome

    checked_id, pinned = parse_party_id(party_id), parse_fingerprint(founder)
    address = Address.parse(aggregator) if aggregator is not None else None
    folder = PartyHome(home)
    if folder.is_initialised:
        request = folder.existing_request(checked_id, pinned)
        say(f"{home} was made before; nothing changed.")
    else:
        password = read_password(password_file, what=f"the keys of {checked_id}", is_new=True)
        request = folder.create(checked_id, pinned, address, password=password, random=OsRandom())
        say(f"{home} is the folder of the party {checked_id}; see {folder.config_path} for its configuration.")
    shown = printed_fingerprint(request.fingerprint)
    say(f"Send {folder.request_path(checked_id)} to the founder; its fingerprint is {shown}")
    say("Next: import the bundle that comes back with 'coterie-party keys import BUNDLE'.")
