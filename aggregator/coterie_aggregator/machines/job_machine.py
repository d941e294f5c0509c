# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The state machine of one job at the aggregator, pure: ``step(state, event) → state`` and ``outstanding(state)``.

| phase | what happens |
|---|---|
| PROPOSED | every party is asked whether it takes part; starts when all replied, or past the deadline with enough |
| AGREEING | sealed completely only: the cohort agrees on secrets, which takes one exchange |
| RUNNING | rounds, one after the other; the cohort was fixed when the first one started; the step of an abandoned \
round is asked again in a new one, while there are spare rounds |
| DELIVERING | the model exists; every party of the cohort gets it; the others did not accept the job |
| ENDED | completed, failed or cancelled; parties that were away still get the model, or notice of the end; a job that \
ended early leaves the model of its last released round |

A proposed job that too few parties accept ends at its timeout.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from coterie_aggregator.machines.job_effects import (
    Effect,
    KeepUnfinishedModel,
    RunRound,
    SendAcceptances,
    SendJobEnd,
    SendModel,
    SendProposal,
    Timer,
)
from coterie_aggregator.machines.job_events import (
    AgreementTimedOut,
    DeliveryPatiencePassed,
    EncapsulationsReceived,
    Event,
    JobCancelled,
    JobFailed,
    ModelFinished,
    PartyReplied,
    ProposalDeadlinePassed,
    ProposalTimedOut,
    ReceiptReceived,
    RoundAbandoned,
    RoundReleased,
    UnfinishedModelKept,
)
from coterie_common.identifiers import PartyId
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.messages import JobOutcome
from coterie_common.protocol.reason import one_line
from coterie_common.protocol.spares import NO_SPARES, Spares


class Phase(StrEnum):
    """The phase of the job."""

    PROPOSED = "proposed"
    AGREEING = "agreeing"
    RUNNING = "running"
    DELIVERING = "delivering"
    ENDED = "ended"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobParameters:
    """Parameters fixed when the job is submitted.

    Attributes:
        members: the parties that are asked whether they take part, in the roster's order.
        round_quorum: minimum number of contributors per release, and so of parties that must accept.
        spares: rounds in which steps may be asked again.
        is_complete: whether its rounds are sealed completely.
    """

    members: tuple[PartyId, ...]
    round_quorum: int
    spares: Spares = NO_SPARES
    is_complete: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AggregatorJob:
    """One job.

    Attributes:
        parameters: fixed at submission.
        phase: see the module's table.
        replies: each party's reply to the proposal, with code and detail.
        deadline_passed: start as soon as enough parties accepted.
        cohort: who takes part, in roster order; empty until the first round.
        agreed: the parties whose encapsulations came, if the job is sealed completely.
        round_number: the round that runs, 1-based; 0 before the first. Abandoned rounds keep their numbers.
        plan_step: the step of the plan that it asks, 1-based; 0 before the first.
        repeated: the steps of the abandoned rounds, in order.
        absent: parties whose absence, refusal or bad reply made a round be abandoned: no later round counts on them.
        receipts: the parties that hold the model.
        outcome: how the job ended.
        reason: why it failed or who cancelled it.
        is_kept: whether a failed or cancelled job left a model of its last released round; ``None``: not known yet.
    """

    parameters: JobParameters
    phase: Phase = Phase.PROPOSED
    replies: Mapping[PartyId, PartyReplied] = field(default_factory=lambda: MappingProxyType({}))
    deadline_passed: bool = False
    cohort: tuple[PartyId, ...] = ()
    agreed: frozenset[PartyId] = frozenset()
    round_number: int = 0
    plan_step: int = 0
    repeated: tuple[int, ...] = ()
    absent: frozenset[PartyId] = frozenset()
    receipts: frozenset[PartyId] = frozenset()
    outcome: JobOutcome | None = None
    reason: str = ""
    is_kept: bool | None = None

    def who(self, decision: Decision) -> tuple[PartyId, ...]:
        """Return the parties that decided so, in roster order."""
        return tuple(
            p for p in self.parameters.members if (reply := self.replies.get(p)) and reply.decision is decision
        )

    @property
    def has_model(self) -> bool:
        """Whether the job's model exists."""
        return self.phase is Phase.DELIVERING or self.outcome is JobOutcome.COMPLETED or bool(self.is_kept)

    @property
    def waiting_for(self) -> int:
        """The number of parties that must still accept, or agree on secrets, before the job can start."""
        if self.phase is Phase.AGREEING:
            return len(self.cohort) - len(self.agreed)
        if self.phase is not Phase.PROPOSED:
            return 0
        return max(0, self.parameters.round_quorum - len(self.who(Decision.ACCEPTED)))


def step(state: AggregatorJob, event: Event) -> AggregatorJob:
    """Take one event. An event that does not apply, or adds nothing new, returns the very same state."""
    handler = _HANDLERS.get((state.phase, type(event)))
    if handler is None:
        return state
    taken = handler(state, event)
    # The caller decides by identity whether there is something to persist.
    return state if taken == state else taken


def outstanding(state: AggregatorJob) -> frozenset[Effect]:
    """Return every effect outstanding in this state."""
    members = state.parameters.members
    if state.phase is Phase.PROPOSED:
        # A held proposal is sent again on reconnection: the party repeats what its steward has decided by then.
        final = {*state.who(Decision.ACCEPTED), *state.who(Decision.REFUSED)}
        effects: set[Effect] = {SendProposal(p) for p in members if p not in final}
        effects.add(Timer(ProposalTimedOut()))
        if not state.deadline_passed:
            effects.add(Timer(ProposalDeadlinePassed()))
        return frozenset(effects)
    if state.phase is Phase.AGREEING:
        waiting = (SendAcceptances(p) for p in state.cohort if p not in state.agreed)
        return frozenset({*waiting, Timer(AgreementTimedOut())})
    if state.phase is Phase.RUNNING:
        return frozenset({RunRound(state.round_number)})
    absent = [p for p in state.cohort if p not in state.receipts]
    if state.phase is Phase.DELIVERING:
        return frozenset({*map(SendModel, absent), Timer(DeliveryPatiencePassed())})
    if state.outcome is JobOutcome.COMPLETED:
        # The model also announces the end of the job; a party that did not accept the job keeps no model of it.
        return frozenset({*map(SendModel, absent), *(SendJobEnd(p) for p in members if p not in state.cohort)})
    told: set[Effect] = set(map(SendJobEnd, members))
    if state.is_kept:
        told.update(map(SendModel, absent))
    elif state.is_kept is None and released_rounds(state):
        told.add(KeepUnfinishedModel())
    return frozenset(told)


def released_rounds(state: AggregatorJob) -> int:
    """Return the number of released rounds of a job that has ended or is delivering."""
    return (
        state.plan_step
        if state.phase is Phase.DELIVERING or state.outcome is JobOutcome.COMPLETED
        else max(0, state.plan_step - 1)
    )


def _replied(state: AggregatorJob, event: PartyReplied) -> AggregatorJob:
    earlier = state.replies.get(event.party_id)
    if event.party_id not in state.parameters.members or (earlier and earlier.decision is not Decision.HELD):
        return state
    replied = replace(state, replies=MappingProxyType({**state.replies, event.party_id: event}))
    missing = len(replied.parameters.members) - len(replied.replies)
    undecided = missing + len(replied.who(Decision.HELD))
    if len(replied.who(Decision.ACCEPTED)) + undecided < replied.parameters.round_quorum:
        refusals = ", ".join(f"{p} ({replied.replies[p].code})" for p in replied.who(Decision.REFUSED))
        reason = f"fewer than {replied.parameters.round_quorum} parties can take part; refused: {refusals}"
        return _end(replied, JobOutcome.FAILED, one_line(reason))
    return _start_if_ready(replied)


def _deadline(state: AggregatorJob, event: ProposalDeadlinePassed) -> AggregatorJob:
    return _start_if_ready(replace(state, deadline_passed=True))


def _timed_out(state: AggregatorJob, event: ProposalTimedOut) -> AggregatorJob:
    started = _start_if_ready(replace(state, deadline_passed=True))
    if started.phase is not Phase.PROPOSED:
        return started
    silent = [p for p in state.parameters.members if p not in state.replies]
    words = (
        f"too few parties accepted in time: {len(state.who(Decision.ACCEPTED))}, {state.waiting_for} more are needed"
    )
    for what, who in (
        ("no answer from", silent),
        ("held by", state.who(Decision.HELD)),
        ("refused by", state.who(Decision.REFUSED)),
    ):
        words += f"; {what}: {', '.join(who)}" if who else ""
    return _end(started, JobOutcome.FAILED, one_line(words))


def _start_if_ready(state: AggregatorJob) -> AggregatorJob:
    undecided = len(state.replies) < len(state.parameters.members) or state.who(Decision.HELD)
    if state.waiting_for or (undecided and not state.deadline_passed):
        return state
    cohort = state.who(Decision.ACCEPTED)
    if state.parameters.is_complete:
        return replace(state, phase=Phase.AGREEING, cohort=cohort)
    return _running(replace(state, cohort=cohort))


def _running(state: AggregatorJob) -> AggregatorJob:
    return replace(state, phase=Phase.RUNNING, round_number=1, plan_step=1)


def _agreed(state: AggregatorJob, event: EncapsulationsReceived) -> AggregatorJob:
    if event.party_id not in state.cohort:
        return state
    agreed = replace(state, agreed=state.agreed | {event.party_id})
    return agreed if agreed.agreed < set(state.cohort) else _running(agreed)


def _not_agreed(state: AggregatorJob, event: AgreementTimedOut) -> AggregatorJob:
    missing = ", ".join(p for p in state.cohort if p not in state.agreed)
    return _end(
        state, JobOutcome.FAILED, one_line(f"not all parties agreed on secrets in time; no answer from: {missing}")
    )


def _released(state: AggregatorJob, event: RoundReleased) -> AggregatorJob:
    if event.round_number != state.round_number:
        return state
    return replace(state, round_number=state.round_number + 1, plan_step=state.plan_step + 1)


def _abandoned(state: AggregatorJob, event: RoundAbandoned) -> AggregatorJob:
    if event.round_number != state.round_number:
        return state
    if not state.parameters.spares.allow(state.plan_step, state.repeated):
        spare = state.parameters.spares.rounds
        left = f"; its {spare} spare rounds are used" if spare else "; it has no spare rounds"
        return _end(state, JobOutcome.FAILED, one_line(event.reason + left))
    return replace(
        state,
        round_number=state.round_number + 1,
        repeated=(*state.repeated, state.plan_step),
        absent=state.absent | set(event.absent),
    )


def _finished(state: AggregatorJob, event: ModelFinished) -> AggregatorJob:
    return replace(state, phase=Phase.DELIVERING)


def _receipt(state: AggregatorJob, event: ReceiptReceived) -> AggregatorJob:
    if event.party_id not in state.cohort or event.party_id in state.receipts:
        return state
    if not state.has_model:
        return state
    received = replace(state, receipts=state.receipts | {event.party_id})
    if state.phase is Phase.DELIVERING and received.receipts == frozenset(state.cohort):
        return _end(received, JobOutcome.COMPLETED, "")
    return received


def _patience(state: AggregatorJob, event: DeliveryPatiencePassed) -> AggregatorJob:
    return _end(state, JobOutcome.COMPLETED, "")


def _failed(state: AggregatorJob, event: JobFailed) -> AggregatorJob:
    return _end(state, JobOutcome.FAILED, event.reason)


def _cancelled(state: AggregatorJob, event: JobCancelled) -> AggregatorJob:
    return _end(state, JobOutcome.CANCELLED, event.reason)


def _kept(state: AggregatorJob, event: UnfinishedModelKept) -> AggregatorJob:
    if state.outcome is JobOutcome.COMPLETED or state.is_kept is not None or not released_rounds(state):
        return state
    return replace(state, is_kept=event.is_kept)


def _end(state: AggregatorJob, outcome: JobOutcome, reason: str) -> AggregatorJob:
    return replace(state, phase=Phase.ENDED, outcome=outcome, reason=reason)


_HANDLERS: dict[tuple[Phase, type[Any]], Callable[[AggregatorJob, Any], AggregatorJob]] = {
    (Phase.PROPOSED, PartyReplied): _replied,
    (Phase.PROPOSED, ProposalDeadlinePassed): _deadline,
    (Phase.PROPOSED, ProposalTimedOut): _timed_out,
    (Phase.PROPOSED, JobFailed): _failed,
    (Phase.PROPOSED, JobCancelled): _cancelled,
    (Phase.AGREEING, EncapsulationsReceived): _agreed,
    (Phase.AGREEING, AgreementTimedOut): _not_agreed,
    (Phase.AGREEING, JobFailed): _failed,
    (Phase.AGREEING, JobCancelled): _cancelled,
    (Phase.RUNNING, RoundReleased): _released,
    (Phase.RUNNING, RoundAbandoned): _abandoned,
    (Phase.RUNNING, ModelFinished): _finished,
    (Phase.RUNNING, JobFailed): _failed,
    (Phase.RUNNING, JobCancelled): _cancelled,
    (Phase.DELIVERING, ReceiptReceived): _receipt,
    (Phase.DELIVERING, DeliveryPatiencePassed): _patience,
    (Phase.ENDED, ReceiptReceived): _receipt,
    (Phase.ENDED, UnfinishedModelKept): _kept,
}
