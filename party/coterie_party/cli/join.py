# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie-party join``: make keys, hand in a request with a token, import the bundle that the founder publishes."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie_common.host.console import say
from coterie_party.cli.options import PartyFolder, PasswordFile

if TYPE_CHECKING:
    from coterie_common.errors import TransientError
    from coterie_common.membership.enrolment import EnrolmentRequest
    from coterie_common.membership.invitations.token import Token
    from coterie_common.secret import Password
    from coterie_party.home.home import PartyHome


def join(
    token: Annotated[
        str, typer.Argument(help="The token of the founder's invitation; '-' reads it from standard input.")
    ],
    aggregator: Annotated[
        str | None, typer.Option(help="Where the aggregator listens, host:port, if not at port 8443 of its first name.")
    ] = None,
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Hand in the request and end; run the same command later to go on.")
    ] = False,
    home: PartyFolder = Path("party"),
    password_file: PasswordFile = None,
    ledger: Annotated[
        Path | None, typer.Option(help="The exported ledger of the machine that this one replaces.")
    ] = None,
    empty_ledger: Annotated[
        bool, typer.Option("--empty-ledger", help="Nothing was ever spent of the data that will be bound here.")
    ] = False,
) -> None:
    """Join a federation by invitation: make this party's keys, hand in its request, wait, import the key share.

    Read the phrase out to the founder, by telephone or in person. Ctrl-C ends the command; the same command goes on.
    """
    from coterie_common.crypto.certificates import Role
    from coterie_common.host.passwords import read_password
    from coterie_common.membership.bundle import Bundle
    from coterie_common.membership.invitations.channel import DocumentKind
    from coterie_common.membership.invitations.phrase import phrase_of
    from coterie_common.membership.invitations.reading import read_token
    from coterie_common.randomness import OsRandom
    from coterie_common.rpc.enrolment.joining import Joining
    from coterie_party.cli.keys import import_and_say
    from coterie_party.home.home import PartyHome

    invited, folder = read_token(token, (Role.PARTY,)), PartyHome(home)
    is_new = not folder.is_initialised
    ask_password = cache(
        lambda: read_password(folder.password_file(password_file), what="this party's keys", is_new=is_new)
    )
    request = _request(folder, invited, aggregator, ask_password)
    say(f"Phrase, for the founder to compare: {phrase_of(request, invited.invitation)}")
    joining = Joining(token=invited, request=request, kind=DocumentKind.BUNDLE, random=OsRandom())
    if no_wait:
        content = joining.once().get(DocumentKind.BUNDLE)
        if content is None:
            say("The request is handed in. Next: run the same command again when the founder has dealt the keys.")
            return
    else:
        content = joining.wait(_Teller(folder, invited))
    import_and_say(folder, Bundle.from_bytes(content), ask_password, ledger=ledger, empty_ledger=empty_ledger)


class _Teller:
    def __init__(self, folder: PartyHome, token: Token) -> None:
        self._folder = folder
        self._token = token

    def waits(self) -> None:
        say("The request is handed in. Read the phrase out to the founder; this command waits. Ctrl-C ends it.")

    def admitted(self, credential: bytes) -> None:
        from coterie_common.membership.credential import IssuedCredential
        from coterie_common.membership.key_files import read_tls_key
        from coterie_common.protocol.roster import founder_fingerprint

        founder = founder_fingerprint(self._token.invitation.founder_key)
        issued = IssuedCredential.from_bytes(credential)
        identity = issued.verify_owner(founder, read_tls_key(self._folder.tls_key_path))
        say(f"Admitted as the {identity.role.value} {identity.id} of {identity.federation}. Waiting for the keys.")

    def lost(self, error: TransientError, pause: float) -> None:
        say(f"{error}; next attempt in {pause:.0f} s", err=True)


def _request(
    folder: PartyHome, token: Token, aggregator: str | None, ask_password: Callable[[], Password]
) -> EnrolmentRequest:
    from coterie_common.address import DEFAULT_PORT, Address
    from coterie_common.errors import ConfigurationError
    from coterie_common.identifiers import PartyId
    from coterie_common.protocol.roster import founder_fingerprint
    from coterie_common.randomness import OsRandom

    party_id = PartyId(token.invitation.id)
    founder = founder_fingerprint(token.invitation.founder_key)
    if folder.is_initialised:
        return folder.existing_request(party_id, founder)
    address = Address.parse(aggregator) if aggregator is not None else None
    if address == token.invitation.address:
        raise ConfigurationError(
            f"{address} is for applicants; --aggregator names the port for parties, by default {DEFAULT_PORT}"
        )
    request = folder.create(party_id, founder, address, password=ask_password(), random=OsRandom())
    say(f"{folder.root} is the folder of the party {party_id}; see {folder.config_path} for its configuration.")
    return request
