# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import os
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from numpy.typing import NDArray

from coterie_common.clock import Clock, SystemClock
from coterie_common.errors import (
    StateError,
    TrainingDied,
    TrainingFailed,
    TrainingTimeout,
    VectorsNotFinite,
    WrongVectorShape,
)
from coterie_common.learning.algorithm import Ask, VectorAlgorithm, get_algorithm
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import parse_schema
from coterie_common.learning.plan import Records
from coterie_party.training.confinement import MAX_FILES, Confinement
from coterie_party.training.frames import Channel, ChannelClosed, Kind
from coterie_party.training.process import TrainingLimits, TrainingProcess, probe_confinement
from coterie_party.training.worker import decode_dataset, encode_dataset
from tests.support.misbehaving_algorithm import register
from tests.support.present import present
from tests.support.repository import ROOT

# slow, all of them: every one starts at least one process, which loads numpy and scipy
pytestmark = pytest.mark.slow

SCHEMA = parse_schema(
    {
        "label": "sick",
        "max_records": 100,
        "columns": [{"name": "age", "lower": 0, "upper": 100}, {"name": "sick", "levels": ["no", "yes"]}],
    }
)
ALL = np.ones(6, np.bool_)


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., TrainingProcess]]:
    """Install an algorithm that misbehaves on demand; end every process that a test starts."""
    register(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("COTERIE_TEST_SECRET", "password")
    started: list[TrainingProcess] = []

    def make(
        algorithm: str = "probe",
        datasets: Mapping[Records, Dataset] | None = None,
        clock: Clock | None = None,
        **limits: Any,
    ) -> TrainingProcess:
        process = TrainingProcess(
            algorithm,
            datasets or {Records.TRAINING: make_dataset(), Records.SET_ASIDE: make_dataset(2)},
            TrainingLimits(**{"seconds": 60, **limits}),
            clock or SystemClock(),
        )
        started.append(process)
        return process

    yield make
    for process in started:
        process.close()


def make_dataset(rows: int = 6) -> Dataset:
    columns = {"age": np.arange(1.0, rows + 1), "sick": np.arange(rows, dtype=np.int32) % 2}
    return Dataset(SCHEMA, columns, rows)


def compute(
    process: TrainingProcess,
    do: str,
    *,
    expected: int = 6,
    batch: NDArray[np.bool_] = ALL,
    records: Records = Records.TRAINING,
    **body: Any,
) -> NDArray[np.float32]:
    ask = Ask(1, {"length": 3, "do": do, **body})
    return np.concatenate(list(process.vectors(ask, records, batch, expected=expected)))


def test_vectors_of_a_batch_come_in_order_from_the_records_asked_for(start):
    process = start()
    assert compute(process, "rows").tolist() == [[age] * 3 for age in range(1, 7)]
    batch = np.array([False, True, False, False, True, True])
    assert compute(process, "rows", batch=batch, expected=3)[:, 0].tolist() == [2, 5, 6]
    aside = compute(process, "rows", records=Records.SET_ASIDE, batch=np.ones(2, bool), expected=2)
    assert aside[:, 0].tolist() == [1, 2]


def test_vectors_of_an_algorithm_are_those_of_the_same_process(start):
    algorithm, dataset = get_algorithm("logistic_regression"), make_dataset()
    assert isinstance(algorithm, VectorAlgorithm)
    config = algorithm.parse_config({"rounds": 1, "records": 6, "clip_norm": 1})
    ask = present(algorithm.next_ask(algorithm.initial_state(config, SCHEMA)))
    process = start("logistic_regression", {Records.TRAINING: dataset})
    rows = np.concatenate(list(process.vectors(ask, Records.TRAINING, ALL, expected=6)))
    assert np.array_equal(rows, np.concatenate(list(algorithm.vectors(ask, dataset))))


@pytest.mark.parametrize("rows", [0, 6])
def test_empty_batch_is_asked_for_like_any_other(start, rows):
    process = start(datasets={Records.TRAINING: make_dataset(rows)})
    batch = np.zeros(rows, np.bool_)
    assert list(process.vectors(Ask(1, {"length": 3, "do": "rows"}), Records.TRAINING, batch, expected=0)) == []
    assert process._process is not None
    # what fails with records fails without them
    for do, kind in (("raise", TrainingFailed), ("leave", TrainingDied)):
        with pytest.raises(kind):
            list(process.vectors(Ask(1, {"length": 3, "do": do}), Records.TRAINING, batch, expected=0))


def test_process_serves_all_rounds_of_a_job(start):
    process = start()
    first, second = (compute(process, "facts", expected=3, port=1, file="/nowhere") for _ in range(2))
    assert first[0, 0] == second[0, 0] != os.getpid()


@pytest.mark.parametrize(
    ("do", "error", "code", "words"),
    [
        ("other type", WrongVectorShape, "wrong-vector-shape", "float64"),
        ("other length", WrongVectorShape, "wrong-vector-shape", r"shape \(6, 2\)"),
        ("no array", WrongVectorShape, "wrong-vector-shape", "list"),
        ("too many", WrongVectorShape, "wrong-vector-shape", "more vectors than the 6"),
        ("too few", WrongVectorShape, "wrong-vector-shape", "5 vectors where 6"),
        ("none", WrongVectorShape, "wrong-vector-shape", "0 vectors where 6"),
        ("not finite", VectorsNotFinite, "vectors-not-finite", "vector 3"),
        ("raise", TrainingFailed, "training-failed", "ZeroDivisionError at vectors:.*: age 42"),
        ("leave", TrainingDied, "training-died", "with status 3"),
        ("crash", TrainingDied, "training-died", "by signal 11"),
    ],
)
def test_process_that_misbehaves_raises_and_serves_the_next_round(start, do, error, code, words):
    process = start()
    with pytest.raises(error, match=words) as caught:
        compute(process, do)
    assert type(caught.value) is error
    assert caught.value.code == code
    assert compute(process, "rows").shape == (6, 3)


def test_process_that_takes_too_long_is_ended(start):
    process = start()
    compute(process, "rows")
    # Only now: how long it takes to load numpy is not in our hands.
    process._limits = replace(process._limits, seconds=1)
    pid = process._process.pid
    with pytest.raises(TrainingTimeout, match="longer than 1 s") as caught:
        compute(process, "hang")
    assert caught.value.code == "training-timeout"
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_process_that_asks_for_too_much_memory_fails(start):
    process = start(memory_bytes=400 << 20)
    with pytest.raises(TrainingFailed, match="memory") as caught:
        compute(process, "memory", expected=40_000_000)
    assert caught.value.code == "training-failed"
    assert compute(process, "rows").shape == (6, 3)


def test_what_the_process_prints_goes_nowhere(start, capfd):
    assert compute(start(), "print").shape == (6, 3)
    assert "xxx" not in "".join(capfd.readouterr())


def test_process_inherits_nothing_and_reaches_nothing(start, tmp_path):
    inherited = os.open(tmp_path, os.O_RDONLY)
    os.set_inheritable(inherited, True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        written = tmp_path / "leak"
        facts = compute(start(), "facts", expected=3, port=server.getsockname()[1], file=str(written))
    os.close(inherited)
    (_, has_secret, files), (connected, read_parent, wrote), (core, at_root, files_most) = facts
    assert has_secret == 0
    # three standard streams and the channel
    assert files == 4
    assert connected == 0
    assert read_parent == 0
    assert wrote == 0
    assert not written.exists() or written.stat().st_size == 0
    assert (core, at_root, files_most) == (0, 1, MAX_FILES)


def test_process_that_cannot_be_isolated_is_refused_where_it_must_be(start, tmp_path):
    process = start(must_be_isolated=True)
    assert compute(process, "rows").shape == (6, 3)
    process.close()
    # As on a system without namespaces: the C library of the process has no such function.
    (tmp_path / "sitecustomize.py").write_text(
        "import ctypes\ndef no_library(*arguments, **options):\n    raise OSError\nctypes.CDLL = no_library\n"
    )
    with pytest.raises(TrainingFailed, match="cut off"):
        compute(process, "rows")
    with pytest.raises(TrainingFailed, match="could use the network, read and delete the party's files, signal"):
        compute(start(must_be_confined=True), "rows")
    assert compute(start(), "rows").shape == (6, 3)
    assert probe_confinement(TrainingLimits(seconds=60), SystemClock()) == Confinement()


def test_probe_of_a_process_that_cannot_be_started_raises(start, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(TrainingDied, match="cannot be started"):
        probe_confinement(TrainingLimits(), SystemClock())


def test_code_of_users_is_imported_from_its_folder_after_the_process_is_confined(start, tmp_path):
    code = tmp_path / "code"
    package = code / "their_rows-1.dist-info"
    package.mkdir(parents=True)
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: their-rows\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[coterie.algorithms]\nrows_of_theirs = their_rows:Rows\n")
    (code / "their_rows.py").write_text(
        "from tests.support.misbehaving_algorithm import Probe\nclass Rows(Probe):\n    name = 'rows_of_theirs'\n"
    )
    # What an interpreter runs by itself before anything else would not be confined.
    (code / "sitecustomize.py").write_text("raise SystemExit(9)\n")
    assert compute(start("rows_of_theirs", code=(code,)), "rows").shape == (6, 3)
    with pytest.raises(TrainingDied):
        compute(start("rows_of_theirs"), "rows")


def test_round_whose_vectors_are_not_taken_is_given_up_for_the_next(start):
    process = start()
    ask = Ask(1, {"length": 3, "do": "rows"})
    abandoned = process.vectors(ask, Records.TRAINING, ALL, expected=6)
    next(abandoned)
    assert compute(process, "rows").shape == (6, 3)
    assert list(abandoned) == []
    rows = process.vectors(ask, Records.TRAINING, ALL, expected=6)
    next(rows)
    rows.close()
    assert process._process is None


class Asking(SystemClock):
    """A clock that asks for something else while the process is being waited for."""

    def __init__(self) -> None:
        self.process: TrainingProcess | None = None
        self.refused: list[str] = []

    def monotonic(self) -> float:
        if self.process:
            with pytest.raises(StateError, match="one ask at a time") as caught:
                self.process.vectors(Ask(1, {"length": 3, "do": "rows"}), Records.TRAINING, ALL, expected=6)
            self.refused.append(caught.value.code)
        return super().monotonic()


def test_ask_while_another_is_waited_for_raises_state_error(start):
    clock = Asking()
    process = start(clock=clock)
    compute(process, "rows")
    clock.process = process
    assert compute(process, "rows").shape == (6, 3)
    assert set(clock.refused) == {"state"}


def test_process_that_cannot_be_started_raises(start, monkeypatch):
    monkeypatch.setattr(sys, "executable", "/nonexistent/python")
    with pytest.raises(TrainingDied, match="cannot be started"):
        compute(start(), "rows")


def test_unknown_algorithm_ends_the_process(start):
    with pytest.raises(TrainingDied) as caught:
        compute(start("no_such_algorithm"), "rows")
    assert caught.value.code == "training-died"


def test_algorithm_of_counts_computes_no_vectors(start):
    with pytest.raises(TrainingFailed, match="no vectors"):
        compute(start("statistics"), "rows")


def test_records_survive_their_frame():
    dataset = make_dataset()
    records, again = decode_dataset(encode_dataset(Records.SET_ASIDE, dataset), SCHEMA)
    assert records is Records.SET_ASIDE
    assert again.rows == 6
    for name, values in dataset.columns.items():
        assert again.columns[name].dtype == values.dtype
        assert np.array_equal(again.columns[name], values)


def frame(kind: Kind | int, content: bytes, length: int | None = None) -> bytes:
    return bytes([kind]) + (len(content) if length is None else length).to_bytes(8, "little") + content


class Stepping:
    """A clock that moves on by a second whenever it is asked."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def monotonic(self) -> float:
        self.seconds += 1
        return self.seconds


class Dribbling:
    """A socket on which one byte of a frame arrives at a time."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self.timeouts: list[float] = []

    def settimeout(self, seconds: float) -> None:
        self.timeouts.append(seconds)

    def recv_into(self, view: memoryview) -> int:
        view[:1], self._content = self._content[:1], self._content[1:]
        return 1


def test_bytes_now_and_then_do_not_put_off_the_deadline():
    end = Dribbling(frame(Kind.ROWS, bytes(100)))
    channel = Channel(cast("socket.socket", end), cast("Clock", Stepping()))
    channel.deadline = 30
    with pytest.raises(TimeoutError):
        channel.receive({Kind.ROWS: 100})
    assert end.timeouts == list(range(29, 0, -1))


@pytest.mark.parametrize(
    "content",
    [
        b"\x09" + bytes(8),
        Kind.ROWS.to_bytes(1, "little") + (101).to_bytes(8, "little"),
        Kind.DONE.to_bytes(1, "little") + bytes(8),
        Kind.ROWS.to_bytes(1, "little"),
    ],
)
def test_frame_that_is_not_expected_is_refused(content):
    mine, theirs = socket.socketpair()
    theirs.sendall(content)
    theirs.close()
    channel = Channel(mine)
    with pytest.raises(ChannelClosed):
        channel.receive({Kind.ROWS: 100})
    channel.close()


@pytest.mark.parametrize("content", [b"x", b"{}", b'{"code":"budget-exhausted","words":""}', b"[]"])
def test_words_of_a_process_that_cannot_be_read_are_not_believed(start, content):
    with pytest.raises(TrainingFailed, match="cannot be read"):
        compute(start(), "speak", frame=frame(Kind.FAILED, content).hex())


@pytest.mark.parametrize(
    "said",
    [
        frame(Kind.ROWS, bytes(8)),
        frame(Kind.ROWS, b""),
        frame(Kind.ROWS, b"", 1 << 40),
        frame(Kind.DONE, b"x"),
        frame(Kind.STARTED, b'{"network":true}'),
        frame(99, b""),
    ],
)
def test_process_that_breaks_the_protocol_is_ended(start, said):
    process = start()
    with pytest.raises(TrainingDied, match="broke the protocol") as caught:
        compute(process, "speak", frame=said.hex())
    assert caught.value.code == "training-died"
    assert process._process is None
