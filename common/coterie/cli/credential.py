# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie credential``: get a credential as a further operator or as a scientist."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from coterie_common.host.console import say

app = typer.Typer(help="Get a credential.", no_args_is_help=True, pretty_exceptions_enable=False)

_Home = Annotated[Path, typer.Option("--home", envvar="COTERIE_CREDENTIAL", help="Folder of the credential.")]


@app.command()
def init(
    person: Annotated[str, typer.Argument(metavar="ID", help="The id asked for.")],
    role: Annotated[str, typer.Option(help="operator or scientist.")] = "scientist",
    founder: Annotated[
        str | None, typer.Option(help="The founder's fingerprint; without it the first credential imported is trusted.")
    ] = None,
    home: _Home = Path("credential"),
) -> None:
    """Make a key and a request for the founder to admit."""
    from coterie.credential_folder import PEOPLE, create_credential_request
    from coterie_common.errors import ConfigurationError
    from coterie_common.fingerprint import parse_fingerprint, printed_fingerprint
    from coterie_common.identifiers import parse_member_id

    wanted = next((entry for entry in PEOPLE if entry.value == role), None)
    if wanted is None:
        raise ConfigurationError(f"--role must be operator or scientist, not {role!r}")
    person_id = parse_member_id(person)
    pinned = parse_fingerprint(founder) if founder is not None else None
    request = create_credential_request(home, person_id, wanted, pinned)
    shown = printed_fingerprint(request.fingerprint)
    say(f"Send {home / f'{person_id}.request'} to the founder; its fingerprint is {shown}")
    say("Next: import the file that comes back with 'coterie credential import FILE'.")


@app.command("import")
def import_(
    file: Annotated[Path, typer.Argument(help="The file that the founder returned, ID.credential.")],
    home: _Home = Path("credential"),
) -> None:
    """Verify and keep the credential that the founder issued."""
    from coterie.credential_folder import import_credential
    from coterie_common.clock import SystemClock
    from coterie_common.fingerprint import printed_fingerprint
    from coterie_common.membership.founder_pin import pinned_founder

    was_pinned = pinned_founder(home) is not None
    credential = import_credential(home, file, now=SystemClock().now())
    identity = credential.identity
    say(f"{home} is the credential of the {identity.role.value} {identity.id} of {identity.federation}.")
    if not was_pinned:
        founder = printed_fingerprint(credential.founder)
        say(f"It trusts the founder {founder} from now on; compare that fingerprint with the founder.")
