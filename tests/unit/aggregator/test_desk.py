# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest

from coterie_aggregator.enrolment.desk import Desk, DeskStore
from coterie_aggregator.enrolment.desk_files import DeskFiles
from coterie_common.errors import (
    InvitationExpired,
    InvitationUsed,
    NotFound,
    QuotaExceeded,
    StorageError,
    UnknownInvitation,
)
from coterie_common.limits import APPLICATION_DAYS
from coterie_common.membership.invitations.application import Application, request_digest
from coterie_common.membership.invitations.channel import DocumentKind
from tests.support.invitations import FOUNDER, NOW, STRANGER, WEEK, make_application, make_request, make_token

TOKEN = make_token()
FIRST, SECOND, THIRD = (make_application(TOKEN, seed) for seed in ("first", "second", "third"))
DIGEST = request_digest(FIRST.request)


class MemoryStore(DeskStore):
    """Keeps everything in memory; ``stop`` is called before and after every write, with its number."""

    def __init__(self, stop: Callable[[int], None] = lambda _: None) -> None:
        self.kept: dict[int, Application] = {}
        self.published: dict[tuple[bytes, DocumentKind], bytes] = {}
        self.stop = stop
        self._points = 0

    def _write(self, act: Callable[[], object]) -> None:
        for step in (lambda: None, act):
            step()
            self._points += 1
            self.stop(self._points)

    def applications(self) -> Iterable[tuple[int, Application]]:
        return list(self.kept.items())

    def put_application(self, number: int, application: Application) -> None:
        self._write(lambda: self.kept.update({number: application}))

    def drop_application(self, number: int) -> None:
        self._write(lambda: self.kept.pop(number, None))

    def put_document(self, request: bytes, kind: DocumentKind, content: bytes) -> None:
        self._write(lambda: self.published.update({(request, kind): content}))

    def documents(self, request: bytes) -> Mapping[DocumentKind, bytes]:
        return {kind: content for (digest, kind), content in self.published.items() if digest == request}

    def drop_documents(self, request: bytes) -> None:
        self._write(lambda: [self.published.pop((request, kind), None) for kind in DocumentKind])


@pytest.fixture(params=["memory", "files"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> DeskStore:
    return MemoryStore() if request.param == "memory" else DeskFiles(tmp_path / "desk")


def desk_of(store: DeskStore, after: timedelta = timedelta()) -> Desk:
    return Desk(FOUNDER.verify_key, store, now=NOW + after)


def test_application_waits_and_the_same_again_changes_nothing(store):
    desk = desk_of(store)
    for _ in range(2):
        assert desk.hand_in(FIRST, now=NOW) == {}
    assert desk.applications() == desk_of(store).applications() == (FIRST,)
    desk.publish(DIGEST, DocumentKind.BUNDLE, b"bundle")
    later = NOW + 2 * WEEK
    for each in (desk, desk_of(store)):
        assert each.hand_in(FIRST, now=later) == each.documents(DIGEST) == {DocumentKind.BUNDLE: b"bundle"}


def test_second_request_is_kept_and_refused_and_further_ones_are_refused_only(store):
    desk = desk_of(store)
    desk.hand_in(FIRST, now=NOW)
    for rival in (SECOND, THIRD, SECOND):
        with pytest.raises(InvitationUsed) as caught:
            desk.hand_in(rival, now=NOW)
        assert caught.value.code == "invitation-used"
    assert desk.hand_in(FIRST, now=NOW) == {}
    assert desk.applications() == desk_of(store).applications() == (FIRST, SECOND)


def test_second_request_that_the_founder_prefers_gets_its_documents(store):
    desk = desk_of(store)
    desk.hand_in(FIRST, now=NOW)
    with pytest.raises(InvitationUsed):
        desk.hand_in(SECOND, now=NOW)
    desk.publish(request_digest(SECOND.request), DocumentKind.CREDENTIAL, b"hers")
    assert desk.hand_in(SECOND, now=NOW) == {DocumentKind.CREDENTIAL: b"hers"}
    assert desk.hand_in(FIRST, now=NOW) == {}


def test_request_that_comes_again_under_a_new_invitation_finds_its_documents(store):
    desk, renewed = desk_of(store), make_token(secret=b"r" * 16)
    request = make_request()
    desk.hand_in(Application.create(TOKEN, request), now=NOW)
    desk.publish(request_digest(request), DocumentKind.CREDENTIAL, b"credential")
    assert desk.hand_in(Application.create(renewed, request), now=NOW) == {DocumentKind.CREDENTIAL: b"credential"}


@pytest.mark.parametrize(
    ("application", "late", "error"),
    [
        (make_application(make_token(founder=STRANGER)), timedelta(), UnknownInvitation),
        (FIRST, WEEK + timedelta(seconds=1), InvitationExpired),
    ],
)
def test_application_that_is_refused_is_not_kept(store, application, late, error):
    desk = desk_of(store)
    with pytest.raises(error):
        desk.hand_in(application, now=NOW + late)
    assert desk.applications() == desk_of(store).applications() == ()


def test_document_for_a_request_that_nobody_handed_in_is_refused(store):
    with pytest.raises(NotFound):
        desk_of(store).publish(DIGEST, DocumentKind.BUNDLE, b"bundle")
    assert store.documents(DIGEST) == {}


def test_desk_that_is_full_takes_nothing_new(store):
    desk = Desk(FOUNDER.verify_key, store, now=NOW, maximum=2)
    for secret in (b"1" * 16, b"2" * 16):
        desk.hand_in(make_application(make_token(secret=secret)), now=NOW)
    with pytest.raises(QuotaExceeded):
        desk.hand_in(FIRST, now=NOW)
    assert len(desk.applications()) == 2


def test_desk_drops_what_is_long_over_and_keeps_its_order(store):
    desk = desk_of(store)
    desk.hand_in(FIRST, now=NOW)
    desk.publish(DIGEST, DocumentKind.BUNDLE, b"bundle")
    newer = make_application(make_token(secret=b"n" * 16, expires=NOW + 3 * WEEK), "newer")
    desk.hand_in(newer, now=NOW)
    assert desk_of(store, WEEK + timedelta(days=APPLICATION_DAYS)).applications() == (FIRST, newer)
    late = desk_of(store, WEEK + timedelta(days=APPLICATION_DAYS, seconds=1))
    assert late.applications() == (newer,)
    assert late.documents(DIGEST) == {}
    last = make_application(make_token(secret=b"l" * 16), "last")
    late.hand_in(last, now=NOW)
    assert desk_of(store).applications() == (newer, last)


def test_desk_that_runs_on_drops_what_is_long_over_before_it_is_full(store):
    desk = Desk(FOUNDER.verify_key, store, now=NOW, maximum=2)
    request, other = make_request(), make_application(make_token(secret=b"o" * 16), "other")
    for application in (Application.create(TOKEN, request), other):
        desk.hand_in(application, now=NOW)
        desk.publish(request_digest(application.request), DocumentKind.BUNDLE, b"bundle")
    late = NOW + WEEK + timedelta(days=APPLICATION_DAYS, seconds=1)
    renewed = Application.create(make_token(secret=b"r" * 16, expires=late + WEEK), request)
    # The request comes again, under a newer invitation: its documents stay, the others go.
    for _ in range(2):
        assert desk.hand_in(renewed, now=late) == {DocumentKind.BUNDLE: b"bundle"}
    assert desk.documents(request_digest(other.request)) == {}
    assert desk.applications() == desk_of(store, late - NOW).applications() == (renewed,)


class WatchedStore(MemoryStore):
    """Finds two threads in it at once."""

    def __init__(self) -> None:
        super().__init__()
        self._inside = threading.Lock()

    def _alone(self) -> None:
        assert self._inside.acquire(blocking=False)
        time.sleep(0.001)
        self._inside.release()

    def put_document(self, request: bytes, kind: DocumentKind, content: bytes) -> None:
        self._alone()
        super().put_document(request, kind, content)

    def documents(self, request: bytes) -> Mapping[DocumentKind, bytes]:
        self._alone()
        return super().documents(request)


def test_threads_use_the_store_one_after_the_other():
    desk = desk_of(WatchedStore())
    desk.hand_in(FIRST, now=NOW)
    with ThreadPoolExecutor(4) as pool:
        acts: list[Callable[[], object]] = [
            lambda: desk.publish(DIGEST, DocumentKind.BUNDLE, b"bundle"),
            lambda: desk.documents(DIGEST),
            lambda: desk.hand_in(FIRST, now=NOW),
            desk.kept,
        ]
        for done in [pool.submit(act) for act in acts * 5]:
            done.result()


class Killed(Exception):
    """The process ended here."""


@pytest.mark.parametrize("point", range(1, 15))
def test_kill_at_any_write_loses_nothing_that_was_answered(point):
    """Everything is done again after the kill, as applicants and the founder do, and ends the same."""

    def stop(number: int) -> None:
        if number == point:
            raise Killed

    store = MemoryStore(stop)

    def everything() -> dict[bytes, Mapping[DocumentKind, bytes]]:
        desk = desk_of(store)
        desk.hand_in(FIRST, now=NOW)
        answered.append(FIRST)
        try:
            desk.hand_in(SECOND, now=NOW)
        except InvitationUsed:
            answered.append(SECOND)
        for kind in DocumentKind:
            desk.publish(DIGEST, kind, kind.value.encode())
            answered.append(kind)
        desk = desk_of(store, 2 * WEEK + timedelta(days=APPLICATION_DAYS))
        return {DIGEST: desk.documents(DIGEST)}

    answered: list[object] = []
    with pytest.raises(Killed):
        everything()
    kept, published = list(store.kept.values()), {kind for _, kind in store.published}
    dropping = len(answered) == 4
    assert dropping or all(each in kept or each in published for each in answered)
    store.stop = lambda _: None
    if dropping:  # 90 days later nobody hands in anything under the old invitation
        desk_of(store, 2 * WEEK + timedelta(days=APPLICATION_DAYS))
    else:
        assert everything() == {DIGEST: {}}
    assert store.kept == {}
    assert store.published == {}


def test_files_left_by_a_crash_are_removed_and_damaged_ones_are_named(tmp_path):
    store = DeskFiles(tmp_path)
    desk_of(store).hand_in(FIRST, now=NOW)
    (kept,) = (tmp_path / "applications").iterdir()
    draft = kept.with_name(f".{kept.name}.draft")
    draft.write_bytes(b"half")
    assert desk_of(DeskFiles(tmp_path)).applications() == (FIRST,)
    assert not draft.exists()
    assert kept.stat().st_mode & 0o077 == 0
    kept.write_bytes(FIRST.to_bytes()[:-5])
    with pytest.raises(StorageError, match=kept.name) as caught:
        desk_of(DeskFiles(tmp_path))
    assert caught.value.code == "storage"
