# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Drives a pure state machine: takes an event, persists it, then carries out the effects that became outstanding.

Invariants:
- An event is durable before anything that follows from it is visible outside.
- Exactly the effects outstanding in the state are carried out: after a restart the same ones are started again.
- ``take`` is called from one task only; computations run elsewhere and come back as events.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, Protocol, TypeVar

import structlog

log = structlog.get_logger(__name__)
S = TypeVar("S")
E = TypeVar("E")
F = TypeVar("F")


class Running(Protocol):
    """The handle of a started effect, by which it can be cancelled."""

    def cancel(self) -> object:
        """Cancel it; its result would be ignored anyway."""
        ...


class Machine(Generic[S, E, F]):
    """One live state machine.

    Args:
        state: the state to continue from.
        step: pure transition; returns the very same state for an event that does not apply.
        outstanding: pure; the effects outstanding in a state.
        persist: makes one event durable.
        start: begins one effect and returns what cancels it, or ``None``.
    """

    def __init__(
        self,
        state: S,
        *,
        step: Callable[[S, E], S],
        outstanding: Callable[[S], frozenset[F]],
        persist: Callable[[E], Awaitable[None]],
        start: Callable[[F], Running | None],
    ) -> None:
        self.state = state
        self._step = step
        self._outstanding = outstanding
        self._persist = persist
        self._start = start
        self._active: dict[F, Running | None] = {}

    async def take(self, event: E, persist: Callable[[E], Awaitable[None]] | None = None) -> bool:
        """Take one event; returns whether it changed the state.

        Args:
            event: that happened.
            persist: makes this one event durable, where more than the event is stored along with it.
        """
        following = self._step(self.state, event)
        if following is self.state or following == self.state:
            return False
        await (persist or self._persist)(event)
        self.state = following
        self.carry_out()
        return True

    def carry_out(self) -> None:
        """Start the effects that are outstanding and not started yet; cancel those that lapsed."""
        wanted = self._outstanding(self.state)
        for lapsed in self._active.keys() - wanted:
            if running := self._active.pop(lapsed):
                running.cancel()
        for effect in wanted - self._active.keys():
            self._active[effect] = self._start(effect)

    def repeat(self, effects: Iterable[F]) -> None:
        """Start again those of ``effects`` that are outstanding, because their first start may have been in vain."""
        for effect in effects:
            if effect in self._active:
                self._active[effect] = self._start(effect)

    def stop(self) -> None:
        """Cancel everything; the state stays."""
        for running in self._active.values():
            if running:
                running.cancel()
        self._active.clear()


class Tasks:
    """Keeps background tasks alive until they are done, and cancels them all at the end."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()

    def spawn(self, work: Awaitable[None]) -> asyncio.Task[None]:
        """Start ``work``, which handles its own errors; any error that escapes it is logged."""
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (failure := task.exception()) is not None:
            log.error("background work failed", exc_info=failure)

    async def cancel(self) -> None:
        """Cancel all tasks and wait until they have ended."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
