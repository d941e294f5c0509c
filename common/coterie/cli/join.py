# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie join``: get a credential as an operator or scientist by invitation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coterie_common.host.console import say

if TYPE_CHECKING:
    from coterie_common.errors import TransientError


def join(
    token: Annotated[
        str, typer.Argument(help="The token of the founder's invitation; '-' reads it from standard input.")
    ],
    no_wait: Annotated[
        bool, typer.Option("--no-wait", help="Hand in the request and end; run the same command later to go on.")
    ] = False,
    home: Annotated[Path, typer.Option("--home", envvar="COTERIE_CREDENTIAL", help="Folder of the credential.")] = Path(
        "credential"
    ),
) -> None:
    """Join a federation by invitation as an operator or scientist: make a key, hand in a request, wait, import.

    Read the phrase out to the founder, by telephone or in person. Ctrl-C ends the command; the same command goes on.
    """
    from coterie.credential_folder import (
        PEOPLE,
        create_credential_request,
        remember_first_aggregator,
        take_credential,
    )
    from coterie_common.clock import SystemClock
    from coterie_common.membership.invitations.channel import DocumentKind
    from coterie_common.membership.invitations.phrase import phrase_of
    from coterie_common.membership.invitations.reading import read_token
    from coterie_common.protocol.roster import founder_fingerprint
    from coterie_common.randomness import OsRandom
    from coterie_common.rpc.enrolment.joining import Joining

    invited = read_token(token, PEOPLE)
    invitation = invited.invitation
    founder = founder_fingerprint(invitation.founder_key)
    request = create_credential_request(home, invitation.id, invitation.role, founder)
    say(f"Phrase, for the founder to compare: {phrase_of(request, invitation)}")
    joining = Joining(token=invited, request=request, kind=DocumentKind.CREDENTIAL, random=OsRandom())
    if no_wait:
        content = joining.once().get(DocumentKind.CREDENTIAL)
        if content is None:
            say("The request is handed in. Next: run the same command again when the founder has admitted it.")
            return
    else:
        content = joining.wait(_Teller())
    identity = take_credential(home, content, now=SystemClock().now()).identity
    remember_first_aggregator(home, invitation.address.host)
    say(f"{home} is the credential of the {identity.role.value} {identity.id} of {identity.federation}.")


class _Teller:
    def waits(self) -> None:
        say("The request is handed in. Read the phrase out to the founder; this command waits. Ctrl-C ends it.")

    def admitted(self, credential: bytes) -> None:
        """Never called: the credential is what is waited for."""

    def lost(self, error: TransientError, pause: float) -> None:
        say(f"{error}; next attempt in {pause:.0f} s", err=True)
