# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The desk: it keeps applications for the founder, and documents of the founder for applicants. It decides nothing.

Invariants:
- The first application under an invitation waits. A second one with another request is kept too, so that the founder
  sees two phrases for one id, and refused; further ones are refused only. Whose request is the right one, the founder
  decides.
- The same application again changes nothing, also after its invitation has expired: its owner comes back for documents.
- An application or document is durable before its sender gets an answer.
- Its functions may be called by any thread, and run one after the other: documents are never dropped while they are
  read.
- Everything here is public, and was signed by others; whoever can write into the folder can delay, but not forge.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, Protocol

from coterie_common.crypto.identity import VerifyKey
from coterie_common.errors import InvitationUsed, NotFound, QuotaExceeded
from coterie_common.limits import APPLICATION_DAYS, MAX_APPLICATIONS
from coterie_common.membership.invitations.application import Application, request_digest
from coterie_common.membership.invitations.channel import DocumentKind, Kept, document_digest

_KEPT_FOR_ONE_INVITATION: Final = 2


class DeskStore(Protocol):
    """Where the desk keeps things; each function returns once they are durable, and raises ``StorageError``."""

    def applications(self) -> Iterable[tuple[int, Application]]:
        """Return what was put and not dropped, in the order of its numbers."""
        ...

    def put_application(self, number: int, application: Application) -> None:
        """Keep an application under a number that is greater than all before."""
        ...

    def drop_application(self, number: int) -> None:
        """Drop an application; one that is gone already is no error."""
        ...

    def put_document(self, request: bytes, kind: DocumentKind, content: bytes) -> None:
        """Keep a document for a request; one of the same kind is replaced as a whole."""
        ...

    def documents(self, request: bytes) -> Mapping[DocumentKind, bytes]:
        """Return the documents for a request."""
        ...

    def drop_documents(self, request: bytes) -> None:
        """Drop the documents for a request."""
        ...


class Desk:
    """See the module. Its functions block on the store, and on each other.

    Args:
        founder_key: whose invitations count.
        store: what an earlier desk kept.
        now: applications whose invitation ended ``APPLICATION_DAYS`` before are dropped, with their documents; so they
            are whenever a new application comes.
        maximum: applications that it keeps at most.
    """

    def __init__(
        self, founder_key: VerifyKey, store: DeskStore, *, now: datetime, maximum: int = MAX_APPLICATIONS
    ) -> None:
        self._founder_key = founder_key
        self._store = store
        self._maximum = maximum
        self._lock = threading.Lock()
        self._kept = dict(store.applications())
        self._drop_old(now)

    @property
    def founder_key(self) -> VerifyKey:
        """The founder whose invitations and orders count."""
        return self._founder_key

    def is_known(self, application: Application) -> bool:
        """Return true if this very application was handed in before."""
        with self._lock:
            return application in self._kept.values()

    def hand_in(self, application: Application, *, now: datetime) -> Mapping[DocumentKind, bytes]:
        """Take an application and return what the founder published for it; nothing: it waits.

        Raises:
            UnknownInvitation: another founder's.
            InvitationExpired: it comes for the first time, and too late.
            InvitationUsed: another request came with this invitation before, and the founder did not prefer this one.
            QuotaExceeded: the desk is full.
            StorageError: it could not be kept.
        """
        application.invitation.require_of(self._founder_key)
        with self._lock:
            return self._hand_in(application, now)

    def _hand_in(self, application: Application, now: datetime) -> Mapping[DocumentKind, bytes]:
        documents = self._store.documents(request_digest(application.request))
        rivals = [kept for kept in self._kept.values() if kept.invitation == application.invitation]
        is_known = application in rivals
        if not is_known:
            application.invitation.require_valid(now)
            if len(rivals) < _KEPT_FOR_ONE_INVITATION:
                self._keep(application, now)
        if rivals and rivals[0] != application and not (is_known and documents):
            raise InvitationUsed(
                f"another request came with the token of {application.invitation.id} before this one: tell the "
                "founder, who sees both and can give you a new token"
            )
        return documents

    def applications(self) -> tuple[Application, ...]:
        """Return all applications, in the order in which they came."""
        with self._lock:
            return tuple(self._kept.values())

    def kept(self) -> tuple[Kept, ...]:
        """Return all applications as the founder gets them; the documents are read for it."""
        with self._lock:
            return tuple(self._as_kept(application) for application in self._kept.values())

    def publish(self, request: bytes, kind: DocumentKind, content: bytes) -> None:
        """Keep a document of the founder for the request with this digest.

        Raises:
            NotFound: no such request was handed in.
            StorageError: it could not be kept.
        """
        with self._lock:
            if all(request_digest(kept.request) != request for kept in self._kept.values()):
                raise NotFound("the desk has no such request; it may have been dropped")
            self._store.put_document(request, kind, content)

    def documents(self, request: bytes) -> Mapping[DocumentKind, bytes]:
        """Return what was published for the request with this digest."""
        with self._lock:
            return self._store.documents(request)

    def _as_kept(self, application: Application) -> Kept:
        documents = self._store.documents(request_digest(application.request))
        digests = frozenset(document_digest(kind, content) for kind, content in documents.items())
        return Kept(application=application.to_bytes(), published=digests)

    def _keep(self, application: Application, now: datetime) -> None:
        self._drop_old(now, but=request_digest(application.request))
        if len(self._kept) >= self._maximum:
            raise QuotaExceeded(f"the desk keeps {self._maximum} applications, and takes no more")
        number = max(self._kept, default=0) + 1
        self._store.put_application(number, application)
        self._kept[number] = application

    def _drop_old(self, now: datetime, *, but: bytes | None = None) -> None:
        """Drop what is long over, but for the documents of the request ``but``, which comes again."""
        ended = now - timedelta(days=APPLICATION_DAYS)
        old = {number: kept for number, kept in self._kept.items() if kept.invitation.expires < ended}
        if not old:
            return
        # A request may have come again under a newer invitation.
        wanted = {request_digest(kept.request) for number, kept in self._kept.items() if number not in old} | {but}
        # The documents go first: nobody would find them.
        for request in {request_digest(kept.request) for kept in old.values()} - wanted:
            self._store.drop_documents(request)
        for number in old:
            self._store.drop_application(number)
            del self._kept[number]
