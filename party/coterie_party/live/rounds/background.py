# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Long computations of rounds, outside the coordinator's loop: reading data, encrypting, checking.

Invariants:
- One piece of work per round and kind at a time. Their total number and the total size of their messages are limited.
- Work succeeds, or its failure is reported to its round, or the daemon stops: nothing fails silently.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, TypeAlias

import structlog

from coterie_common.errors import CoterieError, InternalError, Overloaded, StorageError
from coterie_common.host.incidents import Incidents, is_own_cancelling
from coterie_common.identifiers import JobId
from coterie_common.limits import MAX_WORK, WORK_BYTES
from coterie_common.protocol.messages import DecryptionRequest, Query

log = structlog.get_logger(__name__)

RoundKey: TypeAlias = tuple[JobId, int]
Asked: TypeAlias = Query | DecryptionRequest
Work: TypeAlias = Callable[[], Awaitable[None]]
Report: TypeAlias = Callable[[RoundKey, CoterieError, Asked | None], Awaitable[None]]


_RETRY_SECONDS: Final = 5.0


class BackgroundWork:
    """The work in progress, of all rounds."""

    def __init__(
        self,
        report: Report,
        incidents: Incidents,
        *,
        maximum: int = MAX_WORK,
        max_bytes: int = WORK_BYTES,
    ) -> None:
        """Take the function that reports to a round which work failed, and which message the work was for."""
        self._most = maximum
        self._most_bytes = max_bytes
        self._report = report
        self._incidents = incidents
        self._tasks: dict[tuple[RoundKey, str], asyncio.Task[None]] = {}
        self._sizes: dict[tuple[RoundKey, str], int] = {}
        self._failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def failed(self) -> None:
        """Wait for work that could be neither done nor refused; raises its error."""
        await asyncio.shield(self._failed)

    def check_room(self, message: Asked) -> None:
        """Check that work on a message may begin: an aggregator that invents rounds must not fill the memory.

        Raises:
            Overloaded: too much work is in progress; the message is forgotten and may be sent again.
        """
        if len(self._tasks) >= self._most or sum(self._sizes.values(), _size(message)) > self._most_bytes:
            raise Overloaded(
                f"{len(self._tasks)} rounds are being worked on, or their messages are too long together",
                retry_after_s=_RETRY_SECONDS,
            )

    def start(self, key: RoundKey, kind: str, work: Work, about: Asked | None = None) -> None:
        """Run one piece of work per round and kind at a time; an identical request meanwhile adds nothing."""
        if (key, kind) not in self._tasks:
            self._sizes[key, kind] = 0 if about is None else _size(about)
            self._tasks[key, kind] = asyncio.create_task(self._supervised(key, kind, work, about))

    async def cancel(self, job_id: JobId | None = None) -> None:
        """Cancel the work of a job, or all; work that was not persisted is redone when it is requested again."""
        gone = [work for work in self._tasks if job_id in (None, work[0][0])]
        useless = [self._tasks.pop(work) for work in gone]
        for work in gone:
            del self._sizes[work]
        for task in useless:
            task.cancel()
        await asyncio.gather(*useless, return_exceptions=True)

    async def _supervised(self, key: RoundKey, kind: str, work: Work, about: Asked | None) -> None:
        try:
            await self._reporting(key, kind, work, about)
        except Exception as failure:  # a supervisor: what could be neither done nor refused stops the daemon
            log.exception("round failed", job=key[0], round=key[1], step=kind)
            if not self._failed.done():
                self._failed.set_exception(failure)
        finally:
            if self._tasks.get((key, kind)) is asyncio.current_task():
                del self._tasks[key, kind], self._sizes[key, kind]

    async def _reporting(self, key: RoundKey, kind: str, work: Work, about: Asked | None) -> None:
        """Do a piece of work; its errors are reported, except storage failures."""
        try:
            await work()
        except StorageError:
            raise
        except InternalError as failure:
            await self._unforeseen(key, kind, failure, about)
        except CoterieError as error:
            await self._report(key, error, about)
        except asyncio.CancelledError as failure:
            if is_own_cancelling():
                raise
            await self._unforeseen(key, kind, failure, about)
        except Exception as failure:  # noqa: BLE001  # a supervisor: an algorithm that fails on these data must not stop the other jobs
            await self._unforeseen(key, kind, failure, about)

    async def _unforeseen(self, key: RoundKey, kind: str, failure: BaseException, about: Asked | None) -> None:
        await self._report(key, self._incidents.take(failure, kind, job=key[0], round=key[1]), about)


def _size(message: Asked) -> int:
    """Return approximately how much memory a message takes."""
    if isinstance(message, Query):
        return len(message.body)
    parts = (contribution.key_part for contribution in message.contributions)
    return sum(sum(map(len, part.ciphertexts)) + len(part.proof) for part in parts)
