# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Slow samplers written straight from the literature, to compare the fast ones with.

- Discrete Gaussian: Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy", 2020: rejection
  from a discrete Laplace by Bernoulli trials of probability e^−γ.
- Negative binomial NB(1/h, 1 − e^−r): a geometric variable, accepted by ∏ ((i−1)h + 1)/(ih) through integer coin
  flips.
"""

from __future__ import annotations

import math
from fractions import Fraction

from coterie_common.randomness import RandomSource


def bernoulli(probability: Fraction, random: RandomSource) -> bool:
    return random.randbelow(probability.denominator) < probability.numerator


def bernoulli_exp(gamma: Fraction, random: RandomSource) -> bool:
    while gamma > 1:
        if not bernoulli_exp(Fraction(1), random):
            return False
        gamma -= 1
    k = 1
    while bernoulli(gamma / k, random):
        k += 1
    return k % 2 == 1


def geometric(ratio: Fraction, random: RandomSource) -> int:
    """P(k) ∝ e^(−ratio·k) on 0, 1, 2, …: floor(X/s) for P(X) ∝ e^(−X/t), where ratio = s/t."""
    s, t = ratio.numerator, ratio.denominator
    while True:
        low = random.randbelow(t)
        if bernoulli_exp(Fraction(low, t), random):
            break
    high = 0
    while bernoulli_exp(Fraction(1), random):
        high += 1
    return (low + t * high) // s


def discrete_laplace(ratio: Fraction, random: RandomSource) -> int:
    while True:
        magnitude = geometric(ratio, random)
        negative = bernoulli(Fraction(1, 2), random)
        if magnitude or not negative:
            return -magnitude if negative else magnitude


def discrete_gaussian(variance: Fraction, random: RandomSource) -> int:
    scale = math.isqrt(math.floor(variance)) + 1
    while True:
        candidate = discrete_laplace(Fraction(1, scale), random)
        if bernoulli_exp((abs(candidate) - variance / scale) ** 2 / (2 * variance), random):
            return candidate


def negative_binomial(ratio: Fraction, shares: int, random: RandomSource) -> int:
    while True:
        candidate = geometric(ratio, random)
        if all(bernoulli(Fraction((i - 1) * shares + 1, i * shares), random) for i in range(1, candidate + 1)):
            return candidate
