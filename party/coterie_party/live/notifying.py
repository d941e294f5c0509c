# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Running the steward's command when a job waits, so that nobody has to look for it.

The command gets the facts as environment variables and as one JSON object on standard input. It is run without a shell,
one at a time, and stopped when its time is over. Neither its success nor its failure changes anything for the job.

Invariant: text written by others is escaped and truncated before the command sees it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import structlog

from coterie_common.identifiers import JobId
from coterie_common.shown import shown

log = structlog.get_logger(__name__)

SECONDS: Final = 30.0
"""Time limit of one run: enough to hand a mail to a server."""

MAX_WAITING: Final = 100
"""Maximum number of queued runs, so that an aggregator that proposes more does not fill the memory."""

_MAX_REMEMBERED: Final = 10_000


class Notifier:
    """Notifies the steward of waiting jobs, once for each job and reason.

    Args:
        command: program and arguments; none: nothing is run.
        folder: the party's, in which it is run; a relative program is found there.
        seconds: limit of one run.
    """

    def __init__(self, command: Sequence[str], folder: Path, seconds: float = SECONDS) -> None:
        self._command = tuple(command)
        self._folder = folder
        self._seconds = seconds
        self._told: dict[tuple[JobId, str], None] = {}
        self._queue: asyncio.Queue[Mapping[str, str]] = asyncio.Queue(MAX_WAITING)

    def job_waits(self, job_id: JobId, reason: str, facts: Mapping[str, str]) -> None:
        """Queue the command for a job that waits, unless it has run for this job and reason.

        Args:
            job_id: the job.
            reason: why it waits.
            facts: further values, by name in lower case with underscores.
        """
        if not self._command or (job_id, reason) in self._told:
            return
        self._told[job_id, reason] = None
        if len(self._told) > _MAX_REMEMBERED:
            del self._told[next(iter(self._told))]
        told = {"event": "job-waits", "job": job_id, "reason": reason, **facts}
        try:
            self._queue.put_nowait({name: shown(value) for name, value in told.items()})
        except asyncio.QueueFull:
            log.warning("not notified: too many notifications wait", job=job_id)

    async def run(self) -> None:
        """Run the command for everything queued, one after the other, until cancelled."""
        while True:
            await self._notify(await self._queue.get())

    async def _notify(self, facts: Mapping[str, str]) -> None:
        variables = {f"COTERIE_{name.upper()}": value for name, value in facts.items()}
        try:
            process = await asyncio.create_subprocess_exec(
                *self._command,
                cwd=self._folder,
                env=os.environ | variables,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.DEVNULL,
                stderr=asyncio.subprocess.DEVNULL,
                start_new_session=True,
            )
        except (OSError, ValueError) as failure:
            log.error("notify: the command cannot be run", job=facts["job"], why=type(failure).__name__)
            return
        try:
            async with asyncio.timeout(self._seconds):
                await process.communicate(json.dumps(dict(facts)).encode() + b"\n")
        except TimeoutError:
            log.error("notify: the command took too long", job=facts["job"], seconds=self._seconds)
        else:
            if process.returncode:
                log.error("notify: the command failed", job=facts["job"], status=process.returncode)
        finally:
            # With every process that it started; it may have ended by itself.
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            with suppress(ProcessLookupError):
                await process.wait()
