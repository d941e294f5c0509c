# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A federation from nothing to imported keys by invitation: the commands of docs/founding.md, all on one host."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from coterie_lab.local_federation.processes import BIN
from tests.support.documented import by_invitation

PARTIES = ("hospital-1", "hospital-2", "hospital-3")
SECONDS = 120
PHRASE = re.compile(r"^Phrase.*: ([a-z]+(?:-[a-z]+){3})$", re.M)
TOKEN = re.compile(r"^Token of the [a-z]+ (\S+), .*:\n(coterie-\S+)$", re.M)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class Host:
    """One person's folder, and the processes in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir()
        (folder / "password").write_text("correct horse\n")
        (folder / "password").chmod(0o600)
        self.output = folder / "output"
        self.process: subprocess.Popen[bytes] | None = None

    def run(self, *words: object) -> str:
        done = subprocess.run(
            [BIN / str(words[0]), *map(str, words[1:])],
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=SECONDS,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def begin(self, *words: object) -> None:
        with self.output.open("ab") as stream:
            self.process = subprocess.Popen(
                [BIN / str(words[0]), *map(str, words[1:])],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=subprocess.STDOUT,
            )

    def end(self, number: int = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(SECONDS)

    def said(self) -> str:
        return self.output.read_text("utf-8") if self.output.exists() else ""

    def wait_until(self, condition: Callable[[str], object]) -> str:
        deadline = time.monotonic() + SECONDS
        while not condition(self.said()):
            assert time.monotonic() < deadline, self.said()
            time.sleep(0.05)
        return self.said()


@pytest.fixture
def hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Host]]:
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    made = {name: Host(tmp_path / name) for name in ("founder", "aggregator", *PARTIES, "anna")}
    yield made
    for host in made.values():
        if host.process is not None and host.process.poll() is None:
            host.process.kill()
            host.process.wait(SECONDS)


@pytest.mark.slow  # a federation of real processes
def test_federation_is_founded_by_invitation_over_kills_and_interruptions(hosts, interruptible):
    founder, aggregator, anna = hosts["founder"], hosts["aggregator"], hosts["anna"]
    desk_port, port = free_port(), free_port()
    password = ("--password-file", "password")
    found, init, serve, join, admit, deal, invite, join_as_a_person, admit_her = by_invitation()
    found = found.replace("aggregator.example.org", f"localhost:{desk_port}")
    founded = founder.run(*found.split(), "--key-bits", 2048, *password)
    tokens = dict(TOKEN.findall(founded))
    assert tokens.keys() == {"aggregator", *PARTIES}
    phrases = {}

    phrases["aggregator"] = PHRASE.findall(aggregator.run(*init.replace("TOKEN", tokens["aggregator"]).split()))[0]
    config = aggregator.folder / "aggregator/aggregator.toml"
    everywhere = re.compile(r'^(?:# )?(listen|enrolment) = "[\d.]+:\d+"$', re.M)
    ports = {"listen": port, "enrolment": desk_port}
    config.write_text(everywhere.sub(lambda line: f'{line[1]} = "127.0.0.1:{ports[line[1]]}"', config.read_text()))
    aggregator.begin(*serve.split())

    # The parties begin when they like; the first before the aggregator listens, perhaps.
    for party in PARTIES:
        address = ("--aggregator", f"localhost:{port}")
        hosts[party].begin(*join.replace("TOKEN", tokens[party]).split(), *address, *password)
    for party in PARTIES:
        phrases[party] = PHRASE.findall(hosts[party].wait_until(lambda said: "is handed in" in said))[0]
    assert len(set(phrases.values())) == 4

    # Ctrl-C at one party, and a kill of the aggregator: everybody goes on with the same command.
    assert hosts["hospital-3"].end(signal.SIGINT) == 130
    aggregator.end(signal.SIGKILL)
    hosts["hospital-1"].wait_until(lambda said: "cannot be reached" in said)
    aggregator.begin(*serve.split())
    aggregator.wait_until(lambda said: said.count("receiving applicants") == 2)

    expected = [word for party in ("aggregator", *PARTIES) for word in ("--expect-phrase", phrases[party])]
    admitted = founder.run(*admit.split(), *expected, *password)
    for index, party in enumerate(PARTIES, 1):
        assert f"{party} is admitted as party with index {index}" in admitted
    hosts["hospital-1"].wait_until(lambda said: "Admitted as the party hospital-1 of clinics" in said)
    founder.run(*deal.split(), *password)
    for party in ("hospital-1", "hospital-2"):
        assert "of clinics, is imported" in hosts[party].wait_until(lambda said: "Next: bind" in said)
        assert hosts[party].process.wait(SECONDS) == 0
    assert "is imported and checked" in hosts["hospital-3"].run(
        *join.replace("TOKEN", tokens["hospital-3"]).split(), *password
    )
    aggregator.wait_until(lambda said: "serving" in said)

    # A person joins while everything runs.
    invited = founder.run(*invite.split(), *password)
    token = dict(TOKEN.findall(invited))["anna"]
    anna.begin(*join_as_a_person.replace("TOKEN", token).split())
    phrase = PHRASE.findall(anna.wait_until(lambda said: "is handed in" in said))[0]
    assert "Published for anna" in founder.run(*admit_her.split(), "--expect-phrase", phrase, *password)
    anna.wait_until(lambda said: "is the credential of the scientist anna of clinics" in said)
    assert anna.process.wait(SECONDS) == 0
    assert aggregator.end() == 0
