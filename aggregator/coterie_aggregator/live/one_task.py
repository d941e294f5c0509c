# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The coordinator's one task: every piece of work of every job passes through it, in the order in which it was posted.

Invariants:
- Storage that fails ends the task, and with it the daemon; nothing else does.
- Whoever waits for work learns its result or its error, also that the task has ended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import structlog

from coterie_common.errors import PeerError, StorageError, Unavailable
from coterie_common.host.incidents import Incidents

log = structlog.get_logger(__name__)
T = TypeVar("T")

Work = Callable[[], Awaitable[None]]


class OneTask:
    """See the module."""

    def __init__(self) -> None:
        self._inbox: asyncio.Queue[Work] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def post(self, work: Work) -> None:
        """Hand over a piece of work; nobody waits for it."""
        self._inbox.put_nowait(work)

    def start(self, incidents: Incidents) -> None:
        """Begin to work; ``incidents`` takes what nobody foresaw."""
        self._task = asyncio.create_task(self._run(incidents))

    async def wait(self) -> None:
        """Wait for the task; raises the error that ended it."""
        if self._task:
            await self._task

    async def stop(self) -> None:
        """Stop; what was posted and not done yet is dropped."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def in_order(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work`` when its turn comes and return its result; raises ``Unavailable`` once the task has ended."""
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        async def run() -> None:
            try:
                result = await work()
            except StorageError as error:
                if not done.done():
                    done.set_exception(error)
                raise
            except Exception as error:  # noqa: BLE001  # not swallowed: handed to the waiting caller
                if not done.done():
                    done.set_exception(error)
            else:
                if not done.done():
                    done.set_result(result)

        if self._task is None:
            raise Unavailable("the aggregator has not started yet")
        self.post(run)
        first: set[asyncio.Future[Any]] = {done, self._task}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if not done.done():
            raise Unavailable("the aggregator is stopping")
        return done.result()

    async def _run(self, incidents: Incidents) -> None:
        while True:
            work = await self._inbox.get()
            try:
                await work()
            except StorageError:
                raise
            except PeerError as error:
                log.warning("message rejected", code=error.code, why=error.message, culprits=error.culprits)
            except Exception as failure:  # noqa: BLE001  # a supervisor: one job's trouble must not stop the others
                incidents.take(failure, "coordinator")
