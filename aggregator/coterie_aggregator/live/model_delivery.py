# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A job's model on its way to the parties: all are sent it at the same time, so it is read and signed once for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from coterie_aggregator.live.context import Context
from coterie_aggregator.live.submission import make_delivery
from coterie_common.errors import StorageError
from coterie_common.identifiers import JobId
from coterie_common.protocol.messages import ModelDelivery


class StoredModelDelivery:
    """The delivery of one job's model.

    Args:
        context: of the aggregator.
        job_id: the job; its model is in the store before anything is asked of this.
        is_shared: whether it stays in memory for the next party: one that withholds its receipt must not keep it there.
    """

    def __init__(self, context: Context, job_id: JobId, is_shared: Callable[[], bool]) -> None:
        self._context = context
        self._job_id = job_id
        self._is_shared = is_shared
        self._delivery: ModelDelivery | None = None
        self._digest = b""
        self._loading = asyncio.Lock()

    async def load(self) -> ModelDelivery:
        """Return the signed delivery; raises ``StorageError`` where the model is not stored."""
        async with self._loading:
            if self._delivery is not None:
                return self._delivery
            model = await self._context.on_writer(self._context.store.model, self._job_id)
            if model is None:
                raise StorageError(f"the model of job {self._job_id} is not stored")
            made = await self._context.compute(make_delivery, self._job_id, model, self._context.signing_key)
            delivery, self._digest = made
            self._delivery = delivery if self._is_shared() else None
            return delivery

    async def digest(self) -> bytes:
        """Return the model's digest; as ``load``."""
        if not self._digest:
            await self.load()
        return self._digest

    def drop(self) -> None:
        """Let go of it; a party that comes late has it read again."""
        self._delivery = None
