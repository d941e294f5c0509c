# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A daemon's heartbeat: a file in its folder that its event loop touches, and that its owner may check.

Service managers and container engines check it with ``coterie-party health`` and ``coterie-aggregator health``, without
a port or a certificate.

Invariants:
- A daemon that ended, hangs or is stopped looks healthy for at most ``STALE_SECONDS``, for any cause.
- The first line of the file is a sentence on the current trouble, or empty; each further line is a warning.
- Only the owner reads the file: a warning may quote a cell of the data.
- ``health`` reads this file alone: it opens no database, so frequent checks are cheap and work on a busy host.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path
from typing import Final

from coterie_common.errors import Unavailable
from coterie_common.files import PRIVATE, write_atomically
from coterie_common.shown import shown

FILE_NAME: Final = "heartbeat"

BEAT_SECONDS: Final = 5.0
"""Seconds between heartbeats: touching a file costs nothing."""

STALE_SECONDS: Final = 20.0
"""An older heartbeat means that three were missed, which no load of ours explains."""


class Heartbeat:
    """Writes heartbeats.

    Args:
        folder: the daemon's home.
        trouble: returns the current trouble as one sentence, or ``""``.
        warnings: returns matters for a person that need no restart of the daemon, a sentence each; empty ones
            are left out.
    """

    def __init__(
        self, folder: Path, trouble: Callable[[], str], *, warnings: Callable[[], Iterable[str]] = lambda: ()
    ) -> None:
        self._path = folder / FILE_NAME
        self._trouble = trouble
        self._warnings = warnings
        self._written: str | None = None

    async def run(self) -> None:
        """Write heartbeats until cancelled, then remove the last one.

        Raises:
            StorageError: the folder can no longer be written.
        """
        try:
            while True:
                self.beat()
                await asyncio.sleep(BEAT_SECONDS)
        finally:
            self._path.unlink(missing_ok=True)

    def beat(self) -> None:
        """Write one heartbeat; raises ``StorageError``."""
        state = "\n".join(map(shown, (self._trouble(), *filter(None, self._warnings()))))
        if state == self._written and self._path.exists():
            os.utime(self._path)
        else:
            write_atomically(self._path, state.encode("utf-8"), mode=PRIVATE)
            self._written = state


def check_heartbeat(folder: Path, program: str, *, now: datetime) -> tuple[str, ...]:
    """Check the health of the daemon of a folder.

    Args:
        folder: its home.
        program: its name in errors, such as ``"coterie-party"``.
        now: the current time.

    Returns:
        Warnings: matters for a person although the daemon works.

    Raises:
        Unavailable: it does not run, hangs, or has trouble; the message names which.
    """
    path = folder / FILE_NAME
    try:
        age = now.timestamp() - path.stat().st_mtime
        trouble, *warnings = path.read_text("utf-8").split("\n")
    except FileNotFoundError:
        raise Unavailable(f"no {program} runs on the folder {folder}") from None
    except OSError as cause:
        raise Unavailable(f"cannot read {path}: {cause.strerror}") from cause
    if age > STALE_SECONDS:
        raise Unavailable(f"the {program} on the folder {folder} gave its last sign of life {age:.0f} s ago")
    if trouble:
        raise Unavailable(trouble)
    return tuple(warnings)
