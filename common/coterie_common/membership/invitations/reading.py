# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The token that a person gives to a command: an argument, or standard input, where no list of processes shows it."""

from __future__ import annotations

import sys
from collections.abc import Collection
from typing import Final

from coterie_common.crypto.certificates import Role
from coterie_common.errors import ConfigurationError
from coterie_common.membership.invitations.token import Token

_STANDARD_INPUT: Final = "-"
_LONGEST: Final = 1 << 14

_COMMANDS: Final = {
    Role.PARTY: "coterie-party join",
    Role.AGGREGATOR: "coterie-aggregator init",
    Role.OPERATOR: "coterie join",
    Role.SCIENTIST: "coterie join",
}


def read_token(argument: str, roles: Collection[Role]) -> Token:
    """Return the token of an argument; ``-`` reads it from standard input.

    Args:
        argument: as typed.
        roles: those that the command is for.

    Raises:
        MistypedToken: it is no token, or part of it is missing or mistyped.
        ConfigurationError: it is for another role; the message names the command.
    """
    token = Token.parse(sys.stdin.read(_LONGEST) if argument == _STANDARD_INPUT else argument)
    invitation = token.invitation
    if invitation.role not in roles:
        raise ConfigurationError(
            f"the token invites the {invitation.role.value} {invitation.id}: use it with '{_COMMANDS[invitation.role]}'"
        )
    return token
