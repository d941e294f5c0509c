# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Joining: hand in an application, and ask again until the founder has published the document that is waited for.

Every attempt is a session of its own, so that nothing depends on a connection that stays, and whoever interrupts the
command goes on with the same command.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from coterie_common.errors import Overloaded, TransientError
from coterie_common.limits import APPLICANT_SECONDS
from coterie_common.membership.enrolment import EnrolmentRequest
from coterie_common.membership.invitations.application import Application
from coterie_common.membership.invitations.channel import DocumentKind
from coterie_common.membership.invitations.token import Token
from coterie_common.randomness import RandomSource
from coterie_common.rpc.enrolment.client import open_desk

_FIRST_PAUSE_SECONDS: Final = 1.0
_MAX_PAUSE_SECONDS: Final = 10.0
_FACTOR: Final = 1.3


class Teller(Protocol):
    """Tells a person how joining goes on."""

    def waits(self) -> None:
        """The application was handed in, for the first time by this command; the founder has not admitted it yet."""
        ...

    def admitted(self, credential: bytes) -> None:
        """The founder admitted the application, and something else is still waited for.

        Args:
            credential: as published, unverified.
        """
        ...

    def lost(self, error: TransientError, pause: float) -> None:
        """The aggregator cannot be reached; the next attempt is after ``pause`` seconds."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Joining:
    """One applicant's way to a document.

    Attributes:
        token: the invitation.
        request: made on this host.
        kind: of the document that is waited for.
        random: for fresh numbers.
        sleep: waits some seconds.
    """

    token: Token
    request: EnrolmentRequest
    kind: DocumentKind
    random: RandomSource
    sleep: Callable[[float], None] = time.sleep

    def once(self) -> dict[DocumentKind, bytes]:
        """Hand in the application and return what is published for it, unverified.

        Raises:
            InvitationUsed, InvitationExpired, UnknownInvitation: the desk refuses it.
            NotTheAggregator: something else than the founder's aggregator answers; nothing was sent to it.
            TransientError: nobody answers; another attempt may help.
        """
        application = Application.create(self.token, self.request)
        invitation = self.token.invitation
        with open_desk(invitation.address, invitation.founder_key, self.random, APPLICANT_SECONDS) as session:
            return session.hand_in(application, self.token)

    def wait(self, teller: Teller) -> bytes:
        """Return the document, unverified, however long it takes; raises as ``once``, but for ``TransientError``."""
        pause, is_waiting, is_admitted = _FIRST_PAUSE_SECONDS, False, False
        while True:
            try:
                documents = self.once()
            except TransientError as error:
                # What answered need not be the aggregator: it cannot send this command to sleep.
                asked = error.retry_after_s if isinstance(error, Overloaded) else 0.0
                pause = min(max(pause, asked), _MAX_PAUSE_SECONDS)
                teller.lost(error, pause)
            else:
                if self.kind in documents:
                    return documents[self.kind]
                credential = documents.get(DocumentKind.CREDENTIAL)
                if credential is not None and not is_admitted:
                    teller.admitted(credential)
                    is_admitted, pause = True, _FIRST_PAUSE_SECONDS
                elif not is_waiting and not is_admitted:
                    teller.waits()
                is_waiting = True
            self.sleep(pause)
            pause = min(pause * _FACTOR, _MAX_PAUSE_SECONDS)
