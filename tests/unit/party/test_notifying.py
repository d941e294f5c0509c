# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The steward's command: real programs, run for what waits."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable
from pathlib import Path

from structlog.testing import capture_logs

from coterie_common.identifiers import JobId
from coterie_party.live.notifying import MAX_WAITING, Notifier
from tests.support.asynchronous import asynchronous

WRITE = """
import json, os, sys
facts = json.load(sys.stdin)
named = {name: value for name, value in os.environ.items() if name.startswith("COTERIE_")}
with open("told", "a") as file:
    file.write(json.dumps([sys.argv[1:], facts, named]) + "\\n")
"""


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not holds():  # noqa: ASYNC110  # another process tells nobody
            await asyncio.sleep(0.02)


def lines(folder: Path) -> list[list[object]]:
    path = folder / "told"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@asynchronous
async def test_command_gets_the_facts_escaped_without_a_shell_and_once_per_reason(tmp_path):
    notifier = Notifier((sys.executable, "-c", WRITE, "$HOME; touch pwned"), tmp_path)
    task = asyncio.create_task(notifier.run())
    reason = "waits for its steward's word\x1b[2J\n$(touch pwned)"
    for _ in range(3):
        notifier.job_waits(JobId("tree-1"), reason, {"algorithm": "decision_tree"})
    notifier.job_waits(JobId("tree-1"), "waits for its hours", {})
    await until(lambda: len(lines(tmp_path)) == 2)
    task.cancel()
    (arguments, facts, named), (_, later, _) = lines(tmp_path)
    shown = "waits for its steward's word\\x1b[2J\\n$(touch pwned)"
    assert arguments == ["$HOME; touch pwned"]
    assert facts == {"event": "job-waits", "job": "tree-1", "reason": shown, "algorithm": "decision_tree"}
    assert isinstance(named, dict)
    assert (named["COTERIE_JOB"], named["COTERIE_REASON"]) == ("tree-1", shown)
    assert isinstance(later, dict)
    assert later["reason"] == "waits for its hours"
    assert not (tmp_path / "pwned").exists()


@asynchronous
async def test_failures_of_the_command_are_logged_and_the_next_one_runs(tmp_path):
    cases = {
        "cannot be run": ("/nowhere/at all",),
        "failed": (sys.executable, "-c", "raise SystemExit(3)"),
        "took too long": (sys.executable, "-c", "import time; time.sleep(600)"),
    }
    for words, command in cases.items():
        with capture_logs() as logs:
            notifier = Notifier(command, tmp_path, seconds=1)
            task = asyncio.create_task(notifier.run())
            for job in ("one", "two"):
                notifier.job_waits(JobId(job), "waits", {})
            await until(lambda logs=logs: len(logs) == 2)  # type: ignore[misc]
            task.cancel()
        assert [(entry["job"], words in entry["event"]) for entry in logs] == [("one", True), ("two", True)]


@asynchronous
async def test_more_than_can_wait_are_dropped_with_a_word(tmp_path):
    notifier = Notifier(("true",), tmp_path)
    with capture_logs() as logs:
        for number in range(MAX_WAITING + 2):
            notifier.job_waits(JobId(f"job-{number}"), "waits", {})
    assert [entry["job"] for entry in logs] == [f"job-{MAX_WAITING}", f"job-{MAX_WAITING + 1}"]


@asynchronous
async def test_without_a_command_nothing_is_remembered(tmp_path):
    notifier = Notifier((), tmp_path)
    notifier.job_waits(JobId("one"), "waits", {})
    assert notifier._queue.empty()
