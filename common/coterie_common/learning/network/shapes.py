# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The sizes of the built-in networks, known without loading torch."""

from __future__ import annotations

import math
from typing import Final

from coterie_common.errors import InvalidJob

MLP_HIDDEN: Final = 64
CNN_CHANNELS: Final = (16, 32)
CNN_HIDDEN: Final = 32


def image_side(inputs: int) -> int:
    """Return the width of a square image of one channel.

    Raises:
        InvalidJob: not square, or smaller than the network ``cnn`` can use.
    """
    side = math.isqrt(inputs)
    if side * side != inputs or _map_side(side) < 1:
        raise InvalidJob(f"the network cnn needs square images of at least 14 × 14 numbers, not {inputs} numbers")
    return side


def cnn_features(inputs: int) -> int:
    """Return the number of outputs of the convolutions of ``cnn`` for an image; raises ``InvalidJob``."""
    side = _map_side(image_side(inputs))
    return CNN_CHANNELS[1] * side * side


def parameter_count(name: str, inputs: int, outputs: int) -> int | None:
    """Return the number of parameters of a built-in network, ``None`` for any other.

    Raises:
        InvalidJob: a built-in network cannot take these inputs.
    """
    if name == "mlp":
        return (inputs + 1) * MLP_HIDDEN + (MLP_HIDDEN + 1) * outputs
    if name == "cnn":
        first, second = CNN_CHANNELS
        convolutions = (8 * 8 + 1) * first + (4 * 4 * first + 1) * second
        return convolutions + (cnn_features(inputs) + 1) * CNN_HIDDEN + (CNN_HIDDEN + 1) * outputs
    return None


def _map_side(side: int) -> int:
    """Return the side of an image after the last pooling of ``cnn``."""
    pooled = (side + 6 - 8) // 2 + 1 - 1
    return (pooled - 4) // 2 + 1 - 1
