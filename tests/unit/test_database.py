# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import gc
import os
import stat
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from types import FrameType

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, insert, inspect, make_url, select, text, update
from sqlalchemy.engine.base import Engine

import coterie_aggregator.store
import coterie_aggregator.store.tables
import coterie_party.store
import coterie_party.store.tables
from coterie_common.errors import ConfigurationError, StateError, StorageError
from coterie_common.host.database import Instant, Migrations, open_database, release_long_values, transaction
from tests.support.databases import KINDS, SERVER, database

AGGREGATOR = coterie_aggregator.store.MIGRATIONS
PARTY = coterie_party.store.MIGRATIONS
STORES = pytest.mark.parametrize(
    ("migrations", "metadata"),
    [
        pytest.param(AGGREGATOR, coterie_aggregator.store.tables.METADATA, id="aggregator"),
        pytest.param(PARTY, coterie_party.store.tables.METADATA, id="party"),
    ],
)
NOTES = Table(
    "a_table_of_the_test",
    MetaData(),
    Column("number", Integer, primary_key=True),
    Column("at", Instant),
    Column("data", LargeBinary),
)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/store.db"


@pytest.fixture
def engine(url: str) -> Iterator[Engine]:
    engine = open_database(url, PARTY)
    with transaction(engine) as connection:
        NOTES.create(connection)
    yield engine
    engine.dispose()


def numbers(engine: Engine) -> list[int]:
    with transaction(engine) as connection:
        return list(connection.execute(select(NOTES.c.number)).scalars())


@STORES
def test_open_database_new_makes_exactly_the_tables_that_the_store_uses(migrations, metadata, url):
    engine = open_database(url, migrations)
    with transaction(engine) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []
        indices = {name: inspect(connection).get_indexes(name) for name in metadata.tables}
    engine.dispose()
    assert {name for name, found in indices.items() if found} == {t.name for t in metadata.tables.values() if t.indexes}


@STORES
def test_open_database_again_keeps_what_is_there(migrations, metadata, url):
    engine = open_database(url, migrations)
    with transaction(engine) as connection:
        NOTES.create(connection)
        connection.execute(insert(NOTES).values(number=7))
    engine.dispose()
    again = open_database(url, migrations)
    assert numbers(again) == [7]
    again.dispose()


def test_open_database_of_newer_schema_raises_and_changes_nothing(url, tmp_path):
    engine = open_database(url, PARTY)
    with transaction(engine) as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'party_9999'"))
    engine.dispose()
    before = (tmp_path / "store.db").read_bytes()
    with pytest.raises(StorageError, match=r"schema party_9999, which this version .* install the version that wrote"):
        open_database(url, PARTY)
    assert (tmp_path / "store.db").read_bytes() == before


def test_open_database_of_the_other_program_raises(url):
    open_database(url, PARTY).dispose()
    with pytest.raises(StorageError, match="schema party_"):
        open_database(url, AGGREGATOR)


def test_open_database_brings_an_older_schema_up_to_date_once(url, tmp_path, monkeypatch):
    package = tmp_path / "packages" / "chain_of_revisions"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(package.parent)
    script = "from alembic import op\nrevision = {!r}\ndown_revision = {!r}\ndef upgrade():\n    op.execute({!r})\n"
    (package / "r1.py").write_text(script.format("1", None, "CREATE TABLE a_table_of_the_test (number INTEGER)"))
    open_database(url, Migrations("chain_of_revisions")).dispose()
    (package / "r2.py").write_text(script.format("2", "1", "INSERT INTO a_table_of_the_test VALUES (2)"))
    (package / "r3.py").write_text(script.format("3", "2", "INSERT INTO a_table_of_the_test VALUES (3)"))
    for _ in range(2):
        engine = open_database(url, Migrations("chain_of_revisions"))
        assert numbers(engine) == [2, 3]
        engine.dispose()


def test_open_database_with_failing_revision_changes_nothing(url, tmp_path, monkeypatch):
    package = tmp_path / "packages" / "failing_revisions"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    monkeypatch.syspath_prepend(package.parent)
    (package / "r1.py").write_text(
        "from alembic import op\nrevision = '1'\ndown_revision = None\n"
        "def upgrade():\n    op.execute('CREATE TABLE a_table_of_the_test (number INTEGER)')\n"
        "    op.execute('no SQL')\n"
    )
    with pytest.raises(StorageError):
        open_database(url, Migrations("failing_revisions"))
    (package / "r1.py").write_text("revision = '1'\ndown_revision = None\ndef upgrade():\n    pass\n")
    engine = open_database(url, Migrations("failing_revisions"))
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()


def test_open_database_files_are_their_owners_alone(url, tmp_path):
    (tmp_path / "store.db").touch(mode=0o666)
    (tmp_path / "store.db").chmod(0o666)
    engine = open_database(url, PARTY)
    with transaction(engine) as connection:
        NOTES.create(connection)
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    engine.dispose()
    assert modes == {"store.db": 0o600, "store.db-wal": 0o600, "store.db-shm": 0o600}


def test_open_database_sqlite_syncs_at_every_commit(engine):
    with transaction(engine) as connection:
        settings = {
            name: connection.exec_driver_sql(f"PRAGMA {name}").scalar_one()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        }
    assert settings == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "busy_timeout": 10_000}


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("no url", "database URL cannot be used"),
        ("nosuch://localhost/store", "database URL cannot be used"),
        ("oracle://user:hunter2@localhost/store", "database URL cannot be used: No module"),
    ],
)
def test_open_database_of_unusable_url_raises_without_quoting_it(address, words):
    with pytest.raises(ConfigurationError, match=words) as raised:
        open_database(address, PARTY)
    assert "hunter2" not in str(raised.value)


def test_open_database_in_missing_folder_raises(tmp_path):
    with pytest.raises(StorageError, match="No such file or directory"):
        open_database(f"sqlite:///{tmp_path}/nowhere/store.db", PARTY)


def test_open_database_of_damaged_file_raises(tmp_path, url):
    (tmp_path / "store.db").write_bytes(b"this was a database once" * 100)
    with pytest.raises(StorageError, match="not a database"):
        open_database(url, PARTY)


@pytest.mark.skipif(SERVER not in os.environ, reason=f"{SERVER} names no server")
def test_open_database_on_a_server_that_does_not_wait_for_its_disk_raises():
    url = make_url(os.environ[SERVER]).update_query_dict({"options": "-csynchronous_commit=off"})
    with pytest.raises(ConfigurationError, match="synchronous_commit = off"):
        open_database(url.render_as_string(hide_password=False), PARTY)


@STORES
def test_open_database_on_a_server_makes_the_same_tables(migrations, metadata, tmp_path):
    if "server" not in KINDS:
        pytest.skip(f"{SERVER} names no server")
    with database("server", tmp_path) as opened, transaction(opened(migrations)) as connection:
        assert compare_metadata(MigrationContext.configure(connection), metadata) == []


def test_transaction_that_raises_writes_nothing(engine):
    def write_and_fail() -> None:
        with transaction(engine) as connection:
            connection.execute(insert(NOTES).values(number=1))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        write_and_fail()
    assert numbers(engine) == []


def test_transaction_with_contradiction_raises_without_values(engine):
    row = {"number": 1, "data": b"a secret value"}
    with transaction(engine) as connection:
        connection.execute(insert(NOTES).values(row))
    with pytest.raises(StateError, match="UNIQUE constraint failed") as raised, transaction(engine) as connection:
        connection.execute(insert(NOTES).values(row))
    assert "secret value" not in f"{raised.value} {raised.value.__cause__}"


def test_transaction_on_full_disk_raises_and_writes_nothing(engine):
    with transaction(engine) as connection:
        connection.exec_driver_sql("PRAGMA max_page_count = 1")

    def write_too_much() -> None:
        with transaction(engine) as connection:
            connection.execute(insert(NOTES).values(number=1))
            connection.execute(insert(NOTES).values(number=2, data=b"a secret value" * 10_000))

    with pytest.raises(StorageError, match=r"sqlite:///.*store.db failed: database or disk is full") as raised:
        write_too_much()
    assert "secret value" not in f"{raised.value} {raised.value.__cause__}"
    assert numbers(engine) == []


def test_instant_comes_back_as_utc(engine):
    at = datetime(2026, 3, 1, 12, 30, 15, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
    with transaction(engine) as connection:
        connection.execute(insert(NOTES).values(number=1, at=at))
        stored = connection.execute(select(NOTES.c.at)).scalar_one()
    assert stored == at
    assert stored.tzinfo is UTC


def test_instant_without_time_zone_raises(engine):
    naive = datetime(2026, 3, 1, tzinfo=UTC).replace(tzinfo=None)
    with pytest.raises(StateError, match="time zone"), transaction(engine) as connection:
        connection.execute(insert(NOTES).values(number=1, at=naive))


def test_release_of_long_values_closes_the_connections_and_loses_nothing(engine):
    with transaction(engine) as connection:
        connection.execute(insert(NOTES).values(number=1, data=bytes(1 << 20)))
        before = connection.connection.dbapi_connection
    release_long_values(engine)
    with transaction(engine) as connection:
        assert connection.execute(select(NOTES.c.data)).scalar_one() == bytes(1 << 20)
        is_in_memory = engine.url.database in (None, "", ":memory:")
        assert (connection.connection.dbapi_connection is before) is (engine.dialect.name == "sqlite" and is_in_memory)


def test_release_of_long_values_keeps_none_of_them(engine):
    data = bytes(1 << 20)
    for number in (1, 2):
        with transaction(engine) as connection:
            connection.execute(insert(NOTES).values(number=number, data=data))
            connection.execute(update(NOTES).where(NOTES.c.number == number).values(data=data))
    release_long_values(engine)
    gc.collect()
    # What is left is this function's own.
    assert [each for each in gc.get_referrers(data) if not isinstance(each, FrameType)] == []
