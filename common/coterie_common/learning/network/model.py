# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The common part of all training of networks: the configuration that names the network, and the resulting model.

A model's arrays are the network's state dict and nothing else: ``module.load_state_dict`` accepts the output of
``safetensors.torch.load_file``. The JSON holds the scaling of numbers.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import numpy as np
from pydantic import BaseModel, Field
from typing_extensions import override

from coterie_common import arrays
from coterie_common.errors import ConfigurationError, InvalidJob, MalformedMessage, WrongVectorShape
from coterie_common.learning.algorithm import Classifier, Float32, Float64, NamedCode, NeedsMore, Values
from coterie_common.learning.algorithms import held_out
from coterie_common.learning.algorithms.descent_config import DescentConfig
from coterie_common.learning.algorithms.gradient_descent import DescentState, GradientDescent, Labels
from coterie_common.learning.algorithms.row_functions import softmax
from coterie_common.learning.data.schema import Schema
from coterie_common.learning.features import Scaling, class_labels, numeric_positions, to_inputs, width
from coterie_common.learning.libraries import needing
from coterie_common.learning.network.architectures import check_network
from coterie_common.learning.network.shapes import parameter_count

if TYPE_CHECKING:
    from coterie_common.learning.network.flat import FlatNetwork

MAX_PARAMETERS: Final = 1 << 30
_SCALING: Final = frozenset({"centre", "scale"})
NAME_PATTERN: Final = r"^[a-z][a-z0-9_.-]{0,62}$"


class NetworkChoice(BaseModel):
    """The network that a job trains.

    Attributes:
        network: its name; a party runs only those that its policy names.
        parameters: the number trained; may be left out for the built-in networks. Frozen ones may be included: they are
            sent as zeros.
        seed: public, of the initial parameters.
    """

    network: Annotated[str, Field(pattern=NAME_PATTERN)]
    parameters: Annotated[int, Field(ge=1, le=MAX_PARAMETERS)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


class NetworkConfig(DescentConfig, NetworkChoice):
    """The configuration common to all training of networks."""


Config = TypeVar("Config", bound=NetworkConfig)


class NetworkAlgorithm(GradientDescent[Config], NeedsMore, Classifier, ABC):
    """The part of an algorithm that does not depend on the training of a network."""

    @override
    def named_code(self, table: Mapping[str, Any]) -> NamedCode:
        network = table.get("network")
        return NamedCode(networks=() if network is None else (network,))

    def parameter_count(self, config: Config, schema: Schema) -> int:
        """See ``GradientDescent``; builds no network."""
        known = parameter_count(config.network, width(schema), len(schema.class_names))
        if known is None and config.parameters is None:
            raise InvalidJob(
                f"[config] parameters: say how many the network {config.network!r} has; it is not built in"
            )
        if known is not None and config.parameters not in (None, known):
            raise InvalidJob(f"[config] parameters: the network {config.network!r} has {known}")
        return known or config.parameters or 0

    @override
    def check_installed(self, config: Config, folders: Sequence[Path]) -> None:
        check_network(config.network, folders)

    def initial_parameters(self, config: Config, schema: Schema) -> Float32:
        """See ``GradientDescent``; those that torch gives a new module."""
        network = _load(config.network, schema, config.seed)
        count = self.parameter_count(config, schema)
        if count not in (network.length, network.length_with_frozen):
            frozen = network.length_with_frozen - network.length
            raise InvalidJob(
                f"[config] parameters: the network {config.network!r} trains {network.length}"
                + (f", besides {frozen} that are frozen" if frozen else "")
            )
        return np.concatenate([network.initial(), np.zeros(count - network.length, np.float32)])

    def load(self, config: Config, schema: Schema, parameters: Float32) -> FlatNetwork:
        """Return the network.

        Raises:
            WrongVectorShape: the network installed here has another number of parameters than the job states.
        """
        network = _load(config.network, schema, config.seed)
        if len(parameters) not in (network.length, network.length_with_frozen):
            raise WrongVectorShape(
                f"the network {config.network!r} trains {network.length} parameters here, {len(parameters)} in the job"
            )
        return network

    @override
    def labels(self, schema: Schema, values: Values) -> Labels:
        return class_labels(schema, values)

    @override
    def held_out_rows(
        self, config: Config, schema: Schema, parameters: Float32, inputs: Float32, labels: Labels
    ) -> Float32:
        return held_out.classifier_rows(self.load(config, schema, parameters).logits(parameters, inputs), labels)

    @override
    def measure(self, schema: Schema) -> held_out.Measure:
        return held_out.ClassifierMeasure(len(schema.class_names))

    def model_body(self, state: DescentState[Config]) -> Mapping[str, Any]:
        """See ``GradientDescent``; the name of the network and its state dict."""
        config = state.config
        named = self.load(config, state.schema, state.parameters).named(state.parameters)
        scaling = state.scaling.to_arrays() if state.scaling else {}
        return {"network": config.network, **{name: array.tolist() for name, array in scaling.items()}, **named}

    def check_body(self, schema: Schema, body: Any) -> None:
        """See ``Classifier``; names and shapes are checked when the network is built."""
        content = arrays.split(body) if isinstance(body, Mapping) else arrays.Content({}, {})
        others = {"network", "held_out", *_SCALING}
        if not isinstance(content.document.get("network"), str) or content.document.keys() - others:
            raise MalformedMessage("the body of a network's model must name the network")
        state = _state_dict(body)
        count = sum(array.size for array in state.values())
        known = parameter_count(content.document["network"], width(schema), len(schema.class_names))
        # Networks of users may have buffers of other types besides.
        is_real = [array.dtype == np.float32 for array in state.values()]
        if not any(is_real) or (known is not None and not all(is_real)):
            raise MalformedMessage("the body of a network's model must hold its parameters, 32-bit reals")
        if known not in (None, count):
            raise MalformedMessage(f"the network {content.document['network'][:80]!r} has another number of parameters")
        if body.keys() & _SCALING:
            _check_scaling(body, len(numeric_positions(schema)))

    @override
    def probabilities(self, schema: Schema, body: Mapping[str, Any], values: Values) -> Float64:
        network = _load(body["network"], schema, 0)
        inputs = to_inputs(schema, values, len(next(iter(values.values()))))
        if "scale" in body:
            scaling = Scaling(*(np.array(body[name], np.float64) for name in ("centre", "scale")))
            inputs = scaling.apply(inputs, numeric_positions(schema))
        try:
            logits = network.logits_of(_state_dict(body), inputs)
        except InvalidJob as cause:
            raise ConfigurationError(
                f"the network {body['network']!r} that is installed here is not the model's: {cause.message}"
            ) from cause
        return softmax(logits)


def _state_dict(body: Mapping[str, Any]) -> dict[str, arrays.Array]:
    # In files of earlier versions the scaling is among the arrays.
    return {name: array for name, array in arrays.split(body).arrays.items() if name not in _SCALING}


def _check_scaling(body: Mapping[str, Any], numbers: int) -> None:
    for name in _SCALING:
        scaling: Any = body.get(name)
        if isinstance(scaling, list) and all(type(number) in (int, float) for number in scaling):
            scaling = np.array(scaling, np.float64)
        is_array = isinstance(scaling, np.ndarray) and scaling.dtype == np.float64 and scaling.shape == (numbers,)
        if not is_array or (name == "scale" and numbers and not scaling.min() > 0):
            raise MalformedMessage("centre and scale of a network's model must fit its numbers, and scale be above 0")


def _load(name: str, schema: Schema, seed: int) -> FlatNetwork:
    with needing("torch", f"the network {name[:80]!r}"):
        # imported here: torch takes more than a second, and is not needed to plan a job or to check an ask
        from coterie_common.learning.network.flat import load_network
    return load_network(name, width(schema), len(schema.class_names), seed)
