# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from functools import cache
from typing import get_args

import pytest

from coterie_common.errors import AlreadyAnswered, DataError
from coterie_party.round import (
    ComputationFailed,
    ComputePartial,
    ComputeReply,
    Event,
    PartialComputed,
    PartyRound,
    PersistAcceptance,
    PersistPartial,
    PersistReply,
    PersistTranscript,
    Phase,
    QueryReceived,
    Refuse,
    ReplyComputed,
    RequestReceived,
    RequestVerified,
    SendPartial,
    SendReply,
    Transition,
    VerifyRequest,
    step,
)
from tests.support.exploration import Explored, explore
from tests.support.rounds import (
    COHORT,
    digest_of_request,
    make_contribution,
    make_partial,
    make_query,
    make_reply,
    make_request,
    make_verified,
)

QUERY, OTHER_QUERY = make_query(b"ask"), make_query(b"ask otherwise")
REPLY, FRESH_REPLY = make_reply(QUERY, b"noise"), make_reply(QUERY, b"fresh noise")
OTHERS = [make_contribution(party_id, b"theirs") for party_id in COHORT[1:]]
REQUEST = make_request(QUERY, [REPLY.contribution, *OTHERS])
REQUEST_WITHOUT = make_request(QUERY, OTHERS)
OTHER_REQUEST = make_request(OTHER_QUERY, OTHERS)
FAILED = ComputationFailed(DataError("row 3, column parents: unknown level"))

EVENTS: tuple[Event, ...] = (
    *map(QueryReceived, (QUERY, OTHER_QUERY)),
    *map(ReplyComputed, (REPLY, FRESH_REPLY, make_reply(OTHER_QUERY, b"noise"))),
    *map(RequestReceived, (REQUEST, REQUEST_WITHOUT, OTHER_REQUEST)),
    *(RequestVerified(request, make_verified(request)) for request in (REQUEST, REQUEST_WITHOUT, OTHER_REQUEST)),
    *(PartialComputed(make_partial(request)) for request in (REQUEST, REQUEST_WITHOUT, OTHER_REQUEST)),
    FAILED,
)

CHANGES: dict[Phase, set[type]] = {
    Phase.NEW: {QueryReceived, RequestVerified},
    Phase.ANSWERING: {ReplyComputed, RequestVerified},
    Phase.ANSWERED: {RequestVerified},
    Phase.OPENING: {PartialComputed},
    Phase.OPENED: set(),
}
NEW = PartyRound()
SESSION = QUERY.fields.session_id


def after(*events: Event, state: PartyRound = NEW) -> PartyRound:
    for event in events:
        state = step(state, event).state
    return state


ANSWERING = after(QueryReceived(QUERY))
ANSWERED = after(ReplyComputed(REPLY), state=ANSWERING)
VERIFIED = RequestVerified(REQUEST, make_verified(REQUEST))
OPENING = after(VERIFIED, state=ANSWERED)
OPENED = after(PartialComputed(make_partial(REQUEST)), state=OPENING)
VERIFIED_WITHOUT = RequestVerified(REQUEST_WITHOUT, make_verified(REQUEST_WITHOUT))
OPENING_WITHOUT = after(VERIFIED_WITHOUT)
OPENED_WITHOUT = after(PartialComputed(make_partial(REQUEST_WITHOUT)), state=OPENING_WITHOUT)


def refuses(transition: Transition, state: PartyRound, words: str) -> bool:
    (effect,) = transition.effects
    return (
        transition.state is state
        and isinstance(effect, Refuse)
        and isinstance(effect.error, AlreadyAnswered)
        and words in effect.error.message
    )


@cache
def explored() -> Explored[PartyRound, Event]:
    return explore(NEW, lambda state, event: step(state, event).state, EVENTS)


def test_states_are_reached_and_have_what_their_phase_says():
    found = {
        phase: {
            tuple(x is not None for x in (s.session_id, s.contribution_digest, s.transcript_digest))
            for s in explored().states
            if s.phase is phase
        }
        for phase in Phase
    }
    assert found == {
        Phase.NEW: {(False, False, False)},
        Phase.ANSWERING: {(True, False, False)},
        Phase.ANSWERED: {(True, True, False)},
        Phase.OPENING: {(True, False, True), (True, True, True)},
        Phase.OPENED: {(True, False, True), (True, True, True)},
    }


@pytest.mark.parametrize("event", get_args(Event))
@pytest.mark.parametrize("phase", Phase)
def test_step_changes_state_for_exactly_the_events_of_the_phase(phase, event):
    pairs = [(s, t) for s, e, t in explored().transitions if s.phase is phase and type(e) is event]
    assert pairs
    changed = [(s, t) for s, t in pairs if t is not s]
    assert bool(changed) is (event in CHANGES[phase])
    assert all(s != t for s, t in changed)


# The query.


def test_first_query_is_persisted_before_it_is_answered():
    assert step(NEW, QueryReceived(QUERY)) == Transition(
        PartyRound(phase=Phase.ANSWERING, session_id=SESSION), (PersistAcceptance(QUERY), ComputeReply(QUERY))
    )


def test_query_again_while_answering_computes_again_what_has_not_left():
    assert step(ANSWERING, QueryReceived(QUERY)) == Transition(ANSWERING, (ComputeReply(QUERY),))


@pytest.mark.parametrize("state", [ANSWERED, OPENING, OPENED], ids=["answered", "opening", "opened"])
def test_query_again_after_the_answer_sends_the_stored_reply(state):
    assert step(state, QueryReceived(QUERY)) == Transition(state, (SendReply(),))


@pytest.mark.parametrize("state", [ANSWERING, ANSWERED, OPENING, OPENED, OPENING_WITHOUT, OPENED_WITHOUT])
def test_another_query_is_refused(state):
    assert refuses(step(state, QueryReceived(OTHER_QUERY)), state, "another query")


@pytest.mark.parametrize("state", [OPENING_WITHOUT, OPENED_WITHOUT, after(VERIFIED_WITHOUT, state=ANSWERING)])
def test_query_of_a_round_that_was_opened_without_this_party_is_refused(state):
    assert refuses(step(state, QueryReceived(QUERY)), state, "opened without this party")


# The reply.


def test_reply_is_persisted_before_it_is_sent():
    assert step(ANSWERING, ReplyComputed(REPLY)) == Transition(
        PartyRound(phase=Phase.ANSWERED, session_id=SESSION, contribution_digest=REPLY.contribution.digest),
        (PersistReply(REPLY), SendReply()),
    )


@pytest.mark.parametrize("state", [NEW, ANSWERED, OPENING, OPENED, OPENING_WITHOUT, OPENED_WITHOUT])
@pytest.mark.parametrize("reply", [REPLY, FRESH_REPLY], ids=["same", "fresh"])
def test_second_or_late_reply_is_dropped(state, reply):
    assert step(state, ReplyComputed(reply)) == Transition(state)


def test_reply_to_another_query_is_dropped():
    assert step(ANSWERING, ReplyComputed(make_reply(OTHER_QUERY, b"noise"))) == Transition(ANSWERING)


@pytest.mark.parametrize("state", [NEW, ANSWERING, ANSWERED, OPENING, OPENED])
def test_failed_computation_is_told_and_changes_nothing(state):
    assert step(state, FAILED) == Transition(state, (Refuse(FAILED.error),))


# The transcript.


@pytest.mark.parametrize("state", [NEW, ANSWERING, ANSWERED])
def test_request_is_verified_first(state):
    assert step(state, RequestReceived(REQUEST)) == Transition(state, (VerifyRequest(REQUEST),))


@pytest.mark.parametrize("state", [ANSWERING, ANSWERED])
def test_request_for_another_query_is_refused_before_it_is_verified(state):
    assert refuses(step(state, RequestReceived(OTHER_REQUEST)), state, "another query")


@pytest.mark.parametrize("state", [NEW, ANSWERING, ANSWERED])
def test_verified_transcript_is_persisted_before_it_is_decrypted(state):
    transition = step(state, VERIFIED)
    assert transition.effects == (PersistTranscript(REQUEST, make_verified(REQUEST)), ComputePartial())
    assert transition.state == PartyRound(
        phase=Phase.OPENING,
        session_id=SESSION,
        contribution_digest=state.contribution_digest,
        transcript_digest=digest_of_request(REQUEST),
    )


@pytest.mark.parametrize("state", [ANSWERING, ANSWERED])
def test_query_accepted_while_a_request_for_another_was_verified_is_not_opened(state):
    late = RequestVerified(OTHER_REQUEST, make_verified(OTHER_REQUEST))
    assert refuses(step(state, late), state, "another query")


def test_request_again_while_opening_computes_again_what_has_not_left():
    for event in (RequestReceived(REQUEST), VERIFIED):
        assert step(OPENING, event) == Transition(OPENING, (ComputePartial(),))


def test_request_again_after_opening_sends_the_stored_partial():
    for event in (RequestReceived(REQUEST), VERIFIED):
        assert step(OPENED, event) == Transition(OPENED, (SendPartial(),))


@pytest.mark.parametrize("state", [OPENING, OPENED])
@pytest.mark.parametrize("request_", [REQUEST_WITHOUT, OTHER_REQUEST], ids=["fewer contributors", "another query"])
def test_another_transcript_is_refused(state, request_):
    for event in (RequestReceived(request_), RequestVerified(request_, make_verified(request_))):
        assert refuses(step(state, event), state, "another transcript")


# The partial decryption.


def test_partial_gets_persisted_before_it_is_sent():
    partial = make_partial(REQUEST)
    transition = step(OPENING, PartialComputed(partial))
    assert transition.effects == (PersistPartial(partial), SendPartial())
    assert transition.state == OPENED


@pytest.mark.parametrize("state", [NEW, ANSWERING, ANSWERED, OPENED])
def test_partial_that_nothing_waits_for_is_dropped(state):
    assert step(state, PartialComputed(make_partial(REQUEST, b"another proof"))) == Transition(state)


def test_partial_of_another_transcript_is_dropped():
    assert step(OPENING, PartialComputed(make_partial(REQUEST_WITHOUT))) == Transition(OPENING)
