# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from functools import cache, reduce
from typing import Any

import pytest

from coterie_aggregator.machines.round_effects import (
    AddToSum,
    AskAgain,
    EndJob,
    OpenSum,
    SendDecryptionRequest,
    SendQuery,
    Timer,
    VerifyContribution,
    VerifyPartial,
)
from coterie_aggregator.machines.round_events import (
    ContributionReceived,
    ContributionRejected,
    ContributionVerified,
    DeadlinePassed,
    DecryptionRefused,
    Event,
    OpeningFailed,
    PartialReceived,
    PartialRejected,
    PartialsDisproved,
    PartialVerified,
    PatiencePassed,
    ReplyRefused,
    RoundTimedOut,
)
from coterie_aggregator.machines.round_machine import outstanding, step
from coterie_aggregator.machines.round_state import AbortReason, AggregatorRound, Phase, RoundParameters, Standing
from coterie_aggregator.reporting.reasons import ended_without_release
from coterie_aggregator.store.event_codec import EventCodec
from coterie_common.identifiers import PartyId
from tests.support.exploration import Explored, every_event, explore

A, B, C, D, E = PARTIES = tuple(map(PartyId, ("anna", "bert", "cleo", "dora", "emil")))
F = PartyId("fred")
SIX = (*PARTIES, F)
STRANGER = PartyId("zeno")

HANDLED = {
    Phase.COLLECTING: {
        ContributionReceived,
        ContributionVerified,
        ContributionRejected,
        ReplyRefused,
        DeadlinePassed,
        RoundTimedOut,
    },
    Phase.DECRYPTING: {
        PartialReceived,
        PartialVerified,
        PartialRejected,
        DecryptionRefused,
        PatiencePassed,
        RoundTimedOut,
    },
    Phase.RELEASED: {PartialsDisproved, PartialRejected, OpeningFailed},
    Phase.ABANDONED: set(),
    Phase.ABORTED: set(),
}


def new_round(
    *,
    members: tuple[PartyId, ...] = PARTIES,
    cohort: tuple[PartyId, ...] | None = None,
    quorum: int = 4,
    least: int | None = None,
    threshold: int = 4,
) -> AggregatorRound:
    return AggregatorRound(
        parameters=RoundParameters(
            holders=members,
            cohort=cohort or members,
            round_quorum=quorum,
            least_quorum=quorum if least is None else least,
            is_repeatable=least is not None,
            decryption_threshold=threshold,
        )
    )


def after(*events: Event, state: AggregatorRound | None = None) -> AggregatorRound:
    return reduce(step, events, state or new_round())


def contributed(*parties: PartyId) -> list[ContributionReceived | ContributionVerified]:
    return [event for party in parties for event in (ContributionReceived(party), ContributionVerified(party))]


def decrypted(*parties: PartyId) -> list[PartialReceived | PartialVerified]:
    return [event for party in parties for event in (PartialReceived(party), PartialVerified(party))]


def decrypting(**changes: Any) -> AggregatorRound:
    return after(*contributed(*PARTIES), state=new_round(**changes))


def sent(
    state: AggregatorRound, effect: type[SendQuery | SendDecryptionRequest | VerifyContribution | VerifyPartial]
) -> set[PartyId]:
    return {e.party_id for e in outstanding(state) if isinstance(e, effect)}


def timers(state: AggregatorRound) -> set[type[Event]]:
    return {type(e.event) for e in outstanding(state) if isinstance(e, Timer)}


# Every reachable state; ``test_every_machine`` tries every event in each.


@cache
def explored() -> Explored[AggregatorRound, Event]:
    # A threshold of 1 leaves somebody who is not asked at once.
    events = every_event(Event, {"party_id": (A, B, C, STRANGER), "party_ids": ((A,), (B, C)), "code": ("data",)})
    return explore(new_round(members=(A, B, C), quorum=3, least=2, threshold=1), step, events)


# Collecting.


def test_new_round_asks_the_cohort_and_sets_its_timers():
    state = new_round(cohort=(A, B, C, D))
    assert outstanding(state) == {
        *map(SendQuery, (A, B, C, D)),
        Timer(DeadlinePassed()),
        Timer(RoundTimedOut()),
    }
    assert state.waiting_for == 4


def test_round_with_a_reply_verifies_it_and_asks_its_sender_no_more():
    state = after(ContributionReceived(B))
    assert sent(state, VerifyContribution) == {B}
    assert sent(state, SendQuery) == {A, C, D, E}
    state = after(ContributionVerified(B), state=state)
    assert sent(state, VerifyContribution) == set()
    assert sent(state, SendQuery) == {A, C, D, E}
    assert state.waiting_for == 3


def test_round_with_all_replies_fixes_the_transcript_in_roster_order():
    state = after(*contributed(E, C, A, D, B))
    assert state.phase is Phase.DECRYPTING
    assert state.contributors == PARTIES


def test_round_with_a_quorum_waits_for_the_rest_until_the_deadline():
    state = after(*contributed(A, B, C, D))
    assert (state.phase, state.waiting_for) == (Phase.COLLECTING, 0)
    state = after(DeadlinePassed(), state=state)
    assert state.phase is Phase.DECRYPTING
    assert state.contributors == (A, B, C, D)


def test_round_below_quorum_waits_past_the_deadline_and_counts_a_late_reply():
    state = after(*contributed(A, B), DeadlinePassed())
    assert (state.phase, state.waiting_for) == (Phase.COLLECTING, 2)
    assert timers(state) == {RoundTimedOut}
    assert sent(state, SendQuery) == {C, D, E}
    state = after(*contributed(E), state=state)
    assert (state.phase, state.waiting_for) == (Phase.COLLECTING, 1)
    state = after(*contributed(C), state=state)
    assert state.phase is Phase.DECRYPTING
    assert state.contributors == (A, B, C, E)


def test_round_past_the_deadline_waits_for_a_reply_that_is_being_verified():
    state = after(*contributed(A, B, C, D), ContributionReceived(E), DeadlinePassed())
    assert state.phase is Phase.COLLECTING
    assert after(ContributionVerified(E), state=state).contributors == PARTIES
    assert after(ContributionRejected(E, "invalid-proof"), state=state).contributors == (A, B, C, D)


def test_reply_after_the_transcript_is_fixed_changes_nothing():
    state = after(*contributed(A, B, C, D), DeadlinePassed())
    for event in (*contributed(E), ContributionRejected(A, "invalid-proof"), ReplyRefused(E, "data"), DeadlinePassed()):
        assert step(state, event) is state


def test_rejected_reply_names_the_culprit_and_the_round_goes_on_without():
    state = after(ContributionReceived(B), ContributionRejected(B, "invalid-proof"), *contributed(A, C, D, E))
    assert state.phase is Phase.DECRYPTING
    assert state.contributors == (A, C, D, E)
    assert state.culprits == (B,)
    assert state.contributions[B] is Standing.REJECTED


def test_rejected_party_cannot_try_again():
    state = after(ContributionReceived(B), ContributionRejected(B, "invalid-proof"))
    for event in (*contributed(B), ContributionRejected(B, "malformed-message"), ReplyRefused(B, "data")):
        assert step(state, event) is state
    assert sent(state, SendQuery) == {A, C, D, E}


@pytest.mark.parametrize("event", [ContributionVerified(A), ContributionRejected(A, "invalid-proof")])
def test_verification_of_a_reply_that_never_came_or_is_judged_changes_nothing(event):
    for state in (new_round(), after(*contributed(A))):
        assert step(state, event) is state


def test_refused_reply_is_not_waited_for():
    state = after(ReplyRefused(C, "budget-exhausted"), *contributed(A, B, D, E))
    assert state.phase is Phase.DECRYPTING
    assert state.contributors == (A, B, D, E)


def test_reply_after_a_refusal_counts():
    state = after(ReplyRefused(C, "data"))
    assert sent(state, SendQuery) == {A, B, D, E}
    state = after(*contributed(C), state=state)
    assert state.refusals == {}
    assert state.verified_contributors == (C,)


def test_round_ends_once_refusals_and_rejections_leave_too_few():
    state = after(ReplyRefused(A, "budget-exhausted"), ContributionReceived(B), *contributed(C))
    assert state.phase is Phase.COLLECTING
    state = after(ContributionRejected(B, "invalid-proof"), state=state)
    assert (state.phase, state.reason) == (Phase.ABORTED, AbortReason.TOO_FEW_PARTIES)
    assert (dict(state.refusals), state.culprits) == ({A: "budget-exhausted"}, (B,))


def test_member_outside_the_cohort_cannot_contribute_but_helps_to_decrypt():
    state = new_round(cohort=(A, B, C, D))
    for event in (ContributionReceived(E), ReplyRefused(E, "data")):
        assert step(state, event) is state
    state = after(*contributed(A, B, C, D), state=state)
    assert sent(state, SendDecryptionRequest) == {A, B, C, D, E}
    assert after(*decrypted(B, C, D, E), state=state).phase is Phase.RELEASED


# Decrypting.


def test_round_asks_as_many_as_needed_and_one_spare_contributors_first():
    state = after(*contributed(E, B, C), DeadlinePassed(), state=new_round(quorum=3, threshold=3))
    assert state.asked == {B, C, E, A}
    assert sent(state, SendDecryptionRequest) == {B, C, E, A}
    assert timers(state) == {PatiencePassed, RoundTimedOut}
    assert state.waiting_for == 3


def test_spare_stands_in_for_one_that_is_down():
    state = after(*decrypted(A, B, D, E), state=decrypting(threshold=4))
    assert state.phase is Phase.RELEASED
    assert state.verified_partials == (A, B, D, E)


def test_rest_is_asked_when_patience_has_passed():
    state = after(*contributed(*PARTIES), *decrypted(A), state=new_round(quorum=4, threshold=2))
    assert state.asked == {A, B, C}
    for event in decrypted(E):
        assert step(state, event) is state
    state = after(PatiencePassed(), state=state)
    assert sent(state, SendDecryptionRequest) == {B, C, D, E}
    assert timers(state) == {RoundTimedOut}
    assert after(*decrypted(E), state=state).phase is Phase.RELEASED


@pytest.mark.parametrize(
    "failure",
    [[PartialReceived(B), PartialRejected(B, "invalid-proof")], [DecryptionRefused(B, "equivocation")]],
    ids=["wrong", "refused"],
)
def test_wrong_or_refused_partial_gets_replaced_by_the_rest_at_once(failure):
    state = after(*failure, state=after(*contributed(*PARTIES), state=new_round(quorum=4, threshold=2)))
    assert state.asked == set(PARTIES)
    assert sent(state, SendDecryptionRequest) == {A, C, D, E}
    assert state.culprits == ((B,) if len(failure) == 2 else ())
    assert after(*decrypted(D, E), state=state).verified_partials == (D, E)


def test_partial_gets_verified_before_it_counts():
    state = after(*decrypted(A, B, C), PartialReceived(D), state=decrypting())
    assert (state.phase, state.waiting_for) == (Phase.DECRYPTING, 1)
    assert sent(state, VerifyPartial) == {D}
    assert sent(state, SendDecryptionRequest) == {E}
    assert after(PartialVerified(D), state=state).phase is Phase.RELEASED


def test_partial_after_a_refusal_counts_and_the_refusal_is_forgotten():
    state = after(DecryptionRefused(A, "overloaded"), *decrypted(A), state=decrypting())
    assert state.refusals == {}
    # Of five, one wrong partial beside the refusal that was taken back leaves exactly the four that are needed.
    state = after(PartialReceived(B), PartialRejected(B, "invalid-proof"), state=state)
    assert state.phase is Phase.DECRYPTING
    assert after(*decrypted(C, D, E), state=state).phase is Phase.RELEASED


def test_partial_gets_taken_once():
    state = after(PartialReceived(A), PartialRejected(A, "invalid-proof"), state=decrypting())
    for event in (*decrypted(A), DecryptionRefused(A, "data"), PartialRejected(A, "invalid-proof")):
        assert step(state, event) is state


def test_round_ends_once_fewer_than_the_threshold_can_decrypt():
    state = after(*decrypted(C, D), DecryptionRefused(A, "equivocation"), PartialReceived(B), state=decrypting())
    assert state.phase is Phase.DECRYPTING
    state = after(PartialRejected(B, "invalid-proof"), state=state)
    assert (state.phase, state.reason, state.culprits) == (Phase.ABORTED, AbortReason.TOO_FEW_PARTIES, (B,))


def test_refusals_of_the_query_do_not_count_as_refusals_to_decrypt():
    state = after(ReplyRefused(C, "budget-exhausted"), *contributed(A, B, D, E))
    assert state.refusals == {}
    assert C in sent(state, SendDecryptionRequest)
    assert after(*decrypted(A, B, C, D), state=state).phase is Phase.RELEASED


# The end.


@pytest.mark.parametrize("start", [new_round, decrypting], ids=["collecting", "decrypting"])
def test_round_is_aborted_by_timeout(start):
    state = after(RoundTimedOut(), state=start())
    assert (state.phase, state.reason) == (Phase.ABORTED, AbortReason.TIMEOUT)
    assert outstanding(state) == {EndJob()}
    assert state.waiting_for == 0


def test_released_round_opens_the_sum_and_takes_nothing_but_what_came_of_it():
    state = after(*decrypted(A, B, C, D), state=decrypting())
    assert outstanding(state) == {OpenSum((A, B, C, D)), *map(AddToSum, state.contributors)}
    assert state.waiting_for == 0
    sets = [(party,) for party in PARTIES] + [(A, B), (A, B, C, D), ()]
    for event in every_event(Event, {"party_id": PARTIES, "party_ids": sets, "code": ("data",)}):
        disproved = isinstance(event, PartialsDisproved) and event.party_ids not in ((E,), ())
        # As earlier versions stored it.
        rejected = isinstance(event, PartialRejected) and event.party_id != E
        came_of_it = isinstance(event, OpeningFailed) or disproved or rejected
        assert (step(state, event) is state) is not came_of_it


def test_sum_that_does_not_open_names_all_of_its_culprits():
    wrong = PartialsDisproved((A, B), "invalid-proof")
    state = after(*decrypted(A, B, C), wrong, state=decrypting(threshold=3))
    assert (state.phase, state.culprits, state.waiting_for) == (Phase.DECRYPTING, (A, B), 2)
    assert sent(state, SendDecryptionRequest) == {D, E}
    assert outstanding(after(*decrypted(D, E), state=state)) >= {OpenSum((C, D, E))}
    # Where too few are left, both are named, too: also if all holders are needed, so that one is enough to end it.
    for threshold in (4, 5):
        state = after(*decrypted(*PARTIES[:threshold]), wrong, state=decrypting(threshold=threshold))
        assert (state.phase, state.reason, state.culprits) == (Phase.ABORTED, AbortReason.TOO_FEW_PARTIES, (A, B))
        assert ended_without_release(1, state) == "round 1 was aborted: too-few-parties; blamed: anna, bert"


def test_sum_that_does_not_open_names_the_culprit_and_asks_everybody_else():
    state = after(*decrypted(A, B, C, D), PartialsDisproved((B,), "invalid-proof"), state=decrypting())
    assert (state.phase, state.culprits, state.waiting_for) == (Phase.DECRYPTING, (B,), 1)
    assert sent(state, SendDecryptionRequest) == {E}
    state = after(*decrypted(E), state=state)
    assert outstanding(state) >= {OpenSum((A, C, D, E))}


def stored(kind: str, *parties: PartyId, code: str | None = None) -> list[Event]:
    """Read an event of each party from the bytes under which this and earlier versions store it."""
    more = "" if code is None else f'"code":"{code}",'
    return [EventCodec[Event](Event).decode(kind, f'{{{more}"party_id":"{party}"}}'.encode()) for party in parties]


@pytest.mark.parametrize(
    ("threshold", "end", "left"),
    [(3, Phase.RELEASED, (C, D, E)), (4, Phase.ABORTED, (C, D))],
    ids=["enough are left", "too few are left"],
)
def test_round_whose_culprits_an_earlier_version_stored_one_by_one_is_replayed(threshold, end, left):
    tried = PARTIES[:threshold]
    # The first culprit was named while the round was RELEASED, which made it DECRYPTING, and then the second.
    named = [
        *stored("ContributionReceived", *PARTIES),
        *stored("ContributionVerified", *PARTIES),
        *stored("PartialReceived", *tried),
        *stored("PartialVerified", *tried),
        *stored("PartialRejected", A, B, code="invalid-proof"),
    ]
    rest = PARTIES[threshold:] if end is Phase.RELEASED else ()
    state = after(
        *named,
        *stored("PartialReceived", *rest),
        *stored("PartialVerified", *rest),
        state=new_round(threshold=threshold),
    )
    assert (state.phase, state.culprits, state.verified_partials) == (end, (A, B), left)
    assert state.partials[A] is state.partials[B] is Standing.REJECTED
    assert state.reason is (AbortReason.TOO_FEW_PARTIES if end is Phase.ABORTED else None)


def test_sum_that_does_not_open_is_tried_again_with_what_is_left_if_that_is_enough():
    three = after(*decrypted(A, B), state=after(*contributed(*PARTIES), state=new_round(quorum=4, threshold=2)))
    state = after(OpeningFailed(), *decrypted(C), PartialsDisproved((A,), "invalid-proof"), state=three)
    # Two are left of the three that were tried, and those two were tried with the culprit only.
    assert (state.phase, state.culprits) == (Phase.DECRYPTING, (A,))
    assert after(*decrypted(D), state=state).phase is Phase.RELEASED


def test_sum_that_does_not_open_although_all_are_proven_needs_one_more_each_time():
    state = after(*decrypted(A, B, C, D), OpeningFailed(), state=decrypting())
    assert (state.phase, state.culprits, state.waiting_for) == (Phase.DECRYPTING, (), 1)
    assert state.asked == set(PARTIES)
    state = after(*decrypted(E), state=state)
    assert outstanding(state) >= {OpenSum(PARTIES)}
    state = after(OpeningFailed(), state=state)
    assert (state.phase, state.reason) == (Phase.ABORTED, AbortReason.EPOCH_BROKEN)
    assert outstanding(state) == {EndJob()}


def test_epoch_is_not_called_broken_while_somebody_can_still_answer():
    state = after(*decrypted(A, B, C, D), OpeningFailed(), state=decrypting())
    state = after(DecryptionRefused(E, "overloaded"), state=state)
    assert (state.phase, state.reason) == (Phase.ABORTED, AbortReason.EPOCH_BROKEN)
    waiting = after(*decrypted(A, B, C, D), OpeningFailed(), state=decrypting())
    assert waiting.phase is Phase.DECRYPTING
    assert sent(waiting, SendDecryptionRequest) == {E}


# Rounds that are abandoned: sized for all five, while four would do.


def sized_for_all(**changes: Any) -> AggregatorRound:
    return new_round(quorum=5, least=4, **changes)


def test_round_that_lacks_a_reply_at_the_deadline_is_abandoned_and_names_the_absent():
    state = after(*contributed(A, B, C, D), state=sized_for_all())
    assert (state.phase, state.waiting_for) == (Phase.COLLECTING, 1)
    state = after(DeadlinePassed(), state=state)
    assert (state.phase, state.reason, state.absent) == (Phase.ABANDONED, AbortReason.ABSENT_PARTIES, (E,))
    assert outstanding(state) == {AskAgain()}


def test_round_past_its_deadline_is_abandoned_once_enough_for_another_one_replied():
    state = after(*contributed(A, B, C), DeadlinePassed(), ContributionReceived(D), state=sized_for_all())
    assert state.phase is Phase.COLLECTING
    assert after(ContributionVerified(D), state=state).phase is Phase.ABANDONED
    # What came and is not verified yet is worth waiting for.
    state = after(ContributionReceived(E), ContributionVerified(D), state=state)
    assert state.phase is Phase.COLLECTING
    assert after(ContributionVerified(E), state=state).phase is Phase.DECRYPTING


@pytest.mark.parametrize("lost", [ReplyRefused(E, "data"), ContributionRejected(E, "invalid-proof")])
def test_round_that_loses_a_reply_is_abandoned_at_once(lost):
    begun = after(ContributionReceived(E), state=sized_for_all()) if isinstance(lost, ContributionRejected) else None
    state = after(lost, state=begun or sized_for_all())
    assert (state.phase, state.reason) == (Phase.ABANDONED, AbortReason.TOO_FEW_PARTIES)
    # The others had no time to answer yet: later rounds still count on them.
    assert (state.absent, state.silent) == ((E,), ())


def test_round_that_loses_a_reply_past_its_deadline_names_also_those_that_sent_none():
    state = after(*contributed(A, B), ContributionReceived(C), DeadlinePassed(), state=sized_for_all(members=SIX))
    state = after(ContributionReceived(D), ContributionRejected(D, "invalid-proof"), state=state)
    # Five of six are still possible.
    assert (state.phase, state.silent) == (Phase.COLLECTING, (E, F))
    state = after(ReplyRefused(E, "data"), state=state)
    assert (state.phase, state.reason) == (Phase.ABANDONED, AbortReason.TOO_FEW_PARTIES)
    assert (state.absent, state.silent) == ((D, E, F), (F,))


def test_round_that_loses_more_replies_than_any_round_can_do_without_is_aborted():
    lost = [ReplyRefused(D, "data"), ReplyRefused(E, "data")]
    assert after(*lost[:1], state=sized_for_all()).phase is Phase.ABANDONED
    assert after(*lost, state=new_round(quorum=5, least=5)).phase is Phase.ABORTED
    few = after(*contributed(A, B, C), RoundTimedOut(), state=sized_for_all())
    assert (few.phase, few.reason) == (Phase.ABORTED, AbortReason.TIMEOUT)


def test_sum_that_is_not_opened_in_time_is_abandoned_only_while_there_is_a_spare_round():
    state = after(*contributed(*PARTIES), *decrypted(A, B, C), RoundTimedOut(), state=sized_for_all())
    assert (state.phase, state.reason) == (Phase.ABANDONED, AbortReason.TIMEOUT)
    # All five contributed: the next round counts on all of them.
    assert (state.absent, state.silent) == ((), (D, E))
    assert after(RoundTimedOut(), state=decrypting()).phase is Phase.ABORTED


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([ReplyRefused(E, "data")], "round 2 was abandoned: too-few-parties; refused: emil (data)"),
        ([*contributed(A, B, C, D), DeadlinePassed()], "round 2 was abandoned: absent-parties; absent: emil"),
        (
            [*contributed(*PARTIES), *decrypted(A, B, C), DecryptionRefused(D, "overloaded"), RoundTimedOut()],
            "round 2 was abandoned: timeout; refused: dora (overloaded); no partial decryption from: emil",
        ),
    ],
    ids=["a refusal at once", "silence at the deadline", "a sum that is not opened in time"],
)
def test_reason_of_an_abandoned_round_names_only_those_that_had_their_time(events, words):
    assert ended_without_release(2, after(*events, state=sized_for_all())) == words
