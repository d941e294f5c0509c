# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import insert
from structlog.testing import capture_logs

from coterie_common.clock import SystemClock
from coterie_common.errors import DataError, TrainingFailed
from coterie_common.host.database import open_database, transaction
from coterie_common.identifiers import JobId
from coterie_party.data.bindings import BoundDataset
from coterie_party.live.context import Context
from coterie_party.live.data_watch import DataWatch
from coterie_party.store import MIGRATIONS, StewardNotes
from coterie_party.store.tables import NOTES
from tests.support.asynchronous import asynchronous
from tests.support.small_jobs import play_schema

HEADER = "outlook,wind,temperature,play\n"
JOB = JobId("play-1")


class Handler:
    """What a watch needs of a party."""

    def __init__(self, datasets: dict[str, BoundDataset]) -> None:
        self.datasets = datasets

    async def compute(self, function: Callable[..., Any], *arguments: Any) -> Any:
        return function(*arguments)


@pytest.fixture
def notes(tmp_path: Path) -> Iterator[StewardNotes]:
    engine = open_database(f"sqlite:///{tmp_path / 'party.db'}", MIGRATIONS)
    yield StewardNotes(engine, "founder", SystemClock())
    engine.dispose()


def bound(path: Path, name: str = "play") -> BoundDataset:
    return BoundDataset(name=name, path=path, schemas=(play_schema(),), schema_files=("play.toml",))


@asynchronous
async def test_watch_checks_at_first_and_whenever_file_or_binding_changes(tmp_path):
    path = tmp_path / "play.csv"
    path.write_text(HEADER + "sunny,weak,400,no\n")
    handler = Handler({"play": bound(path)})
    watch = DataWatch(cast(Context, handler))
    with capture_logs() as logs:
        await watch.look()
        await watch.look()
    assert [(line["log_level"], line["code"]) for line in logs] == [("error", "data")]
    (warning,) = watch.warnings()
    assert warning.startswith("the data set play: ")
    assert "play.csv: row 2, column 'temperature': '400'" in warning
    assert warning.endswith(" [data]")
    path.write_text(HEADER + "sunny,weak,4,no\n")
    with capture_logs() as logs:
        await watch.look()
        await watch.look()
    assert [line["event"] for line in logs] == ["data fit"]
    assert watch.warnings() == []
    path.unlink()
    await watch.look()
    assert "does not exist" in watch.warnings()[0]
    handler.datasets = {"other": bound(path, "other")}
    await watch.look()
    assert [warning.partition(": ")[0] for warning in watch.warnings()] == ["the data set other"]
    handler.datasets = {}
    await watch.look()
    assert watch.warnings() == []


@asynchronous
async def test_watch_sees_a_file_of_the_same_size(tmp_path):
    path = tmp_path / "play.csv"
    path.write_text(HEADER + "sunny,weak,4,no\n")
    watch = DataWatch(cast(Context, Handler({"play": bound(path)})))
    await watch.look()
    path.write_text(HEADER + "sunny,weak,x,no\n")
    os.utime(path, ns=(1, 1))
    await watch.look()
    assert len(watch.warnings()) == 1


def test_notes_keep_the_last_reason_of_each_round_printable_and_cut(notes):
    notes.add(JOB, 2, DataError("first"))
    notes.add(JOB, 2, DataError("a\x1b[31m" + "x" * 5000))
    notes.add(JOB, 0, TrainingFailed("no memory"))
    notes.add(JobId("other"), 1, DataError("elsewhere"))
    decided, round_two = notes.of_job(JOB)
    assert (decided.round_number, decided.code, decided.detail) == (0, "training-failed", "no memory")
    assert round_two.detail.startswith("a [31mxxx")
    assert len(round_two.detail) == 2000


def test_notes_are_bounded(tmp_path, notes):
    engine = open_database(f"sqlite:///{tmp_path / 'party.db'}", MIGRATIONS)
    row = {"founder": "founder", "job_id": JOB, "code": "data", "detail": "x", "noted_at": SystemClock().now()}
    with transaction(engine) as connection:
        connection.execute(insert(NOTES), [{**row, "number": number} for number in range(1000)])
    engine.dispose()
    for number in range(1000, 1003):
        notes.add(JOB, number, DataError("x"))
    assert [note.round_number for note in notes.of_job(JOB)] == list(range(3, 1003))
