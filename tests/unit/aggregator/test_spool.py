# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from coterie_aggregator.store.spool import Spool
from coterie_common.errors import Equivocation, StorageError
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.padded_part import NOTHING_PADDED, PaddedDigest, PaddedFacts
from tests.support.present import present

KINDS = pytest.mark.parametrize(
    ("put", "get"), [("put_contribution", "contribution"), ("put_partial", "partial")], ids=["contribution", "partial"]
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "spool"


@pytest.fixture
def spool(folder: Path) -> Spool:
    return Spool(folder)


@KINDS
def test_put_returns_the_same_bytes_also_after_a_restart(spool, folder, put, get):
    data = bytes(range(256)) * 500
    getattr(spool, put)("job-1", 1, "alpha", data)
    assert getattr(spool, get)("job-1", 1, "alpha") == data
    assert getattr(Spool(folder), get)("job-1", 1, "alpha") == data


def test_put_keeps_jobs_rounds_parties_and_kinds_apart(spool):
    keys = [(job_id, number, party_id) for job_id in ("a", "b") for number in (1, 11) for party_id in ("a", "1")]
    for key in keys:
        spool.put_contribution(*key, f"contribution {key}".encode())
        spool.put_partial(*key, f"partial {key}".encode())
    for key in keys:
        assert spool.contribution(*key) == f"contribution {key}".encode()
        assert spool.partial(*key) == f"partial {key}".encode()


@KINDS
def test_put_again_identical_changes_nothing(spool, folder, put, get):
    getattr(spool, put)("job-1", 1, "alpha", b"data")
    before = [path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))]
    getattr(spool, put)("job-1", 1, "alpha", b"data")
    assert [path.stat().st_mtime_ns for path in sorted(folder.rglob("*"))] == before


@KINDS
def test_put_again_different_names_the_culprit_and_keeps_the_first(spool, put, get):
    getattr(spool, put)("job-1", 1, "alpha", b"data")
    with pytest.raises(Equivocation) as raised:
        getattr(spool, put)("job-1", 1, "alpha", b"date")
    assert raised.value.culprits == ("alpha",)
    assert getattr(spool, get)("job-1", 1, "alpha") == b"data"


@KINDS
def test_get_of_what_was_never_put_raises(spool, put, get):
    with pytest.raises(StorageError, match=r"cannot read .*alpha: No such file"):
        getattr(spool, get)("job-1", 1, "alpha")


def test_put_makes_files_and_folders_of_the_owner_alone(spool, folder):
    spool.put_contribution("job-1", 1, "alpha", b"data")
    modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert modes == {True: 0o700, False: 0o600}


def test_put_syncs_file_and_every_new_folder_before_it_returns(spool, folder, monkeypatch):
    synced = []
    sync = os.fsync

    def record(handle: int) -> None:
        synced.append(os.readlink(f"/proc/self/fd/{handle}"))
        sync(handle)

    monkeypatch.setattr(os, "fsync", record)
    spool.put_contribution("job-1", 1, "alpha", b"data")
    home = folder / "job-1" / "1" / "contributions"
    assert [path for path in synced if "/.alpha." not in path] == [
        str(path) for path in (folder.parent, folder, folder / "job-1", folder / "job-1" / "1", home)
    ]
    assert synced[-2].startswith(f"{home}/.alpha.")


def test_put_where_the_file_system_refuses_raises(tmp_path):
    (tmp_path / "spool").write_text("no folder")
    with pytest.raises(StorageError, match="cannot create the folder"):
        Spool(tmp_path / "spool").put_contribution(JobId("job-1"), 1, PartyId("alpha"), b"data")


def test_delete_job_removes_all_of_it_and_nothing_else(spool, folder):
    for job_id in ("job-1", "job-2"):
        spool.put_contribution(job_id, 1, "alpha", b"data")
        spool.put_partial(job_id, 2, "alpha", b"data")
    spool.delete_job("job-1")
    spool.delete_job("job-1")
    assert [path.name for path in folder.iterdir()] == ["job-2"]
    assert spool.partial("job-2", 2, "alpha") == b"data"


def test_delete_job_where_the_file_system_refuses_raises(spool, folder):
    folder.mkdir()
    (folder / "job-1").write_text("no folder")
    with pytest.raises(StorageError, match=r"cannot delete .*job-1"):
        spool.delete_job("job-1")


JOB, ALPHA = JobId("job-1"), PartyId("alpha")
PADDED = bytes(range(256)) * 9000


NOTHING = PaddedFacts(0, NOTHING_PADDED)


def facts_of(content: bytes) -> PaddedFacts:
    digest = PaddedDigest()
    digest.update(content)
    return digest.facts()


def put_padded(
    spool: Spool, job_id: JobId = JOB, number: int = 1, party_id: PartyId = ALPHA, content: bytes = PADDED
) -> None:
    draft = spool.begin_padded(job_id, number, party_id)
    for start in range(0, len(content), 1 << 20):
        draft.write(content[start : start + (1 << 20)])
    draft.sync()
    spool.commit_padded(job_id, number, party_id, draft, facts_of(content).digest)


def test_padded_part_is_there_once_it_is_committed_also_after_a_restart(spool, folder):
    put_padded(spool)
    put_padded(spool, party_id=PartyId("bravo"), content=b"bravo's")
    for again in (spool, Spool(folder)):
        assert again.padded_facts(JobId("job-1"), 1, PartyId("alpha")) == facts_of(PADDED)
        pieces = list(again.padded_pieces(JobId("job-1"), 1, PartyId("alpha"), 1 << 16))
        assert {len(piece) for piece in pieces[:-1]} == {1 << 16}
        assert b"".join(pieces) == PADDED
        assert again.padded_facts(JobId("job-1"), 1, PartyId("bravo")) == facts_of(b"bravo's")


def test_padded_part_that_never_came_is_none(spool):
    assert spool.padded_facts("job-1", 1, "alpha") == NOTHING
    with pytest.raises(StorageError, match=r"cannot read .*alpha"):
        next(spool.padded_pieces("job-1", 1, "alpha", 1 << 16))


def test_padded_part_that_was_not_committed_is_none_and_goes_when_it_comes_again(spool, folder):
    left = spool.begin_padded("job-1", 1, "alpha")
    left.write(b"half of i")
    assert spool.padded_facts("job-1", 1, "alpha") == NOTHING
    again = Spool(folder)
    put_padded(again)
    assert [path.name for path in (folder / "job-1" / "1" / "padded").iterdir()] == ["alpha"]
    assert again.padded_facts(JobId("job-1"), 1, PartyId("alpha")) == facts_of(PADDED)


def test_padded_part_again_identical_changes_nothing(spool, folder):
    put_padded(spool)
    path = folder / "job-1" / "1" / "padded" / "alpha"
    before = path.stat().st_mtime_ns
    put_padded(spool)
    assert path.stat().st_mtime_ns == before
    assert list(path.parent.iterdir()) == [path]


def test_padded_part_again_different_names_the_culprit_and_keeps_the_first(spool):
    put_padded(spool)
    with pytest.raises(Equivocation) as raised:
        put_padded(spool, content=PADDED[:-1] + b"?")
    assert raised.value.culprits == ("alpha",)
    assert b"".join(spool.padded_pieces("job-1", 1, "alpha", 1 << 20)) == PADDED


def test_padded_part_and_its_digest_go_with_the_job(spool, folder):
    for job_id in ("job-1", "job-2"):
        put_padded(spool, JobId(job_id))
    spool.delete_job("job-1")
    assert spool.padded_facts("job-1", 1, "alpha") == NOTHING
    assert spool.padded_facts("job-2", 1, "alpha") == facts_of(PADDED)


def test_padded_part_is_of_the_owner_alone(spool, folder):
    put_padded(spool)
    modes = {path.is_dir(): stat.S_IMODE(path.stat().st_mode) for path in [folder, *folder.rglob("*")]}
    assert modes == {True: 0o700, False: 0o600}


def test_padded_part_where_the_file_system_refuses_raises(tmp_path):
    (tmp_path / "spool").write_text("no folder")
    spool = Spool(tmp_path / "spool")
    with pytest.raises(StorageError, match="cannot create the folder"):
        spool.begin_padded(JobId("job-1"), 1, PartyId("alpha"))


def test_delete_rounds_before_leaves_the_later_ones(tmp_path):
    spool = Spool(tmp_path / "spool")
    for number in (1, 2, 3):
        spool.put_contribution(JobId("job-1"), number, PartyId("alpha"), b"reply")
    spool.delete_rounds_before(JobId("job-1"), 3)
    assert sorted(path.name for path in (tmp_path / "spool" / "job-1").iterdir()) == ["3"]
    spool.delete_rounds_before(JobId("job-1"), 3)
    spool.delete_rounds_before(JobId("job-2"), 3)
    assert spool.contribution(JobId("job-1"), 3, PartyId("alpha")) == b"reply"


def put_sum(spool: Spool, content: bytes) -> None:
    draft = spool.begin_sum(JobId("job-1"), 1)
    draft.write(content)
    draft.sync()
    spool.commit_sum(draft)


def test_checkpoint_of_a_sum_replaces_the_one_before_also_after_a_restart(spool, folder):
    assert spool.sum_pieces("job-1", 1, 1 << 16) is None
    put_sum(spool, PADDED)
    put_sum(spool, PADDED[::-1])
    for again in (spool, Spool(folder)):
        assert b"".join(present(again.sum_pieces(JOB, 1, 1 << 16))) == PADDED[::-1]
    assert [path.name for path in (folder / "job-1" / "1").iterdir()] == ["sum"]
    assert stat.S_IMODE((folder / "job-1" / "1" / "sum").stat().st_mode) == 0o600


def test_checkpoint_that_was_not_committed_leaves_the_one_before(spool, folder):
    put_sum(spool, PADDED)
    left = spool.begin_sum("job-1", 1)
    left.write(b"half of i")
    assert b"".join(present(Spool(folder).sum_pieces(JOB, 1, 1 << 16))) == PADDED
    put_sum(Spool(folder), PADDED[::-1])
    assert [path.name for path in (folder / "job-1" / "1").iterdir()] == ["sum"]


def test_checkpoint_is_durable_before_it_has_its_name(spool, folder, monkeypatch):
    acts = []
    sync, rename = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (acts.append("sync"), sync(handle)))
    monkeypatch.setattr(os, "replace", lambda a, b: (acts.append("rename"), rename(a, b)))
    (folder / "job-1" / "1").mkdir(parents=True)
    put_sum(spool, PADDED)
    assert acts[-3:] == ["sync", "rename", "sync"]


def test_padded_parts_that_are_in_the_sum_are_deleted_and_no_others(spool, folder):
    for party_id in (ALPHA, PartyId("bravo")):
        put_padded(spool, party_id=party_id)
    spool.delete_padded("job-1", 1, ["alpha", "charlie"])
    spool.delete_padded("job-1", 1, ["alpha"])
    assert spool.padded_facts("job-1", 1, "alpha") == NOTHING
    assert [path.name for path in (folder / "job-1" / "1" / "padded").iterdir()] == ["bravo"]
    assert spool.padded_facts("job-1", 1, "bravo") == facts_of(PADDED)


def test_padded_parties_are_those_whose_parts_are_complete(spool, folder):
    assert spool.padded_parties("job-1", 1) == frozenset()
    put_padded(spool)
    spool.begin_padded("job-1", 1, "bravo").write(b"half of i")
    for again in (spool, Spool(folder)):
        assert again.padded_parties(JobId("job-1"), 1) == {"alpha"}
    assert spool.padded_parties("job-1", 2) == frozenset()


def test_delete_padded_where_the_file_system_refuses_raises(spool, folder):
    (folder / "job-1" / "1" / "padded" / "alpha").mkdir(parents=True)
    with pytest.raises(StorageError, match="cannot delete"):
        spool.delete_padded("job-1", 1, ["alpha"])
