# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The same job over real daemons: an aggregator and parties as processes, encryption, TLS, noise from the system.

It takes a minute instead of a tenth of a second, so it is done for one point, to be set against the simulated one.
"""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from demonstration.processes import CommandError

PARTIES, EPSILON = 5, "0.5"


@dataclass(frozen=True)
class RealRun:
    """One model of real daemons.

    Attributes:
        model: name of the workload.
        parties: n.
        epsilon: of the job, decimal text.
        f1_weighted: on the records held out.
        seconds: from founding to the model in every party's folder.
        bytes_sent: over all sockets.
    """

    model: str
    parties: int
    epsilon: str
    f1_weighted: float
    seconds: float
    bytes_sent: int


def run_tree() -> RealRun:
    """Found a federation, train the tree of the examples, and stop everything; raises ``CommandError``."""
    with TemporaryDirectory() as folder:
        options = ("--parties", str(PARTIES), "--epsilon", EPSILON, "--json", "--folder", f"{folder}/federation")
        done = subprocess.run(
            [sys.executable, "-m", "demonstration", *options], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise CommandError(done.stderr.strip().splitlines()[-1])
    figures = json.loads(done.stdout)
    return RealRun("tree", PARTIES, EPSILON, figures["f1_federated"], figures["seconds"], figures["bytes_sent"])


def write_runs(path: Path, runs: Sequence[RealRun]) -> None:
    """Write results as they are committed."""
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(("model", "parties", "epsilon", "f1_weighted", "seconds", "bytes_sent"))
        writer.writerows(
            (run.model, run.parties, run.epsilon, run.f1_weighted, run.seconds, run.bytes_sent) for run in runs
        )


def read_runs(path: Path) -> list[RealRun]:
    """Read what ``write_runs`` wrote."""
    with path.open(newline="") as stream:
        return [
            RealRun(
                cells["model"],
                int(cells["parties"]),
                cells["epsilon"],
                float(cells["f1_weighted"]),
                float(cells["seconds"]),
                int(cells["bytes_sent"]),
            )
            for cells in csv.DictReader(stream)
        ]
