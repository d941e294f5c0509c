# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party's side of the training process: starts it, sends records and asks, reads vectors, ends it.

A job has one process, started when it is first needed and again if it has died; loading torch takes seconds. It is a
new program, not a copy of this one: it inherits no memory, no open files and no environment beyond the few variables
named here, so no key, no password and no connection.

Nothing that it sends is trusted: a frame too many, too long or too late ends it. This process clips its results, so
that no network can make the sum more sensitive than planned.

Invariants:
- It returns exactly as many vectors as were asked for, of the requested length. They are checked to be finite before
  they are clipped (``learning.contribution``).
- Of its errors only the code may leave the house: the words may quote data.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import structlog

from coterie_common import arrays, document, errors
from coterie_common.clock import Clock
from coterie_common.errors import MalformedMessage, StateError, TrainingDied, TrainingFailed, TrainingTimeout
from coterie_common.host import one_thread
from coterie_common.learning.algorithm import Ask, Float32
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.plan import Records
from coterie_party.training.confinement import Confinement, forbid_tracing
from coterie_party.training.frames import Channel, ChannelClosed, Kind
from coterie_party.training.worker import ROWS_BYTES, encode_dataset

log = structlog.get_logger(__name__)

_INHERITED: Final = ("LANG", "LC_ALL", "LD_LIBRARY_PATH", "PATH", "PYTHONPATH", "TZ")
_SETTINGS: Final = {
    **one_thread.SETTINGS,
    "PYTHONDONTWRITEBYTECODE": "1",
    # torch makes sure that it has a folder for compiled code, which nobody asks it for
    "TORCHINDUCTOR_CACHE_DIR": "/",
}
_WORDS_BYTES: Final = 64 << 10
_FAILURES: Final = {
    kind.code: kind
    for kind in (errors.TrainingFailed, errors.VectorsNotFinite, errors.WrongVectorShape, errors.RowsNotIndependent)
}
"""The errors that the process may report itself; its death or a time-out is seen from outside."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingLimits:
    """The limits of a training process.

    Attributes:
        seconds: for one round, loading included.
        memory_bytes: of its own.
        must_be_isolated: whether to refuse where the process cannot be cut off from the network.
        must_be_confined: whether to refuse where the system lacks any part of the confinement.
        hidden: files and folders of the party that the process must not be able to read.
        code: folders with code of users, which only this process imports from.
    """

    seconds: float = 600.0
    memory_bytes: int = 8 << 30
    must_be_isolated: bool = False
    must_be_confined: bool = False
    hidden: tuple[Path, ...] = ()
    code: tuple[Path, ...] = ()


class TrainingProcess:
    """Computes the vectors of one job.

    Args:
        algorithm: of the job; a vector algorithm.
        datasets: the party's records, by kind; all of one schema.
        limits: of the process.
        clock: measures its time.
    """

    def __init__(
        self, algorithm: str, datasets: Mapping[Records, Dataset], limits: TrainingLimits, clock: Clock
    ) -> None:
        self._algorithm = algorithm
        self._datasets = datasets
        self._limits = limits
        self._clock = clock
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Channel | None = None
        self._current: Generator[Float32, None, None] | None = None

    def vectors(self, ask: Ask, records: Records, batch: npt.NDArray[np.bool_], *, expected: int) -> Iterator[Float32]:
        """Compute the vectors of an ask that ``check_ask`` let pass.

        Args:
            ask: of a round of vectors.
            records: which kind takes part.
            batch: Bool[records of that kind], those that do.
            expected: number of vectors: as many as records in the batch, or 1 where a party is protected. Even for
                none the process is started and asked: its failure must not reveal whether there are records.

        Yields:
            Float32[n, length of the ask], ``expected`` rows in all. An ask whose vectors were not all taken is
            abandoned when the next one comes.

        Raises:
            TrainingTimeout: it took too long.
            TrainingDied: the process ended.
            WrongVectorShape: more or fewer vectors, or of another form, than asked for.
            TrainingFailed: the algorithm or the network raised an error.
            StateError: another ask is being computed in another thread.
        """
        if self._current is not None:
            try:
                self._current.close()
            except ValueError as cause:
                raise StateError("a training process computes one ask at a time") from cause
        self._current = self._compute(ask, records, batch, expected)
        return self._current

    def _compute(
        self, ask: Ask, records: Records, batch: npt.NDArray[np.bool_], expected: int
    ) -> Generator[Float32, None, None]:
        is_done = False
        try:
            deadline = self._clock.monotonic() + self._limits.seconds
            channel = self._channel or self._start(deadline)
            channel.deadline = deadline
            what = {"round_number": ask.round_number, "records": records.value}
            channel.send(Kind.ASK, arrays.encode(what, {"rows": np.flatnonzero(batch).astype(np.int64)}))
            channel.send(Kind.BODY, ask.to_bytes())
            count = 0
            while (rows := _receive_rows(channel, ask.length)) is not None:
                count += len(rows)
                if count > expected:
                    raise errors.WrongVectorShape(f"more vectors than the {expected} that were asked for")
                yield rows
            if count != expected:
                raise errors.WrongVectorShape(f"{count} vectors where {expected} were asked for")
            is_done = True
        except _Failure as failure:
            is_done = True  # it waits for the next ask
            raise failure.error from None
        except TimeoutError as cause:
            raise TrainingTimeout(f"a round took longer than {self._limits.seconds:g} s") from cause
        except ChannelClosed as cause:
            raise TrainingDied(f"the training process ended: {self._how_it_ended()}") from cause
        except OSError as cause:
            raise TrainingDied(f"the training process cannot be started: {cause}") from cause
        finally:
            if not is_done:
                # Frames that it still sends no longer belong to any ask.
                self.close()

    def close(self) -> None:
        """End the process, even while it is busy; it is started again if it is needed."""
        if self._channel:
            self._channel.close()
        if self._process:
            if self._process.poll() is None:
                # With every process that it may have started.
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
        self._channel = self._process = None

    def _start(self, deadline: float) -> Channel:
        channel, confinement = self._start_confined(deadline)
        log.info("training process started", algorithm=self._algorithm, not_kept_from=confinement.missing)
        if self._limits.must_be_isolated and not confinement.network:
            raise TrainingFailed("this system does not let the training process be cut off from the network")
        if self._limits.must_be_confined and confinement.missing:
            raise TrainingFailed(f"on this system the training process could {confinement.missing}")
        schema = next(iter(self._datasets.values())).schema
        job = document.encode({"algorithm": self._algorithm, "schema": schema.to_document()})
        channel.send(Kind.JOB, job)
        for records, dataset in self._datasets.items():
            channel.send(Kind.DATA, encode_dataset(records, dataset))
        return channel

    def _start_confined(self, deadline: float) -> tuple[Channel, Confinement]:
        # The daemon forbids it when it starts; others that start a training process may hold secrets as well.
        forbid_tracing()
        mine, theirs = socket.socketpair()
        self._channel = channel = Channel(mine, self._clock)
        channel.deadline = deadline
        with theirs:
            limits = self._limits
            folders = {"hidden": [*map(os.path.abspath, limits.hidden)], "code": [*map(os.path.abspath, limits.code)]}
            command = [sys.executable, "-P", "-s", "-m", "coterie_party.training"]
            self._process = subprocess.Popen(
                [*command, str(theirs.fileno()), str(limits.memory_bytes), json.dumps(folders)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
                cwd="/",
                env=_environment(),
                start_new_session=True,
            )
        _, content = channel.receive({Kind.STARTED: _WORDS_BYTES})
        started = document.decode(content, "what it says", maximum=_WORDS_BYTES)
        said = started if isinstance(started, dict) else {}
        return channel, Confinement(**{field.name: said.get(field.name) is True for field in fields(Confinement)})

    def _how_it_ended(self) -> str:
        if self._process is None:
            return "it was never started"
        try:
            status = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "it broke the protocol"
        return f"by signal {-status}" if status < 0 else f"with status {status}"


def probe_confinement(limits: TrainingLimits, clock: Clock) -> Confinement:
    """Start a process as for a job, end it, and return the restrictions that this system enforced.

    Raises:
        TrainingDied: it cannot be started, or ended before it could report them.
    """
    process = TrainingProcess("", {}, limits, clock)
    try:
        return process._start_confined(clock.monotonic() + limits.seconds)[1]
    except (TimeoutError, ChannelClosed, OSError) as cause:
        raise TrainingDied(f"the training process cannot be started: {cause}") from cause
    finally:
        process.close()


class _Failure(Exception):
    """Carries the error that the process reported."""

    def __init__(self, content: bytes) -> None:
        super().__init__()
        try:
            value = document.decode(content, "what it says", maximum=_WORDS_BYTES)
            self.error = _FAILURES[value["code"]](str(value["words"]))
        except (MalformedMessage, KeyError, TypeError):
            self.error = TrainingFailed("the training process failed, and its words cannot be read")


def _environment() -> dict[str, str]:
    inherited = {name: os.environ[name] for name in _INHERITED if name in os.environ}
    return {**inherited, **_SETTINGS}


def _receive_rows(channel: Channel, length: int) -> Float32 | None:
    """Return the next rows, or ``None`` after the last."""
    kind, content = channel.receive_large(
        {Kind.ROWS: max(ROWS_BYTES, 4 * length), Kind.DONE: 0, Kind.FAILED: _WORDS_BYTES}
    )
    if kind is Kind.DONE:
        return None
    if kind is Kind.FAILED:
        raise _Failure(bytes(content))
    if not content or len(content) % (4 * length):
        raise ChannelClosed("rows of another length")
    return np.frombuffer(content, "<f4").reshape(-1, length)
