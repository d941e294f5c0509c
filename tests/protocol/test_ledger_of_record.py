# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A machine was lost with its ledger, and the party's own signed record says what was spent."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import pytest

from coterie_common import document
from coterie_common.audit.entry import Event, Kind, Owner
from coterie_common.audit.export import Export
from coterie_common.audit.ledger import Line, ledger_digest
from coterie_common.audit.page import render
from coterie_common.clock import SystemClock
from coterie_common.crypto.identity import SigningKey
from coterie_common.host.database import open_database
from coterie_common.identifiers import PartyId
from coterie_common.privacy.accounting.cost import Charge
from coterie_common.protocol.messages import Query
from coterie_common.protocol.progress import JobState
from coterie_common.protocol.roster import SignedRoster
from coterie_common.secret import Password
from coterie_party.cli import main
from coterie_party.home.home import PartyHome
from coterie_party.policy.budget import charges, total
from coterie_party.policy.policy import Budget, Limit
from coterie_party.steward.ledger_file import LedgerFile
from coterie_party.store import MIGRATIONS, AuditLog, LedgerEntry, PartyStore, ReservationStatus
from coterie_party.store.ledger.carried import CarriedLines
from tests.support.asynchronous import asynchronous
from tests.support.audit_records import make_entries, make_export
from tests.support.cheap_passwords import cheap_passwords
from tests.support.federation import FOUNDER, make_federation
from tests.support.in_process import InProcessFederation
from tests.support.seeded_random import SeededRandom
from tests.support.small_jobs import statistics_spec, tree_spec, write_play

PARTY = PartyId("party-1")
LIMIT = Limit(Budget(epsilon=Decimal(20), delta=Decimal("1e-4")), None)
FEDERATION = make_federation(3, 3)

Command = Callable[..., tuple[object, str]]


@dataclass(frozen=True)
class Lost:
    """What a machine had before it was lost.

    Attributes:
        record: exported after its jobs.
        early: exported while the second job was accepted, and had asked nothing.
        ledger: what ``ledger export`` wrote after its jobs.
        database: of its store.
    """

    record: Export
    early: Export
    ledger: LedgerFile
    database: Path


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Lost:
    folder = tmp_path_factory.mktemp("lost")
    found: list[Lost] = []

    @asynchronous
    async def work() -> None:
        running = InProcessFederation(FEDERATION, folder, write_play(folder, FEDERATION.parties))
        async with running:
            first = await running.submit(statistics_spec())
            assert (await running.result(first)).state is JobState.COMPLETED
            await running.settled()
            running.intercept = lambda _, message: None if isinstance(message, Query) else message
            second = await running.submit(tree_spec())
            await running.wrote("record_job", by=PARTY, count=2)
            early = running.record_of(PARTY)
            await running.cancel(second)
            await running.settled()
            record = running.record_of(PARTY)
        database = folder / PARTY / "party.db"
        engine = open_database(f"sqlite:///{database}", MIGRATIONS)
        lines = LedgerFile(*CarriedLines(engine).everything())
        engine.dispose()
        found.append(Lost(record, early, lines, database))

    work()
    return found[0]


def folder(root: Path, party_id: PartyId = PARTY) -> Path:
    home = PartyHome(root)
    with cheap_passwords():
        home.create(party_id, FOUNDER, None, password=Password(b"password"), random=SeededRandom(str(root)))
    return root


def ledger(root: Path) -> tuple[LedgerEntry, ...]:
    if not (root / "store").is_dir():
        return ()
    engine = open_database(f"sqlite:///{root}/store/party.db", MIGRATIONS)
    try:
        return PartyStore(engine, FOUNDER).ledger("play")
    finally:
        engine.dispose()


def spent(entries: Iterable[LedgerEntry]) -> Charge:
    found = total(charges(entries, LIMIT, SystemClock().now()))
    assert found is not None
    return found


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    def run(*arguments: object) -> tuple[object, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
        printed = capsys.readouterr()
        return ended.value.code, printed.out + printed.err

    return run


def test_record_of_a_lost_machine_costs_the_new_one_what_was_spent(lost, tmp_path, command):
    file, new = tmp_path / "record.json", folder(tmp_path / "new")
    file.write_bytes(lost.record.to_bytes())
    status, said = command("ledger", "import", file, "--home", new)
    assert (status, "after the record was exported" in said) == (0, True)
    kept = lost.ledger.entries["play"]
    assert spent(ledger(new)) == spent(kept)
    assert [(line.job_id, line.round_number, line.status, line.cost) for line in ledger(new)] == [
        (line.job_id, line.round_number, line.status, line.cost) for line in kept
    ]
    # The same as a page changes nothing, nor does the ledger that was exported.
    page, exported = tmp_path / "record.html", tmp_path / "ledger.json"
    page.write_bytes(render(lost.record))
    lost.ledger.write(exported)
    for again in (file, page, exported):
        assert "changes nothing" in command("ledger", "import", again, "--home", new)[1]
    assert spent(ledger(new)) == spent(kept)


def test_reserved_lines_of_a_record_count_as_spent_and_later_words_lower_nothing(lost, tmp_path, command):
    early, late, new = tmp_path / "early.json", tmp_path / "late.json", folder(tmp_path / "new")
    early.write_bytes(lost.early.to_bytes())
    late.write_bytes(lost.record.to_bytes())
    assert command("ledger", "import", early, "--home", new)[0] == 0
    assert {line.status for line in ledger(new)} == {ReservationStatus.COMMITTED}
    before = spent(ledger(new))
    assert command("ledger", "import", late, "--home", new)[0] == 0
    assert spent(ledger(new)) == before
    assert before.squared_distance > spent(lost.ledger.entries["play"]).squared_distance


def test_own_record_changes_nothing_where_it_was_written(lost, tmp_path, command):
    root, file = folder(tmp_path / "old"), tmp_path / "record.json"
    (root / "store").mkdir(mode=0o700)
    shutil.copy(lost.database, root / "store" / "party.db")
    file.write_bytes(lost.record.to_bytes())
    before = ledger(root)
    assert "changes nothing" in command("ledger", "import", file, "--home", root)[1]
    assert ledger(root) == before


def test_lines_of_a_record_are_no_gaps_in_the_record_of_the_new_machine(lost, tmp_path, command):
    file, new = tmp_path / "record.json", folder(tmp_path / "new")
    file.write_bytes(lost.record.to_bytes())
    command("ledger", "import", file, "--home", new)
    engine = open_database(f"sqlite:///{new}/store/party.db", MIGRATIONS)
    assert AuditLog(engine, FOUNDER).gaps() == ()
    engine.dispose()


def altered(record: Export) -> Export:
    (place,) = [at for at, entry in enumerate(record.entries) if entry.kind is Kind.LEDGER][-1:]
    entry = record.entries[place]
    cheap = document.encode({**entry.facts, "lines": []})
    return replace(
        record, entries=(*record.entries[:place], replace(entry, details=cheap), *record.entries[place + 1 :])
    )


def without_an_entry(record: Export) -> Export:
    return replace(record, entries=tuple(entry for entry in record.entries if entry.kind is not Kind.QUERY))


def written(record: Export, change: Callable[[Event], Event | None]) -> Export:
    """A record that the party itself signed, with other events."""
    events = [Event(kind=e.kind, job_id=e.job_id, round_number=e.round_number, details=e.facts) for e in record.entries]
    changed = [event for event in map(change, events) if event is not None]
    return make_export(FEDERATION, PARTY, changed)


def of_an_earlier_version(record: Export) -> Export:
    def change(event: Event) -> Event | None:
        details = {name: value for name, value in event.details.items() if name != "ledger"}
        return None if event.kind is Kind.LEDGER else replace(event, details=details)

    return written(record, change)


def of_a_later_version(record: Export) -> Export:
    lines = (Line(1, {"new": "1"}, None),)

    def change(event: Event) -> Event:
        if event.kind is Kind.LEDGER:
            return replace(event, details={"dataset": "play", "lines": [[1, 1, {"new": "1"}, None]]})
        named = {"ledger": ledger_digest("play", lines).hex()} if "ledger" in event.details else {}
        return replace(event, round_number=min(event.round_number, 1), details={**event.details, **named})

    return written(record, change)


def less_than_accepted(record: Export) -> Export:
    def change(event: Event) -> Event:
        is_line = event.kind is Kind.LEDGER
        return replace(event, details={"dataset": "play", "lines": []}) if is_line else event

    return written(record, change)


def of_another_key(record: Export) -> Export:
    owner = Owner(FOUNDER, PARTY)
    events = [Event(kind=e.kind, job_id=e.job_id, round_number=e.round_number, details=e.facts) for e in record.entries]
    return replace(record, entries=make_entries(events, owner, SigningKey(bytes(32))))


def of_another_founder(record: Export) -> Export:
    return replace(record, signed_roster=SignedRoster.create(FEDERATION.roster, SigningKey(bytes(32))))


def of_another_party(record: Export) -> Export:
    return make_export(FEDERATION, FEDERATION.parties[1])


@pytest.mark.parametrize(
    ("alter", "why"),
    [
        (altered, "altered, or what comes before it was|its content does not have its hash"),
        (without_an_entry, "before it missing"),
        (less_than_accepted, "not what it was accepted with"),
        (of_an_earlier_version, "does not say what the job .* cost: an earlier version accepted it"),
        (of_a_later_version, "what round 1 of job .* cost in a form that this version can read"),
        (of_another_key, "not signed by party-1 with the key in the roster"),
        (of_another_founder, "another founder"),
        (of_another_party, "is the record of party-2, and this is the folder of party-1"),
    ],
)
def test_record_that_is_not_whole_not_ones_own_or_lacks_costs_is_refused_as_a_whole(
    lost, tmp_path, command, alter, why
):
    file, new = tmp_path / "record.json", folder(tmp_path / "new")
    file.write_bytes(alter(lost.record).to_bytes())
    status, said = command("ledger", "import", file, "--home", new)
    assert status != 0
    assert re.search(why, said), said
    assert "Traceback" not in said
    assert ledger(new) == ()


def test_accepted_job_of_an_earlier_version_that_ended_without_a_question_cost_nothing(lost, tmp_path, command):
    def change(event: Event) -> Event | None:
        return event if event.kind in (Kind.DECISION, Kind.JOB_END) else None

    never_asked = written(of_an_earlier_version(lost.record), change)
    file, new = tmp_path / "record.json", folder(tmp_path / "new")
    file.write_bytes(never_asked.to_bytes())
    assert command("ledger", "import", file, "--home", new)[0] == 0
    assert ledger(new) == ()
