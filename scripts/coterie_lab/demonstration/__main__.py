# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``scripts/demo``: the whole main job on one machine, and a table of the accuracy that it reached."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from coterie_common.errors import CoterieError
from coterie_lab.demonstration.comparison import weighted_f1, without_privacy
from coterie_lab.local_federation.data import (
    NURSERY,
    ROOT,
    DataProblem,
    Row,
    derived_table,
    nursery_table,
    read_rows,
    split,
    write_rows,
)
from coterie_lab.local_federation.federation import Federation
from coterie_lab.local_federation.processes import BIN, CommandError

MODEL_SECONDS = 600
POLICY = """\
# Written by the demonstration. A real steward decides these numbers.
automatic = true
algorithms = ["decision_tree"]
epsilon_per_job = {epsilon}
delta_per_job = {delta}

[lifetime]
epsilon = 1000
delta = {delta}
"""


@dataclass(frozen=True)
class Figures:
    """The table as ``--json`` prints it."""

    f1_federated: float
    f1_alone: list[float]
    f1_pooled: float
    epsilon: float
    delta: float
    rounds: int
    parties: int
    seconds: float
    bytes_sent: int


def main() -> int:
    """Run the demonstration; returns the exit status."""
    options = _options()
    # The table goes to standard output, progress too unless a program reads it.
    console = Console(stderr=options.json)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    folder = options.folder.resolve()
    federation: Federation | None = None
    try:
        rows = read_rows(options.data)
        table = nursery_table() if options.data == NURSERY else derived_table(rows, options.label, "demo")
        table["privacy"]["epsilon"] = format(options.epsilon, "f")
        parts = split(rows, options.parties)
        if folder.exists():
            if not (folder / ".coterie-demo").exists():
                raise CommandError(f"{folder} exists and was not made by the demonstration; name another --folder")
            shutil.rmtree(folder)
        folder.mkdir(parents=True)
        (folder / ".coterie-demo").touch()
        federation = Federation(folder, options.parties)
        figures = _run(federation, table, parts.parties, parts.held_out, options, console)
        _show(figures, federation, console)
        if options.json:
            print(json.dumps(asdict(figures)))
    except KeyboardInterrupt:
        console.print("\ninterrupted; everything is stopped")
        return 130
    except (CommandError, DataProblem, CoterieError) as error:
        console.print(f"error: {error}", style="red", markup=False)
        return 1
    finally:
        if federation is not None:
            federation.stop()
    return 0


def _run(
    federation: Federation,
    table: dict[str, Any],
    parties: list[list[Row]],
    held_out: list[Row],
    options: argparse.Namespace,
    console: Console,
) -> Figures:
    from coterie_common.learning.agreement import plan_job
    from coterie_common.protocol.job_spec import JobSpec

    job = plan_job(JobSpec.from_table(_exact(table)))
    dataset, label = job.spec.dataset, job.schema.label or ""
    began = time.monotonic()
    console.print(f"[bold]Founding[/bold] a federation of {options.parties} below {federation.folder}")
    explained = federation.found("demo", options.key_bits)
    console.print("".join(line + "\n" for line in explained.splitlines() if line.startswith("  ")).rstrip())
    console.print(
        f"[bold]Dealing[/bold] a threshold key of {options.key_bits} bits"
        + (
            " (about 112 bits of security, for speed; 3072 is the default elsewhere)"
            if options.key_bits == 2048
            else ""
        )
    )
    federation.deal()
    policy = POLICY.format(epsilon=job.spec.privacy.epsilon_text, delta=job.spec.privacy.delta_text)
    for party, rows in zip(federation.parties, parties, strict=True):
        write_rows(federation.party_folder(party) / f"{dataset}.csv", rows)
        federation.bind(party, dataset, policy, _toml(table))
    console.print(f"[bold]Starting[/bold] the aggregator and {options.parties} parties, each a process of its own")
    federation.start()
    job_file = federation.folder / "job.toml"
    job_file.write_text(_toml(table))
    console.print(
        f"[bold]Training[/bold] a tree on {sum(map(len, parties))} records at ε = {job.spec.privacy.epsilon_text}, "
        f"δ = {job.spec.privacy.delta_text}; {len(held_out)} more are held out"
    )
    submit: list[str | Path] = [
        BIN / "coterie",
        "jobs",
        "submit",
        job_file,
        "--watch",
        "--despite-noise",
        *federation.operator,
    ]
    status = subprocess.run(submit, stdout=sys.stderr if options.json else None, check=False).returncode
    if status:
        raise CommandError(f"the job did not complete (status {status}); the logs are in {federation.folder}")
    federation.wait_until(
        lambda: all(federation.model(party) for party in federation.parties), "the model", MODEL_SECONDS
    )
    seconds = time.monotonic() - began
    model = federation.model(federation.parties[0])
    if model is None or federation.relay is None:
        raise CommandError("the model is gone")
    bytes_sent = federation.relay.traffic.total
    federation.stop()
    lineage = json.loads(model.read_text())["lineage"]
    datasets = [_dataset(federation, party, dataset, job) for party in federation.parties]
    return Figures(
        f1_federated=round(weighted_f1(model, held_out, label), 4),
        f1_alone=[round(weighted_f1(without_privacy(job, [own]), held_out, label), 4) for own in datasets],
        f1_pooled=round(weighted_f1(without_privacy(job, datasets), held_out, label), 4),
        epsilon=float(lineage["epsilon"]),
        delta=float(lineage["delta"]),
        rounds=lineage["rounds"],
        parties=options.parties,
        seconds=round(seconds, 1),
        bytes_sent=bytes_sent,
    )


def _dataset(federation: Federation, party: str, dataset: str, job: Any) -> Any:
    from coterie_common.learning.data.dataset_file import load_dataset

    return load_dataset(federation.party_folder(party) / f"{dataset}.csv", job.schema)


def _show(figures: Figures, federation: Federation, console: Console) -> None:
    table = Table(title="Weighted F1 on the records held out")
    table.add_column("model")
    table.add_column("F1", justify="right")
    table.add_row("federated, private", f"{figures.f1_federated:.3f}", style="bold")
    for party, alone in zip(federation.parties, figures.f1_alone, strict=True):
        table.add_row(f"{party} alone, without privacy", f"{alone:.3f}")
    table.add_row("all data pooled, without privacy", f"{figures.f1_pooled:.3f}")
    console.print(table)
    console.print(
        f"ε = {figures.epsilon:g}, δ = {figures.delta:g} per record, {figures.rounds} rounds, "
        f"{figures.seconds:.1f} s from founding to the model at every party, "
        f"{figures.bytes_sent / 1024:.0f} KiB on the sockets between parties and aggregator"
    )
    console.print(f"Model of each party: {federation.folder}/party-*/home/models/", soft_wrap=True)
    console.print(f"Logs: {federation.folder}/*/*.log", soft_wrap=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("--parties", type=int, default=5, help="how many, 3 to 200 (default 5)")
    parser.add_argument("--epsilon", type=_epsilon, default=Decimal(1), help="privacy of the whole job (default 1)")
    parser.add_argument("--key-bits", type=int, choices=(2048, 3072, 4096), default=2048, help="default 2048")
    parser.add_argument("--data", type=Path, default=NURSERY, help="CSV file, gzipped or not (default: Nursery)")
    parser.add_argument("--label", default="class", help="column to predict (default: class)")
    parser.add_argument("--folder", type=Path, default=ROOT / "demo-run", help="folder for all files written")
    parser.add_argument("--json", action="store_true", help="print the figures as one JSON line last")
    options = parser.parse_args()
    if not 3 <= options.parties <= 200:
        parser.error("--parties must be from 3 to 200")
    if options.data != NURSERY:
        options.data = Path(os.path.abspath(options.data))
    return options


def _epsilon(text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation as cause:
        raise argparse.ArgumentTypeError("must be a number") from cause
    if not value.is_finite() or value <= 0:
        raise argparse.ArgumentTypeError("must be above 0")
    return value


def _exact(value: Any) -> Any:
    """Turn the floats of a parsed file into what was written there."""
    if isinstance(value, dict):
        return {key: _exact(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_exact(entry) for entry in value]
    return Decimal(repr(value)) if isinstance(value, float) else value


def _toml(table: dict[str, Any]) -> str:
    """Write a job as TOML: tables last, text as JSON text, which TOML reads alike."""
    lines = [f"{key} = {json.dumps(value)}" for key, value in table.items() if not isinstance(value, dict)]
    for name, part in table.items():
        if isinstance(part, dict):
            lines.append(f"\n[{name}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in part.items() if key != "columns"]
    for column in table["schema"]["columns"]:
        lines.append("\n[[schema.columns]]")
        lines += [f"{key} = {json.dumps(value, ensure_ascii=False)}" for key, value in column.items()]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
