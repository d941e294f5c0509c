# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Spare rounds of invented jobs."""

from __future__ import annotations

from fractions import Fraction

from coterie_common.privacy.event import CountEvent
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement
from coterie_common.protocol.spares import SpareRounds, Spares
from tests.support.noise import noise_terms

_NOISE = noise_terms(
    mechanism=Mechanism.DISCRETE_GAUSSIAN, placement=Placement.DISTRIBUTED, variance=Fraction(300), shares=4
)
EVENT = CountEvent(l0=1, linf=1, scale_bits=2, noise=_NOISE)


def make_spares(count: int, *kinds: tuple[int, tuple[tuple[int, int], ...]]) -> Spares:
    """Return ``count`` spare rounds, for steps 1 to 9 or for kinds of steps, each with its own number of them."""
    of = kinds or ((count, ((1, 9),)),)
    return Spares(count, tuple(SpareRounds(count=own, steps=steps, event=EVENT) for own, steps in of))
