# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""An artificial algorithm for whole rounds: every party answers at once with a vector of the length given in the job.

Its queries carry parameters of the same length, as those of a neural network do. The daemons of a benchmark find it
through a package in the benchmark's own folder (``federation``); no installation contains it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Annotated, Any, Final

import numpy as np
from pydantic import Field
from typing_extensions import override

from coterie_common.errors import ConfigurationError, InvalidJob, MalformedMessage, StateError
from coterie_common.learning.algorithm import Ask, Float32, Int64, NamedCode, Release, VectorAlgorithm, check_round
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import Schema
from coterie_common.learning.plan import Plan, PlannedVectorRound, Records
from coterie_common.privacy.event import MAX_LENGTH
from coterie_common.privacy.noise.mechanisms import Unit
from coterie_common.randomness import RandomSource
from coterie_common.strict_model import StrictModel, parse

_PIECE_VALUES: Final = 1 << 20


class VectorsConfig(StrictModel):
    """Configuration of a job.

    Attributes:
        values: length of a vector.
        rounds: number of rounds.
        clip_norm: the daemons of a benchmark also read it (``plain_sealing``).
    """

    values: Annotated[int, Field(ge=1, le=MAX_LENGTH)]
    rounds: Annotated[int, Field(ge=1, le=100)]
    clip_norm: Annotated[int, Field(ge=1, le=2)]


@dataclass(frozen=True, eq=False, slots=True)
class VectorsState:
    """The state of a job."""

    config: VectorsConfig
    released: int
    parameters: Float32


class BenchmarkVectors(VectorAlgorithm[VectorsConfig, VectorsState]):
    """The algorithm ``benchmark_vectors``."""

    name = "benchmark_vectors"
    records = Records.ALL

    @override
    def named_code(self, table: Mapping[str, Any]) -> NamedCode:
        return NamedCode()

    @override
    def parse_config(self, table: Mapping[str, Any]) -> VectorsConfig:
        try:
            return parse(VectorsConfig, dict(table), "[config]")
        except ConfigurationError as cause:
            raise InvalidJob(cause.message) from cause

    @override
    def plan(self, config: VectorsConfig, schema: Schema) -> Plan:
        planned = PlannedVectorRound(length=config.values, clip_norm=Fraction(config.clip_norm))
        return Plan(Unit.PARTY, (planned,) * config.rounds)

    @override
    def initial_state(self, config: VectorsConfig, schema: Schema) -> VectorsState:
        return VectorsState(config, 0, np.zeros(config.values, np.float32))

    @override
    def next_ask(self, state: VectorsState) -> Ask | None:
        if state.released == state.config.rounds:
            return None
        return Ask(state.released + 1, {"length": state.config.values, "parameters": state.parameters})

    @override
    def check_ask(self, config: VectorsConfig, schema: Schema, ask: Ask, plan: Plan) -> None:
        check_round(ask, plan)
        parameters = ask.arrays.get("parameters")
        if parameters is None or parameters.shape != (ask.length,) or parameters.dtype != np.float32:
            raise MalformedMessage(f"parameters of the ask must be {ask.length} numbers of float32")

    @override
    def answer(self, ask: Ask, dataset: Dataset, random: RandomSource) -> Int64:
        raise StateError("every round asks for vectors")

    def vectors(self, ask: Ask, dataset: Dataset) -> Iterator[Float32]:
        """See ``VectorAlgorithm``; one row of norm 1 that costs next to nothing."""
        yield np.full((1, ask.length), ask.length**-0.5, np.float32)

    @override
    def update(self, state: VectorsState, ask: Ask, release: Release) -> VectorsState:
        parameters = np.empty_like(state.parameters)
        # Piece by piece, as the optimisers of the product: doubles of a whole vector would be most of the memory.
        for start in range(0, len(parameters), _PIECE_VALUES):
            piece = slice(start, start + _PIECE_VALUES)
            parameters[piece] = state.parameters[piece] + release.values[piece] / release.contributors
        return replace(state, released=ask.round_number, parameters=parameters)

    def finish(self, state: VectorsState) -> Mapping[str, Any]:
        """See ``Algorithm``; a model as long as the vector would be measured with the last round."""
        return {"norm": format(float(np.linalg.norm(state.parameters)), ".6g")}

    @override
    def state_to_document(self, state: VectorsState) -> Mapping[str, Any]:
        return {"released": state.released, "parameters": state.parameters}

    @override
    def state_from_document(self, config: VectorsConfig, schema: Schema, value: Any) -> VectorsState:
        return VectorsState(config, value["released"], value["parameters"])
