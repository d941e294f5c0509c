# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Coordinators that stop for good at a chosen write, as a process does that is killed there, or whose disk fails.

Every durable act of a coordinator goes through ``Context.write``. Nothing is written after the stop, so what a new
coordinator finds is what the killed one left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, ParamSpec, TypeVar

from coterie_aggregator.live.context import Context as AggregatorContext
from coterie_common.errors import StorageError
from coterie_party.live.context import Context as PartyContext

Q = ParamSpec("Q")
T = TypeVar("T")

READS = frozenset(
    {
        *(
            "job",
            "jobs",
            "job_events",
            "round",
            "round_events",
            "ended_at",
            "round_event_times",
            "model_stored_at",
            "latest_state",
            "transcripts",
            "model",
        ),
        *("of", "opened_step", "reply_in_session", "acceptance", "encapsulations", "reply_list"),
        *("models", "jobs_of", "contribution", "partial", "reply", "transcript", "previous_cohort", "ledger", "salt"),
        *("opened_step", "asked_steps", "quorum"),
        *(
            "padded_facts",
            "sum_pieces",
            "padded_parties",
            "ruling",
            "held_jobs",
            "datasets",
            "asked_jobs",
            "check_room",
            "data_version",
            "divisions",
        ),
    }
)
"""Functions of stores and spool that change nothing (but for the salt, which is drawn once)."""


class Crash:
    """Where to stop: before or after the nth call of one function, or of any that writes if none is named.

    A crash that is never reached, such as the 0th call, counts only: ``writes`` lists the calls in order. With an
    ``error`` the call raises it instead of stopping, and so does every later one. With ``when`` only calls count during
    which it is true; it may be set later.
    """

    def __init__(
        self,
        function: str = "",
        *,
        nth: int = 1,
        after: bool = False,
        error: StorageError | None = None,
        when: Callable[[], bool] = lambda: True,
    ) -> None:
        self.reached = asyncio.Event()
        self.writes: list[str] = []
        self._function = function
        self._nth = nth
        self._after = after
        self._error = error
        self.when = when

    async def around(self, name: str, write: Callable[[], Awaitable[T]]) -> T:
        await self._stop_if_reached()
        if (name not in READS or name == self._function) and self.when():
            self.writes.append(name)
            if self._function in ("", name) and self._nth == self._calls():
                await self._stop_at(write)
        result = await write()
        await self._stop_if_reached()
        return result

    def _calls(self) -> int:
        return self.writes.count(self._function) if self._function else len(self.writes)

    async def _stop_at(self, write: Callable[[], Awaitable[object]]) -> None:
        if self._after:
            await write()
        self.reached.set()
        await self._stop_if_reached()

    async def _stop_if_reached(self) -> None:
        if not self.reached.is_set():
            return
        if self._error:
            raise self._error
        await _never()


async def _never() -> None:
    """Wait until the task is cancelled."""
    await asyncio.get_running_loop().create_future()


def no_crash() -> Crash:
    return Crash(nth=0)


@dataclass(frozen=True, kw_only=True)
class CrashingAggregatorContext(AggregatorContext):
    crash: Crash = field(default_factory=no_crash)
    wrote: Callable[[str, tuple[object, ...]], None] = field(default=lambda name, arguments: None)

    async def on_writer(self, function: Callable[Q, T], /, *arguments: Q.args, **named: Q.kwargs) -> T:
        on_writer = super().on_writer
        result = await self.crash.around(function.__name__, lambda: on_writer(function, *arguments, **named))
        self.wrote(function.__name__, arguments)
        return result

    async def on_writer_in_turn(self, *calls: partial[Any]) -> tuple[Any, ...]:
        """Each by itself: a process may be killed between them."""
        return tuple([await self.on_writer(call.func, *call.args, **call.keywords) for call in calls])


@dataclass(frozen=True, kw_only=True)
class CrashingPartyContext(PartyContext):
    crash: Crash = field(default_factory=no_crash)
    wrote: Callable[[str, tuple[object, ...]], None] = field(default=lambda name, arguments: None)

    async def on_writer(self, function: Callable[Q, T], /, *arguments: Q.args, **named: Q.kwargs) -> T:
        on_writer = super().on_writer
        result = await self.crash.around(function.__name__, lambda: on_writer(function, *arguments, **named))
        self.wrote(function.__name__, arguments)
        return result
