# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What releases cost a lifetime budget: additive, durable, over jobs that were not planned together.

Privacy loss distributions compose rounds whose noise was fixed beforehand. Across jobs a party chooses the next job
after it saw the last, so the ledger adds what adds under adaptive composition: Rényi divergences at ``ORDERS``, which
never change, and pure ε. A discrete Gaussian of parameter σ² shifted by Δ has Rényi divergence ≤ αΔ²/2σ² at every
order α, so N values have

    RDP(α) = α·N·Δ²/2σ² + (2α−1)/(α−1)·N·τ(h, σ²/h)

where the second term pays for the sum of h shares not being exactly a discrete Gaussian (see ``loss``). Vectors, with
and without sampled batches, have divergences of their own (see ``vector_renyi``).

Invariants: every sum is rounded up; an unprotected release makes ε infinite and is never forgotten; costs for different
units of privacy are never added.

Source: Feldman and Zrnic, "Individual Privacy Accounting via a Rényi Filter", 2021, for a budget under adaptive
choice. Canonne, Kamath and Steinke, "The Discrete Gaussian for Differential Privacy", 2020, for the divergence and
the conversion to (ε, δ) that dp-accounting uses.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Final

from coterie_common.errors import MalformedMessage, UnsupportedMechanism
from coterie_common.fields import Fields
from coterie_common.privacy.event import Event
from coterie_common.privacy.exact import float_above
from coterie_common.privacy.loss import classes_of, renyi_epsilon
from coterie_common.privacy.noise import Unit
from coterie_common.privacy.vector_renyi import vector_divergences

ORDERS: Final = (*range(2, 65), *range(68, 129, 4), *range(136, 257, 8))
"""Rényi orders of every ledger: integers, because bounds for sampled batches exist only there; up to 256, the best
order for ε ≈ 0.1."""

_RELEASES_MOST: Final = 1 << 53


def _add(left: float, right: float) -> float:
    """Add, rounded up; exact where one is 0."""
    return max(left, right) if min(left, right) == 0 else math.nextafter(left + right, math.inf)


def _allowed_divergence(order: int, epsilon: float, delta: float) -> float:
    """Return the Rényi divergence that implies (ε, δ): the inverse of the conversion in ``loss.renyi_epsilon``."""
    return epsilon - math.log1p(-1 / order) + math.log(delta * order) / (order - 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What a ledger holds for one data set and unit, or what one job would add to it.

    Attributes:
        unit: unit of privacy.
        divergences: Rényi divergences at ``ORDERS``, rounded up.
        pure_epsilon: sum of the ε of pure releases, rounded up.
        unprotected: releases without any noise.

    Raises:
        UnsupportedMechanism: a number is negative or not finite.
    """

    unit: Unit
    divergences: tuple[float, ...] = (0.0,) * len(ORDERS)
    pure_epsilon: float = 0.0
    unprotected: int = 0

    def __post_init__(self) -> None:
        numbers = (*self.divergences, self.pure_epsilon)
        if len(self.divergences) != len(ORDERS) or self.unprotected < 0:
            raise UnsupportedMechanism("a privacy cost has one divergence per order and no negative count")
        if not all(math.isfinite(number) and number >= 0 for number in numbers):
            raise UnsupportedMechanism("a privacy cost is negative or not finite")

    def __add__(self, other: Cost) -> Cost:
        """Compose adaptively; raises ``UnsupportedMechanism`` for different units."""
        if self.unit is not other.unit:
            raise UnsupportedMechanism(f"costs per {self.unit} and per {other.unit} do not add up")
        return Cost(
            unit=self.unit,
            divergences=tuple(map(_add, self.divergences, other.divergences)),
            pure_epsilon=_add(self.pure_epsilon, other.pure_epsilon),
            unprotected=self.unprotected + other.unprotected,
        )

    def epsilon(self, delta: Fraction) -> float:
        """Return an upper bound of ε(δ); 0 only if nothing was released, infinite if anything was unprotected.

        For reports, and for plans fixed beforehand: the best order is chosen with hindsight. See ``fits``.

        Raises:
            UnsupportedMechanism: δ is not in [0, 1), or is 0 although Gaussian noise was used.
        """
        if not 0 <= delta < 1:
            raise UnsupportedMechanism(f"delta must be at least 0 and below 1, not {float(delta):.6g}")
        if self.unprotected:
            return math.inf
        if not any(self.divergences):
            return self.pure_epsilon
        if delta == 0:
            raise UnsupportedMechanism("discrete Gaussian noise has no finite epsilon at delta = 0")
        return _add(self.pure_epsilon, renyi_epsilon(ORDERS, self.divergences, float(delta)))

    def fits(self, epsilon: Fraction, delta: Fraction) -> bool:
        """Return whether all that was added so far stays within a lifetime budget of (ε, δ).

        This, not ``epsilon``, is what may gate the next job: jobs are chosen after earlier results were seen, so the
        order must not depend on what was spent. It is the one at which the budget allows most Gaussian noise, so
        nothing is lost by it as long as all releases have Gaussian noise. A ledger of pure releases only is compared
        with ε itself, at δ = 0: together the two cases spend δ once.

        Raises:
            UnsupportedMechanism: the budget is not ε > 0 and 0 ≤ δ < 1.
        """
        return self.used(epsilon, delta) <= 1

    def used(self, epsilon: Fraction, delta: Fraction, *, beside: Cost | None = None) -> float:
        """Return which part of a lifetime budget of (ε, δ) this takes: at most 1 exactly if it ``fits``.

        Parts add up, because the order at which they are measured depends on the budget only: the part of a job is
        what the next one finds gone. Rounded up; infinite for an unprotected release.

        Args:
            epsilon: of the budget.
            delta: of the budget.
            beside: all that the ledger holds, where this is a part of it: releases of pure ε are measured otherwise
                as soon as there is Gaussian noise beside them.

        Raises:
            UnsupportedMechanism: the budget is not ε > 0 and 0 ≤ δ < 1.
        """
        if not epsilon > 0 or not 0 <= delta < 1:
            raise UnsupportedMechanism("a budget needs epsilon above 0, and delta at least 0 and below 1")
        if self.unprotected:
            return math.inf
        if not any(self.divergences) and (beside is None or not any(beside.divergences)):
            # Compared exactly: what is on the limit fits.
            part = Fraction(self.pure_epsilon) / epsilon
            return float(part) if part <= 1 else max(float(part), 1 + 2.0**-52)
        if delta == 0:
            return math.inf
        allowed = [_allowed_divergence(order, float(epsilon), float(delta)) for order in ORDERS]
        best = max(range(len(ORDERS)), key=lambda i: allowed[i] / ORDERS[i])
        if allowed[best] <= 0:
            return math.inf
        return _add(self.divergences[best], self.pure_epsilon) / (allowed[best] * (1 - 2.0**-40))

    def to_document(self) -> dict[str, Any]:
        """Return JSON values; doubles survive exactly."""
        return {
            "unit": self.unit.value,
            "orders": list(ORDERS),
            "divergences": list(self.divergences),
            "pure_epsilon": self.pure_epsilon,
            "unprotected": self.unprotected,
        }

    @classmethod
    def from_document(cls, value: Any) -> Cost:
        """Read what ``to_document`` wrote.

        Raises:
            MalformedMessage: not such a document, or made for other orders.
            UnsupportedMechanism: a number is negative or not finite.
        """
        fields = Fields(value, "a privacy cost", ("unit", "orders", "divergences", "pure_epsilon", "unprotected"))
        if fields.value("orders") != list(ORDERS):
            raise MalformedMessage("a privacy cost was made for other Rényi orders than this version's")
        try:
            unit = Unit(fields.text("unit", longest=32))
        except ValueError as cause:
            raise MalformedMessage("a privacy cost names an unknown unit of privacy") from cause
        divergences, pure_epsilon = fields.value("divergences"), fields.value("pure_epsilon")
        numbers = [*divergences, pure_epsilon] if isinstance(divergences, list) else [None]
        if not all(type(number) in (int, float) for number in numbers):
            raise MalformedMessage("a privacy cost must consist of numbers")
        return cls(
            unit=unit,
            divergences=tuple(map(float, divergences)),
            pure_epsilon=float(pure_epsilon),
            unprotected=fields.integer("unprotected", least=0, most=_RELEASES_MOST),
        )


def cost(events: Sequence[Event]) -> Cost:
    """Return what these releases add to a ledger.

    Args:
        events: at least one, all for one unit of privacy.

    Raises:
        UnsupportedMechanism: no event, different units, or too little noise in a share for a proven bound.
    """
    if not events or len({event.unit for event in events}) != 1:
        raise UnsupportedMechanism("the cost of events needs at least one, all for one unit of privacy")
    return _cost_of_one(events[0]) if len(events) == 1 else _cost(events)


@lru_cache(maxsize=256)
def _cost_of_one(event: Event) -> Cost:
    """Cached: a ledger reserves a job's thousands of equal rounds one by one."""
    return _cost([event])


def _cost(events: Sequence[Event]) -> Cost:
    classes = classes_of(events)
    rho = sum((item.squared_multiplier for item in classes), Fraction(0)) / 2
    divergence = Fraction(sum(item.share_divergence for item in classes))
    return Cost(
        unit=events[0].unit,
        divergences=tuple(
            float_above(order * rho + Fraction(2 * order - 1, order - 1) * divergence + vectors)
            for order, vectors in zip(ORDERS, vector_divergences(events, ORDERS), strict=True)
        ),
        pure_epsilon=float_above(sum((event.pure_epsilon for event in events), Fraction(0))),
        unprotected=sum(not event.is_protected for event in events),
    )
