# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Privacy loss of counts with distributed discrete Gaussian noise, and of several kinds of rounds together.

Notation: one value gets noise Z = X_1 + … + X_h, X_i discrete Gaussian with parameter v = σ²/h; a unit of privacy
shifts at most N values, each by at most Δ.

1. **Worst case.** Discrete Gaussians are log-concave, so their sums are too, and f(x−d)/f(x) is monotone in x: the
   best test between Z and Z + d is a threshold, whose power grows with |d|. Hence (Z, Z + Δ) dominates every smaller
   shift, and N such pairs dominate every pair of neighbours, also adaptively over rounds. Z is symmetric: adding and
   removing have the same loss.
2. **Sums of discrete Gaussians.** For parameters a and b, P(X + Y = z) ∝ e^(−z²/2(a+b))·Θ(za/(a+b)) with
   Θ(s) = Σ_x e^(−(x−s)²/2c), c = ab/(a+b). By Poisson summation Θ(s) = √(2πc)·(1 + 2·Σ_m e^(−2π²cm²)·cos 2πms). So for
   c ≥ 1/8 the logarithm of its ratio to the discrete Gaussian of parameter a + b is within ±10·e^(−2π²c), and adding
   further terms to both keeps that. The (k+1)-th of equal terms has c = v·k/(k+1): n of them are pointwise within
   e^±τ(n, v) of one discrete Gaussian of parameter nv, τ(n, v) = 10·Σ_{k=1..n−1} e^(−2π²v·k/(k+1)), if v ≥ 1/4.
3. **One integer instead of N.** Were Z exactly discrete Gaussian, the loss of N shifted values would be
   Σ_i (Δ² − 2Δx_i)/2σ² = (D² − 2Ds)/2V with s = Σ x_i, D = NΔ, V = Nσ². It depends on s alone, and s is within
   e^±τ(N, σ²) of the discrete Gaussian of parameter V: that is the loss of *one* such integer shifted by D.
4. **Together.** With T = N·τ(h, v) + τ(N, σ²), true probabilities are within e^±T of those of the one integer, so
   ε(δ) ≤ ε_one(δ·e^−T) + 2T. At v ≥ 16, a standard deviation of 4, T < N·h·10^−67.

The distribution of the loss is put on a grid: losses rounded up, probabilities bounded from above, tails beyond 10^−31
as infinite loss. dp-accounting composes the grids of rounds that differ in (Δ, σ², h) by FFT and inverts δ(ε). The
possible loss of doubles on the way is taken off δ beforehand.

Source: step 2: Kairouz, Liu and Steinke, "The Distributed Discrete Gaussian Mechanism for Federated Learning with
Secure Aggregation", 2021. Dominating pairs: Zhu, Dong and Wang, "Optimal Accounting of Differential Privacy via
Characteristic Function", 2022.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final, Protocol

import numpy as np

from coterie_common.errors import UnsupportedMechanism
from coterie_common.privacy.event import CountEvent, Event

_GRID: Final = 1000
"""Grid intervals per μ, times √classes: rounding up costs μ·√classes/2000 on average, 2·10^−4 of ε for one class."""

_MAX_CLASSES: Final = 64
"""Kinds of rounds; time grows with the power 3/2 of them (two seconds). Rounds of the same kind cost nothing extra."""

_POINTS: Final = 1 << 18
"""About as many points represent one loss distribution; wider noise is summed in blocks."""

_REACH: Final = 12
"""In units of √V: beyond, 2·e^(−144/2) < 10^−31."""

_RELATIVE_SLACK: Final = 2.0**-30
"""Of δ: rounding of probabilities and sums of up to 2^22 terms."""

_SUM_SLACK: Final = 2.0**-43
"""Of δ: the sum over grid points. (What dp-accounting truncates, 10^−15, it counts as infinite loss.)"""

_FFT_SLACK: Final = 2.0**-37
"""Of δ, per convolution: FFTs of n points err by 20·log2(n)·2^−53 in the Euclidean norm at most, relative to the norm
of a distribution (below 1/4 for the noise of one share of standard deviation 4), and n such errors add up to √n times
that: n ≤ 2^20."""


_MAX_LIBRARY_EPSILON: Final = 600
"""Up to here dp-accounting inverts δ(ε) within the range of doubles."""


_MAX_EPSILON: Final = 1 << 16
"""Beyond this, ε is called infinite: it is far above any that a job may ask."""


class Loss(Protocol):
    """Rounds of one kind, from whose distributions of loss that of a whole job is composed."""

    @property
    def squared_spread(self) -> Fraction:
        """The approximate variance of the loss; the grid is chosen for it."""
        ...

    @property
    def least_interval(self) -> float:
        """Smallest interval between grid points that is worth its time, or 0."""
        ...

    @property
    def divergence(self) -> float:
        """T: true probabilities are within e^±T of those that ``distribution`` is for."""
        ...

    @property
    def slack(self) -> float:
        """Part of δ: the possible loss of doubles in ``distribution``, beyond that of every grid."""
        ...

    def distribution(self, interval: float) -> Any:
        """Return dp-accounting's distribution of the loss on a grid, pessimistic."""
        ...


@dataclass(frozen=True, slots=True)
class LossClass:
    """Values of all rounds that have the same loss; a ``Loss``.

    Attributes:
        values: N, over all rounds.
        shift: Δ, scaled units.
        variance: σ² of the guaranteed noise of one value.
        shares: h.
    """

    values: int
    shift: int
    variance: Fraction
    shares: int

    @property
    def squared_multiplier(self) -> Fraction:
        """Squared distance in standard deviations: N·Δ²/σ², the class's part of μ²."""
        return self.values * self.shift**2 / self.variance

    @property
    def share_divergence(self) -> float:
        """N·τ(h, v)."""
        return self.values * sum_divergence(self.shares, self.variance / self.shares)

    @property
    def divergence(self) -> float:
        """T of this class."""
        return self.share_divergence + sum_divergence(self.values, self.variance)

    @property
    def squared_spread(self) -> Fraction:
        """See ``Loss``."""
        return self.squared_multiplier

    @property
    def least_interval(self) -> float:
        """See ``Loss``."""
        return 0.0

    @property
    def slack(self) -> float:
        """See ``Loss``."""
        return 0.0

    def distribution(self, interval: float) -> Any:
        """See ``Loss``."""
        from dp_accounting.pld import pld_pmf, privacy_loss_distribution

        variance = self.values * self.variance
        shift = self.values * self.shift
        deviation = math.sqrt(variance)
        block = max(1, math.floor(2 * _REACH * deviation / _POINTS))
        blocks = math.ceil(_REACH * deviation / block)
        # Block i holds the integers starts[i] … starts[i] + block − 1; it gets its greatest density and greatest loss.
        starts = block * np.arange(-blocks, blocks, dtype=np.float64)
        nearest = np.where(starts < 0, np.minimum(starts + block - 1, 0), starts)
        # Σ_x e^(−x²/2V) = √(2πV)·(1 + 2·Σ_k e^(−2π²Vk²)) is at least its first two terms.
        norm = math.sqrt(2 * math.pi * variance) * (1 + 2 * math.exp(-2 * math.pi**2 * float(variance)))
        masses = block * np.exp(nearest * nearest * float(-1 / (2 * variance))) / norm
        losses = float(shift**2 / (2 * variance)) - starts * float(shift / variance)
        # Both terms of a loss are below 2^20 intervals for μ < 1000: their rounding is within the second summand, else
        # the factor.
        grid = np.ceil(losses / interval * (1 + np.copysign(2.0**-40, losses)) + 2.0**-30).astype(np.int64)
        lowest = int(grid[-1])
        probabilities = np.bincount(grid - lowest, weights=masses)
        # Beyond the reach: 2·e^(−reach²/2) on both sides, counted as infinite loss.
        tail = 2 * math.exp(-(_REACH**2) / 2)
        return privacy_loss_distribution.PrivacyLossDistribution(
            pld_pmf.DensePLDPmf(interval, lowest, probabilities, tail, True)
        )


def classes_of(events: Iterable[Event]) -> tuple[LossClass, ...]:
    """Group counts with Gaussian noise by equal noise and shift; other events are left out."""
    values: dict[tuple[int, Fraction, int], int] = {}
    for event in events:
        if isinstance(event, CountEvent) and event.gaussian_variance is not None:
            key = (event.shift, event.gaussian_variance, event.guaranteed_shares)
            values[key] = values.get(key, 0) + event.l0
    return tuple(LossClass(count, *key) for key, count in sorted(values.items()))


def sum_divergence(count: int, variance: Fraction) -> float:
    """Return τ(count, variance), or more.

    Raises:
        UnsupportedMechanism: no bound is proven for so little noise in a share.
    """
    if count == 1:
        return 0.0
    if variance < Fraction(1, 4):
        raise UnsupportedMechanism(
            f"noise shares of standard deviation {math.sqrt(variance):.3g} add up to no known distribution: scale the "
            "values so that it is at least 1/2"
        )
    exponent = -2 * math.pi**2 * float(variance)
    k = np.arange(1, min(count, 1000), dtype=np.float64)
    terms = np.exp(exponent * k / (k + 1))
    # Terms decrease with k: the last one bounds those left out.
    return 10 * float(terms.sum() + max(0, count - 1000) * terms[-1]) * (1 + 2.0**-40)


def gaussian_epsilon(classes: Sequence[Loss], delta: float) -> float:
    """Return an upper bound of ε(δ) for all classes together.

    Args:
        classes: at least one.
        delta: 0 < δ < 1.

    Raises:
        UnsupportedMechanism: δ is too small for double precision, the noise too small, or dp-accounting gives no
            usable number.
    """
    return _gaussian_epsilon(tuple(classes), delta)


# Kept: a party asks for the same number when it checks the terms of a job, prices it and shows it to its steward.
@lru_cache(maxsize=256)
def _gaussian_epsilon(classes: tuple[Loss, ...], delta: float) -> float:
    lost, divergence = _losses_apart(classes)
    reduced = delta * math.exp(-divergence)
    usable = reduced * (1 - _RELATIVE_SLACK) - lost
    if usable < reduced / 2:
        raise UnsupportedMechanism(f"delta = {delta:.3g} is too small to account for {len(classes)} kinds of rounds")
    total, _, _ = composed(classes)
    epsilon = _epsilon_at(total, usable)
    if not math.isfinite(epsilon) or epsilon < 0:
        raise UnsupportedMechanism(f"no finite epsilon at delta = {delta:.3g}: the noise is too small")
    # Where δ alone covers everything the library returns 0; the grid interval is an upper bound as well, and no release
    # is free.
    return max(epsilon, _interval(classes)) * (1 + 2.0**-40) + 2 * divergence


def composed(classes: Sequence[Loss]) -> tuple[Any, float, float]:
    """Compose the losses of all classes, in both directions.

    Args:
        classes: at least one.

    Returns:
        dp-accounting's distribution, pessimistic; the possible loss of doubles in its δ(ε), besides 2^−30 of it; T, by
        which the true probabilities may differ from those that it is for.

    Raises:
        UnsupportedMechanism: too many classes, or the noise too small.
    """
    lost, divergence = _losses_apart(classes)
    interval = _interval(classes)
    total = classes[0].distribution(interval)
    for item in classes[1:]:
        total = total.compose(item.distribution(interval))
    return total, lost, divergence


def _losses_apart(classes: Sequence[Loss]) -> tuple[float, float]:
    """Return the possible loss of doubles, and T; raises ``UnsupportedMechanism``."""
    if len(classes) > _MAX_CLASSES:
        raise UnsupportedMechanism(f"{len(classes)} kinds of rounds that differ in noise: at most {_MAX_CLASSES}")
    divergence = sum(item.divergence for item in classes)
    if divergence > 1:
        raise UnsupportedMechanism(
            f"the sum of noise shares is too far from a discrete Gaussian (τ = {divergence:.3g}): scale the values"
        )
    return _SUM_SLACK + _FFT_SLACK * (len(classes) - 1) + sum(item.slack for item in classes), divergence


def _interval(classes: Sequence[Loss]) -> float:
    """Return the grid interval: the greatest power of two of at most μ/(1000·√classes), or the smallest worth its time.

    Decided in exact arithmetic, so that every party gets the same grid.
    """
    square = sum((item.squared_spread for item in classes), Fraction(0)) / (_GRID**2 * len(classes))
    exponent = math.frexp(float(square))[1] // 2
    while Fraction(4) ** exponent > square:
        exponent -= 1
    minimum = max(item.least_interval for item in classes)
    return max(2.0**exponent, 2.0 ** math.frexp(minimum)[1] if minimum else 0.0)


def _epsilon_at(total: Any, delta: float) -> float:
    """Return an upper bound of ε(δ) of a composed distribution; infinite if there is none.

    The library multiplies by e^ε and by e^−ε: from about 700 on these leave the range of doubles, and its result is far
    above ε, or infinite. δ(ε) itself needs neither, so there ε is looked for by halving: δ(ε) falls, and the upper end
    is returned.
    """
    epsilon = float(total.get_epsilon_for_delta(delta))
    if not epsilon > _MAX_LIBRARY_EPSILON:
        return epsilon
    low, high = 0.0, float(_MAX_LIBRARY_EPSILON)
    while float(total.get_delta_for_epsilon(high)) > delta:
        low, high = high, 2 * high
        if high > _MAX_EPSILON:
            return math.inf
    while high - low > high * _RELATIVE_SLACK:
        middle = (low + high) / 2
        low, high = (low, middle) if float(total.get_delta_for_epsilon(middle)) <= delta else (middle, high)
    return high


def renyi_epsilon(orders: Sequence[int], divergences: Sequence[float], delta: float) -> float:
    """Return ε(δ) of Rényi divergences at ``orders``.

    Raises:
        UnsupportedMechanism: no finite positive number results.
    """
    from dp_accounting.rdp.rdp_privacy_accountant import compute_epsilon

    epsilon = float(compute_epsilon(orders, divergences, delta)[0])
    if not math.isfinite(epsilon) or epsilon < 0:
        raise UnsupportedMechanism(f"no finite epsilon at delta = {delta:.3g}")
    # The library returns 0 where δ alone covers everything; order 2 bounds that too, and no release is free.
    return max(epsilon, min(divergences)) * (1 + 2.0**-40)
