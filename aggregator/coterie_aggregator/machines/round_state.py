# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The state of one round at the aggregator: its phase, who sent what, and what follows from that; no transitions.

| phase | of the protocol |
|---|---|
| COLLECTING | contributions arrive and are verified; below the round quorum it waits, also past the deadline |
| DECRYPTING | the transcript is fixed for good; partial decryptions are collected, whose form is verified |
| RELEASED | enough partial decryptions: they are combined, and where they do not open it is DECRYPTING again |
| ABANDONED | it cannot complete, but enough parties for another one are there: its step is asked again |
| ABORTED | timed out, or too few parties can still answer, or no partial decryptions open the sum |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from coterie_common.identifiers import PartyId


class Phase(StrEnum):
    """The phase of the round."""

    COLLECTING = "collecting"
    DECRYPTING = "decrypting"
    RELEASED = "released"
    ABANDONED = "abandoned"
    ABORTED = "aborted"


class Standing(StrEnum):
    """The standing of a message that a party sent."""

    RECEIVED = "received"
    VERIFIED = "verified"
    REJECTED = "rejected"


class AbortReason(StrEnum):
    """The reason for which a round ended without a release."""

    TIMEOUT = "timeout"
    TOO_FEW_PARTIES = "too-few-parties"
    EPOCH_BROKEN = "epoch-broken"
    ABSENT_PARTIES = "absent-parties"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundParameters:
    """Parameters fixed when the round starts.

    Attributes:
        holders: the key holders, in the order of their indices: any of them may help to open the sum.
        cohort: the parties asked, in roster order.
        round_quorum: m_r, minimum number of contributors to the release; by it their noise is divided.
        least_quorum: the least that another round of the job may have.
        is_repeatable: whether the job has a spare round left for the step, so that this one may be abandoned.
        decryption_threshold: partial decryptions needed; 0 where the sum of the whole cohort opens itself.
    """

    holders: tuple[PartyId, ...]
    cohort: tuple[PartyId, ...]
    round_quorum: int
    least_quorum: int
    decryption_threshold: int
    is_repeatable: bool = False


Standings = Mapping[PartyId, Standing]


def _nobody() -> Mapping[PartyId, Any]:
    return MappingProxyType({})


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatorRound:
    """One round.

    Attributes:
        parameters: fixed at the start.
        phase: see the module's table.
        contributions: standing of each reply that came.
        refusals: parties that declined to reply, or to decrypt, with the code given.
        deadline_passed: the round no longer waits for more than the quorum.
        contributors: in the transcript, in roster order; empty until it is fixed.
        asked: parties asked for a partial decryption.
        partials: standing of each partial decryption that came. VERIFIED means its form and signature: its proof is
            verified only if the sum does not open.
        unopened: the number of partial decryptions, proven all of them, that together did not open the sum.
        culprits: parties proven to have deviated.
        reason: why the round was abandoned or aborted.
    """

    parameters: RoundParameters
    phase: Phase = Phase.COLLECTING
    contributions: Standings = field(default_factory=_nobody)
    refusals: Mapping[PartyId, str] = field(default_factory=_nobody)
    deadline_passed: bool = False
    contributors: tuple[PartyId, ...] = ()
    asked: frozenset[PartyId] = frozenset()
    partials: Standings = field(default_factory=_nobody)
    unopened: int = 0
    culprits: tuple[PartyId, ...] = ()
    reason: AbortReason | None = None

    @property
    def verified_contributors(self) -> tuple[PartyId, ...]:
        """The parties that have contributed so far, in roster order."""
        return tuple(p for p in self.parameters.cohort if self.contributions.get(p) is Standing.VERIFIED)

    @property
    def verified_partials(self) -> tuple[PartyId, ...]:
        """Whose partial decryptions count, in the order of the holders."""
        return tuple(p for p in self.parameters.holders if self.partials.get(p) is Standing.VERIFIED)

    @property
    def partials_needed(self) -> int:
        """Number of partial decryptions with which the next attempt at opening is made."""
        threshold = self.parameters.decryption_threshold
        return max(threshold, self.unopened + 1) if threshold else 0

    @property
    def absent(self) -> tuple[PartyId, ...]:
        """The parties that kept the sum from being fixed, in roster order: no later round counts on them.

        Before the deadline they are those that refused or whose reply was rejected, past it also those that are silent.
        Once the sum is fixed there are none: everybody on whom the round counted has contributed.
        """
        if self.contributors:
            return ()
        rejected = {p for p, standing in self.contributions.items() if standing is Standing.REJECTED}
        return tuple(p for p in self.parameters.cohort if p in rejected | {*self.refusals, *self.silent})

    @property
    def silent(self) -> tuple[PartyId, ...]:
        """The parties that did not answer in time, in roster order: with a reply, or with a partial decryption."""
        timed_out = self.reason is AbortReason.TIMEOUT
        if self.contributors:
            answered = {*self.partials, *self.refusals}
            return tuple(p for p in self.parameters.holders if timed_out and p in self.asked - answered)
        answered = {*self.contributions, *self.refusals}
        is_late = timed_out or self.deadline_passed
        return tuple(p for p in self.parameters.cohort if is_late and p not in answered)

    @property
    def waiting_for(self) -> int:
        """Minimum number of further replies, or partial decryptions, that the round needs."""
        if self.phase is Phase.COLLECTING:
            return max(0, self.parameters.round_quorum - len(self.verified_contributors))
        if self.phase is Phase.DECRYPTING:
            return max(0, self.partials_needed - len(self.verified_partials))
        return 0
