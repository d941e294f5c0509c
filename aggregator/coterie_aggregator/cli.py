# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator's command line. Commands import what they need when they run, so that ``--help`` answers at once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, TypeAlias

import typer

from coterie_common.host.console import Program, say

AggregatorFolder: TypeAlias = Annotated[
    Path, typer.Option("--home", envvar="COTERIE_AGGREGATOR_HOME", help="The aggregator's folder.")
]

main = Program("coterie-aggregator", "Coordinate a federation: make own keys, import the bundle, serve.")
_keys_app = typer.Typer(
    help="Import the bundle from the founder.", no_args_is_help=True, pretty_exceptions_enable=False
)
main.app.add_typer(_keys_app, name="keys")


@main.app.command()
def init(
    token: Annotated[
        str | None, typer.Argument(help="The token of the founder's invitation; '-' reads it from standard input.")
    ] = None,
    name: Annotated[
        list[str] | None,
        typer.Option(
            "--name",
            metavar="HOST",
            help="Host name or address that parties use; repeatable. By default the one in the token.",
        ),
    ] = None,
    aggregator_id: Annotated[
        str | None, typer.Option("--id", help="The id asked for; by default the one in the token, or 'aggregator'.")
    ] = None,
    founder: Annotated[
        str | None, typer.Option(help="The founder's fingerprint; without it the first bundle imported is trusted.")
    ] = None,
    home: AggregatorFolder = Path("aggregator"),
) -> None:
    """Create the aggregator's keys, its configuration, and an enrolment request for the founder to admit.

    With a token, 'coterie-aggregator serve' hands in the request itself and waits for the bundle.
    """
    if token is not None:
        return _init_by_token(token, name or [], aggregator_id, founder, home)
    return _init_by_file(name or [], aggregator_id or "aggregator", founder, home)


def _init_by_token(text: str, names: list[str], aggregator_id: str | None, founder: str | None, home: Path) -> None:
    from coterie_aggregator.home.home import AggregatorHome
    from coterie_aggregator.reception import hand_in_own
    from coterie_common.crypto.certificates import Role
    from coterie_common.errors import ConfigurationError
    from coterie_common.fingerprint import parse_fingerprint, printed_fingerprint
    from coterie_common.host.folder_lock import locked
    from coterie_common.membership.invitations.phrase import phrase_of
    from coterie_common.membership.invitations.reading import read_token
    from coterie_common.protocol.roster import founder_fingerprint
    from coterie_common.randomness import OsRandom

    token = read_token(text, (Role.AGGREGATOR,))
    invitation, folder = token.invitation, AggregatorHome(home)
    pinned = founder_fingerprint(invitation.founder_key)
    if founder is not None and parse_fingerprint(founder) != pinned:
        raise ConfigurationError(f"the token is of the founder {printed_fingerprint(pinned)}, not of --founder")
    if aggregator_id not in (None, invitation.id):
        raise ConfigurationError(f"the token is for the id {invitation.id}, not for --id")
    if folder.is_initialised:
        folder.existing_request(invitation.id, names or None, pinned)
        say(f"{home} was made before; its keys are kept.")
    else:
        port = invitation.address.port
        folder.create(invitation.id, names or [invitation.address.host], pinned, random=OsRandom(), enrolment_port=port)
        say(f"{home} is the folder of the aggregator; see {folder.config_path} for its configuration.")
    # A running 'serve' has the desk and the token to itself.
    with locked(home, "coterie-aggregator"):
        application = hand_in_own(folder, token)
        folder.keep_token(token)
    say(f"It trusts the founder {printed_fingerprint(pinned)}.")
    say(f"Phrase, for the founder to compare: {phrase_of(application.request, invitation)}")
    say("Next: run 'coterie-aggregator serve', which receives the others too.")


def _init_by_file(name: list[str], aggregator_id: str, founder: str | None, home: Path) -> None:
    from coterie_aggregator.home.home import AggregatorHome
    from coterie_common.errors import ConfigurationError
    from coterie_common.fingerprint import parse_fingerprint, printed_fingerprint
    from coterie_common.identifiers import parse_member_id
    from coterie_common.randomness import OsRandom

    if not name:
        raise ConfigurationError("name the hosts by which parties reach this aggregator with --name, or give a token")
    checked_id = parse_member_id(aggregator_id)
    pinned = parse_fingerprint(founder) if founder is not None else None
    folder = AggregatorHome(home)
    if folder.is_initialised:
        request = folder.existing_request(checked_id, name, pinned)
        say(f"{home} was made before; nothing changed.")
    else:
        request = folder.create(checked_id, name, pinned, random=OsRandom())
        say(f"{home} is the folder of the aggregator; see {folder.config_path} for its configuration.")
    shown = printed_fingerprint(request.fingerprint)
    say(f"Send {folder.request_path(checked_id)} to the founder; its fingerprint is {shown}")
    say("Next: import the bundle that comes back with 'coterie-aggregator keys import BUNDLE'.")


@main.app.command()
def serve(
    home: AggregatorFolder = Path("aggregator"),
    log_format: Annotated[str, typer.Option(help="Lines for people (text) or machines (json).")] = "text",
    verbose: Annotated[bool, typer.Option("--verbose", help="Log more.")] = False,
) -> None:
    """Serve parties, operators and scientists until SIGTERM or Ctrl-C.

    An aggregator that was invited serves applicants until its own bundle is there, and everybody from then on.
    """
    import asyncio

    from coterie_aggregator.app import run
    from coterie_common.host.telemetry import configure_logging, parse_format

    configure_logging(parse_format(log_format), verbose=verbose)
    asyncio.run(run(home))


@main.app.command()
def health(home: AggregatorFolder = Path("aggregator")) -> None:
    """Check that the daemon on this folder is serving: exit status 0 only if it is."""
    from coterie_common.clock import SystemClock
    from coterie_common.host.heartbeat import check_heartbeat

    for warning in check_heartbeat(home, "coterie-aggregator", now=SystemClock().now()):
        say(f"warning: {warning}", err=True)
    say("serving")


@_keys_app.callback()
def _keys() -> None:
    """Import the bundle from the founder."""


@_keys_app.command("import")
def import_(
    bundle: Annotated[Path, typer.Argument(help="The file that the founder returned, ID.bundle.")],
    home: AggregatorFolder = Path("aggregator"),
) -> None:
    """Verify the bundle and keep certificate, roster and threshold key."""
    from coterie_aggregator.home.home import AggregatorHome
    from coterie_aggregator.home.joining import import_bundle
    from coterie_common.clock import SystemClock
    from coterie_common.fingerprint import printed_fingerprint

    joined = import_bundle(AggregatorHome(home), bundle, now=SystemClock().now())
    roster = joined.roster
    state = "is imported and checked" if joined.is_new else "was imported before; nothing changed"
    say(f"The roster of {roster.federation}, serial {roster.serial}, epoch {roster.key_epoch}, {state}.")
    if not joined.was_pinned:
        founder = printed_fingerprint(joined.founder)
        say(f"It trusts the founder {founder} from now on; compare that fingerprint with the founder.")
    say("Next: run 'coterie-aggregator serve'.")
