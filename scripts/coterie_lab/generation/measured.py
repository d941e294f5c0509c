# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""All holders of a generation in this process, with the processor time and the bytes of each step."""

from __future__ import annotations

import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from coterie_common.crypto.generation.candidates import FactorShares
from coterie_common.crypto.generation.machine import Generation, Transition
from coterie_common.crypto.generation.parameters import GenerationParameters
from coterie_common.crypto.generation.steps.messages import Broadcast, SealedPart, Step
from coterie_common.crypto.generation.steps.openings import OpeningStage, VerdictStage
from coterie_common.crypto.generation.steps.setup import Setup
from coterie_common.randomness import OsRandom
from tests.support.joint_generation import Holders, make_setups

CHECKING = (Step.OPENING, Step.VERDICT)
"""Recomputing what leaves make follows the first, judging the second; all else is making the key."""


class Enough(Exception):
    """As many batches were opened and judged as were asked for."""


@dataclass
class MeasuredHolders(Holders):
    """Counts instead of keeping what was sent.

    Attributes:
        seconds: of the processor, by the step after which they were spent; of all holders together.
        bytes: sent to one recipient each, by step.
        candidates: made in all batches.
        tested: of these, without a small factor.
        batches: stop after so many; 0 goes on to the key.
    """

    seconds: dict[Step, float] = field(default_factory=lambda: defaultdict(float))
    bytes: Counter[Step] = field(default_factory=Counter)
    candidates: int = 0
    tested: int = 0
    batches: int = 0
    say: Callable[[str], None] = lambda text: None
    _numbers: dict[int, Step] = field(default_factory=dict)
    _shares: dict[int, FactorShares] = field(default_factory=dict)

    @property
    def factors(self) -> tuple[int, int]:
        """p and q, from the shares of all holders: only a measurement pools them."""
        own = self._shares.values()
        return int(sum(each.p for each in own)), int(sum(each.q for each in own))

    def _started(self, setup: Setup) -> Transition:
        began = time.process_time()
        transition = super()._started(setup)
        self.seconds[Step.START] += time.process_time() - began
        return transition

    def _advanced(self, state: Generation) -> Transition:
        step = state.step
        assert step is not None
        began = time.process_time()
        transition = super()._advanced(state)
        self.seconds[step] += time.process_time() - began
        self._look(state, transition.state)
        return transition

    def _look(self, before: Generation, after: Generation) -> None:
        stage = after.stage
        if isinstance(stage, OpeningStage):
            if after.setup.index == 1:
                self.candidates += stage.record.choice.candidates
                self.tested += len(stage.record.tested)
                self.say(f"{self.candidates} candidates, {self.tested} tested")
            if stage.survivor is not None:
                self._shares[after.setup.index] = stage.record.shares.reveal()[stage.survivor]
        if isinstance(before.stage, VerdictStage) and self.batches:
            done = before.stage.recomputed.record.secrets.number
            if done == self.batches and after.setup.index == len(self.setups):
                raise Enough

    def _sent(self, frame: Broadcast | SealedPart) -> None:
        if isinstance(frame, Broadcast):
            self._numbers[frame.number] = frame.step
            self.bytes[frame.step] += len(frame.to_bytes()) * (len(self.setups) - 1)
        else:
            self.bytes[self._numbers[frame.number]] += len(frame.to_bytes())


def measured(parameters: GenerationParameters, batches: int, say: Callable[[str], None]) -> MeasuredHolders:
    """Run a generation, or so many batches of one, with randomness of the operating system.

    Raises:
        AssertionError: an honest run ended without a key.
    """
    setups = make_setups(parameters, "measured")
    for setup in setups:
        object.__setattr__(setup, "random", OsRandom())
    holders = MeasuredHolders(setups, batches=batches, say=say)
    try:
        holders.run()
    except Enough:
        return holders
    assert all(each.completed is not None for each in holders.outcomes.values()), holders.outcomes
    return holders
