# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Jobs of vectors in a simulated federation that guarantees a given number of honest noise shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from coterie.simulation.division import Party
from coterie.simulation.job import SimulatedRound, Simulation
from coterie_common.learning.algorithm import Ask, Release, get_algorithm
from coterie_common.learning.data.schema import Schema
from coterie_common.privacy.noise.mechanisms import Placement
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.parameters import choose_parameters
from coterie_common.randomness import RandomSource


@dataclass(frozen=True, kw_only=True)
class Goal:
    """Privacy of a simulated job; ``shares`` is the number of honest noise shares that are guaranteed."""

    epsilon: Fraction = Fraction(1)
    delta: Fraction = Fraction(1, 100_000)
    placement: Placement = Placement.DISTRIBUTED
    shares: int = 2


@dataclass(frozen=True)
class SimulatedJob:
    """What became of a job; asks and releases in order."""

    body: Mapping[str, Any]
    asks: tuple[Ask, ...]
    releases: tuple[Release, ...]


def simulate_vector_job(
    name: str,
    config_table: Mapping[str, Any],
    schema: Schema,
    parties: Sequence[Party],
    goal: Goal,
    random: RandomSource,
) -> SimulatedJob:
    """Run a job; every party contributes to every round."""
    algorithm = get_algorithm(name)
    plan = algorithm.plan(algorithm.parse_config(config_table), schema)
    spec = JobSpec.from_table(
        {
            "name": "simulated",
            "algorithm": name,
            "dataset": "simulated",
            "config": _exact(config_table),
            "schema": schema.to_document(),
            "privacy": {
                "epsilon": Decimal(goal.epsilon.numerator) / goal.epsilon.denominator,
                "delta": Decimal(goal.delta.numerator) / goal.delta.denominator,
                "placement": goal.placement.value,
                "unit": plan.unit.value,
            },
        }
    )
    n = len(parties)
    parameters = choose_parameters(n, corruption_bound=n - goal.shares, decryption_threshold=n, quorum=n)
    rounds: list[SimulatedRound] = []
    model = Simulation(spec, parameters).run(parties, random, watch=rounds.append)
    return SimulatedJob(model.body, tuple(done.ask for done in rounds), tuple(done.release for done in rounds))


def _exact(table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: Decimal(repr(value)) if isinstance(value, float) else value for key, value in table.items()}
