# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A module's state dict as arrays for a model file, and back: trained and frozen parameters, and buffers.

``module.load_state_dict`` needs every entry, and converts each to the module's type: whole numbers and truth values are
stored as 64-bit integers, short reals as 32-bit ones, without loss.

Imports torch; reached through ``flat`` only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import torch
from torch import nn

from coterie_common.arrays import MAX_ARRAYS, MAX_NAME_CHARACTERS, Array
from coterie_common.errors import InvalidJob

RESERVED: Final = frozenset({"network", "centre", "scale", "held_out"})
"""Entries of a model's body beside its state dict."""

_INTEGERS: Final = (torch.bool, torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64)
_REALS: Final = {
    torch.float16: torch.float32,
    torch.bfloat16: torch.float32,
    torch.float32: torch.float32,
    torch.float64: torch.float64,
}


def check_state(module: nn.Module) -> None:
    """Check, before anything is trained, that a model file can hold the module's state.

    Raises:
        InvalidJob: it cannot; the message names the entry and the reason.
    """
    state = module.state_dict()
    if state.keys() & RESERVED:
        raise InvalidJob(f"no parameter or buffer of a network can be called {', '.join(sorted(RESERVED))}")
    if len(state) > MAX_ARRAYS:
        raise InvalidJob(f"the network has {len(state)} parameters and buffers, a model file at most {MAX_ARRAYS}")
    for name, tensor in state.items():
        if not isinstance(tensor, torch.Tensor) or tensor.dtype not in (*_INTEGERS, *_REALS):
            kind = tensor.dtype if isinstance(tensor, torch.Tensor) else type(tensor).__name__
            raise InvalidJob(f"{name[:80]!r} of the network holds {kind}, which no model file holds")
        if len(name) > MAX_NAME_CHARACTERS:
            raise InvalidJob(f"{name[:80]!r}… of the network: a name has at most {MAX_NAME_CHARACTERS} characters")
        if not bool(torch.isfinite(tensor).all()):
            raise InvalidJob(
                f"{name[:80]!r} of the network holds numbers that are not finite, which no model file holds: register "
                "a buffer with persistent=False, or replace them by large finite ones"
            )


def to_stored(module: nn.Module, trained: Mapping[str, torch.Tensor]) -> dict[str, Array]:
    """Return every entry of the module's state dict as an array.

    Args:
        module: its frozen parameters and buffers are stored unchanged.
        trained: replaces the parameters of these names, and those that share their numbers.
    """
    shared = {id(parameter): trained[name] for name, parameter in module.named_parameters() if name in trained}
    state = module.state_dict(keep_vars=True)
    return {name: _stored(shared.get(id(tensor), tensor)) for name, tensor in state.items()}


def from_stored(module: nn.Module, stored: Mapping[str, Array]) -> dict[str, torch.Tensor]:
    """Return the tensors of arrays from ``to_stored``, in the module's types.

    Entries that are missing are the module's own: older model files hold no buffers.

    Raises:
        InvalidJob: the arrays are not of this kind of module.
    """
    state = module.state_dict()
    parameters = {name for name, _ in module.named_parameters()}
    if parameters - stored.keys() or stored.keys() - state.keys():
        raise InvalidJob("parameters of other names")
    if any(array.shape != tuple(state[name].shape) for name, array in stored.items()):
        raise InvalidJob("parameters of other shapes")
    # Of names that share their numbers one is enough, and torch accepts only one.
    names = (parameters | {name for name, _ in module.named_buffers()}) & stored.keys()
    # torch must own its input: an array decoded from a file is read-only
    return {name: torch.from_numpy(np.array(stored[name])).to(state[name].dtype) for name in sorted(names)}


def _stored(tensor: torch.Tensor) -> Array:
    kind = torch.int64 if tensor.dtype in _INTEGERS else _REALS[tensor.dtype]
    array: Array = tensor.detach().to(kind, copy=True).numpy()
    return array
