# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""People who read the pages from top to bottom and type what they read, each at a terminal in a folder of their own."""

from __future__ import annotations

import os
import re
import shutil
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from coterie_lab.local_federation.ports import free_port
from coterie_lab.local_federation.processes import BIN
from tests.support.documented import NOT_RUN, by_invitation, meaning
from tests.support.repository import ROOT
from tests.support.terminal import Terminal

PASSWORD = "correct horse battery staple"  # of nobody
_SECONDS = 120


class Readers:
    """``founder``, who operates too; ``host``, where the aggregator runs; ``anna``, a scientist; and the parties.

    Args:
        folder: has one folder for each of them.
        parties: ids.
        commands: page and command, in the order of the pages.
    """

    def __init__(self, folder: Path, parties: Iterable[str], commands: Iterable[tuple[str, str]]) -> None:
        self.folder = folder
        self.port = free_port()
        self.fingerprint = self.job = ""
        self.left: dict[str, list[str]] = defaultdict(list)
        """What nobody has typed yet, by page."""
        self._running: dict[str, Terminal] = {}
        self._exports: dict[str, str] = {}
        elsewhere = {("founding.md", command) for command in by_invitation()}
        for page, command in commands:
            if (page, command) in elsewhere:
                continue
            if command.split()[0] not in NOT_RUN and command not in self.left[page]:
                self.left[page].append(command)
        for who in ("founder", "host", "anna", *parties):
            self.at(who).mkdir()
            (self.at(who) / "examples").symlink_to(ROOT / "examples")

    def at(self, who: str, path: str = "") -> Path:
        return self.folder / who / path

    def carry(self, source: Path, who: str, name: str | None = None) -> None:
        """Send a file to somebody, by whatever means."""
        shutil.copy(source, self.at(who, name or source.name))

    def step(self, page: str, begin: str, *people: str, early: bool = False) -> str:
        """Have the next command of a page typed by some people, and return what it printed.

        Args:
            page: its file's name.
            begin: how the command begins.
            people: who types it.
            early: it may be a later command of the page.
        """
        said = self._next(page, begin, early)
        return self.together(*((who, said) for who in people))

    def at_once(self, *steps: tuple[str, str, str]) -> str:
        """Have the next commands of pages typed at the same time: page, how it begins, who."""
        return self.together(*[(who, self._next(page, begin, False)) for page, begin, who in steps])

    def together(self, *commands: tuple[str, str]) -> str:
        """Have things typed at the same time: who, what."""
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            return "".join(pool.map(lambda one: self.typed(*one), commands))

    def typed(self, who: str, command: str) -> str:
        """Have something typed, wait for its end, and return what it printed."""
        if command.startswith("export "):
            self._exports[who] = f"{command}; "
        terminal = self._begun(who, command)
        status = terminal.wait()
        assert status == 0, f"{who} $ {command}\n{terminal.text[-4000:]}"
        assert "Traceback" not in terminal.text
        return terminal.text

    def started(self, page: str, begin: str, *people: str) -> None:
        """Have the next command of a page typed by some people, and let it run."""
        command = self._next(page, begin, False)
        for who in people:
            self._running[who] = self._begun(who, command)

    def wait_for(self, who: str, pattern: str) -> None:
        """Wait until a daemon has logged something."""
        self.wait_until(lambda: re.search(pattern, self._running[who].text) is not None, f"{who} to log {pattern!r}")

    def wait_until(self, condition: Callable[[], bool], what: str) -> None:
        deadline = time.monotonic() + _SECONDS
        while not condition():
            for who, terminal in self._running.items():
                assert not terminal.is_over, f"what {who} ran ended\n{terminal.text[-4000:]}"
            assert time.monotonic() < deadline, f"waited for {what} in vain"
            time.sleep(0.05)

    def succeeds(self, who: str, command: str) -> bool:
        return self._begun(who, command).wait() == 0

    def end(self, *people: str) -> str:
        """End what some people, or all of them, still run, and return what it printed."""
        return "".join(self._running.pop(who).end() for who in people or tuple(self._running)[::-1])

    def _next(self, page: str, begin: str, early: bool) -> str:
        found = [command for command in self.left[page] if command.startswith(begin)]
        assert found, f"{page} has no further command {begin!r}"
        assert early or found[0] == self.left[page][0], f"{page}: {self.left[page][0]!r} comes before {found[0]!r}"
        # Other pages may say just the same: it is typed once.
        said = meaning(found[0])
        for commands in self.left.values():
            commands[:] = [command for command in commands if meaning(command) != said]
        return said

    def _begun(self, who: str, command: str) -> Terminal:
        home = {"founder": "federation", "host": "aggregator"}.get(who, "party")
        own = {"fingerprint": self.fingerprint, "port": self.port, "job": self.job, "who": who, "home": home}
        for name, value in own.items():
            command = command.replace(f"{{{name}}}", str(value))
        environment = {
            **os.environ,
            "PATH": f"{BIN}:{os.environ['PATH']}",
            # Another port than 8443, which may be taken where the tests run.
            "COTERIE_AGGREGATOR": f"localhost:{self.port}",
        }
        return Terminal(self._exports.get(who, "") + command, self.at(who), PASSWORD, environment)
