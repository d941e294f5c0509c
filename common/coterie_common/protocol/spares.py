# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Spare rounds: how often, and which, steps of a plan may be asked again after a round was abandoned.

They are part of a job's terms: the aggregator proposes them, each party derives them itself, reserves their cost and
enforces their number.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from coterie_common.errors import MalformedMessage
from coterie_common.fields import Fields
from coterie_common.limits import MAX_ROUNDS, MAX_SPARE_ROUNDS
from coterie_common.privacy.event import Event, event_from_document


@dataclass(frozen=True, slots=True, kw_only=True)
class SpareRounds:
    """Spare rounds for steps of one kind.

    Attributes:
        count: how many; each has a line of its own in a party's ledger.
        steps: of the plan that they may repeat, as runs (first, last), in order.
        event: a release at least as costly as that of each of these steps; reserved for every one of the rounds.
    """

    count: int
    steps: tuple[tuple[int, int], ...]
    event: Event

    def is_for(self, step: int) -> bool:
        """Return true if they may repeat this step."""
        return any(first <= step <= last for first, last in self.steps)

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value."""
        return {"count": self.count, "steps": [list(run) for run in self.steps], "event": self.event.to_document()}

    @classmethod
    def from_document(cls, value: Any) -> SpareRounds:
        """Parse; raises ``MalformedMessage``."""
        fields = Fields(value, "spare rounds", ("count", "steps", "event"))
        runs = fields.items("steps", maximum=MAX_ROUNDS)
        if not all(isinstance(run, list) and len(run) == 2 and all(type(end) is int for end in run) for run in runs):
            raise MalformedMessage("the steps of spare rounds must be runs of two numbers")
        return cls(
            count=fields.integer("count", minimum=1, maximum=MAX_SPARE_ROUNDS),
            steps=tuple((run[0], run[1]) for run in runs),
            event=event_from_document(fields.value("event")),
        )


@dataclass(frozen=True, slots=True)
class Spares:
    """The rounds of a job in which steps may be asked again, because an earlier round of the step was abandoned.

    Attributes:
        rounds: maximum number of them in the whole job.
        kinds: for steps of each kind, together at least ``rounds``.
    """

    rounds: int
    kinds: tuple[SpareRounds, ...]

    def allow(self, step: int, repeated: Sequence[int]) -> bool:
        """Return true if a step may be asked again.

        Args:
            step: 1-based.
            repeated: the steps that were asked again before, each as often as it was.
        """
        kind = next((kind for kind in self.kinds if kind.is_for(step)), None)
        if kind is None or len(repeated) >= self.rounds:
            return False
        return sum(kind.is_for(other) for other in repeated) < kind.count

    def lines(self, step: int, steps: int) -> range:
        """Return the numbers of the ledger lines for repeating a step, behind those of the plan's ``steps``."""
        first = steps + 1
        for kind in self.kinds:
            if kind.is_for(step):
                return range(first, first + kind.count)
            first += kind.count
        return range(0)

    @property
    def events(self) -> tuple[Event, ...]:
        """One event for each line, in their order."""
        return tuple(event for kind in self.kinds for event in (kind.event,) * kind.count)


NO_SPARES: Final = Spares(0, ())
