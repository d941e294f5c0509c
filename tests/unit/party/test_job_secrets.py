# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import errno
import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from coterie_common.crypto.masks.ephemeral import EphemeralSecret
from coterie_common.crypto.masks.pairwise import PairSecret
from coterie_common.errors import StorageError
from coterie_common.identifiers import JobId, PartyId
from coterie_party.store.files.job_secrets import JobSecrets, KeptSecrets, erase_expired
from tests.support.federation import digest_of
from tests.support.seeded_random import SeededRandom

JOB = JobId("job-1")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECRET = EphemeralSecret.generate(SeededRandom("ephemeral"))
KEPT = KeptSecrets(
    job_id=JOB,
    expires_at=NOW + timedelta(hours=1),
    public=SECRET.public.encoded,
    secret=SECRET,
    pairs={},
)
AGREED = replace(
    KEPT,
    secret=None,
    acceptances=b"acceptances",
    sent=b"sent",
    pairs={PartyId("beta"): PairSecret(digest_of("beta")), PartyId("gamma"): PairSecret(digest_of("gamma"))},
)


def files(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.fixture
def secrets(tmp_path: Path) -> JobSecrets:
    return JobSecrets(tmp_path / "ephemeral" / "founder")


def test_secrets_that_were_kept_are_read_back(secrets):
    assert secrets.of(JOB, NOW) is None
    secrets.keep(KEPT)
    found = secrets.of(JOB, NOW)
    assert (found.secret.seed(), found.public, found.is_agreed) == (SECRET.seed(), KEPT.public, False)
    secrets.keep(AGREED)
    found = secrets.of(JOB, NOW)
    assert (found.is_agreed, found.acceptances, found.sent) == (True, b"acceptances", b"sent")
    assert {party: each.reveal() for party, each in found.pairs.items()} == {
        party: each.reveal() for party, each in AGREED.pairs.items()
    }
    assert found.expires_at == KEPT.expires_at


def test_file_is_readable_by_its_owner_alone(secrets, tmp_path):
    secrets.keep(KEPT)
    secrets.keep(AGREED)
    (path,) = (tmp_path / "ephemeral" / "founder").iterdir()
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_replaced_file_is_overwritten_before_it_goes(secrets, tmp_path):
    secrets.keep(KEPT)
    (path,) = (tmp_path / "ephemeral" / "founder").iterdir()
    # Another name for the bytes on disk, which shows what became of them.
    os.link(path, tmp_path / "former")
    assert SECRET.seed().hex().encode() in files(tmp_path)
    secrets.keep(AGREED)
    assert set((tmp_path / "former").read_bytes()) == {0}
    assert SECRET.seed().hex().encode() not in files(tmp_path)


def test_erased_file_is_overwritten_before_it_goes(secrets, tmp_path):
    secrets.keep(AGREED)
    (path,) = (tmp_path / "ephemeral" / "founder").iterdir()
    os.link(path, tmp_path / "former")
    assert secrets.erase(JOB)
    assert not path.exists()
    assert set((tmp_path / "former").read_bytes()) == {0}
    assert not secrets.erase(JOB)
    assert secrets.jobs() == ()


def test_erasure_that_was_interrupted_is_finished_by_the_next_read(secrets, tmp_path, monkeypatch):
    secrets.keep(AGREED)
    (path,) = (tmp_path / "ephemeral" / "founder").iterdir()

    def interrupted(self: Path, missing_ok: bool = False) -> None:
        raise OSError(errno.EIO, "input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", interrupted)
        with pytest.raises(StorageError, match="cannot erase"):
            secrets.erase(JOB)
    assert set(path.read_bytes()) == {0}
    assert secrets.of(JOB, NOW) is None
    assert not path.exists()
    assert secrets.jobs() == ()


@pytest.mark.parametrize(("after", "is_there"), [(timedelta(minutes=59), True), (timedelta(hours=1), False)])
def test_secrets_are_erased_when_their_time_has_come(secrets, tmp_path, after, is_there):
    secrets.keep(AGREED)
    assert (secrets.of(JOB, NOW + after) is not None) is is_there
    assert (digest_of("beta").hex().encode() in files(tmp_path)) is is_there
    # A clock that goes back brings nothing back.
    assert (secrets.of(JOB, NOW) is not None) is is_there


def test_expired_secrets_are_erased_under_every_founder(secrets, tmp_path):
    folder = tmp_path / "ephemeral"
    assert erase_expired(folder, NOW) == ()
    former = JobSecrets(folder / "former")
    longer = replace(AGREED, job_id=JobId("job-2"), expires_at=NOW + timedelta(hours=2))
    for each in (secrets, former):
        each.keep(AGREED)
        each.keep(longer)
    damaged = folder / "former" / "job-0"
    damaged.write_bytes(b"{}")
    # What cannot be read neither stops the start nor keeps the others.
    assert erase_expired(folder, NOW + timedelta(hours=1)) == (damaged,)
    assert secrets.jobs() == (longer.job_id,)
    assert former.jobs() == ("job-0", longer.job_id)


def test_jobs_are_those_with_a_file(secrets, tmp_path):
    assert secrets.jobs() == ()
    secrets.keep(KEPT)
    secrets.keep(replace(KEPT, job_id=JobId("job-2")))
    (tmp_path / "ephemeral" / "founder" / ".job-3.draft").write_bytes(b"left by a crash")
    assert secrets.jobs() == (JOB, JobId("job-2"))


def test_draft_left_by_a_crash_goes_with_the_next_write(secrets, tmp_path):
    secrets.keep(KEPT)
    draft = tmp_path / "ephemeral" / "founder" / f".{JOB}.abcd"
    draft.write_bytes(b"left by a crash")
    secrets.keep(AGREED)
    assert not draft.exists()


@pytest.mark.parametrize("content", [b"", b"{}", b"not json", KEPT.to_bytes()[:-3], KEPT.to_bytes() + b" "])
def test_damaged_file_raises(secrets, tmp_path, content):
    secrets.keep(KEPT)
    (path,) = (tmp_path / "ephemeral" / "founder").iterdir()
    path.write_bytes(content)
    with pytest.raises(StorageError, match="damaged"):
        secrets.of(JOB, NOW)
    # It can still be erased.
    assert secrets.erase(JOB)


def test_secrets_show_nothing():
    assert SECRET.seed().hex() not in repr(KEPT)
    assert digest_of("beta").hex() not in repr(AGREED)
