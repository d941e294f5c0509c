# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Opening a database and writing to it: the schema is brought up to date; a write that has returned is durable.

SQLite files are private to their owner and use a write-ahead log that is synced at every commit; any other database
that SQLAlchemy knows is accepted by URL. The schema is a chain of Alembic revisions inside the program's package.

Not here: the tables, and keeping two processes apart (``folder_lock``).

Invariants:
- Inside ``transaction`` everything is written, or nothing.
- No exception of the database library escapes, and no error carries values of a statement.
- A schema that this version does not know is never touched.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, DateTime, Dialect, Engine, TypeDecorator, create_engine, event, make_url, text
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    IntegrityError,
    NoSuchModuleError,
    SQLAlchemyError,
    StatementError,
)
from sqlalchemy.pool import StaticPool

from coterie_common.errors import ConfigurationError, CoterieError, StateError, StorageError
from coterie_common.files import PRIVATE, sync_folder

_BUSY_MILLISECONDS: Final = 10_000
"""Time for which a write waits for another process, such as a person's listing command, to release an SQLite file."""

_SQLITE_PRAGMAS: Final = (
    f"busy_timeout = {_BUSY_MILLISECONDS}",
    "journal_mode = WAL",
    "synchronous = FULL",
    # Without it macOS only hands the data to the drive.
    "fullfsync = ON",
    "foreign_keys = ON",
)


class Instant(TypeDecorator[datetime]):
    """A point in time; stored with any time zone, returned as UTC."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """See SQLAlchemy."""
        if value is not None and value.tzinfo is None:
            raise StateError("a time without time zone cannot be stored")
        return None if value is None else value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """See SQLAlchemy."""
        if value is None:
            return None
        # SQLite keeps no time zone; stored times are UTC.
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Migrations:
    """The Alembic revisions in a package, read once, when a database is first opened.

    Args:
        package: its name.
    """

    def __init__(self, package: str) -> None:
        self._package = package

    @cached_property
    def scripts(self) -> Any:
        """Alembic's view of them."""
        # Imported here: it takes a third of a command's time to start, and only daemons open databases.
        from alembic.script import ScriptDirectory

        folder = str(files(self._package))
        return ScriptDirectory(folder, version_locations=[folder])

    @cached_property
    def revisions(self) -> tuple[str, ...]:
        """Their names, the newest first."""
        return tuple(script.revision for script in self.scripts.walk_revisions())


def open_database(url: str, migrations: Migrations) -> Engine:
    """Open a database, create it if need be, and bring its schema up to date.

    Args:
        url: in SQLAlchemy's form, such as ``sqlite:////var/lib/coterie/aggregator.db``, ``sqlite://`` (in memory)
            or ``postgresql+psycopg://…``.
        migrations: the chain of revisions that leads to the schema.

    Raises:
        ConfigurationError: the URL cannot be used, or the server does not promise durable writes.
        StorageError: the database cannot be opened, is damaged, or was written by a newer version.
    """
    engine = _make_engine(url)
    try:
        with transaction(engine) as connection:
            _check_durability(connection)
            _migrate(connection, migrations)
    except BaseException:
        engine.dispose()
        raise
    return engine


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Run a transaction: everything inside is written durably, or nothing is.

    Raises:
        StateError: the record contradicts a stored one, which no correct caller causes.
        StorageError: the database failed.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except IntegrityError as cause:
        raise StateError(f"the database refused a contradicting record: {_reason(cause)}") from cause
    except StatementError as cause:
        # Converting a value for the statement raised one of our own errors.
        if isinstance(cause.orig, CoterieError):
            raise cause.orig from cause
        raise StorageError(f"the database {_name(engine)} failed: {_reason(cause)}") from cause
    except SQLAlchemyError as cause:
        raise StorageError(f"the database {_name(engine)} failed: {_reason(cause)}") from cause


def release_long_values(engine: Engine) -> None:
    """Let go of long values that were just written.

    SQLAlchemy keeps those of the first statement of each kind, with its compiled form; the driver keeps those of the
    last one that it holds ready. So the forms are dropped, and the connections closed; both are made again when they
    are needed.
    """
    engine.clear_compiled_cache()
    if not isinstance(engine.pool, StaticPool):  # a database in memory, which ends with its connection
        engine.dispose()


def _make_engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() != "sqlite":
            return create_engine(parsed, hide_parameters=True, pool_pre_ping=True)
    except (ArgumentError, NoSuchModuleError, ImportError) as cause:
        # Not the URL itself: it may hold a password.
        raise ConfigurationError(f"the database URL cannot be used: {cause}") from cause
    if parsed.database in (None, "", ":memory:"):
        # One connection for all threads: any other would see its own empty database.
        options: dict[str, Any] = {"poolclass": StaticPool, "connect_args": {"check_same_thread": False}}
    else:
        _create_private_file(Path(parsed.database or ""))
        options = {}
    engine = create_engine(parsed, hide_parameters=True, **options)
    event.listen(engine, "connect", _prepare_sqlite)
    event.listen(engine, "begin", _begin_sqlite)
    return engine


def _create_private_file(path: Path) -> None:
    """Make the file before SQLite does: the log beside it inherits its permissions."""
    try:
        try:
            os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE))
            sync_folder(path.parent)
        except FileExistsError:
            # Never opened here: closing any handle of a file drops all locks that this process has on it.
            path.chmod(PRIVATE)
    except OSError as cause:
        raise StorageError(f"cannot open the database {path}: {cause.strerror}") from cause


def _prepare_sqlite(connection: Any, record: object) -> None:
    # Python's module would begin transactions by its own rules; ``_begin_sqlite`` does it instead.
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _SQLITE_PRAGMAS:
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    # IMMEDIATE: nobody may write between the reads and the writes of a transaction.
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def _check_durability(connection: Connection) -> None:
    if connection.dialect.name != "postgresql":
        return
    for setting in ("synchronous_commit", "fsync"):
        if connection.execute(text(f"SHOW {setting}")).scalar_one() == "off":
            raise ConfigurationError(
                f"the database server has {setting} = off: it confirms writes that a crash can undo; turn it on"
            )


def _migrate(connection: Connection, migrations: Migrations) -> None:
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext

    known = migrations.revisions
    context = MigrationContext.configure(connection)
    current = context.get_current_revision()
    if current is not None and current not in known:
        raise StorageError(
            f"the database {_name(connection.engine)} has schema {current}, which this version of Coterie does not "
            f"know (its own is {known[0]}): install the version that wrote it"
        )
    pending = known if current is None else known[: known.index(current)]
    if not pending:
        return
    with Operations.context(context):
        for revision in reversed(pending):
            script = migrations.scripts.get_revision(revision)
            script.module.upgrade()
    context.stamp(migrations.scripts, pending[0])


def _reason(error: SQLAlchemyError) -> str:
    """Return the driver's own first line; the lines after it may quote values."""
    lines = str(error.orig).splitlines() if isinstance(error, DBAPIError) else []
    return lines[0] if lines else type(error).__name__


def _name(engine: Engine) -> str:
    return engine.url.render_as_string(hide_password=True)
