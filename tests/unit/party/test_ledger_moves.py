# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A ledger moves with its data: to the machine that replaces a lost one, and into another federation's folder."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from sqlalchemy import text

from coterie_common.errors import ConfigurationError
from coterie_common.files import make_private_folder
from coterie_common.host.database import open_database
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.messages import JobOutcome
from coterie_common.secret import Password
from coterie_party.cli import main
from coterie_party.home.home import PartyHome
from coterie_party.policy.budget import charges, total
from coterie_party.policy.policy import Budget, Limit
from coterie_party.steward.ledger_file import LedgerFile
from coterie_party.store import MIGRATIONS, AskedStep, DataVersion, PartyStore, ReservationStatus
from coterie_party.store.ledger.carried import CarriedLines
from tests.support.cheap_passwords import cheap_passwords
from tests.support.recorders import make_recorder
from tests.support.seeded_random import SeededRandom
from tests.support.small_jobs import tree_spec
from tests.unit.party.test_steward_commands import propose

FOUNDER = "uktb-chq6-2ywh-lz5u-6rkd-x3fa-p7mn-q4ve"
NOW = datetime(2026, 3, 4, tzinfo=UTC)
LIMIT = Limit(Budget(epsilon=Decimal(20), delta=Decimal("1e-4")), None)


def folder(root: Path) -> Path:
    home = PartyHome(root)
    with cheap_passwords():
        home.create(PartyId("party-1"), FOUNDER, None, password=Password(b"password"), random=SeededRandom(str(root)))
    make_private_folder(root / "store")
    return root


def opened(root: Path) -> PartyStore:
    return PartyStore(open_database(f"sqlite:///{root}/store/party.db", MIGRATIONS), FOUNDER, make_recorder(FOUNDER))


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str | int | None, str, str]]:
    def run(*arguments: Path | str) -> tuple[str | int | None, str, str]:
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run


@pytest.fixture
def old(tmp_path: Path) -> Path:
    root = folder(tmp_path / "old")
    store = opened(root)
    propose(store, tree_spec(), Decision.ACCEPTED, job_id=JobId("tree-1"))
    store.accept_query(JobId("tree-1"), 1, b"s" * 32, [PartyId("party-1"), PartyId("party-2")], AskedStep(step=1))
    propose(store, tree_spec(name="over"), Decision.ACCEPTED, job_id=JobId("tree-2"))
    store.end_job(JobId("tree-2"), JobOutcome.CANCELLED)
    return root


def spent(root: Path) -> Fraction | int:
    found = total(charges(opened(root).ledger("play"), LIMIT, NOW))
    return 0 if found is None else found.squared_distance


def test_ledger_that_is_imported_costs_what_it_cost_and_again_changes_nothing(tmp_path, command, old):
    file, new = tmp_path / "ledger.json", folder(tmp_path / "new")
    assert command("ledger", "export", file, "--home", old)[0] == 0
    assert file.stat().st_mode & 0o077 == 0
    status, printed, _ = command("ledger", "import", file, "--home", new)
    assert (status, "4 lines" in printed) == (0, True)
    assert spent(new) == spent(old) > 0
    assert "changes nothing" in command("ledger", "import", file, "--home", new)[1]
    assert spent(new) == spent(old)
    # Its own lines, come back, count once. What was reserved may have been answered elsewhere.
    assert "1 line of" in command("ledger", "import", file, "--home", old)[1]
    assert "changes nothing" in command("ledger", "import", file, "--home", old)[1]
    assert spent(new) == spent(old)


def test_import_never_lowers_what_is_spent(tmp_path, command, old):
    early, late = tmp_path / "early.json", tmp_path / "late.json"
    command("ledger", "export", early, "--home", old)
    opened(old).end_job(JobId("tree-1"), JobOutcome.COMPLETED)
    command("ledger", "export", late, "--home", old)
    new = folder(tmp_path / "new")
    command("ledger", "import", early, "--home", new)
    before = spent(new)
    command("ledger", "import", late, "--home", new)
    assert spent(new) == before > spent(old)
    # The other way round more becomes spent.
    other = folder(tmp_path / "other")
    command("ledger", "import", late, "--home", other)
    assert spent(other) == spent(old)
    command("ledger", "import", early, "--home", other)
    assert spent(other) == before


@pytest.mark.parametrize("exported_as", [ReservationStatus.COMMITTED, ReservationStatus.RESERVED])
def test_folder_from_a_backup_does_not_give_back_what_the_lost_machine_may_have_spent(old, exported_as):
    store = opened(old)
    engine = open_database(f"sqlite:///{old}/store/party.db", MIGRATIONS)
    lines, later = CarriedLines(engine), NOW + timedelta(days=1)
    (reserved,) = [line for line in store.ledger("play") if line.status is ReservationStatus.RESERVED]
    lost = replace(reserved, status=exported_as, settled_at=later)
    before = spent(old)
    assert lines.add({"play": (lost,)}, {}, NOW) == 1
    assert lines.add({"play": (lost, replace(lost, status=ReservationStatus.RELEASED))}, {}, NOW) == 0
    assert spent(old) == before
    store.end_job(JobId("tree-1"), JobOutcome.CANCELLED)
    assert spent(old) == before
    (line,) = [line for line in store.ledger("play") if (line.job_id, line.round_number) == ("tree-1", 2)]
    assert line.status is ReservationStatus.COMMITTED
    assert line.settled_at == (later if exported_as is ReservationStatus.COMMITTED else NOW)
    engine.dispose()


def test_round_that_was_imported_as_spent_can_still_be_answered_and_costs_once(old):
    store = opened(old)
    engine = open_database(f"sqlite:///{old}/store/party.db", MIGRATIONS)
    before = spent(old)
    CarriedLines(engine).add({"play": store.ledger("play")}, {}, NOW)
    store.accept_query(JobId("tree-1"), 2, b"s" * 32, [PartyId("party-1"), PartyId("party-2")], AskedStep(step=2))
    assert spent(old) == before
    engine.dispose()


def test_jobs_of_two_ledgers_with_one_name_count_both(tmp_path, command, old):
    file, new = tmp_path / "ledger.json", folder(tmp_path / "new")
    command("ledger", "export", file, "--home", old)
    store = opened(new)
    store._recorder.clock.pass_seconds(60)
    propose(store, tree_spec(), Decision.ACCEPTED, job_id=JobId("tree-1"))
    own = spent(new)
    command("ledger", "import", file, "--home", new)
    assert spent(new) == own + spent(old)


def test_secret_that_sets_records_aside_moves_with_the_ledger(tmp_path, command, old):
    salt = opened(old).salt("play", SeededRandom("old"))
    file, new = tmp_path / "ledger.json", folder(tmp_path / "new")
    command("ledger", "export", file, "--home", old)
    command("ledger", "import", file, "--home", new)
    assert opened(new).salt("play", SeededRandom("new")) == salt


@pytest.mark.parametrize(
    "alter",
    [
        lambda content: content["lines"][0].pop("cost"),
        lambda content: content["lines"][0].update(status="free"),
        lambda content: content["lines"][0].update(reserved_at="yesterday"),
        lambda content: content["lines"][0]["cost"].update(squared_distance="-1/1"),
        lambda content: content["lines"][0].update(records="none"),
        lambda content: content.update(salts={"play": "00"}),
        lambda content: content.update(version=2),
    ],
)
def test_file_that_was_altered_is_refused_and_nothing_of_it_is_stored(tmp_path, command, old, alter):
    file, new = tmp_path / "ledger.json", folder(tmp_path / "new")
    command("ledger", "export", file, "--home", old)
    content = json.loads(file.read_text())
    alter(content)
    file.write_text(json.dumps(content))
    with pytest.raises(ConfigurationError, match="no exported ledger, or was altered"):
        LedgerFile.read(file)
    status, _, error = command("ledger", "import", file, "--home", new)
    assert status == 78
    assert "[configuration]" in error
    assert spent(new) == 0


def test_lines_of_a_folder_with_the_same_past_begin_another_generation(tmp_path):
    engine = open_database(f"sqlite:///{tmp_path}/party.db", MIGRATIONS)
    store, carried = PartyStore(engine, FOUNDER, make_recorder(FOUNDER)), CarriedLines(engine)
    propose(store, tree_spec(), Decision.ACCEPTED, job_id=JobId("tree-1"))
    lines = store.ledger("play")
    version = DataVersion(generation="g", length=3, digest=bytes(32))
    for division, is_kept in [("of another folder", True), ("d", False)]:
        with engine.begin() as connection:
            connection.execute(text("UPDATE ledger SET division = 'd', records = 'training'"))
        # What is reserved here was taken along, and may have been asked there.
        carried.add({"play": store.ledger("play")}, {}, NOW)
        store.keep_data_version("play", version)
        # The same again says nothing new.
        assert carried.add({"play": store.ledger("play")}, {}, NOW) == 0
        assert store.data_version("play") == version
        elsewhere = replace(lines[0], job_id=JobId(f"job {division}"), records="training", division=division)
        assert carried.add({"play": [elsewhere]}, {}, NOW) == 1
        assert (store.data_version("play") == version) is is_kept
    engine.dispose()
