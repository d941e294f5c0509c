# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Admitting those who were invited: who waits at the aggregator's desk, and what is published for them.

Invariants:
- Nothing that the desk says is believed. Every application is checked here with all its proofs, against the founder's
  own list of invitations; one that does not hold is left out and counted.
- Signing happens here. The desk gets documents that are signed, and sealed where they hold a secret.
- Publishing again changes nothing, so that every command can be repeated after a failure at any point.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import Enum
from typing import Protocol

from coterie.credential_folder import PEOPLE
from coterie.founding.credentials import credential_path
from coterie.founding.home import FederationHome, FederationRecord, FounderKeys
from coterie.founding.invitations import Invitations, load_invitations
from coterie.founding.register import Admission, Register, load_register
from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import ConfigurationError, PeerError, UnknownInvitation, WrongOrderError
from coterie_common.files import read_bytes
from coterie_common.limits import KEY_FILE_BYTES
from coterie_common.membership.bundle import read_bundle
from coterie_common.membership.credential import IssuedCredential
from coterie_common.membership.invitations.application import Application, request_digest
from coterie_common.membership.invitations.channel import DocumentKind, Kept, document_digest
from coterie_common.membership.invitations.phrase import phrase_of


class _Group(Enum):
    ADMITTED = "admitted"
    WAITING = "waiting"
    TAKEN = "taken"
    EXPIRED = "expired"


class FounderSession(Protocol):
    """The founder's session with the desk: ``rpc.enrolment.client.Session``."""

    def kept(self, founder: SigningKey) -> Sequence[Kept]:
        """Return the applications that the desk keeps."""
        ...

    def publish(self, request: bytes, kind: DocumentKind, content: bytes, founder: SigningKey) -> None:
        """Publish a document for a request."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Applications:
    """What the desk keeps, as far as it holds.

    Attributes:
        admitted: those whose very request is in the register.
        waiting: those that may be admitted, in the order in which they were invited.
        taken: those that ask for an id that was admitted with other keys.
        expired: those whose invitation has expired.
        ignored: the number of those that prove nothing, or whose invitation was renewed or is none of ours.
    """

    admitted: tuple[Application, ...]
    waiting: tuple[Application, ...]
    taken: tuple[Application, ...]
    expired: tuple[Application, ...]
    ignored: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrased:
    """An application with its phrase."""

    application: Application
    phrase: str

    @property
    def id(self) -> str:
        """The id that it asks for."""
        return self.application.invitation.id


@dataclass(frozen=True, slots=True, kw_only=True)
class PublishedFor:
    """A document at the desk; ``is_new`` is false if it was there before."""

    id: str
    kind: DocumentKind
    is_new: bool


def require_invitations(home: FederationHome) -> Invitations:
    """Return whom the founder invited; raises ``WrongOrderError`` if nobody was."""
    invitations = load_invitations(home)
    if invitations is None:
        raise WrongOrderError("nobody was invited; first run 'coterie invite ID', or name request files")
    return invitations


def check_applications(
    home: FederationHome, found: Iterable[Kept], *, now: datetime, replace: bool = False
) -> Applications:
    """Check everything that the desk keeps.

    Args:
        home: the founder's folder.
        found: unverified, from the desk.
        now: by which invitations expire.
        replace: those that ask for an id that was admitted with other keys wait, too.

    Raises:
        WrongOrderError: no federation, or nobody was invited.
        KeyFileError: a file is damaged.
    """
    record, register, invitations = home.record(), load_register(home), require_invitations(home)
    checked = [_checked(record, invitations, kept.application) for kept in found]
    order = list(invitations.entries)
    groups: dict[_Group, list[Application]] = {group: [] for group in _Group}
    for application in sorted(dict.fromkeys(filter(None, checked)), key=lambda each: order.index(each.invitation.id)):
        groups[_group(register, application, now=now, replace=replace)].append(application)
    sorted_out = {group.value: tuple(applications) for group, applications in groups.items()}
    return Applications(**sorted_out, ignored=checked.count(None))


def with_phrases(applications: Applications) -> tuple[Phrased, ...]:
    """Return those that may be admitted with their phrases; takes half a second for each."""
    return tuple(
        Phrased(application=each, phrase=phrase_of(each.request, each.invitation)) for each in applications.waiting
    )


def choose(waiting: Sequence[Phrased], phrases: Sequence[str] | None) -> tuple[Phrased, ...]:
    """Return those whose phrases were read out, or all that are the only ones for their ids.

    Args:
        waiting: from ``with_phrases``.
        phrases: as read out, canonical; ``None``: people will compare.

    Raises:
        ConfigurationError: a phrase that is no request's; nobody may be admitted.
    """
    if phrases is None:
        return tuple(entry for entry in waiting if entry.id not in rivals(waiting))
    if unmet := set(phrases) - {entry.phrase for entry in waiting}:
        raise ConfigurationError(f"no request has the phrase {', '.join(sorted(unmet))}; nobody was admitted")
    chosen = tuple(entry for entry in waiting if entry.phrase in phrases)
    if rivals(chosen):
        raise ConfigurationError("the phrases are of two requests for one id; nobody was admitted")
    return chosen


def rivals(waiting: Sequence[Phrased]) -> frozenset[str]:
    """Return the ids for which more than one request waits: a token is in two hands."""
    ids = [entry.id for entry in waiting]
    return frozenset(member for member in ids if ids.count(member) > 1)


def publish_everything(
    home: FederationHome, session: FounderSession, keys: FounderKeys, *, now: datetime
) -> tuple[PublishedFor, ...]:
    """Publish what the desk lacks for every request there that was admitted; return everything that is there then.

    People get their credential; a member gets its certificate as soon as it is admitted, and its bundle once keys were
    dealt to it.

    Raises:
        KeyFileError: a file is damaged.
        CoterieError: of the session; what was published stays.
    """
    published = []
    register = load_register(home)
    kept = session.kept(keys.signing_key)
    # Under every application alike: a request that came again under a newer invitation has the same documents.
    there = frozenset().union(*(each.published for each in kept))
    for application in check_applications(home, kept, now=now).admitted:
        admission = register.find(application.invitation.id)
        if admission is None:
            continue
        for kind, content in _documents(home, admission, keys).items():
            is_new = document_digest(kind, content) not in there
            if is_new:
                session.publish(request_digest(application.request), kind, content, keys.signing_key)
            published.append(PublishedFor(id=admission.id, kind=kind, is_new=is_new))
    return tuple(published)


def _checked(record: FederationRecord, invitations: Invitations, data: bytes) -> Application | None:
    try:
        application = Application.from_bytes(data)
        application.invitation.require_of(record.founder_key)
    except (PeerError, UnknownInvitation):
        return None
    # Of the invitations that the founder signed for one id, the last one counts.
    entry = invitations.entries.get(application.invitation.id)
    return application if entry is not None and entry.key == application.invitation.key else None


def _group(register: Register, application: Application, *, now: datetime, replace: bool) -> _Group:
    admission = register.find(application.invitation.id)
    if admission is not None and admission.request == application.request:
        return _Group.ADMITTED
    if now > application.invitation.expires:
        return _Group.EXPIRED
    return _Group.WAITING if admission is None or replace else _Group.TAKEN


def _documents(home: FederationHome, admission: Admission, keys: FounderKeys) -> dict[DocumentKind, bytes]:
    if admission.role in PEOPLE:
        path = credential_path(home, admission.id)
        return {DocumentKind.CREDENTIAL: read_bytes(path, "the credential", maximum=KEY_FILE_BYTES)}
    issued = IssuedCredential.create(admission.certificate, keys.authority.certificate, None, keys.signing_key)
    documents = {DocumentKind.CREDENTIAL: issued.to_bytes()}
    path = home.bundles / f"{admission.id}.bundle"
    if home.latest_epoch() and path.is_file():
        bundle = read_bundle(path)
        # Keys that were replaced have no bundle before the next epoch.
        if bundle.membership.certificate == admission.certificate:
            documents[DocumentKind.BUNDLE] = bundle.to_bytes()
    return documents
