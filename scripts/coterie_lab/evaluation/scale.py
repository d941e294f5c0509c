# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The cost of the scale of real vectors: computed from the terms of a job, not simulated.

A scale of 2^k turns reals into integers. Rounding to integers raises a record's influence above the clipping norm, so
that the same ε needs more noise, and it adds a variance of its own. Both effects vanish as k grows, but a sum then
needs more bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path

from coterie.simulation.job import Simulation
from coterie_common.errors import CapacityExceeded
from coterie_common.privacy.event import VectorEvent
from coterie_common.privacy.exact import short_above
from coterie_common.privacy.headroom import check_headroom
from coterie_common.privacy.noise.mechanisms import NoiseTerms
from coterie_common.privacy.vector_encoding import VectorEncoding
from coterie_common.protocol.parameters import choose_parameters
from coterie_lab.evaluation.csv_file import read_csv
from coterie_lab.evaluation.workloads import workload

FILE = "scale.csv"
JOBS = (("svm", 10, "0.1"), ("cnn", 10, "2"))
OFFSETS = (-8, -6, -4, -2, -1, 0, 2)
"""Scales that are tried, in bits relative to the job's own."""

_DIGITS = 5
"""Of a variance, as the product's."""


@dataclass(frozen=True)
class Fineness:
    """A job's round of training at one scale.

    Attributes:
        model, parties, epsilon: of the job.
        scale_bits: k.
        is_default: whether the product chooses it.
        share_stddev: of one party's noise share, in scaled units.
        more_by_sensitivity: noise that rounding's sensitivity asks for, of that without rounding, minus 1.
        more_by_rounding: standard deviation of noise and rounding together, of the noise alone, minus 1; at most.
        sum_bits: of a sum modulo which nothing wraps around, sign included; ``None`` above 62.
    """

    model: str
    parties: int
    epsilon: float
    scale_bits: int
    is_default: bool
    share_stddev: float
    more_by_sensitivity: float
    more_by_rounding: float
    sum_bits: int | None


def finenesses(model: str, parties: int, epsilon: str) -> Iterator[Fineness]:
    """Yield a job's scales, with the default corruption bound; none at which a vector cannot be encoded."""
    terms = Simulation(workload(model, None).spec_at(epsilon), choose_parameters(parties)).terms.rounds[0]
    encoding, event, guaranteed = terms.encoding, terms.event, terms.noise.gaussian_variance
    if not isinstance(encoding, VectorEncoding) or not isinstance(event, VectorEvent) or guaranteed is None:
        raise TypeError(f"the first round of {model} is not one of vectors with Gaussian noise")
    multiplier = guaranteed / encoding.squared_sensitivity
    for offset in OFFSETS:
        try:
            tried = at_scale(encoding, encoding.scale_bits + offset)
        except CapacityExceeded:
            continue
        variance = short_above(multiplier * tried.squared_sensitivity, _DIGITS)
        noise = terms.noise.of(variance, placement=terms.noise.placement, shares=terms.noise.shares)
        rounding = tried.rounding_variance(event.sampling_rate or Fraction(1))
        yield Fineness(
            model=model,
            parties=parties,
            epsilon=float(epsilon),
            scale_bits=tried.scale_bits,
            is_default=offset == 0,
            share_stddev=math.sqrt(noise.share_variance),
            more_by_sensitivity=tried.inflation,
            more_by_rounding=math.sqrt(1 + float(rounding) / noise.share_variance) - 1,
            sum_bits=_sum_bits(tried, noise, parties),
        )


def at_scale(encoding: VectorEncoding, scale_bits: int) -> VectorEncoding:
    """Return the same encoding at another scale; raises ``CapacityExceeded``."""
    factor = Fraction(2) ** (scale_bits - encoding.scale_bits)
    lower, upper = math.floor(encoding.lower * factor), math.ceil(encoding.upper * factor)
    return replace(encoding, scale_bits=scale_bits, lower=lower, upper=upper)


def _sum_bits(encoding: VectorEncoding, noise: NoiseTerms, parties: int) -> int | None:
    try:
        return check_headroom(encoding, noise, parties, modulus_bits=62).bit_length() + 1
    except CapacityExceeded:
        return None


def scale_table(folder: Path) -> Iterator[str]:
    """Yield the lines of the table of scales."""
    yield "| model | n | ε | scale | a noise share's σ, in units | more noise for the sensitivity | "
    yield "and by rounding itself | bits of a sum |\n|---|---|---|---|---|---|---|---|\n"
    for row in read_csv(folder / FILE, Fineness):
        scale = f"2^{row.scale_bits}" + ", the default" * row.is_default
        yield (
            f"| {row.model} | {row.parties} | {row.epsilon:g} | {scale} | {row.share_stddev:.0f} | "
            f"{row.more_by_sensitivity:+.2%} | {row.more_by_rounding:+.4%} | {row.sum_bits or 'above 62'} |\n"
        )
