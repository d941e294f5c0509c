# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Costs of ledgers that older versions wrote, as Rényi divergences, stated as Gaussian pairs.

If each line states what was released, the cost of the job is computed anew. Lines of the oldest versions have only
their divergences: for these, a pair is found that dominates every mechanism with such divergences (see
``coterie_common.privacy.accounting.dominating``).

Invariants: no spending is forgotten; releases of a job that are charged together are charged as the whole plan, also if
the job ended early.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any, Final

from coterie_common import document
from coterie_common.errors import CoterieError, MalformedMessage, StorageError, UnsupportedMechanism
from coterie_common.fields import Fields
from coterie_common.privacy.accounting.cost import Cost, costs
from coterie_common.privacy.accounting.dominating import curve_of_divergences
from coterie_common.privacy.accounting.gaussian_dp import squared_distance_of_pure
from coterie_common.privacy.accounting.renyi import ORDERS
from coterie_common.privacy.event import event_from_document
from coterie_common.privacy.exact import short_above
from coterie_common.privacy.noise.mechanisms import Unit

_BYTES: Final = 1 << 20
_DIGITS: Final = 18


def renewed(lines: Sequence[tuple[bytes, bytes | None]]) -> list[bytes]:
    """Return the costs of all lines of one job, in the present form.

    Args:
        lines: cost and event of each, in the former form.

    Raises:
        StorageError: one cannot be read.
    """
    try:
        former = [_Former(document.decode(cost, "a cost in the ledger", maximum=_BYTES)) for cost, _ in lines]
        events = [None if event is None else document.decode(event, "an event", maximum=_BYTES) for _, event in lines]
        return [document.encode(cost.to_document()) for cost in _costs(former, events)]
    except CoterieError as cause:
        raise StorageError(f"the privacy ledger of an older version cannot be read: {cause.message}") from cause


class _Former:
    """A line's cost as older versions wrote it."""

    def __init__(self, value: Any) -> None:
        fields = Fields(value, "a privacy cost", ("unit", "orders", "divergences", "pure_epsilon", "unprotected"))
        if fields.value("orders") != list(ORDERS):
            raise MalformedMessage("a privacy cost was made for other Rényi orders than the ledger's")
        divergences, pure = fields.items("divergences", maximum=len(ORDERS)), fields.value("pure_epsilon")
        if not all(type(number) in (int, float) and number >= 0 for number in [*divergences, pure]):
            raise MalformedMessage("a privacy cost must consist of numbers that are not negative")
        self.unit = Unit(fields.text("unit", longest=32))
        self.divergences = tuple(map(float, divergences))
        self.pure = short_above(Fraction(pure), _DIGITS) if pure else Fraction(0)
        self.unprotected = fields.integer("unprotected", minimum=0, maximum=1 << 53)


def _costs(former: Sequence[_Former], events: Sequence[Any]) -> tuple[Cost, ...]:
    if all(event is not None for event in events):
        try:
            return costs([event_from_document(event) for event in events])
        except UnsupportedMechanism:
            # Too little noise for a pair; it has divergences.
            pass
    sums = tuple(map(sum, zip(*(line.divergences for line in former), strict=True)))
    try:
        together = (curve_of_divergences(sums),) if any(sums) else ()
    except UnsupportedMechanism:
        # No pair dominates them: the ledger opens, and counts what has no bound as if it had no noise.
        return tuple(Cost(unit=line.unit, pure_epsilon=None, unprotected=max(1, line.unprotected)) for line in former)
    return tuple(
        Cost(
            unit=line.unit,
            squared_distance=squared_distance_of_pure(line.pure) if line.pure else Fraction(0),
            pure_epsilon=None if any(line.divergences) or line.unprotected else line.pure,
            unprotected=line.unprotected,
            together=together if any(line.divergences) else (),
        )
        for line in former
    )
