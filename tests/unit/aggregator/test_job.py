# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from collections.abc import Iterable
from functools import cache, reduce
from typing import Any

import pytest

from coterie_aggregator.machines.job_effects import (
    KeepUnfinishedModel,
    RunRound,
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
from coterie_aggregator.machines.job_machine import (
    AggregatorJob,
    JobParameters,
    Phase,
    outstanding,
    released_rounds,
    step,
)
from coterie_common.identifiers import PartyId
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.messages import JobOutcome
from coterie_common.protocol.spares import NO_SPARES, Spares
from tests.support.exploration import Explored, every_event, explore
from tests.support.spares import make_spares

A, B, C, D, E = PARTIES = tuple(map(PartyId, ("anna", "bert", "cleo", "dora", "emil")))
STRANGER = PartyId("zeno")
ACCEPTED, HELD, REFUSED = Decision
ONE_SPARE = make_spares(1)

HANDLED = {
    Phase.PROPOSED: {PartyReplied, ProposalDeadlinePassed, ProposalTimedOut, JobFailed, JobCancelled},
    Phase.AGREEING: {EncapsulationsReceived, AgreementTimedOut, JobFailed, JobCancelled},
    Phase.RUNNING: {RoundReleased, RoundAbandoned, ModelFinished, JobFailed, JobCancelled},
    Phase.DELIVERING: {ReceiptReceived, DeliveryPatiencePassed},
    Phase.ENDED: {ReceiptReceived, UnfinishedModelKept},
}


def new_job(members: tuple[PartyId, ...] = PARTIES, quorum: int = 4, spares: Spares = ONE_SPARE) -> AggregatorJob:
    return AggregatorJob(parameters=JobParameters(members=members, round_quorum=quorum, spares=spares))


def complete_job(members: tuple[PartyId, ...] = PARTIES, quorum: int = 4) -> AggregatorJob:
    """One that is sealed completely."""
    return AggregatorJob(parameters=JobParameters(members=members, round_quorum=quorum, is_complete=True))


def after(*events: Event, state: AggregatorJob | None = None) -> AggregatorJob:
    return reduce(step, events, state or new_job())


def replied(decision: Decision, *parties: PartyId, code: str = "", detail: str = "") -> list[PartyReplied]:
    return [PartyReplied(party, decision, code, detail) for party in parties]


def running() -> AggregatorJob:
    return after(*replied(ACCEPTED, *PARTIES))


def delivering() -> AggregatorJob:
    return after(RoundReleased(1), ModelFinished(), state=running())


# Every reachable state; ``test_every_machine`` tries every event in each.


@cache
def explored() -> Explored[AggregatorJob, Event]:
    choices: dict[str, Iterable[Any]] = {
        "party_id": (A, B, STRANGER),
        "decision": Decision,
        "code": ("",),
        "detail": ("", "more"),
        "round_number": (0, 1, 2),
        "absent": ((), (B,)),
        "reason": ("why",),
        "is_kept": (False, True),
    }
    # One party that says something else while it holds the job is enough to see what becomes of it.
    events = [
        e for e in every_event(Event, choices) if getattr(e, "party_id", A) == A or getattr(e, "detail", "") == ""
    ]
    return explore(new_job((A, B), 2), step, events) | explore(complete_job((A, B), 2), step, events)


# Proposed.


def test_new_job_is_proposed_to_everybody():
    timers = Timer(ProposalDeadlinePassed()), Timer(ProposalTimedOut())
    assert outstanding(new_job()) == {*map(SendProposal, PARTIES), *timers}
    assert new_job().waiting_for == 4


def test_job_starts_when_all_have_replied_with_those_who_accepted_in_roster_order():
    state = after(*replied(ACCEPTED, E, C, A, B))
    assert (state.phase, state.waiting_for) == (Phase.PROPOSED, 0)
    state = after(*replied(REFUSED, D, code="budget-exhausted"), state=state)
    assert state.phase is Phase.RUNNING
    assert state.cohort == (A, B, C, E)
    assert outstanding(state) == {RunRound(1)}


def test_job_starts_at_the_deadline_with_enough():
    state = after(*replied(ACCEPTED, A, B, C, D), ProposalDeadlinePassed())
    assert (state.phase, state.cohort, state.round_number) == (Phase.RUNNING, (A, B, C, D), 1)


def test_job_waits_past_the_deadline_until_there_are_enough():
    state = after(*replied(ACCEPTED, A, B), ProposalDeadlinePassed(), *replied(HELD, C))
    assert (state.phase, state.waiting_for) == (Phase.PROPOSED, 2)
    assert outstanding(state) == {*map(SendProposal, (C, D, E)), Timer(ProposalTimedOut())}
    state = after(*replied(ACCEPTED, C, E), state=state)
    assert (state.phase, state.cohort) == (Phase.RUNNING, (A, B, C, E))


def test_job_that_too_few_accepted_in_time_ends_and_says_whom_it_waited_for():
    state = after(*replied(ACCEPTED, A, B), ProposalDeadlinePassed(), *replied(HELD, C), ProposalTimedOut())
    assert (state.phase, state.outcome) == (Phase.ENDED, JobOutcome.FAILED)
    assert (
        state.reason
        == "too few parties accepted in time: 2, 2 more are needed; no answer from: dora, emil; held by: cleo"
    )
    assert outstanding(state) == {*map(SendJobEnd, PARTIES)}
    refused = after(*replied(ACCEPTED, A, B, C), *replied(REFUSED, D), ProposalTimedOut())
    assert (
        refused.reason
        == "too few parties accepted in time: 3, 1 more are needed; no answer from: emil; refused by: dora"
    )


def test_job_that_times_out_with_enough_starts():
    # Both timers fire at the same moment, in whichever order.
    state = after(*replied(ACCEPTED, A, B, C, D), ProposalTimedOut())
    assert (state.phase, state.cohort) == (Phase.RUNNING, (A, B, C, D))
    assert step(state, ProposalTimedOut()) is state


def test_job_waits_for_held_replies_until_the_deadline():
    state = after(*replied(ACCEPTED, A, B, C, D), *replied(HELD, E))
    assert state.phase is Phase.PROPOSED
    assert after(*replied(ACCEPTED, E), state=state).cohort == PARTIES
    assert after(*replied(REFUSED, E), state=state).cohort == (A, B, C, D)
    assert after(ProposalDeadlinePassed(), state=state).cohort == (A, B, C, D)


@pytest.mark.parametrize("first", [ACCEPTED, REFUSED])
@pytest.mark.parametrize("second", Decision)
def test_decided_reply_stays(first, second):
    state = after(*replied(first, A))
    for event in replied(second, A, detail="otherwise"):
        assert step(state, event) is state


def test_held_reply_again_changes_nothing_unless_it_says_something_new():
    state = after(*replied(HELD, A, detail="the steward is away"))
    assert step(state, *replied(HELD, A, detail="the steward is away")) is state
    assert after(*replied(HELD, A, detail="tomorrow"), state=state).replies[A].detail == "tomorrow"


def test_job_fails_as_soon_as_too_few_can_take_part():
    state = after(*replied(ACCEPTED, A), *replied(REFUSED, B, code="data"), *replied(HELD, C))
    assert state.phase is Phase.PROPOSED
    state = after(*replied(REFUSED, C, code="budget-exhausted"), state=state)
    assert (state.phase, state.outcome) == (Phase.ENDED, JobOutcome.FAILED)
    assert state.reason == "fewer than 4 parties can take part; refused: bert (data), cleo (budget-exhausted)"


# Running.


def test_job_runs_one_round_after_the_other():
    state = after(RoundReleased(1), RoundReleased(2), state=running())
    assert outstanding(state) == {RunRound(3)}
    assert state.waiting_for == 0


@pytest.mark.parametrize("number", [0, 1, 3])
def test_release_of_another_round_changes_nothing(number):
    state = after(RoundReleased(1), state=running())
    assert step(state, RoundReleased(number)) is state


def test_cohort_stays_as_it_was_when_the_first_round_started():
    state = after(*replied(ACCEPTED, A, B, C, D), ProposalDeadlinePassed())
    for event in replied(ACCEPTED, E):
        assert step(state, event) is state


# Delivering.


def test_model_is_sent_until_everybody_confirmed_it():
    state = delivering()
    assert outstanding(state) == {*map(SendModel, PARTIES), Timer(DeliveryPatiencePassed())}
    state = after(*map(ReceiptReceived, (A, C, B, D)), state=state)
    assert outstanding(state) == {SendModel(E), Timer(DeliveryPatiencePassed())}
    state = after(ReceiptReceived(E), state=state)
    assert (state.phase, state.outcome) == (Phase.ENDED, JobOutcome.COMPLETED)
    assert outstanding(state) == set()


def test_model_is_kept_for_parties_that_are_away_when_patience_has_passed():
    state = after(ReceiptReceived(A), DeliveryPatiencePassed(), state=delivering())
    assert (state.phase, state.outcome) == (Phase.ENDED, JobOutcome.COMPLETED)
    assert outstanding(state) == {*map(SendModel, (B, C, D, E))}
    state = after(*map(ReceiptReceived, (B, C, D, E)), state=state)
    assert (state.phase, state.outcome) == (Phase.ENDED, JobOutcome.COMPLETED)
    assert outstanding(state) == set()


def test_model_goes_to_the_cohort_only_and_the_others_learn_of_the_end():
    running = after(*replied(ACCEPTED, A, B, C, D), *replied(REFUSED, E, code="data"))
    state = after(RoundReleased(1), ModelFinished(), state=running)
    assert outstanding(state) == {*map(SendModel, (A, B, C, D)), Timer(DeliveryPatiencePassed())}
    assert step(state, ReceiptReceived(E)) is state
    state = after(*map(ReceiptReceived, (A, B, C, D)), state=state)
    assert (state.phase, state.outcome) == (Phase.ENDED, JobOutcome.COMPLETED)
    assert outstanding(state) == {SendJobEnd(E)}


def test_receipt_again_changes_nothing():
    for state in (after(ReceiptReceived(A), state=delivering()), after(DeliveryPatiencePassed(), state=delivering())):
        once = step(state, ReceiptReceived(A))
        assert step(once, ReceiptReceived(A)) is once


@pytest.mark.parametrize("event", [JobCancelled("olga"), JobFailed("bug")])
def test_job_that_has_its_model_cannot_be_ended_otherwise(event):
    for state in (delivering(), after(DeliveryPatiencePassed(), state=delivering())):
        assert step(state, event) is state


# The end.


@pytest.mark.parametrize("start", [new_job, running], ids=["proposed", "running"])
@pytest.mark.parametrize(
    ("event", "outcome"),
    [(JobCancelled("olga: a mistake"), JobOutcome.CANCELLED), (JobFailed("round 2 aborted"), JobOutcome.FAILED)],
)
def test_ended_job_tells_everybody_why(start, event, outcome):
    state = after(event, state=start())
    assert (state.phase, state.outcome, state.reason) == (Phase.ENDED, outcome, event.reason)
    assert outstanding(state) == {*map(SendJobEnd, PARTIES)}
    assert state.waiting_for == 0
    assert step(state, ReceiptReceived(A)) is state


@pytest.mark.parametrize("event", [JobFailed("why"), JobCancelled("by anna")])
def test_job_that_ends_after_a_release_keeps_its_model_and_sends_it(event):
    state = after(RoundReleased(1), event, state=running())
    assert outstanding(state) == {*map(SendJobEnd, PARTIES), KeepUnfinishedModel()}
    assert not state.has_model
    kept = after(UnfinishedModelKept(True), state=state)
    assert outstanding(kept) == {*map(SendJobEnd, PARTIES), *map(SendModel, PARTIES)}
    assert kept.has_model
    received = after(ReceiptReceived(A), state=kept)
    assert SendModel(A) not in outstanding(received)
    assert received.outcome is kept.outcome
    # The first word stays.
    assert after(UnfinishedModelKept(False), state=kept) is kept


def test_job_whose_algorithm_makes_no_model_of_so_few_rounds_is_only_told_to_end():
    state = after(RoundReleased(1), JobCancelled("by anna"), UnfinishedModelKept(False), state=running())
    assert outstanding(state) == set(map(SendJobEnd, PARTIES))
    assert after(ReceiptReceived(A), state=state) is state


def test_job_that_ends_in_its_first_round_has_nothing_to_keep():
    state = after(JobCancelled("by anna"), state=running())
    assert outstanding(state) == set(map(SendJobEnd, PARTIES))
    assert after(UnfinishedModelKept(True), state=state) is state


# Rounds that are abandoned.


def test_abandoned_round_has_its_step_asked_again_under_a_new_number_without_the_absent():
    state = after(RoundReleased(1), RoundAbandoned(2, (E,), "why"), state=running())
    assert (state.phase, state.round_number, state.plan_step) == (Phase.RUNNING, 3, 2)
    assert (state.repeated, state.absent, state.cohort) == ((2,), {E}, PARTIES)
    assert outstanding(state) == {RunRound(3)}
    following = after(RoundReleased(3), state=state)
    assert (following.round_number, following.plan_step, following.absent) == (4, 3, {E})
    assert released_rounds(after(JobFailed("why"), state=following)) == 2


def test_first_round_can_be_abandoned():
    state = after(RoundAbandoned(1, (), "why"), state=running())
    assert (state.round_number, state.plan_step) == (2, 1)
    assert released_rounds(after(JobFailed("why"), state=state)) == 0


def test_round_that_was_abandoned_or_released_before_changes_nothing():
    state = after(RoundAbandoned(1, (E,), "why"), state=running())
    assert step(state, RoundAbandoned(1, (D,), "why")) is state
    assert step(state, RoundReleased(1)) is state


@pytest.mark.parametrize(
    ("spares", "words"),
    [(NO_SPARES, "it has no spare rounds"), (make_spares(1), "its 1 spare rounds are used")],
    ids=["none", "used"],
)
def test_abandoned_round_without_a_spare_one_ends_the_job_and_says_so(spares, words):
    state = after(*replied(ACCEPTED, *PARTIES), state=new_job(spares=spares))
    if spares.rounds:
        state = after(RoundAbandoned(1, (), "why"), state=state)
    ended = after(RoundAbandoned(state.round_number, (), "round was abandoned"), state=state)
    assert (ended.phase, ended.outcome) == (Phase.ENDED, JobOutcome.FAILED)
    assert ended.reason == f"round was abandoned; {words}"


def test_steps_of_a_rare_kind_are_repeated_as_rarely():
    # Four spare rounds, of which one is for the first step.
    spares = make_spares(4, (1, ((1, 1),)), (4, ((2, 9),)))
    state = after(*replied(ACCEPTED, *PARTIES), RoundAbandoned(1, (), "why"), state=new_job(spares=spares))
    assert after(RoundAbandoned(2, (), "why"), state=state).phase is Phase.ENDED
    state = after(RoundReleased(2), *(RoundAbandoned(number, (), "why") for number in (3, 4, 5)), state=state)
    assert (state.phase, state.repeated) == (Phase.RUNNING, (1, 2, 2, 2))
    assert after(RoundAbandoned(6, (), "why"), state=state).phase is Phase.ENDED
