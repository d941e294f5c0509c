# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What holds for the state machines whatever happens: in every reachable state of small federations, and in random
histories of larger ones, with the real stores behind them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from functools import cache, reduce
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from coterie_aggregator.machines import job_effects, job_events, job_machine, round_effects, round_machine
from coterie_aggregator.machines import round_events as e
from coterie_aggregator.machines.job_machine import AggregatorJob
from coterie_aggregator.machines.round_state import AbortReason, AggregatorRound, Phase, RoundParameters, Standing
from coterie_aggregator.store import MIGRATIONS as AGGREGATOR_MIGRATIONS
from coterie_aggregator.store import AggregatorStore, StoredJob
from coterie_common.errors import AlreadyAnswered, CoterieError, DataError
from coterie_common.host.database import open_database
from coterie_common.identifiers import PartyId
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import DecryptionRequest, JobOutcome, Query
from coterie_party import round as party_machine
from coterie_party.round import PartyRound
from coterie_party.store import MIGRATIONS as PARTY_MIGRATIONS
from coterie_party.store import AskedStep, PartyJob, PartyStore, Reservation, ReservationStatus
from tests.support.exploration import Explored, every_event, explore
from tests.support.recorders import make_recorder
from tests.support.rounds import (
    COHORT,
    JOB,
    make_contribution,
    make_partial,
    make_query,
    make_reply,
    make_request,
    make_verified,
)
from tests.support.spares import make_spares

# Thousands of states and histories; most tests take less than a second, together they take some.
pytestmark = pytest.mark.slow

AT = datetime(2026, 3, 1, tzinfo=UTC)

# The aggregator's round.

SMALL = {
    "spare": RoundParameters(
        holders=(PartyId("a"), PartyId("b"), PartyId("c")),
        cohort=(PartyId("a"), PartyId("b"), PartyId("c")),
        round_quorum=3,
        least_quorum=3,
        decryption_threshold=1,
    ),
    "majority": RoundParameters(
        holders=(PartyId("a"), PartyId("b"), PartyId("c")),
        cohort=(PartyId("a"), PartyId("b"), PartyId("c")),
        round_quorum=2,
        least_quorum=2,
        decryption_threshold=2,
    ),
    "all": RoundParameters(
        holders=(PartyId("a"), PartyId("b"), PartyId("c")),
        cohort=(PartyId("a"), PartyId("b"), PartyId("c")),
        round_quorum=3,
        least_quorum=3,
        decryption_threshold=3,
    ),
    "cohort": RoundParameters(
        holders=(PartyId("a"), PartyId("b"), PartyId("c")),
        cohort=(PartyId("a"), PartyId("c")),
        round_quorum=2,
        least_quorum=2,
        decryption_threshold=2,
    ),
    "fewer": RoundParameters(
        holders=(PartyId("a"), PartyId("b"), PartyId("c")),
        cohort=(PartyId("a"), PartyId("b"), PartyId("c")),
        round_quorum=3,
        least_quorum=2,
        decryption_threshold=2,
        is_repeatable=True,
    ),
}
OVER = (Phase.ABANDONED, Phase.ABORTED)


@cache
def explored_round(name: str) -> Explored[AggregatorRound, e.Event]:
    parameters = SMALL[name]
    sets = [(party_id,) for party_id in parameters.holders] + [parameters.holders]
    events = every_event(e.Event, {"party_id": parameters.holders, "party_ids": sets, "code": ("data",)})
    return explore(AggregatorRound(parameters=parameters), round_machine.step, events)


def check_round(state: AggregatorRound) -> None:
    """What every reachable state of a round promises."""
    parameters, effects = state.parameters, round_machine.outstanding(state)
    assert {p for p, s in state.contributions.items()} <= set(parameters.cohort)
    assert set(state.partials) <= state.asked <= set(parameters.holders)
    rejected = [p for of in (state.contributions, state.partials) for p, s in of.items() if s is Standing.REJECTED]
    assert sorted(state.culprits) == sorted(rejected)
    assert (state.reason is not None) is (state.phase in OVER)
    if state.contributors:
        assert state.contributors == state.verified_contributors
        assert len(state.contributors) >= parameters.round_quorum
        assert Standing.RECEIVED not in state.contributions.values()
    if state.phase is Phase.COLLECTING:
        assert state.contributors == ()
        assert state.asked == set()
        assert not {type(effect) for effect in effects} & {round_effects.SendDecryptionRequest, round_effects.OpenSum}
    if state.phase in (Phase.DECRYPTING, Phase.RELEASED):
        assert state.contributors
        assert (len(state.verified_partials) >= state.partials_needed) is (state.phase is Phase.RELEASED)
        assert state.partials_needed >= parameters.decryption_threshold
    if state.phase is Phase.RELEASED:
        adding = set(map(round_effects.AddToSum, state.contributors))
        assert effects == {round_effects.OpenSum(state.verified_partials), *adding}
    elif state.phase is Phase.ABANDONED:
        assert parameters.is_repeatable
        assert {type(effect) for effect in effects} == {round_effects.AskAgain}
    elif state.phase is Phase.ABORTED:
        assert effects == {round_effects.EndJob()}
    else:
        # Not stuck: beside the timeout there is somebody to hear from, or something to verify.
        assert any(not isinstance(effect, round_effects.Timer) for effect in effects)
        assert round_effects.Timer(e.RoundTimedOut()) in effects


@pytest.mark.parametrize("name", SMALL)
def test_every_reachable_round_keeps_its_promises(name):
    states = explored_round(name).states
    ends = set(Phase) if SMALL[name].is_repeatable else set(Phase) - {Phase.ABANDONED}
    assert {state.phase for state in states} == ends
    for state in states:
        check_round(state)


@pytest.mark.parametrize("name", SMALL)
def test_transcript_of_a_round_is_fixed_once_and_phases_only_go_on(name):
    order = [Phase.COLLECTING, Phase.DECRYPTING, Phase.RELEASED]
    for before, event, after in explored_round(name).transitions:
        if before.contributors:
            assert after.contributors == before.contributors
        if before.phase in OVER:
            assert after is before
        elif after.phase not in OVER and type(event) not in (e.PartialsDisproved, e.PartialRejected, e.OpeningFailed):
            assert order.index(after.phase) >= order.index(before.phase)
        if before.phase is Phase.RELEASED and after is not before:
            # It did not open: somebody is named, or more partial decryptions are tried than those.
            assert after.culprits != before.culprits or after.partials_needed > len(before.verified_partials)


@pytest.mark.parametrize("name", SMALL)
def test_round_is_aborted_only_for_a_reason(name):
    for before, event, after in explored_round(name).transitions:
        if after.phase is not Phase.ABORTED or before.phase is Phase.ABORTED:
            continue
        if after.reason is AbortReason.TOO_FEW_PARTIES:
            needed = (
                after.parameters.round_quorum
                if before.phase is Phase.COLLECTING
                else after.parameters.decryption_threshold
            )
            able = after.parameters.cohort if before.phase is Phase.COLLECTING else after.parameters.holders
            standings = after.contributions if before.phase is Phase.COLLECTING else after.partials
            lost = {p for p in able if p in after.refusals or standings.get(p) is Standing.REJECTED}
            assert len(able) - len(lost) < needed
        elif after.reason is AbortReason.EPOCH_BROKEN:
            lost = {p for p, standing in after.partials.items() if standing is Standing.REJECTED} | set(after.refusals)
            left = len(after.parameters.holders) - len(lost)
            assert after.parameters.decryption_threshold <= left <= after.unopened
        else:
            assert after.reason is AbortReason.TIMEOUT
            assert type(event) is e.RoundTimedOut


def honest_answers(state: AggregatorRound) -> list[e.Event]:
    """What follows if everybody who is asked answers, and everything that came is right."""
    answers: dict[type, Callable[[PartyId], e.Event]] = {
        round_effects.SendQuery: e.ContributionReceived,
        round_effects.VerifyContribution: e.ContributionVerified,
        round_effects.SendDecryptionRequest: e.PartialReceived,
        round_effects.VerifyPartial: e.PartialVerified,
    }
    effects = round_machine.outstanding(state)
    return [answers[type(effect)](effect.party_id) for effect in effects if type(effect) in answers]


@pytest.mark.parametrize("name", SMALL)
def test_round_from_every_state_is_released_if_everybody_asked_answers(name):
    for state in explored_round(name).states:
        if state.phase in OVER:
            continue
        if name == "fewer" and (state.refusals or Standing.REJECTED in state.contributions.values()):
            continue  # a reply is missing: it may be abandoned instead
        for _ in range(8):
            state = reduce(round_machine.step, honest_answers(state), state)
        # Past its deadline a round that fewer could complete is given up at once.
        assert state.phase is Phase.RELEASED or (name == "fewer" and state.deadline_passed)


@st.composite
def rounds(draw: st.DrawFn) -> AggregatorRound:
    members = tuple(PartyId(f"party-{number}") for number in range(draw(st.integers(3, 9))))
    cohort = tuple(p for p in members if draw(st.booleans())) or members
    quorum = draw(st.integers(1, len(cohort)))
    return AggregatorRound(
        parameters=RoundParameters(
            holders=members,
            cohort=cohort,
            round_quorum=quorum,
            least_quorum=draw(st.integers(1, quorum)),
            is_repeatable=draw(st.booleans()),
            decryption_threshold=draw(st.integers(1, len(members))),
        )
    )


def events_of(members: Sequence[PartyId]) -> st.SearchStrategy[e.Event]:
    parties, codes = st.sampled_from(members), st.sampled_from(["data", "invalid-proof"])
    of_party = (e.ContributionReceived, e.ContributionVerified, e.PartialReceived, e.PartialVerified)
    with_code = (e.ContributionRejected, e.ReplyRefused, e.PartialRejected, e.DecryptionRefused)
    likely = [st.builds(kind, parties) for kind in of_party]
    return st.one_of(
        *likely,
        *likely,
        *(st.builds(kind, parties, codes) for kind in with_code),
        st.builds(e.PartialsDisproved, st.lists(parties, min_size=1, unique=True).map(tuple), codes),
        st.sampled_from([e.DeadlinePassed(), e.PatiencePassed(), e.OpeningFailed(), e.RoundTimedOut()]),
    )


@given(rounds(), st.data())
def test_random_round_keeps_its_promises_and_replays_to_the_same_state(start, data):
    state, accepted = start, []
    for event in data.draw(st.lists(events_of(start.parameters.holders), max_size=60)):
        following = round_machine.step(state, event)
        assert (following == state) is (following is state)
        if following is not state:
            accepted.append(event)
        state = following
        check_round(state)
    assert reduce(round_machine.step, accepted, start) == state
    assert round_machine.outstanding(reduce(round_machine.step, accepted, start)) == round_machine.outstanding(state)


@settings(max_examples=20)
@given(rounds(), st.data())
def test_round_folded_from_the_store_is_the_live_one(start, data):
    engine = open_database("sqlite://", AGGREGATOR_MIGRATIONS)
    store = AggregatorStore(engine)
    store.add_job(StoredJob(job_id=JOB, proposal=b"", submitter="olga", submitted_at=AT))
    store.start_round(JOB, 1, b"", b"", AT)
    live = start
    for event in data.draw(st.lists(events_of(start.parameters.holders), max_size=15)):
        following = round_machine.step(live, event)
        if following is not live:
            store.append_round_event(JOB, 1, event, AT)
        live = following
    assert reduce(round_machine.step, store.round_events(JOB, 1), start) == live
    engine.dispose()


# The aggregator's job.


JOB_START = job_machine.AggregatorJob(
    parameters=job_machine.JobParameters(
        members=(PartyId("a"), PartyId("b"), PartyId("c")), round_quorum=2, spares=make_spares(1)
    )
)
COMPLETE_START = job_machine.AggregatorJob(
    parameters=job_machine.JobParameters(members=(PartyId("a"), PartyId("b")), round_quorum=2, is_complete=True)
)
JOB_EVENTS = tuple(
    every_event(
        job_events.Event,
        {
            "party_id": ("a", "b", "c"),
            "decision": Decision,
            "code": ("",),
            "detail": ("",),
            "round_number": (1, 2),
            "absent": ((), (PartyId("b"),)),
            "reason": ("why",),
            "is_kept": (False, True),
        },
    )
)


@cache
def explored_job() -> Explored[AggregatorJob, job_events.Event]:
    return explore(JOB_START, job_machine.step, JOB_EVENTS) | explore(COMPLETE_START, job_machine.step, JOB_EVENTS)


def test_every_reachable_job_keeps_its_promises():
    states = explored_job().states
    assert {state.phase for state in states} == set(job_machine.Phase)
    assert {state.outcome for state in states} == {None, *JobOutcome}
    for state in states:
        effects = job_machine.outstanding(state)
        started = state.round_number > 0
        assert (state.outcome is not None) is (state.phase is job_machine.Phase.ENDED)
        # Of a job that is sealed completely the cohort is fixed before its first round.
        assert state.parameters.is_complete or started is bool(state.cohort)
        assert state.cohort or not started
        if state.cohort:
            assert len(state.cohort) >= state.parameters.round_quorum
            assert state.cohort == state.who(Decision.ACCEPTED)
        kinds = {type(effect) for effect in effects} - {job_effects.Timer}
        match state.phase:
            case job_machine.Phase.PROPOSED:
                assert kinds == {job_effects.SendProposal}
            case job_machine.Phase.AGREEING:
                missing = set(state.cohort) - state.agreed
                assert effects - {job_effects.Timer(job_events.AgreementTimedOut())} == set(
                    map(job_effects.SendAcceptances, missing)
                )
                assert missing
            case job_machine.Phase.RUNNING:
                assert not state.parameters.is_complete or state.agreed == set(state.cohort)
                assert effects == {job_effects.RunRound(state.round_number)}
            case job_machine.Phase.DELIVERING:
                assert kinds == {job_effects.SendModel}
            case job_machine.Phase.ENDED:
                completed = state.outcome is JobOutcome.COMPLETED
                keeps = job_effects.SendModel if state.is_kept else job_effects.KeepUnfinishedModel
                assert kinds <= {job_effects.SendJobEnd, job_effects.SendModel if completed else keeps}
                assert completed or job_effects.SendJobEnd in kinds
                for effect in effects:
                    # The model goes to those who accepted the job, and to nobody else.
                    if isinstance(effect, job_effects.SendModel):
                        assert effect.party_id in state.cohort
                    if completed and isinstance(effect, job_effects.SendJobEnd):
                        assert effect.party_id not in state.cohort
                assert not any(isinstance(effect, job_effects.Timer) for effect in effects)


def test_job_fixes_its_cohort_and_its_end_for_good():
    for before, _, after in explored_job().transitions:
        if before.cohort:
            assert after.cohort == before.cohort
            assert after.round_number in (before.round_number, before.round_number + 1)
            assert after.plan_step - before.plan_step + len(after.repeated) - len(before.repeated) == (
                after.round_number - before.round_number
            )
            assert before.absent <= after.absent
        if before.outcome is not None:
            assert (after.outcome, after.reason, after.phase) == (before.outcome, before.reason, before.phase)
        assert before.receipts <= after.receipts


@given(st.lists(st.sampled_from(JOB_EVENTS), max_size=40))
def test_job_replays_to_the_same_state(events):
    state, accepted = JOB_START, []
    for event in events:
        following = job_machine.step(state, event)
        assert (following == state) is (following is state)
        accepted += [event] if following is not state else []
        state = following
    assert reduce(job_machine.step, accepted, JOB_START) == state


# The party's round, with its store.

QUERIES = [make_query(body) for body in (b"ask", b"ask otherwise")]
REPLIES = [make_reply(query, noise) for query in QUERIES for noise in (b"noise", b"fresh noise")]
OTHERS = [make_contribution(party_id, b"theirs") for party_id in COHORT[1:]]
REQUESTS = [
    make_request(query, contributions)
    for query, reply in zip(QUERIES, REPLIES[::2], strict=True)
    for contributions in ([reply.contribution, *OTHERS], OTHERS)
]
PARTIALS = [make_partial(request, proof) for request in REQUESTS for proof in (b"proof", b"another proof")]
MESSAGES: list[party_machine.Event] = [
    *map(party_machine.QueryReceived, QUERIES),
    *map(party_machine.RequestReceived, REQUESTS),
]
RESULTS: list[party_machine.Event] = [
    *map(party_machine.ReplyComputed, REPLIES),
    *(party_machine.RequestVerified(request, make_verified(request)) for request in REQUESTS),
    *map(party_machine.PartialComputed, PARTIALS),
    party_machine.ComputationFailed(DataError("a cell")),
]


class PartyWithStore(RuleBasedStateMachine):
    """A party whose messages, results and restarts come in any order; what it sends is what is looked at."""

    @initialize()
    def start(self) -> None:
        self.engine = open_database("sqlite://", PARTY_MIGRATIONS)
        self.store = PartyStore(self.engine, "founder", make_recorder())
        self.store.record_job(
            PartyJob(
                job_id=JOB,
                spec=b"",
                terms=b"",
                spec_digest=bytes(32),
                terms_digest=bytes(32),
                decision=Decision.ACCEPTED,
                code="",
                detail="",
                dataset="nursery",
            ),
            [Reservation(1, {})],
        )
        self.state = party_machine.PartyRound()
        self.sessions: set[object] = set()
        self.replies: set[object] = set()
        self.transcripts: set[object] = set()
        self.partials: set[object] = set()

    def teardown(self) -> None:
        self.engine.dispose()

    @rule(event=st.sampled_from([*MESSAGES, *RESULTS]))
    def happens(self, event: party_machine.Event) -> None:
        transition = party_machine.step(self.state, event)
        for effect in transition.effects:
            self.carry_out(effect, transition.state)
        self.state = transition.state

    def carry_out(self, effect: party_machine.Effect, state: PartyRound) -> None:
        # Whatever the machine persists, the store takes: it raises here if the two disagree.
        match effect:
            case party_machine.PersistAcceptance(query):
                self.store.accept_query(JOB, 1, query.fields.session_id, query.fields.cohort, AskedStep(step=1))
            case party_machine.PersistReply(reply):
                self.store.store_reply(JOB, 1, reply.contribution.digest, repr(reply).encode())
            case party_machine.PersistTranscript(_, verified):
                self.store.record_transcript(JOB, 1, verified.session_id, verified.transcript_digest, b"", 2, 1)
            case party_machine.PersistPartial(partial):
                self.store.store_partial(JOB, 1, repr(partial).encode())
            case party_machine.ComputeReply(query):
                self.sessions.add(query.fields.session_id)
                assert self.store.round(JOB, 1).session_id == query.fields.session_id
                assert self.store.ledger("nursery")[0].status is ReservationStatus.COMMITTED
            case party_machine.SendReply():
                self.replies.add(self.store.reply(JOB, 1))
            case party_machine.ComputePartial():
                self.transcripts.add(self.store.transcript(JOB, 1).digest)
            case party_machine.SendPartial():
                self.partials.add(self.store.partial(JOB, 1))
            case party_machine.Refuse(error):
                assert isinstance(error, CoterieError)
                assert state is self.state

    @rule()
    def restarts(self) -> None:
        self.state = self.store.round(JOB, 1)

    @rule(query=st.sampled_from(QUERIES), reply=st.sampled_from(REPLIES), request=st.sampled_from(REQUESTS))
    def store_is_the_last_gate(self, query: Query, reply: EncryptedReply, request: DecryptionRequest) -> None:
        """Even a machine that forgot everything cannot make the store take a second of anything."""
        before = self.store.round(JOB, 1)
        writes: list[tuple[Callable[..., object], tuple[Any, ...]]] = []
        if before.session_id not in (None, query.fields.session_id):
            writes.append((self.store.accept_query, (query.fields.session_id, COHORT, AskedStep(step=1))))
        if before.contribution_digest not in (None, reply.contribution.digest):
            writes.append((self.store.store_reply, (reply.contribution.digest, b"")))
        verified = make_verified(request)
        if before.transcript_digest not in (None, verified.transcript_digest):
            writes.append((self.store.record_transcript, (verified.session_id, verified.transcript_digest, b"", 2, 1)))
        for write, arguments in writes:
            with pytest.raises(AlreadyAnswered):
                write(JOB, 1, *arguments)
        assert self.store.round(JOB, 1) == before

    @invariant()
    def never_says_two_things(self) -> None:
        if not hasattr(self, "state"):
            return
        assert self.store.round(JOB, 1) == self.state
        for said in (self.sessions, self.replies, self.transcripts, self.partials):
            assert len(said) <= 1
            assert None not in said


PartyWithStore.TestCase.settings = settings(max_examples=60, stateful_step_count=25)
TestPartyWithStore = PartyWithStore.TestCase


History = tuple[PartyRound, tuple[str, ...]]


def test_party_in_every_reachable_history_says_each_thing_once():
    """Exhaustive: the state together with all that was ever persisted."""

    def step(history: History, event: party_machine.Event) -> History:
        state, said = history
        transition = party_machine.step(state, event)
        persisted = {
            party_machine.PersistAcceptance: "query",
            party_machine.PersistReply: "reply",
            party_machine.PersistTranscript: "transcript",
            party_machine.PersistPartial: "partial",
        }
        for effect in transition.effects:
            if kind := persisted.get(type(effect)):
                assert kind not in said
                said = (*said, kind)
            needs = {
                party_machine.ComputeReply: "query",
                party_machine.SendReply: "reply",
                party_machine.ComputePartial: "transcript",
                party_machine.SendPartial: "partial",
            }
            assert type(effect) not in needs or needs[type(effect)] in said
        return transition.state, said

    start: History = (party_machine.PartyRound(), ())
    histories = explore(start, step, [*MESSAGES, *RESULTS]).states
    assert {said for _, said in histories} == {
        (),
        ("query",),
        ("query", "reply"),
        ("query", "reply", "transcript"),
        ("query", "reply", "transcript", "partial"),
        ("query", "transcript"),
        ("query", "transcript", "partial"),
        ("transcript",),
        ("transcript", "partial"),
    }
