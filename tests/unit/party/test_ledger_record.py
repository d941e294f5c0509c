# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The ledger follows from the record: whoever deletes a line, lowers it or gives it back is found out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, text

from coterie_common.audit.chain import verify_chain
from coterie_common.audit.entry import Entry, Event, Kind, Owner
from coterie_common.audit.ledger import Line, LineStatus, ledger_details, ledger_digest, recorded_ledger
from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import BudgetExhausted
from coterie_common.host.database import transaction
from coterie_common.identifiers import JobId, PartyId
from coterie_common.limits import AUDIT_DETAILS_BYTES, AUDIT_LEDGER_BYTES, MAX_ROUNDS
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.messages import JobOutcome
from coterie_party.store import (
    MIGRATIONS,
    AskedStep,
    AuditLog,
    LedgerEntry,
    PartyJob,
    PartyStore,
    Reservation,
    ReservationStatus,
)
from coterie_party.store.ledger.carried import CarriedLines
from tests.support.audit_records import make_entries
from tests.support.databases import database
from tests.support.recorders import make_recorder

COHORT = (PartyId("a"), PartyId("b"), PartyId("c"))
OLD_JOB = JobId("old-1")
FOUNDER, OTHER_FOUNDER = "abcd-ef01", "2345-6789"
JOB = PartyJob(
    job_id=JobId("job-1"),
    spec=b"{}",
    terms=b"[]",
    spec_digest=b"p" * 32,
    terms_digest=b"t" * 32,
    decision=Decision.ACCEPTED,
    code="",
    detail="",
    dataset="nursery",
)
COSTS = (
    Reservation(1, {"epsilon": "1/3"}, {"noise": "2"}),
    Reservation(2, {"epsilon": "1/3"}, {"noise": "2"}, "training", "divided"),
    Reservation(3, {"epsilon": "1/3"}, {"noise": "2"}, "training", "divided"),
)
LINES = tuple(Line(each.round_number, each.cost, each.event, each.records, each.division) for each in COSTS)
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


class Party:
    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.recorder = make_recorder(FOUNDER)
        self.store = PartyStore(engine, FOUNDER, self.recorder)
        self.log = AuditLog(engine, FOUNDER, self.recorder)

    def execute(self, *statements: str) -> None:
        with transaction(self.engine) as connection:
            if self.engine.dialect.name == "sqlite":
                connection.execute(text("PRAGMA defer_foreign_keys = ON"))
            for statement in statements:
                connection.execute(text(statement))

    def findings(self) -> list[str]:
        entries = self.log.entries()
        chain = verify_chain(entries, self.recorder.owner, self.recorder.key.verify_key)
        return [str(finding) for finding in (*chain, *self.log.gaps())]


@pytest.fixture
def party(tmp_path: Path) -> Iterator[Party]:
    """Two jobs: one asked a round and is over, the other goes on after one."""
    with database("memory", tmp_path) as opened:
        party = Party(opened(MIGRATIONS))
        for job_id in (JobId("job-1"), JobId("job-2")):
            party.store.record_job(replace(JOB, job_id=job_id), COSTS)
            party.store.accept_query(job_id, 1, b"s" * 32, COHORT, AskedStep(step=1))
        party.store.end_job(JobId("job-1"), JobOutcome.FAILED)
        assert party.findings() == []
        yield party


def test_step_that_was_answered_twice_is_in_ledger_and_record_at_its_price(party):
    # The third line is a spare one, reserved at a price of its own.
    costs = (*COSTS[:2], Reservation(3, {"epsilon": "2/3"}, {"noise": "1"}))
    job_id = JobId("job-3")
    party.store.record_job(replace(JOB, job_id=job_id), costs)
    for number in (1, 2):
        asked = AskedStep(step=1, spare_lines=range(3, 4), spare_rounds=1)
        party.store.accept_query(job_id, number, bytes([number]) * 32, COHORT, asked, {"plan_step": 1})
    with pytest.raises(BudgetExhausted, match="1 spare rounds are used"):
        party.store.accept_query(job_id, 3, b"3" * 32, COHORT, asked, {"plan_step": 1})
    party.store.accept_query(job_id, 3, b"3" * 32, COHORT, replace(asked, step=2), {"plan_step": 2})
    assert party.findings() == []
    mine = [line for line in party.store.ledger("nursery") if line.job_id == job_id]
    assert [(line.cost, line.event) for line in mine] == [(COSTS[0].cost, COSTS[0].event)] * 3
    assert [line.records for line in mine] == ["all", "training", "all"]
    recorded = recorded_ledger(party.log.entries()).lines
    assert recorded[job_id, 3].line == replace(LINES[0], number=3)
    party.execute("UPDATE ledger SET cost = CAST('{}' AS BLOB) WHERE job_id = 'job-3' AND number = 3")
    assert len(party.findings()) == 1


def test_ledger_that_follows_from_the_record_is_the_one_that_is_kept(party):
    recorded = recorded_ledger(party.log.entries())
    assert (recorded.findings, recorded.unrecorded) == ((), frozenset())
    spent, back, left = LineStatus.COMMITTED, LineStatus.RELEASED, LineStatus.RESERVED
    assert [line.status for _, line in sorted(recorded.lines.items())] == [spent, back, back, spent, left, left]
    assert [line.line for _, line in sorted(recorded.lines.items())] == [*LINES, *LINES]
    assert {line.dataset for line in recorded.lines.values()} == {"nursery"}


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM ledger WHERE job_id = 'job-1' AND number = 2", "round 2 of job job-1 is in the record, but not"),
        ("DELETE FROM ledger WHERE job_id = 'job-1' AND number > 1", "round 2 of job job-1 is in the record, but not"),
        (
            "UPDATE ledger SET status = 'released' WHERE job_id = 'job-2'",
            "is kept as released, but by the record it is",
        ),
        ("UPDATE ledger SET status = 'reserved' WHERE number = 1", "is kept as reserved, but by the record it is"),
        ("UPDATE ledger SET cost = X'7b7d' WHERE job_id = 'job-1'", "is kept otherwise than the record says; so are 2"),
        ("UPDATE ledger SET event = NULL WHERE number = 3", "is kept otherwise than the record says"),
        ("UPDATE ledger SET dataset = 'unused' WHERE number = 3", "is kept otherwise than the record says"),
        ("UPDATE ledger SET records = 'set-aside' WHERE number = 1", "is kept otherwise than the record says"),
        ("UPDATE ledger SET records = 'all' WHERE number = 2", "is kept otherwise than the record says"),
        ("UPDATE ledger SET division = 'other' WHERE number = 2", "is kept otherwise than the record says"),
        (
            "UPDATE ledger SET settled_at = '2001-01-01 00:00:00.000000' WHERE status = 'committed'",
            "round 1 of job job-1 is kept with another time than the record says",
        ),
        (
            "UPDATE ledger SET settled_at = '2026-03-01 11:58:00.000000' WHERE status = 'released'",
            "round 2 of job job-1 is kept with another time than the record says; so are 1 more",
        ),
        (
            "UPDATE ledger SET reserved_at = '2030-01-01 00:00:00.000000' WHERE number = 3",
            "round 3 of job job-2 is kept with another time than the record says",
        ),
        (
            "UPDATE ledger SET number = 8 WHERE number = 3",
            "round 3 of job job-1 is in the record, but not kept any more",
        ),
        (
            "INSERT INTO ledger (founder, job_id, number, dataset, cost, status) "
            "VALUES ('abcd-ef01', 'job-2', 9, 'nursery', X'7b7d', 'released')",
            "round 9 of job job-2 is kept, but not in the record",
        ),
        ("UPDATE audit SET details = X'7b7d' WHERE kind = 'ledger'", "altered"),
        ("DELETE FROM audit WHERE kind = 'ledger' AND job_id = 'job-2'", "before it missing"),
    ],
)
def test_ledger_that_was_changed_behind_the_partys_back_is_found_out(party, statement, expected):
    party.execute(statement)
    assert any(expected in finding for finding in party.findings()), party.findings()
    # A restart mends nothing of it.
    party.log.record_start({"version": "2"})
    assert any(expected in finding for finding in party.findings()), party.findings()


def test_job_that_was_taken_out_of_record_and_ledger_leaves_its_end(party):
    party.execute("DELETE FROM ledger WHERE number = 3", "DELETE FROM audit WHERE sequence > 2")
    assert any("missing, or cut off" in finding for finding in party.findings())


def test_record_that_was_cut_off_between_an_acceptance_and_its_ledger_is_found_out(tmp_path):
    with database("memory", tmp_path) as opened:
        party = Party(opened(MIGRATIONS))
        party.store.record_job(JOB, COSTS)
        party.execute("DELETE FROM audit WHERE kind = 'ledger'", "DELETE FROM ledger")
        expected = (
            "entry 1: missing, or cut off: the ledger of job job-1 in the record is not what it was accepted with"
        )
        assert party.findings() == [expected]
        party.log.record_start({"version": "2"})
        assert party.findings() == [expected]


def test_ledger_of_another_federation_is_held_against_its_own_record(party):
    other = make_recorder(OTHER_FOUNDER)
    PartyStore(party.engine, OTHER_FOUNDER, other).record_job(JOB, COSTS)
    assert party.findings() == []
    party.execute("DELETE FROM ledger WHERE founder = '2345-6789'")
    assert party.findings() == []  # without a line of it this folder knows nothing of that federation
    PartyStore(party.engine, OTHER_FOUNDER, other).record_job(replace(JOB, job_id=JobId("job-3")), COSTS)
    (finding,) = party.findings()
    assert finding.startswith("in the federation of founder 2345-6789: the ledger's line of round 1 of job job-1 is in")


def carried(
    party: Party,
    status: ReservationStatus = ReservationStatus.COMMITTED,
    *,
    founder: str = FOUNDER,
    job_id: JobId = OLD_JOB,
) -> int:
    line = LedgerEntry(
        founder=founder,
        job_id=job_id,
        round_number=1,
        cost={"epsilon": "9"},
        status=status,
        records="training",
        division="divided",
        reserved_at=NOW,
        settled_at=NOW,
    )
    return CarriedLines(party.engine).add({"nursery": [line]}, {}, NOW)


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM carried", "is in the record, but not kept any more"),
        ("UPDATE carried SET status = 'released'", "is kept otherwise than the record says"),
        ("UPDATE carried SET settled_at = '2001-01-01 00:00:00.000000'", "is kept otherwise than the record says"),
        ("UPDATE carried SET settled_at = NULL", "is kept otherwise than the record says"),
        ("UPDATE carried SET cost = X'7b7d'", "is kept otherwise than the record says"),
        ("UPDATE carried SET event = X'7b7d'", "is kept otherwise than the record says"),
        ("UPDATE carried SET dataset = 'unused'", "is kept otherwise than the record says"),
        ("UPDATE carried SET records = 'set-aside'", "is kept otherwise than the record says"),
        ("UPDATE carried SET division = 'other'", "is kept otherwise than the record says"),
        ("UPDATE carried SET founder = 'another'", "is in the record, but not kept any more"),
        ("UPDATE carried SET accepted = ''", "is in the record, but not kept any more"),
    ],
)
def test_imported_lines_are_in_the_record_from_the_next_start_on(party, statement, expected):
    assert (carried(party), carried(party, founder=OTHER_FOUNDER, job_id=JobId("old-2"))) == (1, 1)
    assert party.findings() == []
    party.log.record_start({"version": "2"})
    party.log.record_start({"version": "2"})
    assert party.findings() == []
    party.execute(statement)
    found = party.findings()
    assert len(found) == 2
    assert all("imported ledger line of round 1 of job old-" in each and expected in each for each in found), found
    # A restart mends nothing of it.
    party.log.record_start({"version": "2"})
    assert set(found) <= set(party.findings())


def test_imported_line_that_turns_out_to_be_spent_is_recorded_as_that(party):
    carried(party, ReservationStatus.RELEASED)
    party.log.record_start({"version": "2"})
    assert carried(party) == 1
    assert party.findings() == []
    party.log.record_start({"version": "2"})
    assert party.findings() == []
    party.execute("UPDATE carried SET status = 'released'")
    assert len(party.findings()) == 1


def test_line_of_its_own_that_a_lost_machine_spent_is_no_gap(party):
    lines = party.store.ledger("nursery")
    assert CarriedLines(party.engine).add({"nursery": lines}, {}, NOW) == 2
    assert party.findings() == []
    party.log.record_start({"version": "2"})
    party.store.accept_query("job-2", 2, b"s" * 32, COHORT, AskedStep(step=2))
    party.store.end_job("job-2", JobOutcome.CANCELLED)
    assert party.findings() == []
    mine = [line for line in party.store.ledger("nursery") if line.job_id == "job-2"]
    assert sorted(line.round_number for line in mine) == [1, 2, 3]
    assert {line.status for line in mine} == {ReservationStatus.COMMITTED}


def test_lines_of_many_machines_take_several_entries(party):
    for number in range(200):
        carried(party, job_id=JobId(f"old-{number}"))
    party.log.record_start({"version": "2"})
    held = [entry for entry in party.log.entries() if entry.kind is Kind.LEDGER and not entry.job_id]
    assert sum(len(entry.facts["carried"]) for entry in held) == 200
    assert len(held) > 1
    assert max(len(entry.details) for entry in held) <= AUDIT_LEDGER_BYTES
    assert party.findings() == []


def test_lines_that_an_earlier_version_reserved_go_into_the_record_when_the_daemon_starts(party):
    # As that version left it: acceptances that name no lines, and no entries that hold any.
    events = [
        replace(event, details={name: value for name, value in event.details.items() if name != "ledger"})
        for event in map(_event, party.log.entries())
        if event.kind is not Kind.LEDGER
    ]
    party.execute("DELETE FROM audit")
    with transaction(party.engine) as connection:
        for event in events:
            party.recorder.append(connection, event)
    assert [finding for finding in party.findings() if "start the daemon once" not in finding] == []
    assert len(party.findings()) == 2
    party.log.record_start({"version": "2"})
    assert party.findings() == []
    party.log.record_start({"version": "2"})
    assert [entry.kind for entry in party.log.entries()].count(Kind.LEDGER) == 2
    party.execute("DELETE FROM ledger WHERE job_id = 'job-2' AND number = 2")
    assert len(party.findings()) == 1


def _event(entry: Entry) -> Event:
    return Event(kind=entry.kind, job_id=entry.job_id, round_number=entry.round_number, details=entry.facts)


def test_ledger_of_the_longest_job_takes_one_entry_and_one_of_unlike_rounds_several():
    alike = [Line(number, {"epsilon": "1/3"}, None) for number in range(1, MAX_ROUNDS + 1)]
    assert len(ledger_details("nursery", alike)) == 1
    unlike = [Line(number, {"divergences": [number / 7.0] * 100}, {"rate": f"1/{number}"}) for number in range(1, 101)]
    parts = ledger_details("nursery", unlike)
    assert len(parts) > 1
    assert max(len(str(part)) for part in parts) < AUDIT_LEDGER_BYTES + 8000 < AUDIT_DETAILS_BYTES
    for lines in (alike, unlike):
        assert _read_back("nursery", lines) == lines


def _read_back(dataset: str, lines: Sequence[Line]) -> list[Line]:
    decision = {"decision": "accepted", "ledger": ledger_digest(dataset, lines).hex()}
    events = [Event(kind=Kind.DECISION, job_id=JobId("job-1"), details=decision)]
    events += [Event(kind=Kind.LEDGER, job_id=JobId("job-1"), details=part) for part in ledger_details(dataset, lines)]
    recorded = recorded_ledger(make_entries(events, Owner(FOUNDER, "alpha"), SigningKey(bytes(32))))
    assert recorded.findings == ()
    return [line.line for _, line in sorted(recorded.lines.items())]


@pytest.mark.parametrize(
    "lines",
    [
        [[1, 2, {}, None, "all"]],
        [[1, 2, {}, None, 1, ""]],
        [[1, 2, {}, None, "all", "", ""]],
        None,
        {},
        [3],
        [[1, 2, {}]],
        [["1", 2, {}, None]],
        [[2, 1, {}, None]],
        [[1, 10**9, {}, None]],
        [[0, 1, {}, None]],
    ],
)
def test_ledger_entry_that_cannot_be_read_is_named(lines):
    event = Event(kind=Kind.LEDGER, job_id=JobId("job-1"), details={"dataset": "nursery", "lines": lines})
    (finding,) = recorded_ledger(make_entries([event], Owner(FOUNDER, "alpha"), SigningKey(bytes(32)))).findings
    assert str(finding) == "entry 1: the ledger of job job-1 in the record cannot be read"
