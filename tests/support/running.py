# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A federation of real processes for tests, with everything that passes between parties and aggregator recorded."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from coterie_lab.local_federation.data import NURSERY, read_rows, split, write_rows
from coterie_lab.local_federation.federation import Federation
from coterie_lab.local_federation.processes import BIN
from coterie_lab.local_federation.relay import Direction
from tests.support.nursery import nursery_toml

POLICY = """\
automatic = true
algorithms = ["decision_tree", "statistics"]
epsilon_per_job = 2
delta_per_job = 1e-5

[lifetime]
epsilon = 1000
delta = 1e-5
"""


class RunningFederation(Federation):
    def __init__(self, folder: Path, parties: int = 5) -> None:
        self.first_bytes: dict[int, bytes] = {}
        self._before_bytes: Callable[[], object] = lambda: None
        self.recorded: dict[tuple[int, Direction], list[bytes]] = defaultdict(list)
        super().__init__(folder, parties, self._record)

    def begin(self) -> None:
        self.found("test", 2048)
        self.deal()
        parts = split(read_rows(NURSERY), len(self.parties)).parties
        for party, rows in zip(self.parties, parts, strict=True):
            write_rows(self.party_folder(party) / "nursery.csv", rows)
            self.bind(party, "nursery", POLICY, nursery_toml(max_depth=1))
        self.start()
        self.wait_until(lambda: self.connected() == set(self.parties), "all parties to connect")

    def run(self, program: str, *arguments: object, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [BIN / program, *map(str, arguments)],
            cwd=folder or self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )

    def operate(self, *arguments: object) -> Any:
        """Run an operator's command with --json and return what it printed."""
        done = self.run("coterie", *arguments, "--json", *self.operator)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def connected(self) -> set[str]:
        return {party["party_id"] for party in self.operate("parties") if party["connected"]}

    def submit(self, *, sealing: str = "", **rounds: int) -> str:
        path = self.folder / "job.toml"
        stated = f'sealing = "{sealing}"\n' if sealing else ""
        path.write_text(stated + nursery_toml(max_depth=2, **rounds))
        done = self.run("coterie", "jobs", "submit", path, "--again", *self.operator)
        assert done.returncode == 0, done.stderr
        return next(word for word in done.stdout.split() if word.startswith("nursery-tree-"))

    def finish(self, job_id: str) -> dict[str, Any]:
        """Wait for the end of a job and return its status."""
        self.run("coterie", "jobs", "watch", job_id, *self.operator)
        return next(job for job in self.operate("jobs", "list") if job["job_id"] == job_id)

    def rows(self, party: str, table: str, job_id: str) -> int:
        """Count what a party has stored of a job."""
        path = self.party_folder(party) / "home/store/party.db"
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as database:
            query = f"SELECT count(*) FROM {table} WHERE job_id = ?"  # noqa: S608  # names from the tests
            return int(database.execute(query, (job_id,)).fetchone()[0])

    def model_of(self, party: str, job_id: str) -> Path:
        return self.party_folder(party) / f"home/models/{job_id}.json"

    def poll(self, condition: Callable[[], bool], what: str) -> None:
        """Wait for something that lasts milliseconds only."""
        deadline = time.monotonic() + 300
        while not condition():
            assert time.monotonic() < deadline, f"waited for {what} in vain"
            # A loop without a pause takes a whole core from the daemons.
            time.sleep(0.005)

    def kill_once(self, party: str, condition: Callable[[], bool], what: str) -> None:
        """Kill a party once something holds: before any more bytes pass, so that the others cannot run ahead."""
        lock, is_killed = threading.Lock(), threading.Event()

        def look() -> bool:
            with lock:
                if not is_killed.is_set() and condition():
                    self.daemons.kill(party)
                    is_killed.set()
            return is_killed.is_set()

        self._before_bytes = look
        try:
            self.poll(look, what)
        finally:
            self._before_bytes = lambda: None

    def _record(self, connection: int, direction: Direction, data: bytes) -> None:
        self._before_bytes()
        if direction is Direction.TO_SERVER:
            self.first_bytes.setdefault(connection, data)
        self.recorded[connection, direction].append(data)
