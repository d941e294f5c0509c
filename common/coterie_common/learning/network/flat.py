# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A torch module as a function of one flat vector of parameters. Imports torch; its users import it late.

Gradients per record come from ``torch.func``: one backward pass for a block of records at once, no loop over records.
One thread per process: many parties share a machine's cores, and torch's own threads fight over them.

Only trained parameters are part of the vector. Frozen ones (``requires_grad`` is false) keep their initial values, as
buffers do: none of them is clipped, noised or sent.
"""

from __future__ import annotations

import threading
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from typing import Final

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad, vmap

from coterie_common.arrays import Array
from coterie_common.errors import InvalidJob, TrainingFailed
from coterie_common.learning.algorithm import Float32, Float64
from coterie_common.learning.algorithms.gradient_descent import rows_at_once
from coterie_common.learning.features import Classes
from coterie_common.learning.network.architectures import build
from coterie_common.learning.network.blocks import Blocks, State, spread
from coterie_common.learning.network.stored import check_state, from_stored, to_stored

torch.set_num_threads(1)

_COMPUTING: Final = threading.RLock()
"""Held while a module is used: ``functional_call`` puts parameters into it, and all threads draw from one generator."""

_PREDICTED: Final = 256
"""Records whose logits are computed at a time."""

_MIXED: Final = 1e-3
"""Of a record's logits beside two others, the relative difference at which they are mixed; rounding makes some 1e-6."""


class FlatNetwork:
    """One network of given inputs and outputs.

    Vectors may be longer than ``length``, for jobs that count frozen parameters too: the rest is ignored, and is 0 in
    returned vectors.

    Args:
        module: takes Float32[n, inputs] and returns Float32[n, outputs].
        inputs: numbers per record.
        outputs: classes.

    Raises:
        InvalidJob: it does not, trains nothing, mixes records, or has a state that no model file can hold.
    """

    def __init__(self, module: nn.Module, inputs: int, outputs: int) -> None:
        trained = {name: parameter for name, parameter in module.named_parameters() if parameter.requires_grad}
        if not trained or any(parameter.dtype != torch.float32 for parameter in trained.values()):
            raise InvalidJob("the network must have parameters to be trained, all of them 32-bit reals")
        if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in module.modules()):
            raise InvalidJob(
                "the network has batch normalisation, which mixes records: use group or layer normalisation"
            )
        check_state(module)
        self._module = module
        self._outputs = outputs
        self.names = tuple(trained)
        self.shapes = tuple(tuple(parameter.shape) for parameter in trained.values())
        self._sizes = [parameter.numel() for parameter in trained.values()]
        self._check_output(inputs)
        # Random draws, as of dropout, are made once for all records: they must not depend on the records' places.
        self._gradient = vmap(grad(self._loss), in_dims=(None, 0, 0), randomness="same")
        size = rows_at_once(self.length)
        self._gradients = Blocks(self._compute_gradients, size, inputs, outputs, self._states_to_try)
        self._logits = Blocks(self._compute_logits, _PREDICTED, inputs, outputs, self._states_to_try)

    @property
    def length(self) -> int:
        """Number of trained parameters."""
        return sum(self._sizes)

    @property
    def length_with_frozen(self) -> int:
        """Number of all parameters."""
        return sum(parameter.numel() for parameter in self._module.parameters())

    def initial(self) -> Float32:
        """Return the trained parameters that the module was made with, Float32[length]."""
        with _COMPUTING:
            parameters = dict(self._module.named_parameters())
            flat: Float32 = torch.cat([parameters[name].detach().reshape(-1) for name in self.names]).numpy().copy()
            return flat

    def logits(self, parameters: Float32, inputs: Float32) -> Float64:
        """Return one number per class, Float64[records, outputs]; raises ``RowsNotIndependent``."""
        return self._logits_with(State(self._split(self._owned(parameters))), inputs)

    def logits_of(self, named: Mapping[str, Array], inputs: Float32) -> Float64:
        """Return the logits of a model, from the output of ``named``.

        Raises:
            InvalidJob: it is another network's.
            RowsNotIndependent: the result of a record would depend on others.
        """
        with _COMPUTING:
            state = State(from_stored(self._module, named))
        return self._logits_with(state, inputs)

    def gradients(self, parameters: Float32, inputs: Float32, classes: Classes) -> Float32:
        """Return all of ``gradient_blocks``, Float32[records, length]."""
        return np.concatenate(list(self.gradient_blocks(parameters, inputs, classes)))

    def gradient_blocks(self, parameters: Float32, inputs: Float32, classes: Classes) -> Iterator[Float32]:
        """Yield the gradient of every record's cross-entropy, Float32[≤ block, length], the same for equal records.

        Raises:
            TrainingFailed: torch cannot compute it.
            RowsNotIndependent: the result of a record would depend on others.
        """
        flat = self._owned(parameters)
        state = State(self._split(flat), _seed_of(flat))
        for rows in self._gradients.rows(state, inputs, classes):
            yield rows.numpy()

    def train(
        self, parameters: Float32, inputs: Float32, classes: Classes, *, epochs: int, batch: int, learning_rate: float
    ) -> Float32:
        """Return the parameters after plain stochastic gradient descent over all records, of the length given.

        The order of the records is a fixed shuffle: a repeatable one reveals nothing, because all the records are
        protected as a whole. Without records, a step is made on a record of zeros and discarded: a network that fails
        does so with and without records.
        """
        flat = self._owned(parameters).requires_grad_()
        x, y = torch.from_numpy(np.array(inputs)), torch.from_numpy(np.array(classes))
        if not len(x):
            x, y, epochs, learning_rate = torch.zeros(1, inputs.shape[1]), torch.zeros(1, dtype=torch.int64), 1, 0.0
        shuffle = torch.Generator().manual_seed(0)
        with _drawing(_seed_of(flat)):
            self._module.train()
            for _ in range(epochs):
                for chosen in torch.randperm(len(x), generator=shuffle).split(batch):
                    outputs = self._call(self._split(flat), x[chosen])
                    (gradient,) = torch.autograd.grad(nn.functional.cross_entropy(outputs, y[chosen]), flat)
                    if learning_rate:
                        flat = (flat - learning_rate * gradient).detach().requires_grad_()
        trained = parameters.copy()
        trained[: self.length] = flat.detach().numpy()
        return trained

    def named(self, parameters: Float32) -> dict[str, Array]:
        """Return the module's state dict with these parameters, as a model file holds it; see ``to_stored``."""
        with _COMPUTING:
            return to_stored(self._module, self._split(self._owned(parameters)))

    def _owned(self, parameters: Float32) -> torch.Tensor:
        # torch must own its input: an array decoded from a message is read-only. torch also aligns what it owns.
        flat = torch.empty(self.length)
        flat.copy_(torch.from_numpy(np.array(parameters[: self.length])))
        return flat

    def _split(self, flat: torch.Tensor) -> dict[str, torch.Tensor]:
        parts = torch.split(flat, self._sizes)
        return {name: part.view(shape) for name, part, shape in zip(self.names, parts, self.shapes, strict=True)}

    def _states_to_try(self) -> Iterator[State]:
        yield State(self._split(self._owned(self.initial())))
        yield State(self._split(spread(self.length)))

    def _call(self, tensors: Mapping[str, torch.Tensor], rows: torch.Tensor) -> torch.Tensor:
        # Buffers as copies: the changes of one call must not reach the next.
        buffers = {name: buffer.clone() for name, buffer in self._module.named_buffers()}
        outputs: torch.Tensor = functional_call(self._module, {**buffers, **tensors}, (rows,))
        return outputs

    def _logits_with(self, state: State, inputs: Float32) -> Float64:
        rows = self._logits.rows(state, inputs, np.zeros(len(inputs), np.int64))
        logits: Float64 = torch.cat(list(rows)).double().numpy()
        return logits

    def _compute_logits(self, state: State, rows: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        with _COMPUTING, torch.no_grad():
            self._module.eval()
            return self._call(state.tensors, rows)

    def _compute_gradients(self, state: State, rows: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        try:
            with _drawing(state.seed):
                self._module.train()
                parts = self._gradient(state.tensors, rows, labels)
        except RuntimeError as cause:
            raise TrainingFailed(f"torch cannot compute gradients per record of this network: {cause}") from cause
        return torch.cat([parts[name].detach().reshape(len(rows), -1) for name in self.names], dim=1)

    def _loss(self, tensors: Mapping[str, torch.Tensor], row: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(self._call(tensors, row.unsqueeze(0)), label.unsqueeze(0))

    def _check_output(self, inputs: int) -> None:
        records = torch.linspace(-1, 1, 2 * inputs).reshape(2, inputs)
        try:
            with _COMPUTING, torch.no_grad():
                self._module.eval()
                logits, beside_itself = self._call({}, records), self._call({}, records[[0, 0]])
                shape = tuple(logits.shape)
        except (RuntimeError, TypeError, ValueError, IndexError) as cause:
            raise InvalidJob(f"the network cannot take {inputs} inputs: {cause}") from cause
        if shape != (2, self._outputs):
            raise InvalidJob(f"the network returns shape {shape} for 2 records, not (2, {self._outputs})")
        if not torch.allclose(logits[0], beside_itself[0], rtol=_MIXED, atol=_MIXED, equal_nan=True):
            raise InvalidJob("the network mixes records: what it returns for one depends on the others of its batch")


def _seed_of(flat: torch.Tensor) -> int:
    """Return the seed of a round's draws: different for other parameters, the same for every record."""
    return zlib.crc32(flat.detach().numpy().tobytes())


@contextmanager
def _drawing(seed: int) -> Iterator[None]:
    """Have torch draw from a seed, and leave its global generator alone; one thread at a time."""
    with _COMPUTING, torch.random.fork_rng(devices=()):
        torch.manual_seed(seed)
        yield


@lru_cache(maxsize=8)
def load_network(name: str, inputs: int, outputs: int, seed: int) -> FlatNetwork:
    """Build a network, with initial parameters that follow from a public seed.

    Raises:
        InvalidJob, ConfigurationError: see ``architectures.build`` and ``FlatNetwork``.
    """
    with _drawing(seed):
        return FlatNetwork(build(name, inputs, outputs), inputs, outputs)
