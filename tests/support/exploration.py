# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Every state that a pure state machine can reach, by trying every event in every state."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any, Generic, TypeVar, get_args

S = TypeVar("S")
E = TypeVar("E")


@dataclass(frozen=True)
class Explored(Generic[S, E]):
    """Attributes: every reachable state once; every (state, event, next state), also where nothing changes."""

    states: tuple[S, ...]
    transitions: tuple[tuple[S, E, S], ...]

    def __or__(self, other: Explored[S, E]) -> Explored[S, E]:
        """Return what is reachable from either start; no state of one is a state of the other."""
        return Explored(self.states + other.states, self.transitions + other.transitions)


def explore(start: S, step: Callable[[S, E], S], events: Iterable[E]) -> Explored[S, E]:
    events = tuple(events)
    states = {frozen(start): start}
    waiting = [start]
    transitions = []
    while waiting:
        state = waiting.pop()
        for event in events:
            after = step(state, event)
            transitions.append((state, event, after))
            key = frozen(after)
            if key not in states:
                states[key] = after
                waiting.append(after)
    return Explored(tuple(states.values()), tuple(transitions))


def frozen(value: Any) -> Hashable:
    """Return a hashable value that is equal exactly for equal states, whatever the order in which they came about."""
    if is_dataclass(value) and not isinstance(value, type):
        return type(value), tuple(frozen(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, Mapping):
        return frozenset((key, frozen(entry)) for key, entry in value.items())
    assert isinstance(value, Hashable)
    return value


def every_event(union: Any, choices: Mapping[str, Iterable[Any]]) -> Iterator[Any]:
    """Yield an instance of every class of ``union`` for every combination of what its fields may hold."""
    for event in get_args(union):
        combinations: list[dict[str, Any]] = [{}]
        for name in (field.name for field in fields(event)):
            combinations = [known | {name: choice} for known in combinations for choice in choices[name]]
        yield from (event(**known) for known in combinations)
