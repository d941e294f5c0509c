# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Networks of somebody else's, as they come: frozen layers, buffers of all kinds, shared weights. Imports torch."""

from __future__ import annotations

import torch
from torch import nn


def frozen(inputs: int, outputs: int) -> nn.Module:
    """A first layer that was trained elsewhere, and a head that is to be trained."""
    network = nn.Sequential(nn.Linear(inputs, 6), nn.Tanh(), nn.Linear(6, outputs))
    network[0].requires_grad_(False)
    return network


class Buffers(nn.Module):
    """Buffers of every type that a module may have, one of them not to be stored."""

    order: torch.Tensor
    centre_of_inputs: torch.Tensor
    is_used: torch.Tensor
    narrow: torch.Tensor
    wide: torch.Tensor

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.register_buffer("centre_of_inputs", torch.full((inputs,), 0.1))
        self.register_buffer("is_used", torch.arange(inputs) != 1)
        self.register_buffer("order", torch.arange(inputs).flip(0).to(torch.int32))
        self.register_buffer("narrow", torch.full((), 0.1, dtype=torch.bfloat16))
        self.register_buffer("wide", torch.full((1,), 0.1, dtype=torch.float64))
        self.register_buffer("mask", torch.full((2, 2), -torch.inf), persistent=False)
        self.head = nn.Linear(inputs, outputs)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        moved = (rows[:, self.order.long()] - self.centre_of_inputs) * self.is_used
        outputs: torch.Tensor = self.head(moved) + self.narrow.float() + self.wide.float()
        return outputs


class Tied(nn.Module):
    """Two layers with the same weights, and a frozen embedding of half precision."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(inputs, inputs), nn.Linear(inputs, inputs)
        self.second.weight = self.first.weight
        self.words = nn.Embedding(10, inputs).half().requires_grad_(False)
        self.head = nn.Linear(inputs, outputs)

    def forward(self, rows: torch.Tensor) -> torch.Tensor:
        word = self.words(((rows[:, 0] + 1) * 4.5).long()).float()
        outputs: torch.Tensor = self.head(torch.tanh(self.second(torch.tanh(self.first(rows)))) + word)
        return outputs
