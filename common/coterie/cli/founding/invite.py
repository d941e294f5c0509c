# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie invite``: print one-time tokens by which members and people join."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from coterie.cli.options import FederationFolder, PasswordFile
from coterie_common.host.console import say

if TYPE_CHECKING:
    from coterie.founding.home import FederationHome
    from coterie_common.address import Address
    from coterie_common.crypto.certificates import Role
    from coterie_common.secret import Password

DEFAULT_DAYS: Final = 7


def invite(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Whom to invite, such as hospital-1.")],
    role: Annotated[str, typer.Option(help="As what: party, scientist, operator or aggregator.")] = "party",
    days: Annotated[int, typer.Option(help="Days for which the tokens are good.")] = DEFAULT_DAYS,
    renew: Annotated[
        bool, typer.Option("--renew", help="Make new tokens; the ones before of the same ids are worthless then.")
    ] = False,
    aggregator: Annotated[
        str | None,
        typer.Option(
            metavar="HOST[:PORT]", help="Where the aggregator receives applicants, by default at port 8444; remembered."
        ),
    ] = None,
    home: FederationFolder = Path("federation"),
    password_file: PasswordFile = None,
) -> None:
    """Print a one-time token for each id, to be handed to its owner; the same tokens again if they were made before.

    The owner uses it with 'coterie-party join', 'coterie join' or 'coterie-aggregator init'. Anyone who reads a
    token on its way can use it first: compare the phrase of each request before you admit anybody.
    """
    from coterie.founding.home import FederationHome
    from coterie_common.address import ENROLMENT_PORT, Address
    from coterie_common.crypto.certificates import Role
    from coterie_common.errors import ConfigurationError
    from coterie_common.host.passwords import read_password

    try:
        wanted = Role(role)
    except ValueError as cause:
        raise ConfigurationError(f"--role must be one of {', '.join(Role)}, not {role!r}") from cause
    print_tokens(
        FederationHome(home),
        ids,
        wanted,
        days=days,
        renew=renew,
        address=Address.parse_with_port(aggregator, ENROLMENT_PORT) if aggregator else None,
        ask_password=lambda: read_password(password_file, what="the founder's keys"),
    )
    say("Next: hand each token to its owner, and compare phrases with 'coterie admit' when they have joined.")


def print_tokens(
    folder: FederationHome,
    ids: Sequence[str],
    role: Role,
    *,
    days: int,
    renew: bool,
    address: Address | None,
    ask_password: Callable[[], Password],
) -> None:
    """Invite some ids as a role and print their tokens, each in a line of its own; raises as ``invite`` does."""
    from datetime import timedelta

    from coterie.founding.invitations import MAX_DAYS
    from coterie.founding.invitations import invite as invite_members
    from coterie_common.clock import SystemClock
    from coterie_common.identifiers import parse_member_id

    # No more than a timedelta can hold; what is out of range stays so.
    lifetime = timedelta(days=max(0, min(days, MAX_DAYS + 1)))
    issued = invite_members(
        folder,
        [parse_member_id(member) for member in ids],
        role,
        address=address,
        lifetime=lifetime,
        renew=renew,
        ask_password=ask_password,
        now=SystemClock().now(),
    )
    for entry in issued:
        invitation = entry.token.invitation
        before = "" if entry.is_new else " (made before)"
        say(f"Token of the {role.value} {invitation.id}, good until {invitation.expires:%Y-%m-%d %H:%M} UTC{before}:")
        say(entry.token.reveal())
