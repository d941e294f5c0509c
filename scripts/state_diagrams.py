# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Writes the state diagrams into docs/architecture.md, from the state machines themselves.

.venv/bin/python scripts/state_diagrams.py           writes
.venv/bin/python scripts/state_diagrams.py --check   only compares: exit status 1 when the page is out of date

A table of transitions names a handler for each phase and event; which phase follows, the handler decides. So every
event is tried in every state that a small federation can reach, and what happened is grouped by phase.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

from coterie_aggregator.machines import job_effects, job_events, job_machine, round_effects, round_events, round_machine
from coterie_aggregator.machines.round_state import AggregatorRound, RoundParameters
from coterie_common.errors import AlreadyAnswered
from coterie_common.identifiers import JobId, PartyId
from coterie_common.privacy.event import CountEvent
from coterie_common.privacy.noise.discrete_gaussian import DiscreteGaussianNoise
from coterie_common.privacy.noise.terms import Placement
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.encrypted_reply import Contribution, EncryptedReply, KeyPart
from coterie_common.protocol.messages import DecryptionRequest, PartialDecryption, Query
from coterie_common.protocol.spares import NO_SPARES, SpareRounds, Spares
from coterie_common.protocol.transcript import transcript_digest_of
from coterie_common.protocol.verification.request import VerifiedRequest
from coterie_party import round as party_round

PAGE = Path(__file__).resolve().parents[1] / "docs" / "architecture.md"
END = "<!-- end of state diagram -->\n"
ANNA, BERT, CLEO = map(PartyId, ("anna", "bert", "cleo"))
_NOISE = DiscreteGaussianNoise(placement=Placement.DISTRIBUTED, variance=Fraction(300), shares=2)
ONE_SPARE = Spares(
    1, (SpareRounds(count=1, steps=((1, 3),), event=CountEvent(l0=1, linf=1, scale_bits=0, noise=_NOISE)),)
)


@dataclass(frozen=True)
class Taken:
    """One event taken in one state; ``effects`` are those that the transition itself returned."""

    before: Any
    event: type
    after: Any
    effects: tuple[type, ...] = ()


@dataclass(frozen=True)
class Machine:
    """One state machine, and enough of the world to reach all of it.

    Attributes:
        starts: first states, with a ``phase``: of federations that differ in their numbers.
        step: takes a state and an event, returns the next state and effects.
        events: all that are tried.
        order: the kinds of events, as they are listed.
        effects: their kinds, as they are listed.
        outstanding: what is to be done in a state, for a machine whose effects follow from it.
    """

    starts: tuple[Any, ...]
    step: Callable[[Any, Any], tuple[Any, tuple[Any, ...]]]
    events: tuple[Any, ...]
    order: tuple[type, ...]
    effects: tuple[type, ...]
    outstanding: Callable[[Any], frozenset[Any]] | None = None

    @property
    def phases(self) -> type[Enum]:
        """The phases, in the order in which a round or job passes through them."""
        return type(self.starts[0].phase)


def explored(machine: Machine) -> tuple[Taken, ...]:
    """Take every event in every reachable state; those that change nothing and cause nothing are left out."""
    known, waiting, found = set(map(_key, machine.starts)), list(machine.starts), []
    while waiting:
        state = waiting.pop()
        for event in machine.events:
            after, effects = machine.step(state, event)
            if after is state and not effects:
                continue
            found.append(Taken(state, type(event), after, tuple(map(type, effects))))
            if (key := _key(after)) not in known:
                known.add(key)
                waiting.append(after)
    return tuple(found)


def _key(value: Any) -> Hashable:
    """Return a hashable value that is equal exactly for equal states."""
    if is_dataclass(value) and not isinstance(value, type):
        return type(value), tuple(_key(getattr(value, field.name)) for field in fields(value))
    if isinstance(value, Mapping):
        return frozenset((key, _key(entry)) for key, entry in value.items())
    return value if isinstance(value, Hashable) else repr(value)


def _every(union: Any, choices: Mapping[str, Iterable[Any]]) -> Iterator[Any]:
    """Yield an instance of every class of ``union`` for every combination of what its fields may hold."""
    for kind in get_args(union):
        combinations: list[dict[str, Any]] = [{}]
        for name in (field.name for field in fields(kind)):
            combinations = [known | {name: choice} for known in combinations for choice in choices[name]]
        yield from (kind(**known) for known in combinations)


def _job() -> Machine:
    choices: dict[str, Iterable[Any]] = {
        "party_id": (ANNA, BERT),
        "decision": Decision,
        "code": ("",),
        "detail": ("",),
        "round_number": (1, 2),
        "absent": ((), (ANNA,)),
        "reason": ("",),
        "is_kept": (True, False),
    }
    return Machine(
        starts=tuple(
            job_machine.AggregatorJob(
                parameters=job_machine.JobParameters(
                    members=(ANNA, BERT), round_quorum=quorum, spares=spares, is_complete=is_complete
                )
            )
            for quorum, is_complete in ((1, False), (2, False), (2, True))
            for spares in (NO_SPARES, ONE_SPARE)
        ),
        step=lambda state, event: (job_machine.step(state, event), ()),
        events=tuple(_every(job_events.Event, choices)),
        order=get_args(job_events.Event),
        outstanding=job_machine.outstanding,
        effects=get_args(job_effects.Effect),
    )


def _aggregator_round() -> Machine:
    # With a threshold of 1 one member is not asked for a partial decryption at once; with 2, one of them is not enough.
    parameters = [
        RoundParameters(
            holders=(ANNA, BERT, CLEO),
            cohort=(ANNA, BERT),
            round_quorum=quorum,
            least_quorum=1,
            is_repeatable=quorum == 2,
            decryption_threshold=threshold,
        )
        for threshold in (1, 2)
        for quorum in (1, 2)
    ]
    return Machine(
        starts=tuple(AggregatorRound(parameters=each) for each in parameters),
        step=lambda state, event: (round_machine.step(state, event), ()),
        events=tuple(
            _every(
                round_events.Event,
                {"party_id": (ANNA, BERT, CLEO), "party_ids": ((ANNA,), (ANNA, BERT)), "code": ("",)},
            )
        ),
        order=get_args(round_events.Event),
        outstanding=round_machine.outstanding,
        effects=get_args(round_effects.Effect),
    )


def _party_round() -> Machine:
    def step(state: Any, event: Any) -> tuple[Any, tuple[Any, ...]]:
        transition = party_round.step(state, event)
        return transition.state, transition.effects

    return Machine(
        starts=(party_round.PartyRound(),),
        step=step,
        events=tuple(_party_events()),
        order=get_args(party_round.Event),
        effects=get_args(party_round.Effect),
    )


def _party_events() -> Iterator[party_round.Event]:
    """Yield the events of two queries for one round and, of each, of two transcripts.

    The machine looks at ids and digests only; everything else in these messages is empty.
    """
    job_id = JobId("job")
    contribution = Contribution(
        party_id=ANNA, key_part=KeyPart(ciphertexts=(), proof=b""), padded_digest=b"", signature=b""
    )
    for session_id in (b"query", b"other query"):
        covered: Any = SimpleNamespace(session_id=session_id)
        yield party_round.QueryReceived(Query(fields=covered, body=b"", signature=b""))
        yield party_round.ReplyComputed(
            EncryptedReply(job_id=job_id, round_number=1, session_id=session_id, contribution=contribution)
        )
        for contributions in ((contribution,), ()):
            digest = transcript_digest_of(
                session_id, [(each.party_id, each.key_part.digest, each.padded_digest) for each in contributions]
            )
            request = DecryptionRequest(fields=covered, contributions=contributions, signature=b"")
            yield party_round.RequestReceived(request)
            yield party_round.RequestVerified(request, VerifiedRequest(session_id, digest, (), len(contributions)))
            yield party_round.PartialComputed(
                PartialDecryption(
                    job_id=job_id,
                    round_number=1,
                    session_id=session_id,
                    transcript_digest=digest,
                    party_id=ANNA,
                    values=(),
                    proof=b"",
                    transcript_signature=b"",
                    signature=b"",
                )
            )
    yield party_round.ComputationFailed(AlreadyAnswered(""))


MACHINES: Mapping[str, Callable[[], Machine]] = {
    "the aggregator's job": cache(_job),
    "the aggregator's round": cache(_aggregator_round),
    "the party's round": cache(_party_round),
}


def drawing(machine: Machine) -> str:
    """The diagram of the transitions from phase to phase, and a table of what happens inside each."""
    taken = explored(machine)
    lines = ["```mermaid", "stateDiagram-v2", f"    [*] --> {machine.starts[0].phase.name}"]
    for before in machine.phases:
        following = {each.after.phase for each in taken if each.before.phase is before} - {before}
        for after in (phase for phase in machine.phases if phase in following):
            lines.append(f"    {before.name} --> {after.name} : {'<br/>'.join(_labels(machine, taken, before, after))}")
        if not following:
            lines.append(f"    {before.name} --> [*]")
    lines += ["```", ""]
    lines += _states_table(machine, taken) if machine.outstanding else _effects_table(machine, taken)
    return "\n".join(lines) + "\n"


def _labels(machine: Machine, taken: tuple[Taken, ...], before: Enum, after: Enum) -> Iterator[str]:
    """Yield the events between two phases, each with the effects that it causes there."""
    between = [each for each in taken if each.before.phase is before and each.after.phase is after]
    for kind in machine.order:
        effects = dict.fromkeys(each.effects for each in between if each.event is kind)
        for caused in effects:
            yield kind.__name__ + (f" / {_names(caused)}" if caused else "")


def _states_table(machine: Machine, taken: tuple[Taken, ...]) -> Iterator[str]:
    """Yield the table of a machine whose effects follow from the state."""
    assert machine.outstanding is not None
    wanted: dict[Enum, set[Any]] = {phase: set() for phase in machine.phases}
    for state in {_key(each.after): each.after for each in taken}.values():
        wanted[state.phase] |= machine.outstanding(state)
    for state in machine.starts:
        wanted[state.phase] |= machine.outstanding(state)
    yield "| phase | changed, and not left, by | may be outstanding |"
    yield "|---|---|---|"
    for phase in machine.phases:
        inside = {each.event for each in taken if each.before.phase is each.after.phase is phase}
        timed = {type(each.event) for each in wanted[phase] if hasattr(each, "event")}
        others = {type(each) for each in wanted[phase] if not hasattr(each, "event")}
        cells = [_listed(kind for kind in machine.effects if kind in others)]
        if timed:
            cells.append("timers: " + _listed(kind for kind in machine.order if kind in timed))
        yield f"| {phase.name} | {_listed(kind for kind in machine.order if kind in inside)} | {'; '.join(cells)} |"


def _effects_table(machine: Machine, taken: tuple[Taken, ...]) -> Iterator[str]:
    """Yield the table of a machine that returns effects: those of events that leave the state as it is."""
    yield "| event | in the phases | effect |"
    yield "|---|---|---|"
    for kind in machine.order:
        rows: dict[tuple[type, ...], list[str]] = {}
        for phase in machine.phases:
            same = {
                each.effects for each in taken if each.event is kind and each.before.phase is each.after.phase is phase
            }
            caused = tuple(effect for effect in machine.effects if (effect,) in same)
            assert len(caused) == len(same), f"{kind.__name__} in {phase.name} causes several effects at once"
            if caused:
                rows.setdefault(caused, []).append(phase.name)
        for caused, names in rows.items():
            effects = " or ".join(f"`{effect.__name__}`" for effect in caused)
            where = "all" if len(names) == len(machine.phases) else ", ".join(names)
            yield f"| `{kind.__name__}` | {where} | {effects} |"


def _names(kinds: Iterable[type]) -> str:
    return ", ".join(kind.__name__ for kind in kinds)


def _listed(kinds: Iterable[type]) -> str:
    return ", ".join(f"`{kind.__name__}`" for kind in kinds)


def written(text: str) -> str:
    """The page with every diagram drawn anew."""
    for name, machine in MACHINES.items():
        begin = f"<!-- state diagram of {name}: written by scripts/state_diagrams.py -->\n"
        before, found, rest = text.partition(begin)
        if not found:
            raise SystemExit(f"{PAGE.name} has no place for the state diagram of {name}: {begin.strip()}")
        text = before + begin + "\n" + drawing(machine()) + "\n" + rest[rest.index(END) :]
    return text


def main(arguments: list[str]) -> int:
    """Write or compare; return the exit status."""
    text = PAGE.read_text("utf-8")
    new = written(text)
    if arguments != ["--check"]:
        PAGE.write_text(new, "utf-8")
    elif new != text:
        print("docs/architecture.md is out of date; run .venv/bin/python scripts/state_diagrams.py", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
