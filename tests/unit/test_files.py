# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import os
import stat
import threading
from pathlib import Path

import pytest

from coterie_common.errors import StateError, StorageError
from coterie_common.files import (
    PRIVATE,
    FileDraft,
    make_durable_folder,
    read_pieces,
    remove_drafts,
    write_atomically,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_draft_appears_as_a_whole_when_it_is_committed(tmp_path):
    path = tmp_path / "file"
    draft = FileDraft(path, mode=PRIVATE)
    for piece in (b"one", memoryview(b"two"), b""):
        draft.write(piece)
    draft.sync()
    assert draft.size == 6
    assert not path.exists()
    draft.commit()
    draft.discard()
    assert path.read_bytes() == b"onetwo"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert names(tmp_path) == ["file"]


def test_a_draft_replaces_the_file_only_when_it_is_committed(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    for ends, content in ((FileDraft.discard, b"old"), (FileDraft.commit, b"new")):
        draft = FileDraft(path)
        draft.write(b"new")
        assert path.read_bytes() == b"old"
        ends(draft)
        assert path.read_bytes() == content
        assert names(tmp_path) == ["file"]


def test_a_draft_without_pieces_leaves_no_file(tmp_path):
    draft = FileDraft(tmp_path / "file")
    draft.sync()
    draft.commit()
    assert names(tmp_path) == []


def test_a_draft_is_synced_before_it_is_named_and_the_folder_after(tmp_path, monkeypatch):
    path, seen = tmp_path / "file", []
    sync = os.fsync

    def record(handle: int) -> None:
        seen.append((Path(os.readlink(f"/proc/self/fd/{handle}")), path.exists()))
        sync(handle)

    draft = FileDraft(path)
    draft.write(b"content")
    monkeypatch.setattr(os, "fsync", record)
    draft.commit()
    assert len(seen) == 2
    assert seen[0][0].name.startswith(".file.")
    assert not seen[0][1]
    assert seen[1] == (tmp_path, True)


def test_a_discarded_draft_takes_nothing_more(tmp_path):
    for begun in (True, False):
        draft = FileDraft(tmp_path / "file")
        if begun:
            draft.write(b"content")
        draft.discard()
        with pytest.raises(StateError, match="was discarded"):
            draft.write(b"more")
        with pytest.raises(StateError, match="was discarded"):
            draft.commit()
        assert names(tmp_path) == []


def test_a_draft_that_is_discarded_while_another_thread_writes_leaves_nothing(tmp_path):
    draft = FileDraft(tmp_path / "file")
    written, ended = threading.Event(), []

    def write() -> None:
        try:
            while True:
                draft.write(bytes(1 << 16))
                written.set()
        except StateError:
            ended.append(True)

    thread = threading.Thread(target=write)
    thread.start()
    assert written.wait(30)
    draft.discard()
    thread.join(30)
    assert ended == [True]
    assert names(tmp_path) == []


def test_a_draft_where_the_file_system_refuses_raises(tmp_path):
    with pytest.raises(StorageError, match=r"cannot write .*missing/file: No such file"):
        FileDraft(tmp_path / "missing" / "file").write(b"content")
    (tmp_path / "taken" / "by a folder").mkdir(parents=True)
    draft = FileDraft(tmp_path / "taken")
    draft.write(b"content")
    with pytest.raises(StorageError, match=r"cannot write .*taken: Is a directory"):
        draft.commit()
    draft.discard()
    assert names(tmp_path) == ["taken"]


def test_a_draft_on_a_full_disk_raises():
    draft = FileDraft(Path("/dev/full"))
    draft._stream = open("/dev/full", "wb")  # noqa: SIM115  # as if the file lay on a disk that has become full
    with pytest.raises(StorageError, match="cannot write /dev/full: No space left on device"):
        draft.write(bytes(1 << 20))
    draft.discard()


@pytest.mark.parametrize("content", [b"content", b""])
def test_write_atomically_writes_the_whole_content(tmp_path, content):
    path = tmp_path / "file"
    path.write_bytes(b"old")
    write_atomically(path, content)
    assert path.read_bytes() == content
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    assert names(tmp_path) == ["file"]


def test_remove_drafts_removes_those_of_one_file_only(tmp_path):
    for name in ("a", ".a.x1", ".a.x2", ".ab.x1", ".b.x1"):
        (tmp_path / name).touch()
    remove_drafts(tmp_path / "a")
    assert names(tmp_path) == [".ab.x1", ".b.x1", "a"]


@pytest.mark.parametrize(("size", "pieces"), [(0, []), (7, [7]), (8, [8]), (20, [8, 8, 4])])
def test_read_pieces_yields_the_content_in_pieces(tmp_path, size, pieces):
    content = bytes(range(size))
    (tmp_path / "file").write_bytes(content)
    read = list(read_pieces(tmp_path / "file", 8))
    assert list(map(len, read)) == pieces
    assert b"".join(read) == content


def test_read_pieces_of_a_missing_file_raises(tmp_path):
    with pytest.raises(StorageError, match=r"cannot read .*file: No such file"):
        next(read_pieces(tmp_path / "file", 8))


def test_make_durable_folder_makes_private_folders_up_to_the_top(tmp_path):
    top = tmp_path / "top"
    make_durable_folder(top / "a" / "b", top)
    make_durable_folder(top / "a" / "b", top)
    assert {stat.S_IMODE(path.stat().st_mode) for path in (top, top / "a", top / "a" / "b")} == {0o700}
    with pytest.raises(StorageError, match="cannot create the folder"):
        make_durable_folder(tmp_path / "missing" / "top", tmp_path / "missing" / "top")
