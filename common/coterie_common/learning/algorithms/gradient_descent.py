# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The common part of all gradient methods: rounds, asks, the optimiser, held-out figures, the state between rounds.

A round of training sends the parameters out and receives a noisy sum of clipped vectors, from which the aggregator
makes an optimiser's step. The sum is divided by a public number, never by the real number of records.

A method adds the number of parameters, a record's vector, and the model made of the final parameters. Its privacy
depends on none of them: parties sample, clip and sum by themselves.

Source: Abadi et al., "Deep Learning with Differential Privacy", CCS 2016 (DP-SGD).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Final, Generic, TypeVar

import numpy as np
import numpy.typing as npt
from typing_extensions import override

from coterie_common import document
from coterie_common.errors import ConfigurationError, InvalidJob, MalformedMessage, StateError, StorageError
from coterie_common.learning.algorithm import (
    Ask,
    Float32,
    Float64,
    Int64,
    NamedCode,
    Release,
    Values,
    VectorAlgorithm,
    check_round,
)
from coterie_common.learning.algorithms import private_scaling
from coterie_common.learning.algorithms.descent_config import DescentConfig, Phase
from coterie_common.learning.algorithms.held_out import Measure
from coterie_common.learning.algorithms.optimiser import OptimiserState, step
from coterie_common.learning.data.dataset import Dataset
from coterie_common.learning.data.schema import Schema
from coterie_common.learning.features import Scaling, numeric_positions, to_inputs, width
from coterie_common.learning.plan import Plan, Records
from coterie_common.privacy.noise.mechanisms import Unit
from coterie_common.randomness import RandomSource
from coterie_common.strict_model import parse

Config = TypeVar("Config", bound=DescentConfig)
Labels = npt.NDArray[Any]

CHUNK: Final = 256
"""Records whose vectors are computed at a time: enough to keep a core busy, few enough to stay small."""

_CHUNK_BYTES: Final = 32 << 20


@dataclass(frozen=True, eq=False, slots=True)
class DescentState(Generic[Config]):
    """The state of a job.

    Attributes:
        config, schema: of the job.
        released: rounds so far.
        parameters: Float32[parameters].
        optimiser: its memory.
        scaling: from the round of statistics.
        figures: from the round on held-out records.
    """

    config: Config = field(repr=False)
    schema: Schema = field(repr=False)
    released: int
    parameters: Float32
    optimiser: OptimiserState
    scaling: Scaling | None = None
    figures: Mapping[str, Any] | None = None


class GradientDescent(VectorAlgorithm[Config, DescentState[Config]], ABC):
    """Both halves of a gradient method."""

    name: str
    records = Records.TRAINING
    unit: ClassVar[Unit] = Unit.RECORD
    config_type: type[Config]

    # The parts that a method adds.

    @abstractmethod
    def parameter_count(self, config: Config, schema: Schema) -> int:
        """Return the number of parameters, from configuration and schema alone; raises ``InvalidJob``."""

    @abstractmethod
    def initial_parameters(self, config: Config, schema: Schema) -> Float32:
        """Aggregator: return the parameters to begin with, Float32[parameters]."""

    @abstractmethod
    def labels(self, schema: Schema, values: Values) -> Labels:
        """Party: return the labels to be predicted, one entry per record."""

    @abstractmethod
    def training_rows(
        self, config: Config, schema: Schema, parameters: Float32, inputs: Float32, labels: Labels
    ) -> Iterator[Float32]:
        """Party: yield the vectors of a round of training, Float32[n, parameters] each; see ``vectors``."""

    @abstractmethod
    def held_out_rows(
        self, config: Config, schema: Schema, parameters: Float32, inputs: Float32, labels: Labels
    ) -> Float32:
        """Party: return the vectors of all records held out, Float32[n, length of the measure]; see ``held_out``."""

    @abstractmethod
    def measure(self, schema: Schema) -> Measure:
        """Return the measure that defines such a vector and the figures made of the sum."""

    @abstractmethod
    def mean_of(self, config: Config, release: Release) -> Float64:
        """Aggregator: return the gradient, or its equivalent, Float64[parameters], from a sum."""

    @abstractmethod
    def model_body(self, state: DescentState[Config]) -> Mapping[str, Any]:
        """Aggregator: return the body of the model without figures."""

    def penalised(self, config: Config, schema: Schema, parameters: Float32) -> Float64:
        """Aggregator: return the parameters, with 0 for those without penalty."""
        return parameters.astype(np.float64)

    # The interface of an algorithm.

    @override
    def named_code(self, table: Mapping[str, Any]) -> NamedCode:
        return NamedCode()

    @override
    def parse_config(self, table: Mapping[str, Any]) -> Config:
        try:
            return parse(self.config_type, dict(table), "[config]")
        except ConfigurationError as cause:
            raise InvalidJob(cause.message) from cause

    @override
    def plan(self, config: Config, schema: Schema) -> Plan:
        width(schema)
        numbers = len(numeric_positions(schema))
        if config.has_statistics and not numbers:
            raise InvalidJob('[config] scaling = "statistics": there is no column with lower and upper to be scaled')
        length = self.parameter_count(config, schema)
        return Plan(self.unit, config.plan_rounds(length, numbers, self.measure(schema)))

    @override
    def initial_state(self, config: Config, schema: Schema) -> DescentState[Config]:
        return DescentState(config, schema, 0, self.initial_parameters(config, schema), OptimiserState())

    @override
    def next_ask(self, state: DescentState[Config]) -> Ask | None:
        config, number = state.config, state.released + 1
        planned = self.plan(config, state.schema).rounds
        if number > len(planned):
            return None
        body: dict[str, Any] = {"length": planned[number - 1].length, "config": config.model_dump(mode="json")}
        if config.phase(number) is not Phase.STATISTICS:
            body["parameters"] = state.parameters
            body |= state.scaling.to_arrays() if state.scaling else {}
        return Ask(number, body)

    def check_ask(self, config: Config, schema: Schema, ask: Ask, plan: Plan) -> None:
        """See ``Algorithm``; any parameters are accepted, as the party clips the vectors they give."""
        check_round(ask, plan)
        shapes: dict[str, tuple[type[np.floating[Any]], int]] = {}
        if config.phase(ask.round_number) is not Phase.STATISTICS:
            shapes["parameters"] = np.float32, self.parameter_count(config, schema)
            if config.has_statistics:
                numbers = len(numeric_positions(schema))
                shapes |= {"centre": (np.float64, numbers), "scale": (np.float64, numbers)}
        if ask.body.keys() != {"length", "config", *shapes}:
            raise MalformedMessage(f"the ask must have exactly the keys length, config{', '.join(('', *shapes))}")
        if document.encode(ask.body["config"]) != document.encode(config.model_dump(mode="json")):
            raise MalformedMessage("the ask has another configuration than its job")
        for name, (kind, length) in shapes.items():
            array = ask.arrays.get(name)
            if array is None or array.dtype != kind or array.shape != (length,):
                raise MalformedMessage(f"{name} of the ask must be {length} numbers of {kind.__name__}")
        if "scale" in shapes and not ask.arrays["scale"].min() > 0:
            raise MalformedMessage("scale of the ask must be above 0")

    def answer(self, ask: Ask, dataset: Dataset, random: RandomSource) -> Int64:
        """Raise ``StateError``: every round is one of vectors."""
        raise StateError(f"every round of {self.name} asks for vectors")

    @override
    def vectors(self, ask: Ask, dataset: Dataset) -> Iterator[Float32]:
        schema, config = dataset.schema, self.parse_config(ask.body["config"])
        inputs, positions = to_inputs(schema, dataset.columns, dataset.rows), numeric_positions(schema)
        phase = config.phase(ask.round_number)
        if phase is Phase.STATISTICS:
            yield private_scaling.rows(inputs[:, positions])
            return
        if config.has_statistics:
            inputs = Scaling(ask.arrays["centre"], ask.arrays["scale"]).apply(inputs, positions)
        rows = self.training_rows if phase is Phase.TRAINING else self._held_out
        yield from rows(config, schema, ask.arrays["parameters"], inputs, self.labels(schema, dataset.columns))

    @override
    def update(self, state: DescentState[Config], ask: Ask, release: Release) -> DescentState[Config]:
        if release.values.shape != (ask.length,) or ask.round_number != state.released + 1:
            raise StateError(f"a release of {release.values.size} values for an ask of {ask.length}, out of order")
        config, released = state.config, replace(state, released=ask.round_number)
        phase = config.phase(ask.round_number)
        if phase is Phase.STATISTICS:
            return replace(released, scaling=private_scaling.scaling_from(release.values))
        if phase is Phase.HELD_OUT:
            return replace(released, figures=self.measure(state.schema).figures(release))
        gradient = self.mean_of(config, release)
        gradient += config.l2 * self.penalised(config, state.schema, state.parameters)
        parameters, optimiser = step(config.rule, state.optimiser, state.parameters, gradient)
        return replace(released, parameters=parameters, optimiser=optimiser)

    def finish(self, state: DescentState[Config]) -> Mapping[str, Any]:
        """See ``Algorithm``; the parameters as they are, from the first round of training on."""
        if state.released <= state.config.has_statistics:
            raise StateError(f"{self.name} is finished before its first round of training was released")
        figures = {} if state.figures is None else {"held_out": dict(state.figures)}
        return {**self.model_body(state), **figures}

    @override
    def state_to_document(self, state: DescentState[Config]) -> Mapping[str, Any]:
        value = {"released": state.released, "parameters": state.parameters, "figures": state.figures}
        return {**value, **state.optimiser.to_document(), **(state.scaling.to_arrays() if state.scaling else {})}

    @override
    def state_from_document(self, config: Config, schema: Schema, value: Any) -> DescentState[Config]:
        length, numbers = self.parameter_count(config, schema), len(numeric_positions(schema))
        try:
            released, parameters, figures = value["released"], value["parameters"], value["figures"]
            scaling = Scaling(value["centre"], value["scale"]) if "centre" in value else None
        except (KeyError, TypeError) as cause:
            raise StorageError(f"the stored state of {self.name} cannot be read") from cause
        optimiser = OptimiserState.from_document(value, config.rule, length)
        shapes = [
            (parameters, length),
            *((array, numbers) for array in (scaling.to_arrays() if scaling else {}).values()),
        ]
        fits = all(isinstance(array, np.ndarray) and array.shape == (size,) for array, size in shapes)
        if not fits or type(released) is not int or (scaling is not None) != (config.has_statistics and released > 0):
            raise StorageError(f"the stored state of {self.name} does not fit its job")
        return DescentState(config, schema, released, parameters, optimiser, scaling, figures)

    def _held_out(
        self, config: Config, schema: Schema, parameters: Float32, inputs: Float32, labels: Labels
    ) -> Iterator[Float32]:
        yield self.held_out_rows(config, schema, parameters, inputs, labels)


def chunks(rows: int, length: int) -> Iterator[slice]:
    """Cut ``rows`` vectors of ``length`` numbers into parts that are computed at a time."""
    size = rows_at_once(length)
    for start in range(0, rows, size):
        yield slice(start, min(start + size, rows))


def rows_at_once(length: int) -> int:
    """Return the number of vectors of ``length`` numbers computed at a time, independent of their total number."""
    return max(1, min(CHUNK, _CHUNK_BYTES // (4 * length)))
