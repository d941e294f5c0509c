# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The training process's side of the conversation, in a thread: what it answers to whom."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from coterie_common import arrays, document
from coterie_common.document import Document
from coterie_common.learning.algorithm import Ask, VectorAlgorithm, get_algorithm
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import parse_schema
from coterie_common.learning.plan import Records
from coterie_party.training import worker
from coterie_party.training.confinement import Confinement
from coterie_party.training.frames import Channel, Kind
from tests.support.misbehaving_algorithm import register
from tests.support.present import present

SCHEMA = parse_schema(
    {
        "label": "sick",
        "max_records": 100,
        "columns": [{"name": "age", "lower": 0, "upper": 100}, {"name": "sick", "levels": ["no", "yes"]}],
    }
)
DATASET = Dataset(SCHEMA, {"age": np.arange(5.0), "sick": np.arange(5, dtype=np.int32) % 2}, 5)
REGRESSION = get_algorithm("logistic_regression")
CONFIG = REGRESSION.parse_config({"rounds": 1, "records": 5, "clip_norm": 1})
ASK = present(REGRESSION.next_ask(REGRESSION.initial_state(CONFIG, SCHEMA)))


@pytest.fixture
def talk(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Channel]]:
    """Return a function that serves an algorithm in a thread and gives the party's end; closes it in the end."""
    register(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(tempfile, "tempdir", tempfile.tempdir)  # the worker changes it; put back in the end
    ends: list[Channel] = []
    threads: list[threading.Thread] = []

    def begin(algorithm: str = "logistic_regression") -> Channel:
        mine, theirs = socket.socketpair()
        threads.append(threading.Thread(target=worker.serve, args=(Channel(theirs), Confinement(network=True))))
        threads[-1].start()
        ends.append(Channel(mine))
        assert ends[-1].receive() == (Kind.STARTED, b'{"files":false,"network":true,"processes":false}')
        job: Document = {"algorithm": algorithm, "schema": SCHEMA.to_document()}
        ends[-1].send(Kind.JOB, document.encode(job))
        ends[-1].send(Kind.DATA, worker.encode_dataset(Records.TRAINING, DATASET))
        return ends[-1]

    yield begin
    for end in ends:
        end.close()
    for thread in threads:
        thread.join(timeout=10)
        assert not thread.is_alive()


def ask_for(channel: Channel, rows: Sequence[int], records: str = "training", ask: Ask = ASK) -> None:
    what = {"round_number": 1, "records": records}
    channel.send(Kind.ASK, arrays.encode(what, {"rows": np.array(rows, np.int64)}))
    channel.send(Kind.BODY, ask.to_bytes())


def answer_of(channel: Channel) -> tuple[NDArray[np.float32] | None, str | None, str]:
    """Return all rows, and the code and words of a failure."""
    rows: list[NDArray[np.float32]] = []
    while True:
        kind, content = channel.receive()
        if kind is Kind.ROWS:
            rows.append(np.frombuffer(content, "<f4").reshape(-1, ASK.length))
            continue
        value: dict[str, Any] = json.loads(content) if kind is Kind.FAILED else {"code": None, "words": ""}
        return np.concatenate(rows) if rows else None, value["code"], value["words"]


def test_worker_answers_one_ask_after_the_other(talk):
    channel = talk()
    for chosen in ([0, 1, 2, 3, 4], [1, 4]):
        ask_for(channel, chosen)
        rows, code, _ = answer_of(channel)
        assert code is None
        assert isinstance(REGRESSION, VectorAlgorithm)
        expected = np.concatenate(list(REGRESSION.vectors(ASK, DATASET.select(np.isin(np.arange(5), chosen)))))
        assert np.array_equal(present(rows), expected)


def test_worker_cuts_long_answers_into_frames(talk, monkeypatch):
    monkeypatch.setattr(worker, "ROWS_BYTES", 8 * ASK.length)
    channel = talk()
    ask_for(channel, range(5))
    sizes = []
    while (frame := channel.receive())[0] is Kind.ROWS:
        sizes.append(len(frame[1]) // (4 * ASK.length))
    assert sizes == [2, 2, 1]


@pytest.mark.parametrize(
    ("do", "code", "words"),
    [
        ("no memory", "training-failed", "memory"),
        ("raise", "training-failed", "ZeroDivisionError at vectors:"),
        ("no file", "training-failed", "FileNotFoundError"),
        ("long words", "training-failed", "ValueError"),
        ("refuse", "training-failed", "no such network"),
        ("not finite", "vectors-not-finite", "vector 3"),
        ("other length", "wrong-vector-shape", "(5, 2)"),
        ("other type", "wrong-vector-shape", "float64"),
        ("no array", "wrong-vector-shape", "list"),
    ],
)
def test_worker_puts_what_an_algorithm_raises_into_words_and_goes_on(talk, do, code, words):
    channel = talk("probe")
    for _ in range(2):
        ask_for(channel, range(5), ask=Ask(1, {"length": 3, "do": do}))
        _, found, said = answer_of(channel)
        assert found == code
        assert words in said
        assert len(said) <= worker.MAX_WORDS


def test_worker_says_that_an_algorithm_of_counts_has_no_vectors(talk):
    channel = talk("statistics")
    ask_for(channel, range(5))
    assert answer_of(channel)[1:] == ("training-failed", "the job's algorithm computes no vectors")


def test_worker_says_that_it_has_no_such_records(talk):
    channel = talk()
    ask_for(channel, range(5), "set-aside")
    _, code, words = answer_of(channel)
    assert code == "training-failed"
    assert "KeyError" in words
