# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Docker's command line, for one compose project: every object of it is found by the label that compose gives it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

ROOT = Path(__file__).resolve().parents[3]
COMPOSE_FILE = ROOT / "docker" / "compose.yaml"
IMAGE = "coterie-testbed"

COMMAND_SECONDS = 120
END_SECONDS = 10
REMOVALS = 3
SETTLE_SECONDS = 0.5


class EngineError(Exception):
    """A command of the engine's failed, or did not answer; its words are in the text."""


def run(*command: object, seconds: float = COMMAND_SECONDS, accept: Sequence[int] = (0,), given: str = "") -> str:
    """Run a command to its end and return what it printed on standard output.

    It gets a session of its own: Ctrl-C reaches this process only, which then removes everything in order.

    Raises:
        EngineError: another status than those accepted, or not over in time.
    """
    words = list(map(str, command))
    with subprocess.Popen(
        words,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        start_new_session=True,
    ) as process:
        try:
            out, err = process.communicate(given, timeout=seconds)
        except BaseException as cause:
            _kill(process)
            if isinstance(cause, subprocess.TimeoutExpired):
                raise EngineError(f"'{' '.join(words)}' took longer than {seconds:.0f} s") from cause
            raise
    if process.returncode not in accept:
        said = (err.strip() or out.strip()).splitlines()[-8:]
        raise EngineError(f"'{' '.join(words)}' ended with {process.returncode}: " + "\n  ".join(said))
    return out


@contextmanager
def running(*command: object) -> Iterator[IO[str]]:
    """Run a command beside this program and give its output line by line; it is ended when the block is left."""
    with subprocess.Popen(
        list(map(str, command)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        bufsize=1,
        start_new_session=True,
    ) as process:
        try:
            if process.stdout is None:
                raise EngineError("a command without output")  # it was given a pipe above
            yield process.stdout
            process.wait(END_SECONDS)
        finally:
            if process.poll() is None:
                _kill(process)
    if process.returncode:
        raise EngineError(f"'{' '.join(map(str, command))}' ended with {process.returncode}")


class Project:
    """The objects of one compose project.

    Args:
        name: the project's name.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._label = f"label=com.docker.compose.project={name}"

    def compose(self, *arguments: object, seconds: float = COMMAND_SECONDS) -> str:
        """Run docker compose, whichever of its two generations is installed."""
        return run(*_compose(), "-p", self.name, "-f", COMPOSE_FILE, *arguments, seconds=seconds)

    def containers(self, service: str | None = None) -> list[str]:
        """Return the ids of the containers, running or not."""
        narrowed = ("--filter", f"label=com.docker.compose.service={service}") if service else ()
        return run("docker", "ps", "-aq", "--no-trunc", "--filter", self._label, *narrowed).split()

    def container(self, service: str) -> str:
        """Return the id of a service's one container."""
        found = self.containers(service)
        if len(found) != 1:
            raise EngineError(f"there are {len(found)} containers of {service}, expected one")
        return found[0]

    def networks(self) -> list[str]:
        """Return the names of the networks."""
        return run("docker", "network", "ls", "--filter", self._label, "--format", "{{.Name}}").split()

    def volumes(self) -> list[str]:
        """Return the names of the volumes."""
        return run("docker", "volume", "ls", "--filter", self._label, "--format", "{{.Name}}").split()

    def volume(self, short: str) -> str:
        """Return the full name of a volume of the compose file."""
        return f"{self.name}_{short}"

    def inspect(self) -> list[dict[str, Any]]:
        """Return the engine's description of every container."""
        ids = self.containers()
        found: list[dict[str, Any]] = json.loads(run("docker", "inspect", *ids)) if ids else []
        return found

    def state(self, service: str) -> dict[str, Any]:
        """Return a container's state."""
        state: dict[str, Any] = json.loads(
            run("docker", "inspect", "--format", "{{json .State}}", self.container(service))
        )
        return state

    def execute(self, service: str, *command: object, accept: Sequence[int] = (0,)) -> str:
        """Run a command inside a service's container."""
        return run("docker", "exec", self.container(service), *command, accept=accept)

    def logs(self, service: str, lines: int) -> list[str]:
        """Return the end of a service's log, both streams."""
        with running("docker", "logs", "--tail", lines, self.container(service)) as stream:
            return [line.rstrip() for line in stream]

    def remove(self) -> None:
        """Remove every container, network and volume, in any state.

        Raises:
            EngineError: something is still there.
        """
        # After compose was interrupted, the engine may still be carrying out its last request.
        for _ in range(REMOVALS):
            if containers := self.containers():
                run("docker", "rm", "--force", "--volumes", *containers)
            if networks := self.networks():
                run("docker", "network", "rm", *networks)
            if volumes := self.volumes():
                run("docker", "volume", "rm", "--force", *volumes)
            time.sleep(SETTLE_SECONDS)
            if not (left := self.left()):
                return
        raise EngineError(f"still there after removing everything: {', '.join(left)}")

    def left(self) -> list[str]:
        """Return every existing object of the project, each with its kind."""
        return [
            *(f"container {name[:12]}" for name in self.containers()),
            *(f"network {name}" for name in self.networks()),
            *(f"volume {name}" for name in self.volumes()),
        ]


def _kill(process: subprocess.Popen[str]) -> None:
    """End a command and what it has started: compose is a program of its own below docker."""
    os.killpg(process.pid, signal.SIGKILL)


def compose_words() -> str:
    """Return the command with which a person calls docker compose on the testbed."""
    return " ".join((*_compose(), "-f", "docker/compose.yaml"))


def _compose() -> tuple[str, ...]:
    plugin = subprocess.run(["docker", "compose", "version"], capture_output=True, check=False)
    if plugin.returncode == 0:
        return ("docker", "compose")
    if shutil.which("docker-compose"):
        return ("docker-compose",)
    raise EngineError("docker compose is missing: neither 'docker compose' nor 'docker-compose' is installed")
