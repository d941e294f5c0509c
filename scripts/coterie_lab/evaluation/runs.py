# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Running experiments, one per core at a time, and keeping every result, so that none is run again.

A result is one line of JSON under the digest of everything that determines it: the job's specification, method,
parties, corruption bound and seed. It also names the state of the sources that it came from.
"""

from __future__ import annotations

import hashlib
import json
import signal
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from functools import cache
from multiprocessing import active_children
from pathlib import Path
from typing import Any, TypeVar

from coterie.simulation.comparison import Contest
from coterie.simulation.job import without_spare_rounds
from coterie.simulation.method import Method
from coterie_common.protocol.job_spec import JobSpec
from coterie_lab.evaluation.points import Point
from coterie_lab.evaluation.workloads import ROOT, Workload, workload

SOURCES = (
    "common/coterie_common/**/*.py",
    "common/coterie/simulation/*.py",
    "scripts/coterie_lab/evaluation/workloads.py",
    "scripts/coterie_lab/evaluation/gisette.py",
)
"""The facts that a result depends on, besides the job, which is part of its key."""

Result = dict[str, Any]
Work = TypeVar("Work")


@dataclass(frozen=True)
class Task:
    """Some seeds of a point, for one process."""

    point: Point
    seeds: tuple[int, ...]
    data: Path | None


class Cache:
    """Results in a file that only grows.

    Attributes:
        results: by key.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.results: dict[str, Result] = {}
        if path.exists():
            text = path.read_text()
            # The last line of a run that was killed may be cut off.
            whole = text[: text.rfind("\n") + 1]
            if whole != text:
                path.write_text(whole)
            for line in whole.splitlines():
                result = json.loads(line)
                self.results[result["key"]] = result

    def add(self, results: Iterable[Result]) -> None:
        """Keep results at once."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("a") as stream:
            for result in results:
                self.results[result["key"]] = result
                stream.write(json.dumps(result) + "\n")

    def forget(self, keys: Iterable[str]) -> None:
        """Drop results, so that they are run again."""
        for key in keys:
            self.results.pop(key, None)
        if self._path.exists():
            # In one step: killed at any time, all the others are still there.
            rest = self._path.with_suffix(".new")
            rest.write_text("".join(json.dumps(result) + "\n" for result in self.results.values()))
            rest.replace(self._path)

    def of(self, point: Point, data: Path | None) -> list[Result]:
        """Return the results of a point, all seeds; raises ``KeyError`` where one is missing."""
        return [self.results[key_of(point, seed, data)] for seed in range(point.seeds)]


def spec_of(point: Point, data: Path | None) -> JobSpec:
    """Return the job of a point; only one that counts on all parties reserves spare rounds.

    Without spare rounds the noise is divided by the quorum, whoever is there. No other method needs any: a curator has
    all records, and local noise does not depend on the other parties.
    """
    spec = workload(point.model, data).spec_at(point.epsilon)
    return spec if point.method is Method.DISTRIBUTED else without_spare_rounds(spec)


def key_of(point: Point, seed: int, data: Path | None) -> str:
    """Return the name of a result."""
    spec = spec_of(point, data)
    parts = (point.model, spec.digest.hex(), point.method, point.parties, point.corruption_bound, seed)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


@cache
def sources_digest() -> str:
    """Return the digest of the code that results come from."""
    digest = hashlib.sha256()
    for pattern in SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def run_missing(
    points: Sequence[Point], cache: Cache, data: Path | None, processes: int, show: Callable[[int, int, float], None]
) -> None:
    """Run the experiments that the cache lacks.

    Args:
        points: whose results are needed.
        cache: takes every result as soon as it exists.
        data: folder with MNIST.
        processes: number of processes.
        show: receives the number of tasks done, their total, and the seconds since the beginning.
    """
    tasks = []
    for point in points:
        missing = [seed for seed in range(point.seeds) if key_of(point, seed, data) not in cache.results]
        chunk = workload(point.model, data).seeds_at_a_time
        tasks += [Task(point, tuple(missing[i : i + chunk]), data) for i in range(0, len(missing), chunk)]
    carry_out(run, tasks, cache, processes, show)


def carry_out(
    work: Callable[[Work], list[Result]],
    tasks: Sequence[Work],
    cache: Cache,
    processes: int,
    show: Callable[[int, int, float], None],
) -> None:
    """Do tasks, as many at a time as there are ``processes``; see ``run_missing`` for the rest."""
    began = time.monotonic()
    if processes == 1:
        for done, task in enumerate(tasks, start=1):
            cache.add(work(task))
            show(done, len(tasks), time.monotonic() - began)
        return
    with ProcessPoolExecutor(processes, initializer=_ignore_interrupts) as pool:
        running = [pool.submit(work, task) for task in tasks]
        try:
            for done, finished in enumerate(as_completed(running), start=1):
                cache.add(finished.result())
                show(done, len(tasks), time.monotonic() - began)
        except BaseException:
            # Leaving the pool would wait for every task, and nobody would keep the results.
            for process in active_children():
                process.terminate()
            raise


def _ignore_interrupts() -> None:
    """Leave an interrupt, which the terminal sends to all processes, to the one that keeps the results."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run(task: Task) -> list[Result]:
    """Train and test, once per seed."""
    point = task.point
    facts = {
        "model": point.model,
        "method": point.method.value,
        "parties": point.parties,
        "epsilon": point.epsilon,
        "corruption_bound": point.corruption_bound,
    }
    keys = {seed: key_of(point, seed, task.data) for seed in task.seeds}
    return score(_contest(point, task.data), workload(point.model, task.data), facts, keys)


def score(contest: Contest, made: Workload, facts: Mapping[str, Any], keys: Mapping[int, str]) -> list[Result]:
    """Train and test once per seed.

    Args:
        contest: trains.
        made: has the data.
        facts: of all these results; among them ``parties``.
        keys: of each seed's result.
    """
    results = []
    for seed, key in keys.items():
        began = time.monotonic()
        scores = contest.score(made.division(facts["parties"], seed))
        results.append(
            {
                "key": key,
                **facts,
                "seed": seed,
                **scores,
                "noise_stddev": list(contest.noise_stddev[:1]),
                "seconds": round(time.monotonic() - began, 3),
                "sources": sources_digest(),
            }
        )
    return results


@cache
def _contest(point: Point, data: Path | None) -> Contest:
    return Contest(point.method, spec_of(point, data), point.parameters)
