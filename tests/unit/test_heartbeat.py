# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from coterie_common.errors import StorageError, Unavailable
from coterie_common.host.heartbeat import BEAT_SECONDS, FILE_NAME, STALE_SECONDS, Heartbeat, check_heartbeat

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def ask(folder: Path, *, age_s: float = 0.0) -> None:
    path = folder / FILE_NAME
    if path.exists():
        os.utime(path, (NOW.timestamp(),) * 2)
    check_heartbeat(folder, "coterie-party", now=NOW + timedelta(seconds=age_s))


def refused(folder: Path, *, age_s: float = 0.0) -> str:
    with pytest.raises(Unavailable) as refusal:
        ask(folder, age_s=age_s)
    assert refusal.value.code == "unavailable"
    return refusal.value.message


def test_check_of_a_folder_without_a_daemon_raises(tmp_path):
    assert refused(tmp_path) == f"no coterie-party runs on the folder {tmp_path}"


def test_check_after_a_beat_without_trouble_passes_until_it_is_stale(tmp_path):
    Heartbeat(tmp_path, lambda: "").beat()
    ask(tmp_path)
    ask(tmp_path, age_s=STALE_SECONDS)
    assert refused(tmp_path, age_s=STALE_SECONDS + 1).endswith("gave its last sign of life 21 s ago")


def test_check_with_trouble_says_which_until_it_is_over(tmp_path):
    trouble = ["", "not connected to the aggregator hub:8443", ""]
    heartbeat = Heartbeat(tmp_path, lambda: trouble[0])
    for _ in range(len(trouble)):
        heartbeat.beat()
        if trouble[0]:
            assert refused(tmp_path) == trouble[0]
        else:
            ask(tmp_path)
        trouble.append(trouble.pop(0))


def test_check_returns_warnings_while_nothing_is_wrong_and_raises_without_them(tmp_path):
    trouble = ["", "not connected"]
    heartbeat = Heartbeat(tmp_path, lambda: trouble[0], warnings=lambda: ("code can use the network",))
    heartbeat.beat()
    path = tmp_path / FILE_NAME
    os.utime(path, (NOW.timestamp(),) * 2)
    assert check_heartbeat(tmp_path, "coterie-party", now=NOW) == ("code can use the network",)
    trouble.pop(0)
    heartbeat.beat()
    assert refused(tmp_path) == "not connected"


def test_beat_writes_the_warnings_of_its_time_one_line_each(tmp_path):
    current: list[list[Any]] = [[]]
    heartbeat = Heartbeat(tmp_path, lambda: "", warnings=lambda: current[0])
    for current[0], expected in (
        ([], ()),
        (["", "a cell says a\nb"], ("a cell says a\\nb",)),
        (["1 unforeseen failure", "", "no policy"], ("1 unforeseen failure", "no policy")),
        ([""], ()),
    ):
        heartbeat.beat()
        os.utime(tmp_path / FILE_NAME, (NOW.timestamp(),) * 2)
        assert check_heartbeat(tmp_path, "coterie-party", now=NOW) == expected


def test_beat_is_for_its_owner_alone(tmp_path):
    Heartbeat(tmp_path, lambda: "", warnings=lambda: ["row 7, column 'wind': 'strnog'"]).beat()
    assert (tmp_path / FILE_NAME).stat().st_mode & 0o777 == 0o600


def test_beat_that_changes_nothing_touches_the_file(tmp_path):
    heartbeat = Heartbeat(tmp_path, lambda: "")
    heartbeat.beat()
    path = tmp_path / FILE_NAME
    inode = path.stat().st_ino
    os.utime(path, (0, 0))
    heartbeat.beat()
    assert path.stat().st_ino == inode
    check_heartbeat(tmp_path, "coterie-party", now=datetime.now(UTC))


def test_beat_after_the_file_was_removed_makes_it_again(tmp_path):
    heartbeat = Heartbeat(tmp_path, lambda: "")
    heartbeat.beat()
    (tmp_path / FILE_NAME).unlink()
    heartbeat.beat()
    ask(tmp_path)


def test_beat_in_a_missing_folder_raises(tmp_path):
    with pytest.raises(StorageError) as refusal:
        Heartbeat(tmp_path / "gone", lambda: "").beat()
    assert refusal.value.code == "storage"


def test_run_cancelled_takes_the_sign_of_life_away(tmp_path):
    async def live() -> None:
        task = asyncio.create_task(Heartbeat(tmp_path, lambda: "").run())
        await asyncio.sleep(0)
        ask(tmp_path)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(live())
    assert "no coterie-party runs" in refused(tmp_path)


def test_signs_of_life_come_more_often_than_they_grow_stale():
    assert BEAT_SECONDS * 3 < STALE_SECONDS
