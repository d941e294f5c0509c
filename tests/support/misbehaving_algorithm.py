# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""An algorithm that does what an ask tells it: well, badly, or telling what its process can do."""

from __future__ import annotations

import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial as bind
from pathlib import Path
from typing import Any

import numpy as np

from coterie_common.errors import InvalidJob, VectorsNotFinite
from coterie_common.learning.algorithm import Ask
from coterie_common.learning.algorithms.linear import LogisticRegression
from coterie_common.learning.data.dataset import Dataset


def register(folder: Path) -> None:
    """Write what makes both algorithms installed ones for every interpreter with ``folder`` and ours on its path."""
    information = folder / "their_probe-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: their-probe\nVersion: 1.0\n")
    entries = (f"{kind.name} = {__name__}:{kind.__name__}\n" for kind in (Probe, Overflowing))
    (information / "entry_points.txt").write_text("[coterie.algorithms]\n" + "".join(entries))


def _works(action: Callable[[], object]) -> float:
    try:
        action()
    except OSError:
        return 0.0
    return 1.0


class Overflowing(LogisticRegression):
    """Computes vectors that are finite for two records of five."""

    name = "overflowing"

    def vectors(self, ask: Ask, dataset: Dataset) -> Iterator[Any]:
        for rows in super().vectors(ask, dataset):
            spoilt = rows.copy()
            for place, value in enumerate((np.nan, np.inf, -np.inf)):
                spoilt[place::5, place] = value
            yield spoilt


class Probe(LogisticRegression):
    name = "probe"

    def vectors(self, ask: Ask, dataset: Dataset) -> Iterator[Any]:
        rows = np.repeat(dataset.columns["age"][:, None], 3, axis=1).astype(np.float32)
        match ask.body["do"]:
            case "rows":
                yield rows[:2]
                yield rows[2:]
            case "other type":
                yield rows.astype(float)
            case "other length":
                yield rows[:, :2]
            case "no array":
                yield rows.tolist()
            case "too many":
                yield np.repeat(rows, 2, axis=0)
            case "too few":
                yield rows[1:]
            case "none":
                return
            case "not finite":
                raise VectorsNotFinite("vector 3")
            case "raise":
                raise ZeroDivisionError("age 42 of a patient")
            case "long words":
                raise ValueError("word " * 10_000)
            case "refuse":
                raise InvalidJob("no such network")
            case "no file":
                Path("/nonexistent").read_bytes()
            case "no memory":
                raise MemoryError
            case "leave":
                os._exit(3)
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "hang":
                time.sleep(100)
            case "memory":
                yield np.ones((40_000_000, 3), np.float32)
            case "print":
                print("x" * 1_000_000, flush=True)
                yield rows
            case "speak":
                # not through the worker: what the process says need not come from our code
                os.write(int(sys.argv[1]), bytes.fromhex(ask.body["frame"]))
                time.sleep(100)
            case "facts":
                files = [number for number in range(1 << 10) if _works(bind(os.fstat, number))]
                yield np.array(
                    [
                        [float(os.getpid()), float("COTERIE_TEST_SECRET" in os.environ), float(len(files))],
                        [
                            _works(lambda: socket.create_connection(("127.0.0.1", ask.body["port"]))),
                            _works(lambda: open(f"/proc/{os.getppid()}/mem", "rb").close()),
                            _works(lambda: os.write(os.open(ask.body["file"], os.O_WRONLY | os.O_CREAT), b"record")),
                        ],
                        [
                            float(resource.getrlimit(resource.RLIMIT_CORE)[1]),
                            float(os.getcwd() == "/"),
                            float(resource.getrlimit(resource.RLIMIT_NOFILE)[1]),
                        ],
                    ],
                    np.float32,
                )
