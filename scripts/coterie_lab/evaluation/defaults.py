# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The choice of defaults, evaluated: one value at a time is changed, and the same jobs are run again.

All runs use this system with a founder's defaults: distributed noise, the default corruption bound.
Runs of one seed share the division of the data, so a value is compared with the default seed by seed.

Most values are entries of the job's ``[config]``. Two are constants of the product that no job can set
(``CONSTANTS``): they are changed on their module for the duration of a run, in this evaluation's own process only, and
put back. Nothing else in the product can reach them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import cache
from importlib import import_module
from pathlib import Path

from coterie.simulation.comparison import Contest
from coterie.simulation.method import Method
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.parameters import choose_parameters
from coterie_lab.evaluation.points import Point, default_bound
from coterie_lab.evaluation.runs import Cache, Result, carry_out, score
from coterie_lab.evaluation.runs import key_of as key_of_point
from coterie_lab.evaluation.workloads import workload


@dataclass(frozen=True)
class Constant:
    """A constant of the product: its place, and the function that parses it from text."""

    module: str
    name: str
    of_text: Callable[[str], object]


CONSTANTS = {
    "level_factor": Constant("coterie_common.learning.algorithms.decision_tree", "_LEVEL_FACTOR", Fraction),
    "significant": Constant("coterie_common.learning.algorithms.decision_tree", "_SIGNIFICANT", float),
}


@dataclass(frozen=True)
class Trial:
    """A job with at most one value changed.

    Attributes:
        model: name of the workload.
        parties: n.
        epsilon: decimal text.
        entry: the changed entry of ``[config]`` or of ``CONSTANTS``; ``None``: nothing.
        value: its new value, as text.
    """

    model: str
    parties: int
    epsilon: str
    entry: str | None = None
    value: str | None = None

    def spec(self, data: Path | None) -> JobSpec:
        """Return the job; a constant is not part of it."""
        spec = workload(self.model, data).spec_at(self.epsilon)
        if self.entry is None or self.value is None or self.entry in CONSTANTS:
            return spec
        value = int(self.value) if self.value.isdecimal() else self.value
        return JobSpec.from_bytes(replace(spec, config={**spec.config, self.entry: value}).to_bytes())


@dataclass(frozen=True)
class Variation:
    """Values of one entry to be tried, the default among them or not."""

    entry: str
    values: tuple[str, ...]


@dataclass(frozen=True)
class Ablation:
    """The trials with one kind of model.

    Attributes:
        model: name of the workload.
        settings: numbers of parties and ε.
        variations: one at a time.
        seeds: per trial.
    """

    model: str
    settings: tuple[tuple[int, str], ...]
    variations: tuple[Variation, ...]
    seeds: int

    def trial(self, setting: tuple[int, str], entry: str, value: str) -> Trial:
        """Return a trial; of the default value the one that changes nothing."""
        if Fraction(value) == Fraction(default_of(self.model, entry)):
            return Trial(self.model, *setting)
        return Trial(self.model, *setting, entry, value)

    def trials(self) -> Iterable[Trial]:
        """Return every trial once, the defaults first."""
        made = dict.fromkeys(Trial(self.model, *setting) for setting in self.settings)
        for variation in self.variations:
            for value in variation.values:
                made |= dict.fromkeys(self.trial(setting, variation.entry, value) for setting in self.settings)
        return made


FULL = (
    Ablation(
        model="tree",
        settings=((50, "0.1"), (10, "0.5"), (50, "0.5"), (10, "2"), (50, "2")),
        variations=(
            Variation("max_depth", ("2", "3", "4", "5", "6")),
            Variation("level_factor", ("1", "1.2", "1.5")),
            Variation("significant", ("0", "1", "2")),
        ),
        seeds=10,
    ),
    Ablation(
        model="cnn",
        settings=((10, "0.5"),),
        variations=(
            Variation("batch", ("512", "2048", "4096")),
            Variation("clip_norm", ("0.03", "0.1", "1")),
            Variation("rounds", ("50", "100", "200")),
            Variation("learning_rate", ("0.003", "0.01", "0.03")),
        ),
        seeds=1,
    ),
    Ablation(
        model="svm",
        settings=((10, "0.1"), (10, "0.5")),
        variations=(
            Variation("clip_norm", ("0.3", "1", "3")),
            Variation("rounds", ("10", "30", "100")),
            Variation("learning_rate", ("0.003", "0.01", "0.03", "0.1")),
        ),
        seeds=3,
    ),
)
QUICK = (replace(FULL[0], settings=((10, "0.5"),), seeds=5),)


@dataclass(frozen=True)
class _Task:
    """Some seeds of a trial, for one process."""

    trial: Trial
    seeds: tuple[int, ...]
    data: Path | None = field(repr=False)


def default_of(model: str, entry: str) -> str:
    """Return the product's value as text: of the job file that comes with it, or of its constant."""
    constant = CONSTANTS.get(entry)
    if constant is None:
        return str(workload(model, None).spec().config[entry])
    return str(getattr(import_module(constant.module), constant.name))


def key_of(trial: Trial, seed: int, data: Path | None) -> str:
    """Return the name of a result: of an unchanged job that of the same point of the other experiments."""
    bound = default_bound(trial.parties)
    if trial.entry is None:
        point = Point.of(trial.model, Method.DISTRIBUTED, trial.parties, trial.epsilon, bound, seed + 1)
        return key_of_point(point, seed, data)
    parts = (trial.model, trial.spec(data).digest.hex(), trial.parties, bound, seed, trial.entry, trial.value)
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:24]


def results_of(trial: Trial, seeds: int, found: Mapping[str, Result], data: Path | None) -> list[Result]:
    """Return the results of a trial, all seeds; raises ``KeyError`` where one is missing."""
    return [found[key_of(trial, seed, data)] for seed in range(seeds)]


def run_trials(
    ablations: Sequence[Ablation],
    kept: Cache,
    data: Path | None,
    processes: int,
    show: Callable[[int, int, float], None],
) -> None:
    """Run what the cache lacks; as ``runs.run_missing``."""
    tasks = []
    for ablation in ablations:
        chunk = workload(ablation.model, data).seeds_at_a_time
        for trial in ablation.trials():
            missing = [seed for seed in range(ablation.seeds) if key_of(trial, seed, data) not in kept.results]
            tasks += [_Task(trial, tuple(missing[i : i + chunk]), data) for i in range(0, len(missing), chunk)]
    carry_out(_run, tasks, kept, processes, show)


def _run(task: _Task) -> list[Result]:
    trial = task.trial
    facts = {
        "model": trial.model,
        "method": Method.DISTRIBUTED.value,
        "parties": trial.parties,
        "epsilon": trial.epsilon,
        "corruption_bound": default_bound(trial.parties),
        "entry": trial.entry,
        "value": trial.value,
    }
    keys = {seed: key_of(trial, seed, task.data) for seed in task.seeds}
    with constant_changed(trial):
        return score(_contest(trial, task.data), workload(trial.model, task.data), facts, keys)


@contextmanager
def constant_changed(trial: Trial) -> Iterator[None]:
    """Give the product's constant the trial's value, where it changes one, and put it back."""
    constant = CONSTANTS.get(trial.entry or "")
    if constant is None or trial.value is None:
        yield
        return
    module = import_module(constant.module)
    before = getattr(module, constant.name)
    setattr(module, constant.name, constant.of_text(trial.value))
    try:
        yield
    finally:
        setattr(module, constant.name, before)


@cache
def _contest(trial: Trial, data: Path | None) -> Contest:
    return Contest(Method.DISTRIBUTED, trial.spec(data), choose_parameters(trial.parties))
