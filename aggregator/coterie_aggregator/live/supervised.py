# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A job's work, in background tasks and in the coordinator's: an error in it ends that job and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial as bind

from coterie_aggregator.live.context import Context
from coterie_aggregator.machines.driver import Running
from coterie_common.errors import PeerError, StorageError
from coterie_common.host.incidents import is_own_cancelling

Broken = Callable[[BaseException], Awaitable[None]]


class Supervised:
    """Starts work of one job.

    Args:
        context: of the aggregator.
        broken: ends the job, in the coordinator's task, because of a failure.

    A storage failure stops the daemon; an error of a peer is attributed to the message that caused it.
    """

    def __init__(self, context: Context, broken: Broken) -> None:
        self._context = context
        self._broken = broken

    def spawn(self, work: Awaitable[None]) -> Running:
        """Start work beside the coordinator's task."""
        return self._context.tasks.spawn(self._beside(work))

    def post(self, work: Callable[[], Awaitable[None]]) -> None:
        """Hand work to the coordinator's task."""
        self._context.post(bind(self._within, work))

    async def _beside(self, work: Awaitable[None]) -> None:
        try:
            await work
        except StorageError as error:
            self._context.halt(error)
        except asyncio.CancelledError as failure:
            if is_own_cancelling():
                raise
            self._context.post(bind(self._broken, failure))
        except Exception as failure:  # noqa: BLE001  # a supervisor: see the module
            self._context.post(bind(self._broken, failure))

    async def _within(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except (StorageError, PeerError):
            raise
        except Exception as failure:  # noqa: BLE001  # a supervisor: see the module
            await self._broken(failure)
