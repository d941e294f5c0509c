# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The algorithm ``network``: DP-SGD. Every record's gradient is clipped by its party; the noisy sum makes a step.

Source: Abadi et al., "Deep Learning with Differential Privacy", CCS 2016.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated

import numpy as np
from pydantic import Field
from typing_extensions import override

from coterie_common.learning.algorithm import Float32, Float64, Release
from coterie_common.learning.algorithms.descent_config import RecordConfig
from coterie_common.learning.algorithms.gradient_descent import Labels, chunks
from coterie_common.learning.data.column import Real
from coterie_common.learning.data.schema import Schema
from coterie_common.learning.network.model import NetworkAlgorithm, NetworkConfig
from coterie_common.protocol.job_spec import Exact


class DescentNetworkConfig(RecordConfig, NetworkConfig):
    """Configuration of the job; see ``RecordConfig``, ``DescentConfig`` and ``NetworkChoice``."""

    clip_norm: Annotated[Exact, Field(gt=0)] = Decimal("0.1")
    learning_rate: Annotated[Real, Field(gt=0, le=1000)] = 0.01


class NetworkDescent(NetworkAlgorithm[DescentNetworkConfig]):
    """The algorithm ``network``."""

    name = "network"
    config_type = DescentNetworkConfig

    @override
    def training_rows(
        self, config: DescentNetworkConfig, schema: Schema, parameters: Float32, inputs: Float32, labels: Labels
    ) -> Iterator[Float32]:
        network = self.load(config, schema, parameters)
        frozen = len(parameters) - network.length
        for rows in network.gradient_blocks(parameters, inputs, labels):
            for part in chunks(len(rows), len(parameters)):
                yield np.pad(rows[part], ((0, 0), (0, frozen))) if frozen else rows[part]

    @override
    def mean_of(self, config: DescentNetworkConfig, release: Release) -> Float64:
        return release.values / config.expected_batch
