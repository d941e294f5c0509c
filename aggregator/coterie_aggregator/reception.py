# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The enrolment port of an aggregator that was invited itself: it serves others before it is a member.

Its own application lies at its own desk, like everybody's, and so does the bundle that the founder publishes for it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import structlog

from coterie_aggregator.enrolment.desk import Desk
from coterie_aggregator.enrolment.desk_files import DeskFiles
from coterie_aggregator.home.home import AggregatorHome
from coterie_aggregator.home.joining import Joined, take_bundle
from coterie_aggregator.service.enrolment import start_enrolment
from coterie_common.clock import SystemClock
from coterie_common.errors import ConfigurationError, PeerError
from coterie_common.host.incidents import Incidents
from coterie_common.membership.bundle import Bundle
from coterie_common.membership.enrolment import read_request
from coterie_common.membership.file import read_any_membership
from coterie_common.membership.invitations.application import Application, request_digest
from coterie_common.membership.invitations.channel import DocumentKind
from coterie_common.membership.invitations.token import Token
from coterie_common.randomness import OsRandom

log = structlog.get_logger(__name__)


class Reception:
    """The aggregator as a guest of its own desk; made by ``open_reception``."""

    def __init__(self, home: AggregatorHome, desk: Desk, request: bytes) -> None:
        self._home = home
        self._desk = desk
        self._request = request
        self._arrived = asyncio.Event()

    def on_published(self, request: bytes, kind: DocumentKind) -> None:
        """Take notice of a document that the founder published."""
        if (request, kind) == (self._request, DocumentKind.BUNDLE):
            log.info("a bundle for this aggregator is here; if it serves already, it takes it at its next start")
            self._arrived.set()

    async def wait(self) -> None:
        """Wait until a bundle for this aggregator is published."""
        await self._arrived.wait()
        self._arrived.clear()

    def take_bundle(self) -> Joined | None:
        """Verify and keep the published bundle, if it is newer than the membership.

        Returns:
            ``None`` if there is no newer one, or one that cannot be used: the log says why, and nothing changes.

        Raises:
            StorageError: the desk cannot be read, or the membership not be written.
        """
        try:
            return self._take_bundle()
        except (PeerError, ConfigurationError) as error:
            log.error("the published bundle cannot be used", code=error.code, why=error.message)
            return None

    def _take_bundle(self) -> Joined | None:
        content = self._desk.documents(self._request).get(DocumentKind.BUNDLE)
        if content is None:
            return None
        bundle = Bundle.from_bytes(content)
        current = read_any_membership(self._home.root)
        if current is not None and current.serial >= bundle.membership.serial:
            return None
        return take_bundle(self._home, bundle, now=SystemClock().now())


def hand_in_own(home: AggregatorHome, token: Token) -> Application:
    """Put the aggregator's own application on its desk; the same again changes nothing.

    The caller holds the lock of the folder: two desks in one folder would give two applications one number.

    Raises:
        InvitationExpired: the token is used too late.
        StorageError: the desk cannot be written.
    """
    now = SystemClock().now()
    application = Application.create(token, read_request(home.request_path(home.config().id)))
    Desk(token.invitation.founder_key, DeskFiles(home.desk), now=now).hand_in(application, now=now)
    return application


@asynccontextmanager
async def open_reception(home: AggregatorHome, token: Token) -> AsyncIterator[Reception]:
    """Serve the enrolment port until the block is left.

    Raises:
        ConfigurationError: the address cannot be bound.
        StorageError: the desk cannot be read.
    """
    config, clock, random = home.config(), SystemClock(), OsRandom()
    request = request_digest(read_request(home.request_path(config.id)))
    desk = Desk(token.invitation.founder_key, DeskFiles(home.desk), now=clock.now())
    reception = Reception(home, desk, request)
    server = await start_enrolment(
        str(config.enrolment),
        desk,
        token,
        clock=clock,
        random=random,
        incidents=Incidents("the enrolment port's", random),
        on_published=reception.on_published,
    )
    log.info("receiving applicants", listen=config.enrolment.host, port=server.port)
    try:
        yield reception
    finally:
        await server.stop()


async def until_member(reception: Reception) -> None:
    """Wait for the bundle that makes this aggregator a member; one that cannot be used is passed over."""
    joined = None
    while joined is None:
        await reception.wait()
        joined = reception.take_bundle()
    log.info("imported", federation=joined.roster.federation, serial=joined.roster.serial)
