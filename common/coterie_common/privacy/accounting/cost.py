# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The cost of releases to a lifetime budget: a filter for Gaussian differential privacy over jobs chosen in sequence.

**What is charged.** Every release without sampling is dominated by a Gaussian pair (μ, δ′), and so are all sampled
rounds of one job together (see ``dominating``). A *charge* is M = Σμ² and D = Σδ′ over all that was asked. A limit
(ε, δ) has two numbers of its own, fixed for ever: D* = δ/6, and M*, the greatest with D* + (1 − D*)·δ_√M*(ε) ≤ δ (see
``gaussian_dp``). Another job fits as long as M ≤ M* and D ≤ D* with it. (That D* is fixed matters: if a budget allowed
more M for less D, the choice between them, made after results were seen, would gain by itself.)

**Why that is sound,** although jobs are chosen after earlier results were seen, rounds of several jobs mix, and a job
may stop at any time. Fix two neighbouring data sets; b = 0 or 1 states which is real. Let W(t) be a Brownian motion
plus b·t, and E an exponential variable with mean 1, independent. While jobs run, keep a time t and a sum s, at first 0:

1. When a release without sampling is asked that (μ, δ′) dominates, or the *first* sampled round of a job whose sampled
   rounds (μ, δ′) dominates together, take the increment of W from t to t + μ². Divided by μ it is N(bμ, 1), regardless
   of the past: t and μ are known from it. And raise s by −ln(1 − δ′): with probability δ′ it passes E, if it has not
   before. Then reveal b.
2. From N(bμ, 1), unless b is revealed, draw as ``dominating`` states: the pair that the answer is post-processing of,
   or the independent worst-case pairs' Y_i of *all* sampled rounds of the job. A sampled round that is asked, then or
   later, in any order and with any question, is post-processing of its own Y_i: the question depends on the past, the
   pair does not. Each round is answered once (``coterie_party.store``).
3. So every observation is post-processing of W up to time M* and of the event that s passed E. t ≤ M* by the filter,
   and s ≤ −ln(1 − D*), because Π(1 − δ′) ≥ 1 − Σδ′. W(M*) holds all that W reveals about b: it is N(bM*, M*), the pair
   of μ = √M*. That is D* + (1 − D*)·δ_√M*(ε) ≤ δ.

**Refunds.** Only asked releases are in the simulation. A job reserves its whole plan, because any of it may be asked
from now on. Releases without sampling that were never asked are given back one by one, sampled rounds all together if
none of them was asked. If one was, none of them is given back: step 2 drew all Y_i. (Part of the price is not the price
of a part: the pair that dominates half of the rounds is wider than half the square.)

**Pure ε.** As long as all that was asked has pure ε, Σε ≤ ε allows another such job, too. Both rules together spend δ
once: let B be the outcomes whose charge in the end has M ≤ M* and D ≤ D*, and A the others. M and D only grow. So on B
the filter's condition holds all the time, and stopping where it does not hold changes nothing about B:
P(S) − e^ε·P′(S) ≤ δ there. On A the job that was accepted last did not pass the filter: with it, everything was charged
that is asked in the end. So it was accepted because all of this has pure ε and Σε ≤ ε: P ≤ e^ε·P′ for each outcome of
A, and P(S) − e^ε·P′(S) ≤ 0. (Releases with pure ε may be in B, too: the filter admits many small ones with Σε far above
ε.)

**The first job.** If nothing was asked before, the data have not influenced which job is first. So the job's own exact
ε(δ) may decide: its charge alone is then all of the limit, and nothing else is ever asked within it. For this, a job
whose whole plan does not fit M* and D* by itself is charged as a whole once any of its releases was asked, and nothing
of it is given back (``coterie_party.policy.budget``).

Invariants: every sum is exact or rounded up; an unprotected release makes ε infinite and is never forgotten; costs for
different units of privacy are never added.

Source: Smith and Thakurta, "Fully Adaptive Composition for Gaussian Differential Privacy", 2022. Vadhan and Zhang,
"Concurrent Composition Theorems for Differential Privacy", 2023, for rounds of several jobs that mix.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache, reduce
from typing import Any, Final

from coterie_common.errors import MalformedMessage, UnsupportedMechanism
from coterie_common.fields import Fields
from coterie_common.privacy.accounting.dominating import Curve, Domination, curve_of, dominates_alone
from coterie_common.privacy.accounting.gaussian_dp import epsilon_at, most_squared_distance
from coterie_common.privacy.event import Event
from coterie_common.privacy.exact import float_above, fraction_from_text, fraction_to_text, short_above
from coterie_common.privacy.noise.mechanisms import Unit

_MAX_RELEASES: Final = 1 << 53
_SLACK_SHARE: Final = Fraction(1, 6)
"""D*/δ. M* is 2 to 3 % smaller for it than without any D*, near ε = 1 … 8, δ = 10^−5."""

_PURE_DIGITS: Final = 18
"""Significant digits of a pure ε; a decimal one with fewer digits stays exact."""


@lru_cache(maxsize=256)
def maximum(epsilon: Fraction, delta: Fraction) -> Domination:
    """Return (D*, M*) of a limit.

    Raises:
        UnsupportedMechanism: it is not ε > 0 and 0 ≤ δ < 1.
    """
    if not epsilon > 0 or not 0 <= delta < 1:
        raise UnsupportedMechanism("a budget needs epsilon above 0, and delta at least 0 and below 1")
    slack = delta * _SLACK_SHARE
    return Domination(slack, most_squared_distance(epsilon, (delta - slack) / (1 - slack)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """The part of one limit that releases of any number of jobs take.

    Attributes:
        unit: unit of privacy.
        squared_distance: M.
        slack: D.
        pure_epsilon: Σε; ``None`` once any release has no pure ε.
        unprotected: releases without any noise.
    """

    unit: Unit
    squared_distance: Fraction = Fraction(0)
    slack: Fraction = Fraction(0)
    pure_epsilon: Fraction | None = Fraction(0)
    unprotected: int = 0

    def __add__(self, other: Charge) -> Charge:
        """Compose adaptively; raises ``UnsupportedMechanism`` for different units."""
        _check_units(self.unit, other.unit)
        return Charge(
            unit=self.unit,
            squared_distance=self.squared_distance + other.squared_distance,
            slack=self.slack + other.slack,
            pure_epsilon=_both(self.pure_epsilon, other.pure_epsilon),
            unprotected=self.unprotected + other.unprotected,
        )

    def __sub__(self, part: Charge) -> Charge:
        """Return the rest of this without ``part``, which is a part of it."""
        pure = None if self.pure_epsilon is None or part.pure_epsilon is None else self.pure_epsilon - part.pure_epsilon
        return Charge(
            unit=self.unit,
            squared_distance=self.squared_distance - part.squared_distance,
            slack=self.slack - part.slack,
            pure_epsilon=pure,
            unprotected=self.unprotected - part.unprotected,
        )

    def epsilon(self, delta: Fraction) -> float:
        """Return an upper bound of ε(δ) for reports; 0 only if nothing was released.

        Infinite if anything was unprotected, or δ does not suffice.

        Raises:
            UnsupportedMechanism: δ is not in [0, 1).
        """
        if not 0 <= delta < 1:
            raise UnsupportedMechanism(f"delta must be at least 0 and below 1, not {float(delta):.6g}")
        if self.unprotected:
            return math.inf
        pure = math.inf if self.pure_epsilon is None else float_above(self.pure_epsilon)
        # δ alone may cover very little; no release is free.
        minimum = math.sqrt(self.squared_distance) * 2.0**-10
        return min(pure, max(epsilon_at(self.squared_distance, self.slack, delta), minimum)) if self._is_any else 0.0

    def fits(self, epsilon: Fraction, delta: Fraction) -> bool:
        """Return true if all this stays within a limit of (ε, δ): the filter, or the rule for pure ε.

        Raises:
            UnsupportedMechanism: the limit is not ε > 0 and 0 ≤ δ < 1.
        """
        return self.used(epsilon, delta) <= 1

    def used(self, epsilon: Fraction, delta: Fraction, *, beside: Charge | None = None) -> float:
        """Return the part of a limit that this takes: at most 1 exactly if it ``fits``; infinite if unprotected.

        A limit is measured in M, in D or in pure ε, whichever is closest to the limit for ``beside``. So the parts of
        jobs add up to that of all.

        Args:
            epsilon: of the limit.
            delta: of the limit.
            beside: the total charge, if this is a part of it.

        Raises:
            UnsupportedMechanism: the limit is not ε > 0 and 0 ≤ δ < 1.
        """
        limit = maximum(epsilon, delta)
        if self.unprotected or (beside is not None and beside.unprotected):
            return math.inf if self.unprotected else self.used(epsilon, delta)
        part = self._parts(epsilon, limit)[(beside or self)._measure(epsilon, limit)]
        # Compared exactly: a charge on the limit fits.
        if not isinstance(part, Fraction):
            return math.inf
        return min(float_above(part), 1.0) if part <= 1 else max(float(part), 1 + 2.0**-52)

    @property
    def _is_any(self) -> bool:
        return bool(self.squared_distance or self.slack or self.pure_epsilon or self.unprotected)

    def _parts(self, epsilon: Fraction, limit: Domination) -> tuple[Fraction | float | None, ...]:
        """Return the parts in M, in D and in pure ε; ``None`` where there is none."""
        return (
            _ratio(self.squared_distance, limit.squared_distance),
            _ratio(self.slack, limit.slack),
            None if self.pure_epsilon is None else self.pure_epsilon / epsilon,
        )

    def _measure(self, epsilon: Fraction, limit: Domination) -> int:
        distance, slack, pure = self._parts(epsilon, limit)
        greater = 0 if (distance or 0) >= (slack or 0) else 1
        filtered = (distance, slack)[greater]
        return 2 if pure is not None and filtered is not None and pure <= filtered else greater


def _ratio(spent: Fraction, allowed: Fraction) -> Fraction | float:
    if not spent:
        return Fraction(0)
    return spent / allowed if allowed else math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """The cost of releases of one job, independent of the limit.

    Attributes:
        unit: unit of privacy.
        squared_distance, slack, pure_epsilon, unprotected: as of ``Charge``, of releases that are charged one by one.
        together: pairs that dominate the releases that are charged together; several if lines of different jobs were
            combined.
    """

    unit: Unit
    squared_distance: Fraction = Fraction(0)
    slack: Fraction = Fraction(0)
    pure_epsilon: Fraction | None = Fraction(0)
    unprotected: int = 0
    together: tuple[Curve, ...] = ()

    def __or__(self, other: Cost) -> Cost:
        """Combine lines of one job; releases that are charged together count once."""
        _check_units(self.unit, other.unit)
        return Cost(
            unit=self.unit,
            squared_distance=self.squared_distance + other.squared_distance,
            slack=self.slack + other.slack,
            pure_epsilon=_both(self.pure_epsilon, other.pure_epsilon),
            unprotected=self.unprotected + other.unprotected,
            together=(*self.together, *(curve for curve in other.together if curve not in self.together)),
        )

    def times(self, count: int) -> Cost:
        """Return the cost of ``count`` such lines of one job."""
        if count == 1:
            return self
        return replace(
            self,
            squared_distance=count * self.squared_distance,
            slack=count * self.slack,
            pure_epsilon=None if self.pure_epsilon is None else count * self.pure_epsilon,
            unprotected=count * self.unprotected,
        )

    def covers(self, other: Cost) -> bool:
        """Return true if this is at least as much as another line of the same job, whatever the limit."""
        greater = self.squared_distance >= other.squared_distance and self.slack >= other.slack
        pure = self.pure_epsilon is None or (other.pure_epsilon is not None and self.pure_epsilon >= other.pure_epsilon)
        together = all(curve in self.together for curve in other.together)
        return greater and pure and together and self.unit is other.unit and self.unprotected >= other.unprotected

    @property
    def is_nothing(self) -> bool:
        """True if nothing at all is released."""
        return not (self.squared_distance or self.slack or self.pure_epsilon or self.unprotected or self.together)

    def under(self, epsilon: Fraction, delta: Fraction) -> Charge:
        """Return the charge to a limit of (ε, δ), independent of everything else that was spent."""
        limit = maximum(epsilon, delta)
        pairs = [curve.within(limit) for curve in self.together]
        return Charge(
            unit=self.unit,
            squared_distance=self.squared_distance + sum(pair.squared_distance for pair in pairs),
            slack=self.slack + sum(pair.slack for pair in pairs),
            pure_epsilon=None if pairs else self.pure_epsilon,
            unprotected=self.unprotected,
        )

    def to_document(self) -> dict[str, Any]:
        """Return JSON values; fractions are text."""
        return {
            "unit": self.unit.value,
            "squared_distance": fraction_to_text(self.squared_distance),
            "slack": fraction_to_text(self.slack),
            "pure_epsilon": None if self.pure_epsilon is None else fraction_to_text(self.pure_epsilon),
            "unprotected": self.unprotected,
            "together": [curve.to_document() for curve in self.together],
        }

    @classmethod
    def from_document(cls, value: Any) -> Cost:
        """Parse the output of ``to_document``; raises ``MalformedMessage``."""
        names = ("unit", "squared_distance", "slack", "pure_epsilon", "unprotected", "together")
        fields = Fields(value, "a privacy cost", names)
        try:
            unit = Unit(fields.text("unit", longest=32))
        except ValueError as cause:
            raise MalformedMessage("a privacy cost names an unknown unit of privacy") from cause
        pure = fields.value("pure_epsilon")
        return cls(
            unit=unit,
            squared_distance=fraction_from_text(fields.value("squared_distance"), "a cost's squared distance"),
            slack=fraction_from_text(fields.value("slack"), "a cost's slack"),
            pure_epsilon=None if pure is None else fraction_from_text(pure, "a cost's pure ε"),
            unprotected=fields.integer("unprotected", minimum=0, maximum=_MAX_RELEASES),
            together=tuple(map(Curve.from_document, fields.items("together", maximum=64))),
        )


def _both(left: Fraction | None, right: Fraction | None) -> Fraction | None:
    return None if left is None or right is None else left + right


def _check_units(left: Unit, right: Unit) -> None:
    if left is not right:
        raise UnsupportedMechanism(f"costs per {left} and per {right} do not add up")


def costs(events: Sequence[Event]) -> tuple[Cost, ...]:
    """Return the cost of each release of one job; releases that are charged together repeat the pair on each line.

    Args:
        events: all releases of the job, planned beforehand; at least one, all for one unit of privacy.

    Raises:
        UnsupportedMechanism: no event, different units, or too little noise for a proven bound.
    """
    if not events or len({event.unit for event in events}) != 1:
        raise UnsupportedMechanism("the cost of events needs at least one, all for one unit of privacy")
    unit = events[0].unit
    # A plan repeats one release thousands of times.
    alone = {event: _cost_alone(event) for event in dict.fromkeys(events)}
    coupled = [event for event in events if alone[event] is None]
    shared = Cost(unit=unit, pure_epsilon=None, together=(curve_of(coupled),)) if coupled else Cost(unit=unit)
    return tuple(alone[event] or shared for event in events)


def cost(events: Sequence[Event]) -> Cost:
    """Return the cost of all releases of one job; see ``costs``."""
    return joined(costs(events))


def joined(lines: Iterable[Cost]) -> Cost:
    """Combine lines of one job; at least one."""
    # Thousands of lines are alike.
    return reduce(lambda left, right: left | right, (line.times(count) for line, count in Counter(lines).items()))


@lru_cache(maxsize=256)
def _cost_alone(event: Event) -> Cost | None:
    if not event.is_protected:
        return Cost(unit=event.unit, unprotected=1, pure_epsilon=None)
    pair = dominates_alone(event)
    if pair is None:
        return None
    pure = short_above(event.pure_epsilon, _PURE_DIGITS) if event.pure_epsilon else None
    return Cost(unit=event.unit, squared_distance=pair.squared_distance, slack=pair.slack, pure_epsilon=pure)
