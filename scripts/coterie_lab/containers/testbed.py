# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The testbed from its image to its removal, one method per phase."""

from __future__ import annotations

import json
import os
import re
import shlex
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coterie_lab.containers.checks import DAEMONS, PARTIES, check
from coterie_lab.containers.docker import IMAGE, ROOT, EngineError, Project, run, running
from coterie_lab.containers.faults import VICTIM, Faults

PROJECT = "coterie-testbed"
BUILD_SECONDS = 1800
FOUNDING_SECONDS = 900
CONNECT_SECONDS = 120
STOP_SECONDS = 60
FAULTY_DEADLINE_S = 8
MOUNTED = ("docker", "examples", "scripts/coterie_lab")
JOB = "/examples/jobs/nursery-tree.toml"
FETCHED = "/tmp/model.json"  # inside the operator's container, alone there

_JOB_ID = re.compile(r"[a-z0-9-]+-[0-9a-f]{8}")


@dataclass(frozen=True)
class Trained:
    """The results of a job.

    Attributes:
        job_id: of the job.
        model: the file.
        contributors: of each round.
        accuracy: on the records that no party has, in the words of ``coterie predict``.
    """

    job_id: str
    model: Path
    contributors: list[int]
    accuracy: str


class ContainerTestbed:
    """The federation of docker/compose.yaml.

    Args:
        say: reports each step to a person.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.project = Project(PROJECT)
        self._say = say

    def build(self) -> None:
        """Build the image; seconds if nothing has changed."""
        if closed := unreadable(*(ROOT / folder for folder in MOUNTED)):
            raise EngineError(
                f"the containers' user cannot read {closed[0]}; allow it: chmod -R a+rX {' '.join(MOUNTED)}"
            )
        options = shlex.split(os.environ.get("TESTBED_BUILD_OPTIONS", ""))
        run("docker", "build", *options, "-f", ROOT / "docker/Dockerfile", "-t", IMAGE, ROOT, seconds=BUILD_SECONDS)

    def up(self) -> None:
        """Found the federation, or go on with it, and wait until every party is connected."""
        try:
            self.project.compose("up", "--detach", "--no-build", seconds=FOUNDING_SECONDS)
            self._wait_until_healthy()
        except EngineError as cause:
            raise EngineError("\n".join([str(cause), *self._said_by_the_failed()])) from cause
        for line in self.project.logs("founding", 200):
            if line.startswith("  Up to") or "is founded" in line or "nothing changed" in line:
                self._say(line)

    def _wait_until_healthy(self) -> None:
        deadline = time.monotonic() + CONNECT_SECONDS
        while sick := [name for name in DAEMONS if self._health(name) != "healthy"]:
            ended = [name for name in sick if not self.project.state(name)["Running"]]
            if ended or time.monotonic() > deadline:
                raise EngineError(f"not healthy: {', '.join(ended or sick)}")
            time.sleep(0.5)

    def _health(self, service: str) -> str:
        return str(self.project.state(service).get("Health", {}).get("Status"))

    def _said_by_the_failed(self) -> list[str]:
        said = []
        for container in self.project.inspect():
            service, state = container["Config"]["Labels"]["com.docker.compose.service"], container["State"]
            if state["ExitCode"] or state.get("Health", {}).get("Status") == "unhealthy":
                said += [f"{service}: {line}" for line in self.project.logs(service, 3)]
        return said

    def check(self) -> None:
        """Raise ``EngineError`` unless every member has its own files and nothing else."""
        if faults := check(self.project):
            raise EngineError("the testbed does not keep what it promises:\n  " + "\n  ".join(faults))

    def train(self, out: Path, *, with_faults: bool) -> Trained:
        """Submit the job, follow it to its end, fetch and try the model.

        Args:
            out: folder for the model.
            with_faults: with a party in trouble all the while, and a shorter deadline to notice it by.
        """
        job_file, faults = JOB, None
        if with_faults:
            job_file, faults = "/tmp/job.toml", Faults(self.project, lambda text: self._say(f"  >> {text}"))
            shorter = f"s/^deadline_s = .*/deadline_s = {FAULTY_DEADLINE_S}/"
            self.project.execute("operator", "sh", "-c", f"sed '{shorter}' {JOB} > {job_file}")
        job_id, last = "", ""
        submit = ("coterie", "jobs", "submit", job_file, "--watch")
        with running("docker", "exec", self.project.container("operator"), *submit) as progress:
            for line in map(str.rstrip, progress):
                self._say(f"  {line}")
                last = line if ": " in line and not line.startswith(" ") else last
                job_id = job_id or (line if _JOB_ID.fullmatch(line) else "")
                if faults:
                    faults.see(line)
        if faults and faults.to_come:
            raise EngineError(f"the job was over before {faults.to_come} of the faults")
        return self._fetch(job_id, out)

    def _fetch(self, job_id: str, out: Path) -> Trained:
        self.project.execute("operator", "coterie", "models", "fetch", job_id, "--out", FETCHED)
        content = self.project.execute("operator", "cat", FETCHED)
        out.mkdir(parents=True, exist_ok=True)
        path = out / f"{job_id}.json"
        path.write_text(content, "utf-8")
        for party in PARTIES:
            self._require_model(party, job_id, content)
        lineage: dict[str, Any] = json.loads(content)["lineage"]
        predict = f"coterie predict {FETCHED} held-out.csv --out /tmp/predictions.csv 2>&1"
        accuracy = self.project.execute("operator", "sh", "-c", predict).splitlines()[-1]
        return Trained(job_id, path, lineage["contributors"], accuracy)

    def _require_model(self, party: str, job_id: str, content: str) -> None:
        deadline = time.monotonic() + CONNECT_SECONDS
        command = ("sh", "-c", f"cat models/{job_id}.json 2>/dev/null || true")
        while self.project.execute(party, *command) != content:
            if time.monotonic() > deadline:
                raise EngineError(f"{party} did not get the model")
            time.sleep(1)

    def recover(self) -> None:
        """Wait until the party that was in trouble is connected again like all others."""
        self._wait_until_healthy()
        self._say(f"  {VICTIM} is back; every party is connected")

    def stop(self) -> None:
        """Ask every daemon to end; raise ``EngineError`` if one did not end in order."""
        self.project.compose("stop", seconds=STOP_SECONDS)
        for service in DAEMONS:
            if code := self.project.state(service)["ExitCode"]:
                raise EngineError(f"{service} ended with {code}: " + " | ".join(self.project.logs(service, 3)))


def unreadable(*folders: Path) -> list[Path]:
    """Return the paths below the folders that others may not read: the containers' user is no user of this machine."""
    return [
        path
        for folder in folders
        for path in (folder, *sorted(folder.rglob("*")))
        if (needed := 0o005 if path.is_dir() else 0o004) & path.stat().st_mode != needed
    ]
