# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Checks of the party's data before a job needs them: at the start, and when their binding or their file changes.

Invariants:
- Findings go to the log and to ``health``; nothing of them, not even that a check was made, leaves the party.
- A decision on a job reads the data again: a check here does not replace that one.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from coterie_common.errors import CoterieError
from coterie_party.data.bindings import BoundDataset
from coterie_party.live.context import Context

log = structlog.get_logger(__name__)

LOOK_AGAIN_SECONDS: Final = 2.0
"""Short for a person who edits a file; each time a few small files are read."""

_Seen: TypeAlias = tuple[BoundDataset, tuple[int, int, int] | None]


class DataWatch:
    """Checks data sets whenever they changed."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._seen: dict[str, _Seen] = {}
        self._errors: dict[str, CoterieError] = {}

    def warnings(self) -> list[str]:
        """Return one sentence for each data set that does not fit."""
        return [f"the data set {name}: {error.message} [{error.code}]" for name, error in sorted(self._errors.items())]

    async def run(self) -> None:
        """Check periodically until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(LOOK_AGAIN_SECONDS)

    async def look(self) -> None:
        """Check what changed since the last look."""
        context = self._context
        datasets = await context.compute(lambda: dict(context.datasets))
        self._seen = {name: seen for name, seen in self._seen.items() if name in datasets}
        self._errors = {name: error for name, error in self._errors.items() if name in datasets}
        for name, dataset in datasets.items():
            seen = dataset, await context.compute(_version, dataset.path)
            if self._seen.get(name) == seen:
                continue
            error = await context.compute(dataset.problem)
            self._seen[name] = seen
            self._errors.pop(name, None)
            if error is None:
                log.info("data fit", dataset=name)
            else:
                self._errors[name] = error
                log.error("data do not fit, jobs on them are refused", dataset=name, code=error.code, why=error.message)


def _version(path: Path) -> tuple[int, int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
