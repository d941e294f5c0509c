# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A whole job in one process, without sealing: plan, calibrate, then ask, answer, add noise, sum, decode, update.

The integers that are summed here are the ones that parties seal, so the result has exactly the distribution of a
federation's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from coterie_common import document
from coterie_common.learning.algorithm import Algorithm, Ask, Release, get_algorithm
from coterie_common.learning.dataset import Dataset
from coterie_common.learning.plan import Plan, PlannedRound
from coterie_common.learning.schema import Schema
from coterie_common.privacy.accounting import CountEvent, calibrate
from coterie_common.privacy.encoding import Encoding
from coterie_common.privacy.noise import Mechanism, Placement
from coterie_common.randomness import RandomSource


@dataclass(frozen=True, kw_only=True)
class Goal:
    """Privacy of a simulated job; ``shares`` is the number of honest noise shares that are guaranteed."""

    epsilon: Fraction = Fraction(1)
    delta: Fraction = Fraction(1, 100_000)
    mechanism: Mechanism = Mechanism.DISCRETE_GAUSSIAN
    placement: Placement = Placement.DISTRIBUTED
    shares: int = 3


@dataclass(frozen=True)
class SimulatedJob:
    """What became of a job; asks and releases in order."""

    body: Mapping[str, Any]
    asks: tuple[Ask, ...]
    releases: tuple[Release, ...]


def choose_noise(plan: Plan, goal: Goal) -> tuple[CountEvent, ...]:
    return calibrate(
        [(planned.l0, planned.linf) for planned in plan.rounds if isinstance(planned, PlannedRound)],
        epsilon=goal.epsilon,
        delta=goal.delta,
        mechanism=goal.mechanism,
        placement=goal.placement,
        shares=goal.shares,
    )


def simulate_job(
    name: str,
    config_table: Mapping[str, Any],
    schema: Schema,
    datasets: Sequence[Dataset],
    events: Sequence[CountEvent],
    random: RandomSource,
) -> SimulatedJob:
    """Run a job; every party contributes to every round. ``events`` come from ``choose_noise``."""
    algorithm = get_algorithm(name)
    config = algorithm.parse_config(config_table)
    plan = algorithm.plan(config, schema)
    state = algorithm.initial_state(config, schema)
    asks: list[Ask] = []
    releases: list[Release] = []
    while (ask := algorithm.next_ask(state)) is not None:
        ask = Ask(ask.round_number, _as_stored(ask.body))
        algorithm.check_ask(config, schema, ask, plan)
        planned, event = plan.rounds[ask.round_number - 1], events[ask.round_number - 1]
        assert isinstance(planned, PlannedRound)
        release = simulate_round(algorithm, ask, planned, event, datasets, random)
        stored = _as_stored(algorithm.state_to_document(algorithm.update(state, ask, release)))
        state = algorithm.state_from_document(config, schema, stored)
        asks.append(ask)
        releases.append(release)
    return SimulatedJob(algorithm.finish(state), tuple(asks), tuple(releases))


def simulate_round(
    algorithm: Algorithm[Any, Any],
    ask: Ask,
    planned: PlannedRound,
    event: CountEvent,
    datasets: Sequence[Dataset],
    random: RandomSource,
) -> Release:
    encoding = Encoding(length=ask.length, scale_bits=event.scale_bits, lower=planned.lower, upper=planned.upper)
    total = np.zeros(ask.length, np.int64)
    for dataset in datasets:
        exact = encoding.encode(algorithm.answer(ask, dataset, random))
        total += exact + event.noise.draw_share(ask.length, random)
    stddev = event.noise.aggregate_stddev(len(datasets)) / 2**event.scale_bits
    return Release(encoding.decode(total), len(datasets), stddev)


def _as_stored(value: Mapping[str, Any]) -> Any:
    return document.decode(document.encode(value), "a document", most=1 << 28)


def divide(dataset: Dataset, parts: int, random: RandomSource) -> tuple[Dataset, ...]:
    """Deal the records out to ``parts`` parties at random."""
    owner = np.frombuffer(random.token_bytes(8 * dataset.rows), "<u8") % parts
    return tuple(dataset.select(owner == part) for part in range(parts))


def without_noise(goal: Goal | None = None) -> Goal:
    return replace(goal or Goal(), placement=Placement.NONE)
