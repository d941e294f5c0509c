# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Times as ms of one core, beside a yardstick that is measured in between.

The processor time of this process is counted (``time.process_time``), of all its threads together: if two threads share
the work, both count; other programs do not. Their use of memory, and changes of the clock rate, still show. Therefore
the yardstick runs before every repetition: figures from different machines, or from a busy one, are compared as
multiples of it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR
from scipy import fft

from coterie_lab.benchmarks.rows import REFERENCE_VALUES

_KEYSTREAM_BYTES: Final = 4 << 20
_SHORTEST: Final = 0.004
"""Seconds: what is over sooner is done several times in a row, so that the clock's own time vanishes."""
_MAX_LOOPS: Final = 1000

Work = Callable[[], object]


class Yardstick:
    """One complex Fourier transform of 2^20 points and 4 MiB of AES-256 in counter mode: what a pad is made of."""

    def __init__(self) -> None:
        angles = np.arange(REFERENCE_VALUES, dtype=np.float64)
        self._points = np.cos(angles) + 1j * np.sin(angles * 0.5)
        self._zeros = bytes(_KEYSTREAM_BYTES)
        self.ms: list[float] = []

    def measure(self) -> None:
        """Note one more time."""
        began = time.process_time()
        fft.fft(self._points)
        Cipher(AES(bytes(32)), CTR(bytes(16))).encryptor().update(self._zeros)
        self.ms.append(1000 * (time.process_time() - began))


def measure(tasks: Mapping[str, Work], yardstick: Yardstick, repetitions: int) -> dict[str, list[float]]:
    """Run every task ``repetitions`` times, in turn, and the yardstick before each turn.

    Args:
        tasks: what to run, by name; may be repeated as often as wanted.
        yardstick: notes its own times.
        repetitions: turns, after one that is not counted.

    Returns:
        By name, the ms of one core of each repetition.
    """
    loops = {name: _loops(work) for name, work in tasks.items()}
    times: dict[str, list[float]] = {name: [] for name in tasks}
    for _ in range(repetitions):
        yardstick.measure()
        for name, work in tasks.items():
            began = time.process_time()
            for _ in range(loops[name]):
                work()
            times[name].append(1000 * (time.process_time() - began) / loops[name])
    return times


def _loops(work: Work) -> int:
    """Run once, to fill tables and caches, and return how often to run at a time."""
    began = time.process_time()
    work()
    once = time.process_time() - began
    return max(1, min(_MAX_LOOPS, int(_SHORTEST / max(once, 1e-6))))
