# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The built-in networks. Imports torch; reached through ``architectures`` only.

Their activations are bounded: with clipped and noisy gradients tanh learns better than rectifiers, whose activations
grow (measured on MNIST at ε = 2 and 0.5, same rounds and noise: two points better).

Source: Papernot et al., "Tempered Sigmoid Activations for Deep Learning with Differential Privacy", AAAI 2021, for the
activation; the network ``cnn`` is the one that TensorFlow Privacy and Opacus use for MNIST, some 26,000 parameters.
"""

from __future__ import annotations

import torch
from torch import nn

from coterie_common.learning.network.shapes import (
    CNN_CHANNELS,
    CNN_HIDDEN,
    MLP_HIDDEN,
    cnn_features,
    image_side,
)


def mlp(inputs: int, outputs: int) -> nn.Module:
    """Return a network with one hidden layer."""
    return nn.Sequential(nn.Linear(inputs, MLP_HIDDEN), nn.Tanh(), nn.Linear(MLP_HIDDEN, outputs))


def cnn(inputs: int, outputs: int) -> nn.Module:
    """Return two convolutions and two dense layers for square images of one channel.

    Raises:
        InvalidJob: the inputs are not such an image.
    """
    first, second = CNN_CHANNELS
    return nn.Sequential(
        _Image(image_side(inputs)),
        nn.Conv2d(1, first, 8, stride=2, padding=3),
        nn.Tanh(),
        nn.MaxPool2d(2, stride=1),
        nn.Conv2d(first, second, 4, stride=2),
        nn.Tanh(),
        nn.MaxPool2d(2, stride=1),
        nn.Flatten(),
        nn.Linear(cnn_features(inputs), CNN_HIDDEN),
        nn.Tanh(),
        nn.Linear(CNN_HIDDEN, outputs),
    )


class _Image(nn.Module):
    """From rows of −1 … 1 to images of 0 … 1: black should be 0, as the padding around an image is."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self._side = side

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        return (rows.reshape(-1, 1, self._side, self._side) + 1) / 2
