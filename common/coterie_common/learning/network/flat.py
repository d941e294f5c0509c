# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A torch module as a function of one flat vector of parameters. Imports torch; its users import it late.

Gradients per record come from ``torch.func``: one backward pass for a chunk of records at once, no loop over records.
One thread per process: many parties share a machine's cores, and torch's own threads fight over them.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from coterie_common.errors import InvalidJob, TrainingFailed
from coterie_common.learning.algorithm import Float32, Float64
from coterie_common.learning.features import Classes
from coterie_common.learning.network.architectures import build

torch.set_num_threads(1)

RESERVED: Final = frozenset({"network", "centre", "scale", "held_out"})
"""Entries of a model's body beside its parameters."""

_PREDICTED: Final = 1024
"""Records whose logits are computed at a time."""


class FlatNetwork:
    """One network of given inputs and outputs.

    Args:
        module: takes Float32[n, inputs] and returns Float32[n, outputs].
        inputs: numbers per record.
        outputs: classes.

    Raises:
        InvalidJob: it does not, has no parameters, or mixes records.
    """

    def __init__(self, module: nn.Module, inputs: int, outputs: int) -> None:
        parameters = dict(module.named_parameters())
        if not parameters or any(parameter.dtype != torch.float32 for parameter in parameters.values()):
            raise InvalidJob("the network must have parameters, all of them 32-bit reals")
        if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules()):
            raise InvalidJob(
                "the network has batch normalisation, which mixes records: use group or layer normalisation"
            )
        if parameters.keys() & RESERVED:
            raise InvalidJob(f"no parameter of a network can be called {', '.join(sorted(RESERVED))}")
        self._module = module
        self._outputs = outputs
        self.names = tuple(parameters)
        self.shapes = tuple(tuple(parameter.shape) for parameter in parameters.values())
        self._sizes = [parameter.numel() for parameter in parameters.values()]
        self._gradient = vmap(grad(self._loss), in_dims=(None, 0, 0), randomness="different")
        self._check_output(inputs)

    @property
    def length(self) -> int:
        """Number of parameters."""
        return sum(self._sizes)

    def initial(self) -> Float32:
        """Return the parameters that the module was made with, Float32[length]."""
        flat: Float32 = torch.cat([tensor.detach().reshape(-1) for tensor in self._module.parameters()]).numpy().copy()
        return flat

    def logits(self, parameters: Float32, inputs: Float32) -> Float64:
        """Return one number per class, Float64[records, outputs]."""
        state = self._state(parameters)
        self._module.eval()
        with torch.no_grad():
            parts = [
                functional_call(self._module, state, (chunk,)) for chunk in torch.from_numpy(inputs).split(_PREDICTED)
            ]
        return torch.cat(parts).double().numpy() if len(inputs) else np.zeros((0, self._outputs))

    def gradients(self, parameters: Float32, inputs: Float32, classes: Classes) -> Float32:
        """Return the gradient of every record's cross-entropy, Float32[records, length]."""
        self._module.train()
        try:
            parts = self._gradient(self._state(parameters), torch.from_numpy(inputs), torch.from_numpy(classes))
        except RuntimeError as cause:
            raise TrainingFailed(f"torch cannot compute gradients per record of this network: {cause}") from cause
        flat: Float32 = torch.cat([parts[name].reshape(len(inputs), -1) for name in self.names], dim=1).numpy()
        return flat

    def train(
        self, parameters: Float32, inputs: Float32, classes: Classes, *, epochs: int, batch: int, learning_rate: float
    ) -> Float32:
        """Return the parameters after plain stochastic gradient descent over all records, Float32[length].

        The order of the records is a fixed shuffle: that it can be repeated tells nobody anything, because what is
        protected here is the whole of the records.
        """
        flat = torch.from_numpy(parameters.copy()).requires_grad_()
        x, y = torch.from_numpy(inputs), torch.from_numpy(classes)
        shuffle = torch.Generator().manual_seed(0)
        self._module.train()
        for _ in range(epochs):
            for chosen in torch.randperm(len(x), generator=shuffle).split(batch):
                outputs = functional_call(self._module, self._split(flat), (x[chosen],))
                (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(outputs, y[chosen]), flat)
                flat = (flat - learning_rate * gradient).detach().requires_grad_()
        trained: Float32 = flat.detach().numpy()
        return trained

    def named(self, parameters: Float32) -> dict[str, Float32]:
        """Return the parameters by the names and in the shapes of a state dict."""
        parts = np.split(parameters, np.cumsum(self._sizes)[:-1])
        return {
            name: part.reshape(shape).copy() for name, part, shape in zip(self.names, parts, self.shapes, strict=True)
        }

    def _state(self, parameters: Float32) -> dict[str, torch.Tensor]:
        # torch wants to own what it reads: what was decoded from a message is read-only
        return self._split(torch.from_numpy(parameters.copy()))

    def _split(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        parts = flat.split(self._sizes)
        return {name: part.view(shape) for name, part, shape in zip(self.names, parts, self.shapes, strict=True)}

    def _loss(self, state: dict[str, torch.Tensor], row: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        outputs = functional_call(self._module, state, (row.unsqueeze(0),))
        return nn.functional.cross_entropy(outputs, label.unsqueeze(0))

    def _check_output(self, inputs: int) -> None:
        self._module.eval()
        try:
            with torch.no_grad():
                shape = tuple(self._module(torch.zeros(2, inputs)).shape)
        except (RuntimeError, TypeError, ValueError, IndexError) as cause:
            raise InvalidJob(f"the network cannot take {inputs} inputs: {cause}") from cause
        if shape != (2, self._outputs):
            raise InvalidJob(f"the network returns shape {shape} for 2 records, not (2, {self._outputs})")


@lru_cache(maxsize=8)
def load_network(name: str, inputs: int, outputs: int, seed: int) -> FlatNetwork:
    """Build a network, with initial parameters that follow from a public seed.

    Raises:
        InvalidJob, ConfigurationError: see ``architectures.build`` and ``FlatNetwork``.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return FlatNetwork(build(name, inputs, outputs), inputs, outputs)
