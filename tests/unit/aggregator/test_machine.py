# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import asyncio

import pytest

from coterie_aggregator.machines.driver import Machine, Tasks
from coterie_common.errors import StorageError
from tests.support.asynchronous import asynchronous


class Recorder:
    """A machine that counts up; at each number the effect of that name is outstanding, and "always"."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.machine = Machine[int, int, str](
            0,
            step=lambda state, event: state + event,
            outstanding=lambda state: frozenset({f"at {state}", "always"}),
            persist=self._persist,
            start=self._start,
        )
        self.failing = False

    async def _persist(self, event: int) -> None:
        if self.failing:
            raise StorageError("the disk is full")
        self.log.append(f"persist {event} at state {self.machine.state}")

    def _start(self, effect: str) -> Running | None:
        self.log.append(f"start {effect}")
        return None if effect == "always" else Running(effect, self.log)

    def taken(self) -> list[str]:
        log, self.log[:] = list(self.log), []
        return log


class Running:
    def __init__(self, effect: str, log: list[str]) -> None:
        self._effect = effect
        self.log = log

    def cancel(self) -> None:
        self.log.append(f"cancel {self._effect}")


@asynchronous
async def test_take_persists_first_then_changes_then_acts():
    recorder = Recorder()
    recorder.machine.carry_out()
    assert sorted(recorder.taken()) == ["start always", "start at 0"]
    assert await recorder.machine.take(2)
    assert recorder.taken() == ["persist 2 at state 0", "cancel at 0", "start at 2"]
    assert recorder.machine.state == 2


@asynchronous
async def test_take_of_an_event_that_changes_nothing_does_nothing():
    recorder = Recorder()
    recorder.machine.carry_out()
    recorder.taken()
    assert not await recorder.machine.take(0)
    assert recorder.taken() == []


@asynchronous
async def test_take_that_cannot_be_persisted_changes_nothing():
    recorder = Recorder()
    recorder.machine.carry_out()
    recorder.taken()
    recorder.failing = True
    with pytest.raises(StorageError):
        await recorder.machine.take(1)
    assert (recorder.machine.state, recorder.taken()) == (0, [])


def test_carry_out_again_starts_nothing_twice():
    recorder = Recorder()
    recorder.machine.carry_out()
    recorder.taken()
    recorder.machine.carry_out()
    assert recorder.taken() == []


@asynchronous
async def test_repeat_starts_what_is_still_outstanding_again_and_nothing_else():
    recorder = Recorder()
    recorder.machine.carry_out()
    await recorder.machine.take(1)
    recorder.taken()
    recorder.machine.repeat(["at 0", "at 1", "at 7"])
    assert recorder.taken() == ["start at 1"]


@asynchronous
async def test_stop_calls_off_what_can_be_called_off():
    recorder = Recorder()
    recorder.machine.carry_out()
    recorder.taken()
    recorder.machine.stop()
    assert recorder.taken() == ["cancel at 0"]
    assert recorder.machine.state == 0
    recorder.machine.repeat(["at 0"])
    assert recorder.taken() == []


def test_restarted_machine_starts_what_is_outstanding_in_its_state():
    recorder = Recorder()
    recorder.machine.state = 5
    recorder.machine.carry_out()
    assert sorted(recorder.taken()) == ["start always", "start at 5"]


@asynchronous
async def test_tasks_run_and_are_cancelled_together():
    tasks, ended = Tasks(), []

    async def work(name: str, release: asyncio.Event) -> None:
        try:
            await release.wait()
            ended.append(f"{name} done")
        except asyncio.CancelledError:
            ended.append(f"{name} cancelled")
            raise

    now, never = asyncio.Event(), asyncio.Event()
    now.set()
    first = tasks.spawn(work("first", now))
    second = tasks.spawn(work("second", never))
    await first
    await tasks.cancel()
    assert ended == ["first done", "second cancelled"]
    assert second.cancelled()
    await tasks.cancel()
