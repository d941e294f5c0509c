# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""All holders of a key generation in one process, some of which may deviate.

A cheat changes what a holder knows before it sends (``alter``) and what it sends (``say``); everything else of it is
the product's own code.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache

from coterie_common.crypto.generation.effects import Advance, Effect, End, KeepShare, SendBroadcast, SendPart
from coterie_common.crypto.generation.machine import (
    Generation,
    Transition,
    _enter,
    _take_broadcast,
    advance,
    holder_ended,
    receive_broadcast,
    receive_part,
    share_kept,
    start,
)
from coterie_common.crypto.generation.parameters import GenerationParameters
from coterie_common.crypto.generation.steps.batches import RootStage
from coterie_common.crypto.generation.steps.messages import Broadcast, SealedPart, Step
from coterie_common.crypto.generation.steps.setup import AnotherBatch, Check, Draft, Received, Run, Setup, Stage
from coterie_common.crypto.generation.steps.signing import CompletedStage, KeepingStage
from coterie_common.crypto.generation.steps.starting import StartStage, first_chain
from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.crypto.identity import SigningKey
from coterie_common.crypto.threshold import KeyShare, ThresholdPublicKey
from coterie_common.errors import CoterieError, ParameterMismatch
from coterie_common.identifiers import PartyId
from tests.support.seeded_random import SeededRandom

DRAFT_DIGEST = tuple_hash(Label.LIST, "a draft roster of the tests")


class Cheat:
    """Deviates nowhere; tests override one of the two."""

    def alter(self, stage: Stage) -> Stage:
        """Return what the holder knows in a step."""
        return stage

    def say(self, stage: Stage, draft: Draft) -> Draft:
        """Return what the holder sends in a step."""
        return draft


@dataclass(frozen=True)
class Deviating:
    """A stage of a holder that cheats."""

    inner: Stage
    cheat: Cheat

    @property
    def step(self) -> Step:
        return self.inner.step

    @property
    def run(self) -> Run | None:
        return self.inner.run

    @property
    def draft(self) -> Draft:
        return self.cheat.say(self.inner, self.inner.draft)

    def proceed(self, received: Received) -> Stage:
        following = self.inner.proceed(received)
        if isinstance(following, AnotherBatch):
            following = RootStage.create(following.run, following.number)
        if isinstance(following, (KeepingStage, CompletedStage)):
            return following
        return Deviating(self.cheat.alter(following), self.cheat)


@dataclass
class Outcome:
    """How a run ended for one holder."""

    completed: CompletedStage | None = None
    error: CoterieError | None = None
    key: ThresholdPublicKey | None = None
    share: KeyShare | None = None


@dataclass
class Holders:
    """All holders, the messages on their way, and what was seen of them.

    ``seen`` has every state after every step, ``frames`` everything that was sent.
    """

    setups: tuple[Setup, ...]
    cheats: Mapping[int, Cheat] = field(default_factory=dict)
    relay: Callable[[int, Broadcast], Broadcast | None] = lambda recipient, broadcast: broadcast
    states: dict[int, Generation] = field(default_factory=dict)
    outcomes: dict[int, Outcome] = field(default_factory=dict)
    queue: deque[tuple[int, int, Effect]] = field(default_factory=deque)
    frames: list[Broadcast | SealedPart] = field(default_factory=list)
    seen: list[tuple[int, Generation]] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    keeps_history: bool = False
    any_length: bool = False
    """Take broadcasts of any length."""
    refused: list[ParameterMismatch] = field(default_factory=list)
    """Why broadcasts of other chains were refused."""
    last: frozenset[int] = frozenset()
    """Holders that enter a step only when all others have said what they say in it."""

    def run(self) -> dict[int, Outcome]:
        """Run to the end; a holder for whom nothing more comes is told that another has ended."""
        for setup in self.setups:
            self.outcomes[setup.index] = Outcome()
            cheat = self.cheats.get(setup.index)
            if cheat is None:
                self._carry_out(setup.index, self._started(setup))
                continue
            state = Generation(setup=setup, number=0, stage=None, chain=first_chain(setup))
            self._carry_out(setup.index, _enter(state, Deviating(cheat.alter(StartStage.create(setup)), cheat)))
        while True:
            self._deliver()
            waiting = [(index, state) for index, state in self.states.items() if state.stage is not None]
            if not waiting:
                return self.outcomes
            index, state = waiting[0]
            ended = [other for other in state.waiting_for if self.states[other].stage is None]
            self._carry_out(index, holder_ended(state, (ended or list(state.waiting_for) or [index])[0]))

    def _signed(self, index: int, state: Generation) -> Transition:
        cheat = self.cheats.get(index)
        if cheat is None or not isinstance(state.stage, KeepingStage):
            return share_kept(state)
        return _enter(state, Deviating(cheat.alter(state.stage.sign()), cheat))

    def _deliver(self) -> None:
        while self.queue:
            recipient, _, effect = self.queue.popleft()
            state = self.states[recipient]
            if state.stage is None:
                continue
            if state.is_advancing and not isinstance(effect, Advance):
                # Its driver is making the step.
                self.queue.append((recipient, recipient, effect))
                continue
            if self._waits(recipient, effect) and not all(to in self.last for to, _, _ in self.queue):
                self.queue.append((recipient, recipient, effect))
                continue
            if isinstance(effect, SendBroadcast):
                broadcast = self.relay(recipient, effect.broadcast)
                if broadcast is not None:
                    self._take(recipient, broadcast)
            elif isinstance(effect, SendPart):
                self._carry_out(recipient, receive_part(state, effect.part))
            else:
                self._carry_out(recipient, self._advanced(state))

    def _take(self, recipient: int, broadcast: Broadcast) -> None:
        take = _take_broadcast if self.any_length else receive_broadcast
        try:
            self._carry_out(recipient, take(self.states[recipient], broadcast))
        except ParameterMismatch as why:
            self.refused.append(why)

    def _started(self, setup: Setup) -> Transition:
        return start(setup)

    def _advanced(self, state: Generation) -> Transition:
        return advance(state)

    def _sent(self, frame: Broadcast | SealedPart) -> None:
        self.frames.append(frame)

    def _waits(self, index: int, effect: Effect) -> bool:
        return isinstance(effect, Advance) and index in self.last

    def _carry_out(self, index: int, transition: Transition) -> None:
        self.states[index] = transition.state
        if self.keeps_history:
            self.seen.append((index, transition.state))
        for effect in transition.effects:
            match effect:
                case SendBroadcast(broadcast):
                    self._sent(broadcast)
                    if index == 1:
                        self.steps.append(broadcast.step)
                    for other in self.states[index].setup.others:
                        self.queue.append((other, index, effect))
                case SendPart(part):
                    self._sent(part)
                    self.queue.append((part.recipient, index, effect))
                case Advance():
                    self.queue.append((index, index, effect))
                case KeepShare(key, share):
                    self.outcomes[index].key, self.outcomes[index].share = key, share
                    self._carry_out(index, self._signed(index, transition.state))
                case End(completed, error):
                    self.outcomes[index].completed, self.outcomes[index].error = completed, error


def make_setups(parameters: GenerationParameters, seed: object, *left_out: Check) -> tuple[Setup, ...]:
    """Return reproducible setups of all holders, which leave out some checks."""
    keys = [SigningKey.generate(SeededRandom(f"signing key {index}")) for index in parameters.indices]
    return tuple(
        Setup(
            parameters=parameters,
            index=index,
            holders=tuple(PartyId(f"holder-{each}") for each in parameters.indices),
            draft_digest=DRAFT_DIGEST,
            signing_key=key,
            verify_keys=tuple(each.verify_key for each in keys),
            random=SeededRandom(f"{seed} holder {index}"),
        )._leave_out_for_tests(*left_out)
        for index, key in zip(parameters.indices, keys, strict=True)
    )


@cache
def generated(
    holders: int = 5, decryption_threshold: int = 3, key_bits: int = 256, s: int = 1, seed: int = 0
) -> Holders:
    """Run an honest generation, reproducibly but for what ML-KEM draws."""
    parameters = GenerationParameters._insecure_for_tests(
        holders=holders, decryption_threshold=decryption_threshold, key_bits=key_bits, s=s, batch=128
    )
    all_holders = Holders(make_setups(parameters, seed))
    all_holders.run()
    return all_holders
