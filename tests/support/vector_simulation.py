# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A whole job of vector rounds in one process, without sealing: sample, clip, round, add noise, sum, decode, update.

The integers that are summed here are the ones that parties seal, so the result has exactly the distribution of a
federation's.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from coterie_common import arrays
from coterie_common.learning.algorithm import Ask, Release, VectorAlgorithm, get_algorithm
from coterie_common.learning.dataset import Dataset
from coterie_common.learning.plan import Plan, PlannedVectorRound, Records
from coterie_common.learning.schema import Schema
from coterie_common.privacy.noise import Unit
from coterie_common.privacy.vector_calibration import VectorChoice, VectorQuery, calibrate_vectors, choose_rounding
from coterie_common.randomness import RandomSource
from coterie_party.batches import draw_batch
from tests.support.simulation import Goal, SimulatedJob

Party = Mapping[Records, Dataset]
"""A party's records by kind."""

_SHARE_STDDEV = 64
_MOST = 1 << 28


def choose_vector_noise(plan: Plan, goal: Goal, max_records: int) -> tuple[VectorChoice, ...]:
    """Return encoding and noise of every round, as wide as a pad needs it."""
    queries = []
    for planned in plan.rounds:
        assert isinstance(planned, PlannedVectorRound)
        units = max_records if plan.unit is Unit.RECORD else 1
        query = VectorQuery(
            length=planned.length,
            clip_norm=planned.clip_norm,
            units=units,
            rounding=choose_rounding(planned.length, units, planned.sampling_rate),
            sampling_rate=planned.sampling_rate,
            noise_factor=planned.noise_factor,
        )
        queries.append(query)
    return calibrate_vectors(
        queries,
        epsilon=goal.epsilon,
        delta=goal.delta,
        placement=goal.placement,
        shares=goal.shares,
        unit=plan.unit,
        min_share_stddev=_SHARE_STDDEV,
    )


def simulate_vector_job(
    name: str,
    config_table: Mapping[str, Any],
    schema: Schema,
    parties: Sequence[Party],
    goal: Goal,
    random: RandomSource,
) -> SimulatedJob:
    """Run a job; every party contributes to every round. What is stored between rounds is stored and read here too."""
    algorithm = get_algorithm(name)
    assert isinstance(algorithm, VectorAlgorithm)
    config = algorithm.parse_config(config_table)
    plan = algorithm.plan(config, schema)
    terms = choose_vector_noise(plan, goal, schema.max_records)
    state = algorithm.initial_state(config, schema)
    asks: list[Ask] = []
    releases: list[Release] = []
    while (ask := algorithm.next_ask(state)) is not None:
        ask = Ask.from_bytes(ask.round_number, ask.to_bytes(), most=_MOST)
        algorithm.check_ask(config, schema, ask, plan)
        planned = plan.rounds[ask.round_number - 1]
        assert isinstance(planned, PlannedVectorRound)
        encoding, noise = terms[ask.round_number - 1].encoding, terms[ask.round_number - 1].event.noise
        total = np.zeros(ask.length, np.int64)
        for party in parties:
            dataset = party[planned.records or algorithm.records]
            batch = dataset.select(draw_batch(dataset.rows, planned.sampling_rate, random))
            total += encoding.encode(algorithm.vectors(ask, batch), random) + noise.draw_share(ask.length, random)
        stddev = noise.aggregate_stddev(len(parties)) / 2**encoding.scale_bits
        release = Release(encoding.decode(total), len(parties), stddev)
        stored = arrays.encode(*arrays.split(algorithm.state_to_document(algorithm.update(state, ask, release))))
        state = algorithm.state_from_document(config, schema, arrays.decode(stored, "a state", most=_MOST).joined())
        asks.append(ask)
        releases.append(release)
    return SimulatedJob(algorithm.finish(state), tuple(asks), tuple(releases))
