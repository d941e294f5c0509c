# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What every database must do for a party; a file and a server also across restarts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text, update

import coterie_party.store
from coterie_common import document
from coterie_common.clock import SystemClock
from coterie_common.errors import (
    AlreadyAnswered,
    AlreadyDecided,
    BudgetExhausted,
    Equivocation,
    NotFound,
    QuotaExceeded,
    StaleRound,
    StateError,
    StorageError,
)
from coterie_common.host.database import Migrations, open_database, transaction
from coterie_common.identifiers import JobId, PartyId
from coterie_common.limits import AUDIT_REFUSALS_LISTED
from coterie_common.privacy.accounting.renyi import ORDERS
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.messages import JobOutcome
from coterie_common.protocol.verification.query import OpenedRound
from coterie_party.round import PartyRound, Phase
from coterie_party.store import (
    MIGRATIONS,
    AskedJob,
    AskedRound,
    AskedStep,
    AuditLog,
    LedgerEntry,
    PartyJob,
    PartyStore,
    RecordedTranscript,
    Reservation,
    ReservationStatus,
    job_quota,
)
from coterie_party.store.tables import ACCEPTANCES, AUDIT, LEDGER
from tests.support.databases import KINDS, Opened, database
from tests.support.present import present
from tests.support.recorders import ManualClock, make_recorder
from tests.support.seeded_random import SeededRandom

NOW = datetime(2026, 3, 4, 12, tzinfo=UTC)
FOUNDER, OTHER_FOUNDER = "abcd-ef01", "2345-6789"
SESSION, OTHER_SESSION = b"s" * 32, b"S" * 32
DIGEST, OTHER_DIGEST = b"d" * 32, b"D" * 32
COHORT = (PartyId("alpha"), PartyId("beta"), PartyId("gamma"))
RESERVED, COMMITTED, RELEASED = ReservationStatus
JOB = PartyJob(
    job_id=JobId("job-1"),
    spec=b'{"name":"nursery"}',
    terms=b"[]",
    spec_digest=b"p" * 32,
    terms_digest=b"t" * 32,
    decision=Decision.ACCEPTED,
    code="",
    detail="",
    dataset="nursery",
)
HELD = replace(JOB, decision=Decision.HELD, detail="the steward decides")
DIGESTS = replace(JOB, spec=b"", terms=b"")
"""What is kept of a job that was refused."""
REFUSED = replace(DIGESTS, decision=Decision.REFUSED, code="budget-exhausted", detail="asks ε = 2, the limit is 1")
COSTS = tuple(Reservation(number, {"epsilon": "1/3", "unit": "record"}) for number in (1, 2, 3))


class Reopened:
    """The store, opened anew for every call where the database outlives that: every test is one of restarts."""

    def __init__(self, opened: Opened, founder: str) -> None:
        self._opened = opened
        self._founder = founder

    def __getattr__(self, name: str) -> Any:
        return getattr(PartyStore(self._opened(MIGRATIONS), self._founder, make_recorder(self._founder)), name)


@pytest.fixture(params=KINDS)
def opened(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Opened]:
    with database(request.param, tmp_path) as opened:
        yield opened


@pytest.fixture
def store(opened: Opened) -> Reopened:
    return Reopened(opened, FOUNDER)


@pytest.fixture
def accepted(store: Reopened) -> Reopened:
    store.record_job(JOB, COSTS)
    return store


@pytest.fixture
def answering(accepted: Reopened) -> Reopened:
    accepted.accept_query("job-1", 1, SESSION, COHORT, AskedStep(step=1))
    return accepted


@pytest.fixture
def answered(answering: Reopened) -> Reopened:
    answering.store_reply("job-1", 1, DIGEST, b"reply")
    return answering


@pytest.fixture
def opening(answered: Reopened) -> Reopened:
    answered.record_transcript("job-1", 1, SESSION, DIGEST, b"total", 3, 1)
    return answered


def statuses(store: Reopened, dataset: str = "nursery") -> list[ReservationStatus]:
    return [entry.status for entry in store.ledger(dataset)]


def test_new_store_is_empty(store):
    assert store.job("job-1") is store.previous_cohort("job-1") is None
    assert store.jobs() == store.ledger("nursery") == ()
    assert store.opened_step("job-1", 1) is None
    assert store.round("job-1", 1) == PartyRound()
    assert store.reply("job-1", 1) is store.transcript("job-1", 1) is store.partial("job-1", 1) is None


# Jobs and what they reserve.


@pytest.mark.parametrize(
    ("job", "costs"), [(JOB, COSTS), (HELD, ()), (REFUSED, ())], ids=["accepted", "held", "refused"]
)
def test_record_job_keeps_the_decision(store, job, costs):
    assert store.record_job(job, costs) == job
    assert store.job("job-1") == job
    assert store.job("job-2") is None


def test_jobs_come_in_the_order_in_which_they_were_proposed(store):
    jobs = tuple(replace(REFUSED, job_id=JobId(job_id)) for job_id in ("zeta", "alpha", "midas"))
    for job in jobs:
        store.record_job(job)
    assert store.jobs() == jobs


def test_record_job_accepted_reserves_every_round_at_once(accepted):
    assert accepted.ledger("nursery") == tuple(
        LedgerEntry(founder=FOUNDER, job_id=JobId("job-1"), round_number=c.round_number, cost=c.cost, status=RESERVED)
        for c in COSTS
    )
    assert accepted.ledger("adult") == ()


def test_record_job_with_a_round_reserved_twice_raises_and_records_nothing(store):
    with pytest.raises(StateError):
        store.record_job(JOB, (*COSTS, COSTS[0]))
    assert store.job("job-1") is None
    assert store.ledger("nursery") == ()


@pytest.mark.parametrize(("job", "costs"), [(JOB, ()), (HELD, COSTS), (REFUSED, COSTS)])
def test_record_job_with_cost_and_decision_that_do_not_fit_raises_and_records_nothing(store, job, costs):
    with pytest.raises(StateError, match="cost"):
        store.record_job(job, costs)
    assert store.job("job-1") is None
    assert store.ledger("nursery") == ()


@pytest.mark.parametrize("digest", ["spec_digest", "terms_digest"])
@pytest.mark.parametrize(
    ("job", "costs"), [(JOB, COSTS), (HELD, ()), (REFUSED, ())], ids=["accepted", "held", "refused"]
)
def test_record_job_with_another_digest_raises_for_ever(store, job, costs, digest):
    store.record_job(job, costs)
    for end in (False, True):
        if end:
            store.end_job("job-1", JobOutcome.FAILED)
        before = store.job("job-1")
        changes: dict[str, Any] = {digest: bytes(32)}
        with pytest.raises(Equivocation, match="another specification or other terms"):
            store.record_job(replace(JOB, **changes), COSTS)
        assert store.job("job-1") == before


def test_record_job_refused_keeps_digests_only_and_stays_bound(store):
    refused = store.record_job(replace(REFUSED, spec=JOB.spec, terms=JOB.terms))
    assert (refused.spec, refused.terms) == (b"", b"")
    assert store.job("job-1") == REFUSED
    with pytest.raises(Equivocation):
        store.record_job(replace(REFUSED, spec_digest=OTHER_DIGEST))
    assert store.record_job(JOB, COSTS).decision is Decision.REFUSED
    assert store.ledger("nursery") == ()


def test_record_job_that_was_held_and_is_refused_now_drops_what_it_asked(store):
    store.record_job(HELD)
    assert store.job("job-1").spec == HELD.spec
    store.record_job(replace(REFUSED, spec=JOB.spec, terms=JOB.terms))
    assert store.job("job-1") == REFUSED


def test_record_job_keeps_nothing_of_a_flood_of_refused_jobs(tmp_path):
    clock = ManualClock()
    engine = open_database(f"sqlite:///{tmp_path / 'party.db'}", MIGRATIONS)
    store = PartyStore(engine, FOUNDER, make_recorder(FOUNDER, clock=clock))
    for number in range(AUDIT_REFUSALS_LISTED + 20):
        decided = store.record_job(replace(REFUSED, job_id=JobId(f"job-{number}")))
        # It is answered all the same.
        assert decided.decision is Decision.REFUSED
    assert len(store.jobs()) == AUDIT_REFUSALS_LISTED
    # What was not kept can be decided on; what is accepted or held is never dropped.
    assert store.record_job(replace(HELD, job_id=JobId("job-219"))).decision is Decision.HELD
    clock.pass_seconds(10)
    store.record_job(replace(REFUSED, job_id=JobId("later")))
    assert store.job(JobId("later")) is not None
    log = AuditLog(engine, FOUNDER)
    assert log.entries()[-1].facts["not_listed_before"] == 20
    assert log.gaps() == ()
    engine.dispose()


def test_forgotten_refused_jobs_are_the_oldest_but_for_those_that_the_steward_spoke_of(opened):
    store = Reopened(opened, FOUNDER)
    store.record_job(HELD)
    store.rule("job-1", is_approved=False, now=NOW)
    store.record_job(REFUSED)
    for number in range(2, 7):
        store.record_job(replace(REFUSED, job_id=JobId(f"job-{number}")))
    store.record_job(replace(JOB, job_id=JobId("accepted")), COSTS)
    store.record_job(replace(HELD, job_id=JobId("held")))
    engine = opened(MIGRATIONS)
    with transaction(engine) as connection:
        job_quota.forget_refused(connection, FOUNDER, maximum=2)
    assert [job.job_id for job in store.jobs()] == ["job-1", "job-5", "job-6", "accepted", "held"]
    # Nothing is missed in the record: by a job that it refused a party has promised nothing.
    assert AuditLog(engine, FOUNDER).gaps() == ()
    # What was forgotten is decided on as any other job; the steward's refusal still stands.
    assert (
        store.record_job(replace(JOB, job_id=JobId("job-2"), spec_digest=OTHER_DIGEST), COSTS).decision
        is Decision.ACCEPTED
    )
    assert store.ruling("job-1").is_approved is False


def test_check_room_counts_jobs_that_are_open_and_neither_ended_nor_withdrawn(opened):
    store = Reopened(opened, FOUNDER)
    store.record_job(HELD)
    store.record_job(replace(JOB, job_id=JobId("accepted")), COSTS)
    store.record_job(replace(REFUSED, job_id=JobId("refused")))
    Reopened(opened, OTHER_FOUNDER).record_job(HELD)

    def check(max_open: int) -> None:
        with transaction(opened(MIGRATIONS)) as connection:
            job_quota.check_room(connection, FOUNDER, NOW, max_open=max_open)

    check(3)
    with pytest.raises(QuotaExceeded, match="2 jobs are open") as refusal:
        check(2)
    assert refusal.value.code == "quota-exceeded"
    # The steward can make room: that job may never end.
    store.rule("accepted", is_approved=False, now=NOW)
    check(2)
    store.rule("accepted", is_approved=True, now=NOW)
    with pytest.raises(QuotaExceeded):
        check(2)
    store.end_job("accepted", JobOutcome.FAILED)
    check(2)
    store.check_room()


def test_check_room_counts_jobs_of_a_day_that_ended_without_asking_anything(opened):
    store = Reopened(opened, FOUNDER)
    for number in (1, 2):
        store.record_job(replace(JOB, job_id=JobId(f"job-{number}")), COSTS)
        store.end_job(f"job-{number}", JobOutcome.CANCELLED)
    store.record_job(replace(JOB, job_id=JobId("asked")), COSTS)
    store.accept_query("asked", 1, SESSION, COHORT, AskedStep(step=1))
    store.end_job("asked", JobOutcome.FAILED)

    def check(since: datetime) -> None:
        with transaction(opened(MIGRATIONS)) as connection:
            job_quota.check_room(connection, FOUNDER, since, max_unasked=2)

    decided_at = store.job("job-2").decided_at
    with pytest.raises(QuotaExceeded, match="2 jobs ended within a day"):
        check(decided_at - timedelta(days=1))
    check(decided_at + timedelta(seconds=1))
    # Of those digests are left; of the one that asked something, everything.
    assert [bool(job.spec) for job in store.jobs()] == [False, False, True]
    assert [bool(job.terms) for job in store.jobs()] == [False, False, True]


@pytest.mark.parametrize(("decided", "costs"), [(JOB, COSTS), (REFUSED, ())], ids=["accepted", "refused"])
def test_record_job_held_may_be_decided_later(store, decided, costs):
    store.record_job(HELD)
    assert store.record_job(decided, costs) == decided
    assert store.job("job-1") == decided
    assert statuses(store) == [RESERVED] * len(costs)


@pytest.mark.parametrize(
    ("later", "costs"), [(JOB, COSTS), (HELD, ()), (REFUSED, ())], ids=["accepted", "held", "refused"]
)
@pytest.mark.parametrize(("first", "first_costs"), [(JOB, COSTS), (REFUSED, ())], ids=["accepted", "refused"])
def test_record_job_decided_stays_as_it_is(store, first, first_costs, later, costs):
    store.record_job(first, first_costs)
    assert store.record_job(replace(later, detail="otherwise"), costs) == first
    assert store.job("job-1") == first
    assert statuses(store) == [RESERVED] * len(first_costs)


def test_record_job_held_again_keeps_the_job_and_says_what_it_waits_for_now(store):
    proposed_at = store.record_job(HELD).proposed_at
    later = replace(HELD, detail="later")
    assert store.record_job(later) == store.job("job-1") == later
    assert store.job("job-1").proposed_at == proposed_at


# The steward's word on single jobs.


def test_rule_is_kept_and_the_last_word_counts(store):
    store.record_job(HELD)
    assert store.ruling("job-1") is None
    assert store.rule("job-1", is_approved=True, now=NOW) == HELD
    store.rule("job-1", is_approved=False, reason="not this week", now=NOW)
    ruling = store.ruling("job-1")
    assert (ruling.is_approved, ruling.reason) == (False, "not this week")
    # It is the daemon that decides.
    assert store.job("job-1") == HELD


def test_held_jobs_come_with_the_last_word_until_they_are_decided_or_over(store):
    jobs = tuple(replace(HELD, job_id=JobId(job_id)) for job_id in ("zeta", "alpha", "midas"))
    for job in jobs:
        store.record_job(job)
    store.rule("alpha", is_approved=True, now=NOW)
    held = store.held_jobs()
    assert [job for job, _ in held] == list(jobs)
    assert [ruling and ruling.is_approved for _, ruling in held] == [None, True, None]
    store.record_job(replace(jobs[1], decision=Decision.ACCEPTED), COSTS)
    store.end_job("zeta", JobOutcome.FAILED)
    assert [job.job_id for job, _ in store.held_jobs()] == ["midas"]


def test_rule_of_a_job_that_was_never_proposed_raises(store):
    with pytest.raises(NotFound, match="no job job-1 was proposed"):
        store.rule("job-1", is_approved=True, now=NOW)


def test_rule_of_a_refused_or_finished_job_raises_and_notes_nothing(store):
    store.record_job(REFUSED)
    with pytest.raises(AlreadyDecided, match=r"refused job job-1 already: asks ε = 2.* \[budget-exhausted\]"):
        store.rule("job-1", is_approved=True, now=NOW)
    assert store.ruling("job-1") is None
    store.record_job(replace(HELD, job_id=JobId("job-2")))
    store.end_job("job-2", JobOutcome.CANCELLED)
    with pytest.raises(AlreadyDecided, match="job-2 is over: cancelled"):
        store.rule("job-2", is_approved=False, now=NOW)


def test_rule_withdraws_from_an_accepted_job_and_may_come_back(accepted):
    with pytest.raises(AlreadyDecided, match="accepted job job-1 already"):
        accepted.rule("job-1", is_approved=True, now=NOW)
    accepted.rule("job-1", is_approved=False, now=NOW)
    accepted.rule("job-1", is_approved=True, now=NOW)
    assert accepted.ruling("job-1").is_approved
    with pytest.raises(AlreadyDecided):
        accepted.rule("job-1", is_approved=True, now=NOW)


# Times of the ledger.


def test_ledger_lines_say_when_they_were_reserved_and_settled(answering):
    answering.accept_query("job-1", 1, SESSION, COHORT, AskedStep(step=1))
    first, second, _ = answering.ledger("nursery")
    assert first.reserved_at == second.reserved_at
    assert second.settled_at is None
    assert first.settled_at >= first.reserved_at
    answering.end_job("job-1", JobOutcome.COMPLETED)
    again, given_back, _ = answering.ledger("nursery")
    assert again.settled_at == first.settled_at
    assert given_back.settled_at >= first.settled_at
    assert answering.datasets() == ("nursery",)


def test_ledger_keeps_what_was_released(store):
    store.record_job(replace(JOB, cost={"whole": 1}), [Reservation(1, {"unit": "record"}, {"kind": "counts"})])
    assert store.ledger("nursery")[0].event == {"kind": "counts"}
    assert store.job("job-1").cost == {"whole": 1}


def test_database_of_the_first_version_counts_what_was_spent_from_now_on(tmp_path, monkeypatch):
    package = tmp_path / "packages" / "first_version"
    package.mkdir(parents=True)
    folder = Path(coterie_party.store.__file__).parent / "migrations"
    for name in ("__init__.py", "r0001_promises_and_ledger.py"):
        (package / name).write_text((folder / name).read_text())
    monkeypatch.syspath_prepend(package.parent)
    url = f"sqlite:///{tmp_path}/store.db"
    engine = open_database(url, Migrations("first_version"))
    divergences = [0.01 * order for order in ORDERS]
    former: dict[str, Any] = {
        "unit": "record",
        "orders": list(ORDERS),
        "divergences": divergences,
        "pure_epsilon": 0,
        "unprotected": 0,
    }
    with transaction(engine) as connection:
        connection.execute(
            text(
                "INSERT INTO jobs VALUES (1, 'abcd-ef01', 'job-1', x'00', x'00', x'00', x'00', 'accepted', '', '', "
                "'nursery', NULL)"
            )
        )
        connection.execute(
            text(
                "INSERT INTO ledger VALUES ('abcd-ef01', 'job-1', 1, 'nursery', :cost, 'committed'), "
                "('abcd-ef01', 'job-1', 2, 'nursery', :cost, 'reserved')"
            ),
            {"cost": document.encode(former)},
        )
    engine.dispose()
    before = SystemClock().now() - timedelta(seconds=1)
    engine = open_database(url, MIGRATIONS)
    spent, reserved = PartyStore(engine, FOUNDER).ledger("nursery")
    assert before <= present(spent.settled_at) <= SystemClock().now()
    assert spent.reserved_at is spent.event is reserved.settled_at is None
    assert PartyStore(engine, FOUNDER).job(JobId("job-1")).proposed_at is None
    engine.dispose()


def test_record_job_held_until_it_ended_stays_held(store):
    store.record_job(HELD)
    store.end_job("job-1", JobOutcome.CANCELLED)
    assert store.record_job(JOB, COSTS) == replace(HELD, spec=b"", terms=b"", outcome=JobOutcome.CANCELLED)
    assert store.ledger("nursery") == ()


# One query.


def test_accept_query_binds_the_round_and_commits_its_cost(answering):
    assert answering.round("job-1", 1) == PartyRound(phase=Phase.ANSWERING, session_id=SESSION)
    assert answering.round("job-1", 2) == PartyRound()
    assert statuses(answering) == [COMMITTED, RESERVED, RESERVED]


def test_accept_query_again_changes_nothing(opening):
    opening.accept_query("job-1", 1, SESSION, COHORT, AskedStep(step=1))
    assert opening.round("job-1", 1).session_id == SESSION
    assert statuses(opening) == [COMMITTED, RESERVED, RESERVED]


def test_accept_query_of_another_session_raises_for_ever(answering):
    for prepare in (
        lambda: answering.store_reply("job-1", 1, DIGEST, b"reply"),
        lambda: answering.record_transcript("job-1", 1, SESSION, DIGEST, b"total", 3, 1),
        lambda: answering.store_partial("job-1", 1, b"partial"),
    ):
        with pytest.raises(AlreadyAnswered, match="round 1 of job job-1: this party accepted another query"):
            answering.accept_query("job-1", 1, OTHER_SESSION, COHORT, AskedStep(step=1))
        prepare()
        assert answering.round("job-1", 1).session_id == SESSION


def test_accept_query_without_reservation_raises_and_records_nothing(accepted):
    with pytest.raises(BudgetExhausted, match="no privacy budget is reserved for step 4 of job job-1"):
        accepted.accept_query("job-1", 4, SESSION, COHORT, AskedStep(step=4))
    assert accepted.round("job-1", 4) == PartyRound()


def test_accept_query_of_a_reservation_that_was_given_back_raises(accepted, opened):
    with transaction(opened(MIGRATIONS)) as connection:
        connection.execute(update(LEDGER).values(status=RELEASED.value))
    with pytest.raises(BudgetExhausted):
        accepted.accept_query("job-1", 1, SESSION, COHORT, AskedStep(step=1))
    assert statuses(accepted) == [RELEASED] * 3


@pytest.mark.parametrize("job", [HELD, REFUSED, None], ids=["held", "refused", "unknown"])
def test_accept_query_of_a_job_that_is_not_accepted_raises(store, job):
    if job:
        store.record_job(job)
    with pytest.raises(StateError, match="did not accept"):
        store.accept_query("job-1", 1, SESSION, COHORT, AskedStep(step=1))


@pytest.mark.parametrize("outcome", JobOutcome)
def test_accept_query_of_an_ended_job_raises_even_if_it_was_accepted(answering, outcome):
    answering.end_job("job-1", outcome)
    for number in (1, 2):
        with pytest.raises(StaleRound, match=outcome.value):
            answering.accept_query("job-1", number, SESSION, COHORT, AskedStep(step=number))


def test_accept_query_of_a_round_that_was_opened_without_this_party_raises_and_spends_nothing(accepted):
    accepted.record_transcript("job-1", 1, SESSION, DIGEST, b"total", 3, 1)
    with pytest.raises(AlreadyAnswered, match="opened without this party"):
        accepted.accept_query("job-1", 1, SESSION, COHORT, AskedStep(step=1))
    assert statuses(accepted) == [RESERVED] * 3


def test_previous_cohort_is_the_smallest_also_if_a_later_round_was_asked_before(answering):
    assert answering.previous_cohort("job-1") == COHORT
    answering.accept_query("job-1", 3, OTHER_SESSION, COHORT, AskedStep(step=3))
    answering.accept_query("job-1", 2, OTHER_SESSION, COHORT[:2], AskedStep(step=2))
    assert answering.previous_cohort("job-1") == COHORT[:2]
    assert answering.previous_cohort("job-2") is None


def test_asked_jobs_are_those_of_all_founders_that_asked_the_data_set_once_with_their_first_cohort(answering, opened):
    answering.accept_query("job-1", 2, OTHER_SESSION, COHORT[:2], AskedStep(step=2))
    answering.record_job(replace(JOB, job_id=JobId("never-asked")), COSTS)
    answering.record_job(replace(JOB, job_id=JobId("elsewhere"), dataset="other"), COSTS)
    answering.accept_query("elsewhere", 1, SESSION, COHORT, AskedStep(step=1))
    theirs = Reopened(opened, OTHER_FOUNDER)
    theirs.record_job(replace(JOB, spec=b"{}"), COSTS)
    theirs.accept_query("job-1", 3, SESSION, ("delta",), AskedStep(step=3))
    ours, foreign = answering.asked_jobs("nursery")
    assert ours == AskedJob(job_id=JobId("job-1"), spec=JOB.spec, cohort=COHORT, is_own=True)
    assert foreign == AskedJob(job_id=JobId("job-1"), spec=b"{}", cohort=(PartyId("delta"),), is_own=False)


def test_previous_cohort_that_cannot_be_read_raises(answering, opened):
    with transaction(opened(MIGRATIONS)) as connection:
        connection.execute(update(ACCEPTANCES).values(cohort=b"?"))
    with pytest.raises(StorageError, match="cohort of job job-1"):
        answering.previous_cohort("job-1")


def test_asked_rounds_come_with_the_quorum_that_the_record_states(accepted):
    accepted.accept_query("job-1", 1, SESSION, COHORT, AskedStep(step=1), {"round_quorum": 2})
    asked = AskedStep(step=1, spare_lines=range(3, 4), spare_rounds=1)
    accepted.accept_query("job-1", 2, OTHER_SESSION, COHORT[:2], asked)
    first, second = accepted.asked_rounds("job-1")
    assert first == AskedRound(number=1, step=1, is_spare=False, cohort=3, quorum=2)
    assert second == AskedRound(number=2, step=1, is_spare=True, cohort=2, quorum=None)


@pytest.mark.parametrize("details", [b"?", b"[]"])
def test_asked_rounds_whose_record_cannot_be_read_raise(answering, opened, details):
    with transaction(opened(MIGRATIONS)) as connection:
        connection.execute(update(AUDIT).where(AUDIT.c.kind == "query").values(details=details))
    with pytest.raises(StorageError, match="of the audit record cannot be read") as caught:
        answering.asked_rounds("job-1")
    assert caught.value.code == "storage"


# One reply.


def test_store_reply_keeps_bytes_and_digest(answered):
    assert answered.reply("job-1", 1) == b"reply"
    assert answered.round("job-1", 1) == PartyRound(
        phase=Phase.ANSWERED, session_id=SESSION, contribution_digest=DIGEST
    )


def test_store_reply_again_changes_nothing(opening):
    opening.store_reply("job-1", 1, DIGEST, b"reply")
    assert opening.reply("job-1", 1) == b"reply"


def test_store_reply_with_another_digest_raises_for_ever(answered):
    for end in (False, True):
        if end:
            answered.end_job("job-1", JobOutcome.COMPLETED)
        with pytest.raises(AlreadyAnswered, match="another reply"):
            answered.store_reply("job-1", 1, OTHER_DIGEST, b"fresh noise")
        assert answered.round("job-1", 1).contribution_digest == DIGEST


def test_store_reply_without_accepted_query_raises(accepted):
    with pytest.raises(StateError, match="without an accepted query"):
        accepted.store_reply("job-1", 1, DIGEST, b"reply")


def test_store_reply_after_the_round_was_opened_without_it_raises(answering):
    answering.record_transcript("job-1", 1, SESSION, DIGEST, b"total", 3, 1)
    with pytest.raises(AlreadyAnswered, match="opened without this party"):
        answering.store_reply("job-1", 1, DIGEST, b"reply")
    assert answering.reply("job-1", 1) is None


def test_store_reply_after_the_job_ended_raises_and_keeps_nothing(answering):
    answering.end_job("job-1", JobOutcome.CANCELLED)
    with pytest.raises(StaleRound, match="cancelled"):
        answering.store_reply("job-1", 1, DIGEST, b"reply")
    assert answering.reply("job-1", 1) is None
    assert answering.round("job-1", 1).phase is Phase.ANSWERING


# One transcript.


def test_record_transcript_binds_the_round(opening):
    assert opening.transcript("job-1", 1) == RecordedTranscript(
        session_id=SESSION, digest=DIGEST, total=b"total", contributors=3, step=1
    )
    assert opening.round("job-1", 1) == PartyRound(
        phase=Phase.OPENING, session_id=SESSION, contribution_digest=DIGEST, transcript_digest=DIGEST
    )
    assert opening.opened_step("job-1", 1) == OpenedRound(number=1, transcript=DIGEST)


def test_record_transcript_of_a_job_that_this_party_does_not_know_binds_it_too(store):
    store.record_transcript("job-9", 4, SESSION, DIGEST, b"total", 3, 4)
    assert store.round("job-9", 4) == PartyRound(phase=Phase.OPENING, session_id=SESSION, transcript_digest=DIGEST)
    assert store.opened_step("job-9", 4) == OpenedRound(number=4, transcript=DIGEST)


def test_record_transcript_again_changes_nothing(opening):
    opening.record_transcript("job-1", 1, SESSION, DIGEST, b"another total", 5, 1)
    assert opening.transcript("job-1", 1).total == b"total"


def test_record_transcript_of_another_digest_raises_for_ever(opening):
    for prepare in (
        lambda: opening.store_partial("job-1", 1, b"partial"),
        lambda: opening.end_job("job-1", JobOutcome.COMPLETED),
        lambda: None,
    ):
        with pytest.raises(AlreadyAnswered, match="another transcript"):
            opening.record_transcript("job-1", 1, SESSION, OTHER_DIGEST, b"total", 3, 1)
        prepare()
        assert opening.opened_step("job-1", 1) == OpenedRound(number=1, transcript=DIGEST)


def test_record_transcript_of_another_session_with_the_same_digest_raises(store):
    store.record_transcript("job-1", 1, SESSION, DIGEST, b"total", 3, 1)
    with pytest.raises(AlreadyAnswered, match="another transcript"):
        store.record_transcript("job-1", 1, OTHER_SESSION, DIGEST, b"total", 3, 1)


def test_record_transcript_of_another_session_than_the_accepted_raises(answered):
    with pytest.raises(AlreadyAnswered, match="another query"):
        answered.record_transcript("job-1", 1, OTHER_SESSION, DIGEST, b"total", 3, 1)
    assert answered.transcript("job-1", 1) is None


def test_store_partial_keeps_the_first(opening):
    opening.store_partial("job-1", 1, b"partial")
    opening.store_partial("job-1", 1, b"partial")
    with pytest.raises(AlreadyAnswered, match="another partial decryption"):
        opening.store_partial("job-1", 1, b"another")
    assert opening.partial("job-1", 1) == b"partial"
    assert opening.round("job-1", 1).phase is Phase.OPENED


def test_store_partial_without_transcript_raises(answered):
    with pytest.raises(StateError, match="without a recorded transcript"):
        answered.store_partial("job-1", 1, b"partial")


# The end, and what stays after it.


@pytest.mark.parametrize("outcome", JobOutcome)
def test_end_job_gives_back_what_was_not_asked_and_keeps_the_promises(opening, outcome):
    opening.accept_query("job-1", 2, OTHER_SESSION, COHORT, AskedStep(step=2))
    before = opening.round("job-1", 1), opening.round("job-1", 2)
    opening.end_job("job-1", outcome)
    assert opening.job("job-1") == replace(JOB, outcome=outcome)
    assert statuses(opening) == [COMMITTED, COMMITTED, RELEASED]
    assert opening.reply("job-1", 1) is None
    assert (opening.round("job-1", 1), opening.round("job-1", 2)) == before


def test_end_job_again_keeps_the_first_outcome(accepted):
    accepted.end_job("job-1", JobOutcome.FAILED)
    accepted.end_job("job-1", JobOutcome.COMPLETED)
    assert accepted.job("job-1").outcome is JobOutcome.FAILED


def test_end_job_that_was_never_proposed_leaves_no_record(store):
    store.end_job("job-1", JobOutcome.CANCELLED)
    assert store.job("job-1") is None


def test_end_job_concerns_no_other_job(answered):
    other = replace(JOB, job_id=JobId("job-2"))
    answered.record_job(other, COSTS)
    answered.end_job("job-2", JobOutcome.CANCELLED)
    assert answered.reply("job-1", 1) == b"reply"
    assert statuses(answered) == [COMMITTED, RESERVED, RESERVED, RELEASED, RELEASED, RELEASED]


def test_store_reply_after_its_bytes_were_deleted_does_not_bring_them_back(answered):
    answered.end_job("job-1", JobOutcome.COMPLETED)
    answered.store_reply("job-1", 1, DIGEST, b"reply")
    assert answered.reply("job-1", 1) is None


# Founders, data sets.


def test_everything_is_kept_per_founder_except_the_ledger(opening, opened):
    other = Reopened(opened, OTHER_FOUNDER)
    assert other.jobs() == ()
    assert other.round("job-1", 1) == PartyRound()
    other.record_job(replace(JOB, spec_digest=bytes(32)), COSTS[:1])
    other.accept_query("job-1", 1, OTHER_SESSION, COHORT, AskedStep(step=1))
    other.end_job("job-1", JobOutcome.CANCELLED)
    assert opening.round("job-1", 1).session_id == SESSION
    assert opening.reply("job-1", 1) == b"reply"
    ledger = other.ledger("nursery")
    assert ledger == opening.ledger("nursery")
    assert {(entry.founder, entry.round_number, entry.status) for entry in ledger} == {
        (OTHER_FOUNDER, 1, COMMITTED),
        (FOUNDER, 1, COMMITTED),
        (FOUNDER, 2, RESERVED),
        (FOUNDER, 3, RESERVED),
    }


@pytest.mark.parametrize("damage", [{"cost": b"?"}, {"status": "spent"}])
def test_ledger_that_cannot_be_read_raises(accepted, opened, damage):
    with transaction(opened(MIGRATIONS)) as connection:
        connection.execute(update(LEDGER).where(LEDGER.c.number == 2).values(damage))
    with pytest.raises(StorageError, match="ledger of nursery cannot be read"):
        accepted.ledger("nursery")


def test_salt_is_drawn_once_per_data_set(store):
    first = store.salt("nursery", SeededRandom(1))
    assert first == SeededRandom(1).token_bytes(32)
    assert store.salt("nursery", SeededRandom(2)) == first
    assert store.salt("adult", SeededRandom(2)) == SeededRandom(2).token_bytes(32)
