# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The machine of one holder, pure: messages of the others in, messages and orders to the driver out.

    start → SendBroadcast, SendPart, …
    receive_broadcast, receive_part → nothing, or Advance when all of a step are there
    advance → the next step's messages, KeepShare or End; heavy, the driver runs it on a thread
    share_kept → the signature, once the share is on disk
    holder_ended → End: a holder that ends without a key ends everybody's run

- A step ends when every holder's broadcast, and every part of the step, is there; the driver limits the time, and ends
  the run for ``waiting_for``.
- Messages may come in any order and twice. Of the next step they are kept until it begins, of others they are refused.
- A broadcast counts only with the chain of this holder: any other is of another run, which a relay can replay, or of a
  holder that was shown other messages. It is refused and names nobody; where no other comes, the run ends by its time.
- A message that is refused leaves the state as it was; its sender may be somebody else. Two different broadcasts of one
  step and one chain count against who signed both: the chain has this holder's fresh nonce. That of START has none yet.
- One ``advance`` per state, never a second: it draws. Messages that come meanwhile wait for the state that it returns.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from coterie_common.crypto.generation import channel
from coterie_common.crypto.generation.channel import Direction, SaltedPart
from coterie_common.crypto.generation.effects import Advance, Effect, End, KeepShare, SendBroadcast, SendPart
from coterie_common.crypto.generation.steps.batches import RootStage
from coterie_common.crypto.generation.steps.messages import Broadcast, SealedPart, Step, extend_chain
from coterie_common.crypto.generation.steps.setup import AnotherBatch, Draft, Received, Setup, Stage
from coterie_common.crypto.generation.steps.signing import CompletedStage, KeepingStage
from coterie_common.crypto.generation.steps.sizes import step_bytes
from coterie_common.crypto.generation.steps.starting import StartStage, first_chain
from coterie_common.errors import (
    CoterieError,
    Equivocation,
    GenerationFailed,
    MalformedMessage,
    ParameterMismatch,
    StateError,
    UnexpectedMessage,
)

_MAX_EARLY: Final = 2
"""Broadcasts of the next step that are kept of each holder: one of another run leaves room for that of this one."""


@dataclass(frozen=True, kw_only=True)
class Generation:
    """One holder's run.

    Attributes:
        setup: what the holder brought.
        number: of the step.
        stage: what the holder knows; ``None`` once the run is over.
        chain: the digest of all broadcasts of the steps before.
        broadcasts: of this step, by sender.
        early: broadcasts of the next step, whose chain nobody knows yet.
        parts: for this holder, of this step and the next, by number and sender.
        is_advancing: everything of the step is there, and ``Advance`` was ordered.
    """

    setup: Setup
    number: int
    stage: Stage | None = field(repr=False)
    chain: bytes
    broadcasts: Mapping[int, Broadcast] = field(default_factory=dict, repr=False)
    early: tuple[Broadcast, ...] = field(default=(), repr=False)
    parts: Mapping[tuple[int, int], SealedPart] = field(default_factory=dict, repr=False)
    is_advancing: bool = False

    @property
    def step(self) -> Step | None:
        """The step, ``None`` once the run is over."""
        return None if self.stage is None else self.stage.step

    @property
    def waiting_for(self) -> tuple[int, ...]:
        """The indices of the holders of whom something of this step has not come."""
        if self.stage is None:
            return ()
        with_parts = self.stage.step.has_parts
        return tuple(
            other
            for other in self.setup.others
            if other not in self.broadcasts or (with_parts and (self.number, other) not in self.parts)
        )


@dataclass(frozen=True, slots=True)
class Transition:
    """A state, and what the driver has to do, in this order."""

    state: Generation
    effects: tuple[Effect, ...] = ()


def start(setup: Setup) -> Transition:
    """Begin a run."""
    state = Generation(setup=setup, number=0, stage=None, chain=first_chain(setup))
    return _enter(state, StartStage.create(setup))


def receive_broadcast(state: Generation, broadcast: Broadcast) -> Transition:
    """Take what another holder said to all.

    Raises:
        UnexpectedMessage: not of this step or the next, not of another holder, or one too many of the next step.
        MalformedMessage: longer than any of its step.
        InvalidSignature: not signed by its sender.
        ParameterMismatch: of another run, or of a holder that was shown other messages.
        StateError: it has to wait for what ``advance`` returns.
    """
    if len(broadcast.body) > step_bytes(state.setup.parameters)[broadcast.step].body:
        raise MalformedMessage("a broadcast of the key generation is longer than any of its step")
    return _take_broadcast(state, broadcast)


def _take_broadcast(state: Generation, broadcast: Broadcast) -> Transition:
    """Take a broadcast of any length; tests show with it why one would want other numbers than those of the product."""
    _check_addresses(state, broadcast.number, broadcast.sender)
    broadcast.verify(state.setup.verify_keys[broadcast.sender - 1])
    if broadcast.number > state.number:
        return Transition(_with_early(state, broadcast))
    try:
        state = _with_broadcast(state, broadcast)
    except (Equivocation, GenerationFailed) as error:
        return _end(state, error)
    return _advance_if_complete(state)


def _with_early(state: Generation, broadcast: Broadcast) -> Generation:
    if broadcast in state.early:
        return state
    if sum(each.sender == broadcast.sender for each in state.early) == _MAX_EARLY:
        raise UnexpectedMessage("more than two different messages of one holder for the next step")
    return replace(state, early=(*state.early, broadcast))


def _with_broadcast(state: Generation, broadcast: Broadcast) -> Generation:
    """Return the state with a broadcast of its step.

    Raises:
        ParameterMismatch: it has another chain.
        Equivocation: its sender signed another one.
        GenerationFailed: so it looks, but one of the two may be of another run.
    """
    if broadcast.chain != state.chain:
        raise ParameterMismatch("a message of another key generation, or of a holder that was shown other messages")
    known = state.broadcasts.get(broadcast.sender)
    if known == broadcast:
        return state
    if known is None:
        return replace(state, broadcasts={**state.broadcasts, broadcast.sender: broadcast})
    if broadcast.number == 0:
        raise GenerationFailed("two different messages of one holder for the start; one may be of another run")
    who = (state.setup.holders[broadcast.sender - 1],)
    raise Equivocation(f"two different messages of one step: {who[0]}", culprits=who)


def receive_part(state: Generation, part: SealedPart) -> Transition:
    """Take what another holder sent to this one alone; the first that comes counts.

    Raises:
        UnexpectedMessage: not of this step or the next, or not from another holder to this one.
        MalformedMessage: longer than any part.
        StateError: it has to wait for what ``advance`` returns.
    """
    _check_addresses(state, part.number, part.sender)
    if len(part.sealed) > max(each.part for each in step_bytes(state.setup.parameters).values()):
        raise MalformedMessage("a part of the key generation is longer than any")
    if part.recipient != state.setup.index:
        raise UnexpectedMessage("a part for another holder")
    if (part.number, part.sender) in state.parts:
        return Transition(state)
    return _advance_if_complete(replace(state, parts={**state.parts, (part.number, part.sender): part}))


def holder_ended(state: Generation, index: int) -> Transition:
    """Take notice that a holder ended its run, or that it was waited for too long; it may come while a step is made."""
    if state.stage is None:
        return Transition(state)
    # Nobody has proven who is at fault: the holder, or who carries its messages.
    return _end(state, GenerationFailed(f"no message arrived from {state.setup.holders[index - 1]}"))


def advance(state: Generation) -> Transition:
    """Make the next step of everything that came; whatever is wrong ends the run.

    Call it once for a state: it draws, and a second call would sign other messages of the same step. What comes
    meanwhile is given to the state that it returns. If the run was ended meanwhile, drop what it returns.

    Raises:
        StateError: something is missing.
    """
    if state.stage is None or not state.is_advancing:
        raise StateError("a key generation advances when everything of a step is there")
    try:
        return _advanced(state, state.stage)
    except CoterieError as error:
        return _end(state, error)


def _advanced(state: Generation, stage: Stage) -> Transition:
    received = _received(state, stage)
    following = stage.proceed(received)
    if isinstance(following, AnotherBatch):
        following = RootStage.create(following.run, following.number)
    number, early = state.number + 1, state.early
    state = replace(
        state,
        number=number,
        stage=None,
        chain=received.chain,
        broadcasts={},
        early=(),
        parts={key: each for key, each in state.parts.items() if key[0] >= number},
        is_advancing=False,
    )
    for each in early:
        # As if it came now: what has another chain is refused.
        if each.chain == state.chain:
            state = _with_broadcast(state, each)
    if isinstance(following, CompletedStage):
        return Transition(state, (End(completed=following),))
    if isinstance(following, KeepingStage):
        return Transition(replace(state, stage=following), (KeepShare(following.key, following.share),))
    return _enter(state, following)


def share_kept(state: Generation) -> Transition:
    """Sign the record: the share is on disk.

    Raises:
        StateError: no share was to be kept.
    """
    if not isinstance(state.stage, KeepingStage):
        raise StateError("no share of a key generation is waited for")
    return _enter(state, state.stage.sign())


def _enter(state: Generation, stage: Stage) -> Transition:
    """Send what a stage has to send."""
    setup, draft = state.setup, stage.draft
    salted, sealed = _seal(state, stage, draft)
    own = Broadcast.create(
        setup.signing_key,
        number=state.number,
        step=stage.step,
        sender=setup.index,
        chain=state.chain,
        hashes=salted,
        body=draft.body,
    )
    state = replace(state, stage=stage, broadcasts={**state.broadcasts, setup.index: own})
    complete = _advance_if_complete(state)
    return Transition(complete.state, (SendBroadcast(own), *map(SendPart, sealed), *complete.effects))


def _seal(state: Generation, stage: Stage, draft: Draft) -> tuple[tuple[bytes, ...], list[SealedPart]]:
    hashes, parts, run = [], [], stage.run
    if run is None:
        return (), []
    for recipient, content in sorted(draft.parts.items()):
        direction = Direction(run.session_id, state.setup.index, recipient)
        part = SaltedPart(state.setup.random.token_bytes(channel.SALT_BYTES), content)
        hashes.append(part.hash(direction, state.number))
        sealed = channel.seal(run.sending[recipient], direction, state.number, part)
        parts.append(SealedPart(number=state.number, sender=state.setup.index, recipient=recipient, sealed=sealed))
    return tuple(hashes), parts


def _check_addresses(state: Generation, number: int, sender: int) -> None:
    if state.is_advancing:
        raise StateError("a message of the key generation waits until the step is made")
    if state.stage is None or number not in (state.number, state.number + 1):
        raise UnexpectedMessage("a message of another step of the key generation")
    if sender not in state.setup.others:
        raise UnexpectedMessage("a message of no other holder of the key generation")


def _advance_if_complete(state: Generation) -> Transition:
    if state.is_advancing or state.waiting_for or isinstance(state.stage, KeepingStage):
        return Transition(state)
    return Transition(replace(state, is_advancing=True), (Advance(),))


def _received(state: Generation, stage: Stage) -> Received:
    """Return what all sent in this step.

    Raises:
        ParameterMismatch: a holder is in another step; nobody is named.
        GenerationFailed: a part does not open, or is not the one whose hash was broadcast; nobody is named.
    """
    setup = state.setup
    broadcasts = {index: state.broadcasts[index] for index in setup.indices}
    parts = {}
    for index, each in broadcasts.items():
        if each.step is not stage.step:
            raise ParameterMismatch("the holders are not all in the same step of the key generation")
        if len(each.hashes) != (setup.parameters.holders - 1 if stage.step.has_parts else 0):
            setup.blame([index], "the hashes of parts are not one for each holder")
        if stage.run is None or index == setup.index or not stage.step.has_parts:
            continue
        direction = Direction(stage.run.session_id, index, setup.index)
        sealed = state.parts[state.number, index].sealed
        part = channel.open_part(stage.run.receiving[index], direction, state.number, sealed)
        if part is None or part.hash(direction, state.number) != each.hash_for(setup.index):
            setup.fail("a part is not the one whose hash was broadcast")
        parts[index] = part
    return Received(broadcasts=broadcasts, parts=parts, chain=extend_chain(state.chain, broadcasts))


def _end(state: Generation, error: CoterieError) -> Transition:
    """Drop everything, also what the frames of the error's traceback hold."""
    each: BaseException | None = error
    while each is not None:
        each.__traceback__ = None
        each = each.__cause__ or each.__context__
    over = replace(state, stage=None, broadcasts={}, early=(), parts={}, is_advancing=False)
    return Transition(over, (End(error=error),))
