# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The algorithm ``federated_averaging``: every party trains by itself for a while, and the updates are averaged.

A party's whole update is clipped, noised and protected: the unit of privacy is the party. This is worth its noise only
with many parties, thousands rather than ten.

Source: McMahan et al., "Communication-Efficient Learning of Deep Networks from Decentralized Data", AISTATS 2017;
McMahan et al., "Learning Differentially Private Recurrent Language Models", ICLR 2018.
Deviation: every party's update has the same weight, regardless of its number of records, which stays private.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from typing_extensions import override

from coterie_common.learning.algorithm import Float32, Float64, Release
from coterie_common.learning.algorithms.gradient_descent import Labels
from coterie_common.learning.algorithms.held_out import ClassifierMeasure, Measure
from coterie_common.learning.algorithms.optimiser import Optimiser
from coterie_common.learning.data.column import Real
from coterie_common.learning.data.schema import Schema
from coterie_common.learning.network.model import NetworkAlgorithm, NetworkConfig
from coterie_common.privacy.noise.mechanisms import Unit
from coterie_common.protocol.job_spec import Exact


@dataclass(frozen=True, slots=True)
class _PartyMeasure(ClassifierMeasure):
    """The measure of parties that each give the sum over their records, divided by this public number."""

    max_records: int

    @override
    def figures(self, release: Release) -> Mapping[str, Any]:
        sums = replace(
            release,
            values=release.values * self.max_records,
            noise_stddev=release.noise_stddev * self.max_records,
        )
        # not by super(): a dataclass with slots is another class than the one that super() knows
        return ClassifierMeasure.figures(self, sums)


class AveragingConfig(NetworkConfig):
    """Configuration of the job; see ``DescentConfig`` and ``NetworkChoice``.

    Attributes:
        epochs: passes of a party over its own records in a round.
        local_batch, local_learning_rate: of its stochastic gradient descent.
    """

    clip_norm: Annotated[Exact, Field(gt=0)] = Decimal(1)
    optimiser: Annotated[Optimiser, Field(strict=False)] = Optimiser.SGD
    learning_rate: Annotated[Real, Field(gt=0, le=1000)] = 1.0
    momentum: Annotated[Real, Field(ge=0, lt=1)] = 0.0
    epochs: Annotated[int, Field(ge=1, le=1000)] = 1
    local_batch: Annotated[int, Field(ge=1)] = 32
    local_learning_rate: Annotated[Real, Field(gt=0, le=1000)] = 0.1


class FederatedAveraging(NetworkAlgorithm[AveragingConfig]):
    """The algorithm ``federated_averaging``."""

    name = "federated_averaging"
    unit = Unit.PARTY
    config_type = AveragingConfig

    def training_rows(
        self, config: AveragingConfig, schema: Schema, parameters: Float32, inputs: Float32, labels: Labels
    ) -> Iterator[Float32]:
        """See ``GradientDescent``; one row, the change of the parameters, zero without records."""
        network = self.load(config, schema, parameters)
        trained = network.train(
            parameters,
            inputs,
            labels,
            epochs=config.epochs,
            batch=config.local_batch,
            learning_rate=config.local_learning_rate,
        )
        yield (trained - parameters)[np.newaxis]

    def held_out_rows(
        self, config: AveragingConfig, schema: Schema, parameters: Float32, inputs: Float32, labels: Labels
    ) -> Float32:
        """See ``GradientDescent``; one row, the sum of those of the records over ``max_records``.

        So a record counts the same at every party, and the row is no longer than one of a record: a party has at most
        ``max_records``, set aside or not.
        """
        rows = super().held_out_rows(config, schema, parameters, inputs, labels)
        total: Float64 = rows.sum(axis=0, dtype=np.float64, keepdims=True)
        return (total / schema.max_records).astype(np.float32)

    @override
    def measure(self, schema: Schema) -> Measure:
        return _PartyMeasure(len(schema.class_names), schema.max_records)

    def mean_of(self, config: AveragingConfig, release: Release) -> Float64:
        """See ``GradientDescent``; an optimiser goes against a gradient, so against the mean update's opposite."""
        return -release.values / release.contributors
