# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What all ways to train a network share: the configuration that names it, and the model that it becomes.

A model's arrays are the network's state dict, so its file opens with ``safetensors.torch.load_file``.
"""

from __future__ import annotations

from abc import ABC
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeVar

import numpy as np
from pydantic import BaseModel, Field
from scipy.special import softmax

from coterie_common import arrays
from coterie_common.errors import ConfigurationError, InvalidJob, MalformedMessage, WrongVectorShape
from coterie_common.learning import held_out
from coterie_common.learning.algorithm import Float32, Float64, Values
from coterie_common.learning.descent_config import DescentConfig
from coterie_common.learning.features import Scaling, class_labels, numeric_positions, to_inputs, width
from coterie_common.learning.gradient_descent import DescentState, GradientDescent, Labels
from coterie_common.learning.libraries import needing
from coterie_common.learning.model import Model
from coterie_common.learning.network.architectures import check_network, parameter_count
from coterie_common.learning.schema import Schema

if TYPE_CHECKING:
    from coterie_common.learning.network.flat import FlatNetwork

PARAMETERS_MOST: Final = 1 << 30
NAME_PATTERN: Final = r"^[a-z][a-z0-9_.-]{0,62}$"


class NetworkChoice(BaseModel):
    """Which network a job trains.

    Attributes:
        network: its name; a party runs only those that its policy names.
        parameters: how many it has; may be left out for the built-in ones.
        seed: public, of the initial parameters.
    """

    network: Annotated[str, Field(pattern=NAME_PATTERN)]
    parameters: Annotated[int, Field(ge=1, le=PARAMETERS_MOST)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0


class NetworkConfig(DescentConfig, NetworkChoice):
    """Configuration that every way to train a network has."""


Config = TypeVar("Config", bound=NetworkConfig)


class NetworkAlgorithm(GradientDescent[Config], ABC):
    """What does not depend on how a network is trained; see ``GradientDescent`` and ``Classifier``."""

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

    def check_installed(self, config: Config, folders: Sequence[Path]) -> None:
        """See ``NeedsMore``."""
        check_network(config.network, folders)

    def initial_parameters(self, config: Config, schema: Schema) -> Float32:
        """See ``GradientDescent``; those that torch gives a new module."""
        network = _load(config.network, schema, config.seed)
        if network.length != self.parameter_count(config, schema):
            raise InvalidJob(f"[config] parameters: the network {config.network!r} has {network.length}")
        return network.initial()

    def load(self, config: Config, schema: Schema, parameters: Float32) -> FlatNetwork:
        """Return the network.

        Raises:
            WrongVectorShape: what is installed here has another number of parameters than the job says.
        """
        network = _load(config.network, schema, config.seed)
        if network.length != len(parameters):
            raise WrongVectorShape(
                f"the network {config.network!r} has {network.length} parameters here, {len(parameters)} in the job"
            )
        return network

    def labels(self, schema: Schema, values: Values) -> Labels:
        """See ``GradientDescent``."""
        return class_labels(schema, values)

    def held_out_rows(
        self, config: Config, schema: Schema, parameters: Float32, inputs: Float32, labels: Labels
    ) -> Float32:
        """See ``GradientDescent``."""
        return held_out.classifier_rows(self.load(config, schema, parameters).logits(parameters, inputs), labels)

    def measure(self, schema: Schema) -> held_out.Measure:
        """See ``GradientDescent``."""
        return held_out.ClassifierMeasure(len(schema.class_names))

    def model_body(self, state: DescentState[Config]) -> Mapping[str, Any]:
        """See ``GradientDescent``; the name of the network and its state dict."""
        config = state.config
        named = self.load(config, state.schema, state.parameters).named(state.parameters)
        return {"network": config.network, **named}

    def check_body(self, schema: Schema, body: Any) -> None:
        """See ``Classifier``; whether the shapes fit is seen when the network is built."""
        content = arrays.split(body) if isinstance(body, Mapping) else arrays.Content({}, {})
        if not isinstance(content.document.get("network"), str) or content.document.keys() - {"network", "held_out"}:
            raise MalformedMessage("the body of a network's model must name the network")
        parameters = _parameters(content.arrays)
        if not parameters or any(array.dtype != np.float32 for array in parameters.values()):
            raise MalformedMessage("the body of a network's model must hold its parameters, 32-bit reals")
        count = sum(array.size for array in parameters.values())
        if parameter_count(content.document["network"], width(schema), len(schema.class_names)) not in (None, count):
            raise MalformedMessage(f"the network {content.document['network'][:80]!r} has another number of parameters")
        scaling = content.arrays.keys() - parameters.keys()
        numbers = len(numeric_positions(schema))
        fits = all(
            content.arrays[name].shape == (numbers,) and content.arrays[name].dtype == np.float64 for name in scaling
        )
        if len(scaling) == 1 or not fits or (scaling and not content.arrays["scale"].min() > 0):
            raise MalformedMessage("centre and scale of a network's model must fit its numbers, and scale be above 0")

    def probabilities(self, schema: Schema, body: Mapping[str, Any], values: Values) -> Float64:
        """See ``Classifier``."""
        network = _load(body["network"], schema, 0)
        named = _parameters(arrays.split(body).arrays)
        if tuple(named[name].shape for name in network.names if name in named) != network.shapes:
            raise ConfigurationError(f"the network {body['network']!r} that is installed here is not the model's")
        parameters = np.concatenate([named[name].reshape(-1) for name in network.names])
        inputs = to_inputs(schema, values, len(next(iter(values.values()))))
        if "scale" in body:
            inputs = Scaling(body["centre"], body["scale"]).apply(inputs, numeric_positions(schema))
        shares: Float64 = softmax(network.logits(parameters, inputs), axis=1)
        return shares


def export_state_dict(model: Model) -> bytes:
    """Return the state dict of a network's model as a safetensors file without anything else.

    Raises:
        ConfigurationError: the model is no network's.
    """
    if not isinstance(model.body.get("network"), str):
        raise ConfigurationError(f"{model.name!r} is a result of {model.algorithm!r}, which trains no network")
    return arrays.encode({}, _parameters(arrays.split(model.body).arrays))


def _parameters(named: Mapping[str, arrays.Array]) -> dict[str, arrays.Array]:
    return {name: array for name, array in named.items() if name not in ("centre", "scale")}


def _load(name: str, schema: Schema, seed: int) -> FlatNetwork:
    with needing("torch", f"the network {name[:80]!r}"):
        # imported here: torch takes more than a second, and is not needed to plan a job or to check an ask
        from coterie_common.learning.network.flat import load_network
    return load_network(name, width(schema), len(schema.class_names), seed)
