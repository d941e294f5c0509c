# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One job in a federation of its own: from nothing to the model in every party's folder."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rich.console import Console

from coterie_common.learning.model import Model, load_model
from coterie_common.protocol.job_spec import JobSealing
from coterie_lab.local_federation.federation import Federation
from coterie_lab.local_federation.processes import BIN, CommandError

MARK: Final = ".coterie-example"
MODEL_SECONDS: Final = 3600
POLICY: Final = """\
automatic = true
algorithms = ["{algorithm}"]
sealings = ["{sealing}"]
epsilon_per_job = {epsilon}
delta_per_job = {delta}
rounds_per_job = 10000

[lifetime]
epsilon = {lifetime}
delta = 1e-4
"""
LIFETIME: Final = 10
"""As in the policy that a new party gets. A job's own ε would not do: what adds up over jobs is counted coarsely."""


@dataclass(frozen=True)
class Run:
    """The results of a job.

    Attributes:
        model: as every party has it.
        founding_seconds: until the key was dealt and every party had its share.
        training_seconds: from starting the daemons to the model at every party.
        bytes_sent: on the sockets between parties and aggregator.
    """

    model: Model
    founding_seconds: float
    training_seconds: float
    bytes_sent: int


def job_with(path: Path, **changes: object) -> str:
    """Return the text of a job file with other values for some of its entries; those that are ``None`` stay."""
    text = path.read_text(encoding="utf-8")
    for name, value in changes.items():
        if value is not None:
            text, found = re.subn(rf"(?m)^{name}( *)=( *)[^#\n]*?( *)(#.*)?$", rf"{name}\1=\g<2>{value}\3\4", text)
            if found != 1:
                raise CommandError(f"{path} has no entry {name}")
    return text


def sealed(job: str, sealing: str | None) -> str:
    """Return the text of a job that asks for a sealing; the job as it is, which asks for none, for ``None``."""
    return job if sealing is None else f'sealing = "{sealing}"\n{job}'


def prepare_folder(folder: Path) -> None:
    """Make a new folder, in place of one that an earlier run left.

    Raises:
        CommandError: it exists and is something else.
    """
    if folder.exists():
        if not (folder / MARK).exists():
            raise CommandError(f"{folder} exists and was not made by an example; name another --folder")
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    (folder / MARK).touch()


def run_job(
    folder: Path,
    job: str,
    data: Sequence[Callable[[Path], Path]],
    console: Console,
    *,
    key_bits: int,
) -> Run:
    """Found a federation, bind each party's data, run the job, and stop everything again.

    Args:
        folder: prepared; all files are written below it.
        job: text of the job file.
        data: writes one party's records into the folder that it is given, and returns the file.
        console: for progress.
        key_bits: of the federation's key.

    Raises:
        CommandError: a command failed or a daemon died; names the folder of the logs.
    """
    federation = Federation(folder, len(data))
    table = tomllib.loads(job)
    privacy = table["privacy"]
    job_file = folder / "job.toml"
    job_file.write_text(job, encoding="utf-8")
    policy = POLICY.format(
        algorithm=table["algorithm"],
        sealing=table.get("sealing", JobSealing.THRESHOLD),
        epsilon=privacy["epsilon"],
        delta=privacy["delta"],
        lifetime=max(LIFETIME, 2 * privacy["epsilon"]),
    )
    try:
        began = time.monotonic()
        console.print(f"[bold]Founding[/bold] a federation of {len(data)} parties, key of {key_bits} bits, in {folder}")
        federation.found("example", key_bits)
        federation.deal()
        founded = time.monotonic()
        for party, write in zip(federation.parties, data, strict=True):
            file = write(federation.party_folder(party))
            federation.bind(party, table["dataset"], policy, job, file.name)
        console.print("[bold]Training[/bold], each party and the aggregator a process of its own")
        started = time.monotonic()
        federation.start()
        submit: list[str | Path] = [
            BIN / "coterie",
            "jobs",
            "submit",
            job_file,
            "--watch",
            "--despite-noise",
            *federation.operator,
        ]
        status = subprocess.run(submit, stdout=sys.stderr, check=False).returncode
        if status:
            raise CommandError(f"the job did not complete (status {status}); the logs are in {folder}")
        federation.wait_until(
            lambda: all(federation.model(party) for party in federation.parties), "the model", MODEL_SECONDS
        )
        seconds = time.monotonic() - started
        path = federation.model(federation.parties[0])
        if path is None or federation.relay is None:
            raise CommandError("the model is gone")
        return Run(load_model(path), founded - began, seconds, federation.relay.traffic.total)
    finally:
        federation.stop()
