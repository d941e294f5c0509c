# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The resources that processes have used: core time and memory. Read from ``/proc``; not available elsewhere."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

_PROC = Path("/proc")


def core_ms(processes: Iterable[int]) -> float | None:
    """Return the ms of one core that processes and those that they started have used so far; None if not known.

    Processes that ended count as well, once the process that started them has waited for them: a party's training
    process ends with its job.
    """
    if not _PROC.exists():
        return None
    family = _family(processes)
    # utime, stime, and both of the children that were waited for.
    ticks = sum(sum(map(int, fields[11:15])) for process in family if (fields := _stat(process)))
    return 1000 * ticks / os.sysconf("SC_CLK_TCK")


def peak_mib(processes: Iterable[int]) -> float | None:
    """Return the peak memory of any one of the processes and their descendants; None if not known."""
    peaks = []
    for process in _family(processes):
        try:
            lines = (_PROC / str(process) / "status").read_text().splitlines()
        except OSError:
            continue
        peaks += [int(line.split()[1]) / (1 << 10) for line in lines if line.startswith("VmHWM:")]
    return max(peaks, default=None)


def _family(processes: Iterable[int]) -> set[int]:
    """Return processes with all that descend from them."""
    family = set(processes)
    if not _PROC.exists():
        return family
    parents = {}
    for entry in _PROC.iterdir():
        if entry.name.isdigit() and (fields := _stat(int(entry.name))):
            parents[int(entry.name)] = int(fields[1])
    grown = True
    while grown:
        children = {process for process, parent in parents.items() if parent in family} - family
        family |= children
        grown = bool(children)
    return family


def _stat(process: int) -> list[str]:
    """Return what follows the name in a process's line of numbers; nothing if it has ended."""
    try:
        return (_PROC / str(process) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
