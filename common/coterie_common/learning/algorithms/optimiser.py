# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Optimisers of the aggregator: from a noisy mean gradient to the next parameters.

Everything here is post-processing of releases: it costs no privacy, regardless of the state it keeps.

- ``sgd``: v ← μ·v + g; w ← w − η·v, the heavy ball.
- ``adam``: w ← w − η·m̂/(√v̂ + 10⁻⁸) with bias-corrected first and second moments; β₁ is the momentum, β₂ = 0.999.

With ``decay``, η falls linearly from its full value in the first step to η/steps in the last.

Source: Polyak, 1964; Kingma and Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

import numpy as np

from coterie_common.errors import StorageError
from coterie_common.learning.algorithm import Float32, Float64

_BETA_2: Final = 0.999
_STABILISER: Final = 1e-8
_PIECE_VALUES: Final = 1 << 18
"""Values that are computed at a time."""


class Optimiser(StrEnum):
    """The rule of a step."""

    SGD = "sgd"
    ADAM = "adam"


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An optimiser with its settings.

    Attributes:
        optimiser: its rule.
        learning_rate: η > 0.
        momentum: μ or β₁, 0 to below 1.
        decay: true if η falls.
        steps: maximum number of steps.
    """

    optimiser: Optimiser
    learning_rate: float
    momentum: float
    decay: bool
    steps: int


@dataclass(frozen=True, eq=False, slots=True)
class OptimiserState:
    """The state of an optimiser between steps.

    Attributes:
        steps: made so far.
        moments: Float32[parameters] each: ``first``, and ``second`` with Adam; none before the first step.
    """

    steps: int = 0
    moments: Mapping[str, Float32] = field(default_factory=dict)

    def to_document(self) -> dict[str, Any]:
        """Return JSON entries and arrays from which ``from_document`` makes an equal state."""
        return {"steps": self.steps, **self.moments}

    @classmethod
    def from_document(cls, value: Mapping[str, Any], rule: Rule, length: int) -> OptimiserState:
        """Resume a stored state; raises ``StorageError`` if it does not fit."""
        steps = value.get("steps")
        moments = {name: value[name] for name in _names(rule) if name in value}
        fits = all(isinstance(moment, np.ndarray) and moment.shape == (length,) for moment in moments.values())
        if type(steps) is not int or steps < 0 or not fits or tuple(moments) != (_names(rule) if steps else ()):
            raise StorageError("the stored state of an optimiser does not fit its job")
        return cls(steps, moments)


def step(rule: Rule, state: OptimiserState, parameters: Float32, gradient: Float64) -> tuple[Float32, OptimiserState]:
    """Make one step.

    Args:
        rule: the same in every step.
        state: as the last step returned it.
        parameters: Float32[parameters].
        gradient: Float64[parameters], noise included.

    Returns:
        The next parameters and state.
    """
    made = state.steps + 1
    rate = rule.learning_rate * (1 - state.steps / rule.steps if rule.decay else 1)
    nothing = np.zeros_like(parameters)
    following = np.empty_like(parameters)
    moments = {name: np.empty_like(parameters) for name in _names(rule)}
    # Doubles of a whole model would be most of the aggregator's memory.
    for start in range(0, len(parameters), _PIECE_VALUES):
        piece = slice(start, start + _PIECE_VALUES)
        before = {name: state.moments.get(name, nothing)[piece] for name in moments}
        after, change = _change(rule, before, gradient[piece], rate, made)
        for name, values in after.items():
            moments[name][piece] = values
        following[piece] = parameters[piece] - change
    return following, OptimiserState(made, moments)


def _change(
    rule: Rule, before: Mapping[str, Float32], gradient: Float64, rate: float, made: int
) -> tuple[dict[str, Float32], Float64]:
    """Return the moments after step number ``made``, and what it takes away from the parameters."""
    first = before["first"]
    if rule.optimiser is Optimiser.SGD:
        moments = {"first": (rule.momentum * first + gradient).astype(np.float32)}
        return moments, rate * moments["first"].astype(np.float64)
    moments = {
        "first": (rule.momentum * first + (1 - rule.momentum) * gradient).astype(np.float32),
        "second": (_BETA_2 * before["second"] + (1 - _BETA_2) * gradient**2).astype(np.float32),
    }
    mean = moments["first"] / (1 - rule.momentum**made)
    spread = np.sqrt(moments["second"] / (1 - _BETA_2**made))
    return moments, rate * mean / (spread + _STABILISER)


def _names(rule: Rule) -> tuple[str, ...]:
    return ("first",) if rule.optimiser is Optimiser.SGD else ("first", "second")
