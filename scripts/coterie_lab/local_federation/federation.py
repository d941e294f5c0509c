# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Founding and running a federation on one machine, with the same commands that people type on many.

Every member has a folder of its own and sees nothing of the others: only requests and bundles are copied between them,
as people would send them.
"""

from __future__ import annotations

import asyncio
import secrets
import shutil
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

from coterie_lab.local_federation.ports import LOOPBACK, free_port
from coterie_lab.local_federation.processes import CommandError, Daemons, command, commands
from coterie_lab.local_federation.relay import Listener, Relay, Traffic

START_SECONDS = 60


class CountingRelay:
    """Relays between parties and aggregator and counts the bytes on the sockets; it sees TLS only."""

    def __init__(self, server_port: int, listener: Listener | None) -> None:
        self.port = 0
        self._listener = listener
        self.traffic = Traffic()
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(server_port),))
        self._thread.start()
        self._ready.wait(START_SECONDS)

    async def _run(self, server_port: int) -> None:
        self._end = asyncio.Event()
        async with Relay(LOOPBACK, server_port, listener=self._listener) as relay:
            self.port, self.traffic = relay.port, relay.traffic
            self._ready.set()
            await self._end.wait()

    def stop(self) -> None:
        """Cut the connections and end the thread."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._end.set)
            self._thread.join()
            self._loop.close()


class Federation:
    """A federation below one folder.

    Args:
        folder: holds all files.
        parties: number of parties.
        listener: sees the bytes between parties and aggregator.
    """

    def __init__(self, folder: Path, parties: int, listener: Listener | None = None) -> None:
        self.folder = folder
        self.parties = [f"party-{number}" for number in range(1, parties + 1)]
        self.port = free_port()
        self.daemons = Daemons()
        self.relay: CountingRelay | None = None
        self._listener = listener
        self._founder = folder / "founder"
        self._aggregator = folder / "aggregator"

    def party_folder(self, party: str) -> Path:
        """Return a party's own working folder."""
        return self.folder / party

    def found(self, name: str, key_bits: int) -> str:
        """Make founder, aggregator and parties, admit them, deal the key; returns what founding printed."""
        for member in (self._founder, self._aggregator, *map(self.party_folder, self.parties)):
            member.mkdir(parents=True, exist_ok=True)
            _write_password(member / "password")
        explained = command(
            "coterie",
            *("found", name, "--parties", len(self.parties), "--key-bits", key_bits, "--password-file", "password"),
            folder=self._founder,
        )
        fingerprint = (self._founder / "federation/operator/founder").read_text().strip()
        self._config_aggregator(fingerprint)
        self.relay = CountingRelay(self.port, self._listener)
        address = f"localhost:{self.relay.port}"
        initialise = ("--founder", fingerprint, "--aggregator", address, "--password-file", "password")
        commands(
            "coterie-party",
            [(self.party_folder(party), ("init", party, *initialise, "--home", "home")) for party in self.parties],
        )
        return explained

    def _config_aggregator(self, fingerprint: str) -> None:
        arguments = ("--name", "localhost", "--founder", fingerprint, "--home", "home")
        command("coterie-aggregator", "init", *arguments, folder=self._aggregator)
        config = self._aggregator / "home/aggregator.toml"
        config.write_text(config.read_text() + f'\nlisten = "{LOOPBACK}:{self.port}"\n')

    def deal(self) -> None:
        """Carry the requests to the founder, deal the key, carry the bundles back."""
        requests = [
            self._carry(self.party_folder(party) / f"home/{party}.request", self._founder) for party in self.parties
        ]
        mine = self._carry(self._aggregator / "home/aggregator.request", self._founder)
        password = ("--password-file", "password")
        command("coterie", "admit", *requests, "--role", "party", "--yes", *password, folder=self._founder)
        command("coterie", "admit", mine, "--role", "aggregator", "--yes", *password, folder=self._founder)
        command("coterie", "keys", "deal", *password, folder=self._founder)
        calls = []
        for party in self.parties:
            bundle = self._carry(self._founder / f"federation/bundles/{party}.bundle", self.party_folder(party))
            calls.append((self.party_folder(party), ("keys", "import", bundle, "--home", "home", *password)))
        commands("coterie-party", calls)
        bundle = self._carry(self._founder / "federation/bundles/aggregator.bundle", self._aggregator)
        command("coterie-aggregator", "keys", "import", bundle, "--home", "home", folder=self._aggregator)

    def _carry(self, source: Path, folder: Path) -> str:
        shutil.copy(source, folder / source.name)
        return source.name

    def bind(self, party: str, dataset: str, policy: str, job: str, file: str | None = None) -> None:
        """Let a party's steward bind the data set as a job file describes it, and write the policy.

        Args:
            party: whose steward it is.
            dataset: name under which jobs ask for it.
            policy: text of ``policy.toml``.
            job: text of the job file.
            file: name of the file in the party's folder; ``DATASET.csv`` unless given.
        """
        home = self.party_folder(party) / "home"
        config = home / "party.toml"
        path = file or f"{dataset}.csv"
        binding = f'path = "../{path}"\nschemas = ["{dataset}.toml"]\n'
        config.write_text(config.read_text() + f'\npassword_file = "../password"\n\n[datasets.{dataset}]\n{binding}')
        (home / f"{dataset}.toml").write_text(job)
        (home / "policy.toml").write_text(policy)

    def start(self) -> None:
        """Start the aggregator and every party as processes of their own."""
        self.start_aggregator()
        for party in self.parties:
            self.start_party(party)

    def start_aggregator(self) -> None:
        """Start the aggregator's daemon and wait until it listens."""
        self.daemons.start("aggregator", "coterie-aggregator", "serve", "--home", "home", folder=self._aggregator)
        self.wait_until(self._is_serving, "the aggregator to serve")

    def start_party(self, party: str) -> None:
        """Start one party's daemon."""
        self.daemons.start(party, "coterie-party", "run", "--home", "home", folder=self.party_folder(party))

    def _is_serving(self) -> bool:
        with socket.socket() as probe:
            probe.settimeout(1)
            return probe.connect_ex((LOOPBACK, self.port)) == 0

    def wait_until(self, condition: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
        """Poll ``condition``; raises ``CommandError`` when a daemon dies or the time is over."""
        began = looked = time.monotonic()
        while not condition():
            self.daemons.check()
            now = time.monotonic()
            if now > began + seconds:
                raise CommandError(f"waited {seconds:.0f} s for {what} in vain; the logs are in {self.folder}")
            # A condition that runs a command may take no more than half the processor from those it waits for.
            time.sleep(max(0.05, now - looked))
            looked = time.monotonic()

    @property
    def operator(self) -> tuple[str, ...]:
        """Options with which the operator's commands reach the aggregator."""
        credential = self._founder / "federation/operator"
        return ("--aggregator", f"localhost:{self.port}", "--credential", str(credential))

    def model(self, party: str) -> Path | None:
        """Return the model file in a party's folder, if it is there."""
        models = self.party_folder(party) / "home/models"
        return next((path for path in models.glob("*") if path.suffix in (".json", ".safetensors")), None)

    def stop(self) -> None:
        """Stop everything that was started."""
        self.daemons.stop()
        if self.relay:
            self.relay.stop()


def _write_password(path: Path) -> None:
    path.write_text(secrets.token_urlsafe(24) + "\n")
    path.chmod(0o600)
