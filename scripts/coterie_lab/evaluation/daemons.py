# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The same jobs over real daemons: an aggregator and parties as processes, encryption, TLS, noise from the system.

A model takes minutes instead of seconds, so this is done for one point of each kind, to be compared with the simulated
one: on the same divisions of the data, with different noise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from coterie.simulation.method import Method
from coterie.simulation.scores import scores_of
from coterie_common.learning.data.column import CategoricalColumn
from coterie_common.learning.data.dataset import Dataset
from coterie_lab.evaluation.points import Point, default_bound
from coterie_lab.evaluation.runs import Cache, key_of, sources_digest
from coterie_lab.evaluation.workloads import workload
from coterie_lab.examples.federated_run import job_with, run_job

KEY_BITS = 2048


def _point(model: str, parties: int, epsilon: str, seeds: int) -> Point:
    return Point.of(model, Method.DISTRIBUTED, parties, epsilon, default_bound(parties), seeds)


FULL = (_point("tree", 5, "0.5", 5), _point("svm", 3, "0.1", 5), _point("cnn", 10, "2", 1))
SIMULATED = (_point("tree", 5, "0.5", 20), _point("svm", 3, "0.1", 20), _point("cnn", 10, "2", 3))
"""The same points, with as many simulated runs as make their spread known."""
QUICK = (_point("tree", 5, "0.5", 1),)


@dataclass(frozen=True)
class RealRun:
    """One model of real daemons.

    Attributes:
        model: name of the workload.
        parties: n.
        epsilon: of the job, decimal text.
        seed: of the division.
        f1_weighted: on the records held out.
        rounds: of the model.
        founding_seconds: until every party had its share of the key.
        training_seconds: from starting the daemons to the model in every party's folder.
        bytes_sent: on all sockets between parties and aggregator.
    """

    model: str
    parties: int
    epsilon: str
    seed: int
    f1_weighted: float
    rounds: int
    founding_seconds: float
    training_seconds: float
    bytes_sent: int


def run_all(points: Sequence[Point], data: Path | None, cache: Cache, console: Console) -> list[RealRun]:
    """Return the daemons' results for points; runs only those that the cache lacks.

    Raises:
        CommandError: a command or a daemon failed.
        DataProblem: a workload's data is missing.
    """
    return list(_runs(points, data, cache, console))


def _runs(points: Sequence[Point], data: Path | None, cache: Cache, console: Console) -> Iterator[RealRun]:
    for point in points:
        for seed in range(point.seeds):
            key = f"daemons-{key_of(point, seed, data)}"
            if key not in cache.results:
                run = _run(point, seed, data, console)
                cache.add([{"key": key, "sources": sources_digest(), **asdict(run)}])
            yield RealRun(**{field.name: cache.results[key][field.name] for field in fields(RealRun)})


def _run(point: Point, seed: int, data: Path | None, console: Console) -> RealRun:
    """Found a federation, train, and stop everything."""
    made = workload(point.model, data)
    division = made.division(point.parties, seed)
    job = job_with(made.job, epsilon=point.epsilon)
    writers = [partial(write_records, party, name=made.spec().dataset) for party in division.parties]
    with TemporaryDirectory() as folder:
        run = run_job(Path(folder), job, writers, console, key_bits=KEY_BITS)
    return RealRun(
        model=point.model,
        parties=point.parties,
        epsilon=str(point.epsilon),
        seed=seed,
        f1_weighted=round(scores_of(run.model, division.tested)["f1_weighted"], 4),
        rounds=run.model.lineage.rounds,
        founding_seconds=round(run.founding_seconds, 1),
        training_seconds=round(run.training_seconds, 1),
        bytes_sent=run.bytes_sent,
    )


def write_records(dataset: Dataset, folder: Path, name: str) -> Path:
    """Write a party's records as the Parquet file that its steward would bind; returns its path."""
    import pyarrow as pa
    from pyarrow import parquet

    columns = {
        column.name: [column.levels[position] for position in dataset.columns[column.name]]
        if isinstance(column, CategoricalColumn)
        else dataset.columns[column.name]
        for column in dataset.schema.columns
    }
    path = folder / f"{name}.parquet"
    parquet.write_table(pa.table(columns), path)
    return path
