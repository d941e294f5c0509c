# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Databases on which every store must behave alike."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Engine, create_engine, make_url, text

from coterie_common.host.database import Migrations, open_database

SERVER = "COTERIE_TEST_DATABASE"
"""Environment variable: URL of a PostgreSQL database in which schemas may be made; set, the tests run on it too."""

KINDS = ("memory", "file", "server") if SERVER in os.environ else ("memory", "file")


Opened = Callable[[Migrations], Engine]
"""Opens a database with the migrations of a package."""


@contextmanager
def database(kind: str, folder: Path) -> Iterator[Opened]:
    """Yield what opens the same database again and again: a program's restarts. Memory lasts for one opening."""
    opened: list[Engine] = []

    def open_again(migrations: Migrations) -> Engine:
        while opened and kind != "memory":
            opened.pop().dispose()
        if not opened:
            opened.append(open_database(url, migrations))
        return opened[0]

    if kind == "memory":
        url = "sqlite://"
    elif kind == "file":
        url = f"sqlite:///{folder}/store.db"
    else:
        schema = f"test_{secrets.token_hex(8)}"
        server = create_engine(os.environ[SERVER])
        with server.begin() as connection:
            connection.execute(text(f"CREATE SCHEMA {schema}"))
        own = make_url(os.environ[SERVER]).update_query_dict({"options": f"-csearch_path={schema}"})
        url = own.render_as_string(hide_password=False)
    try:
        yield open_again
    finally:
        for engine in opened:
            engine.dispose()
        if kind == "server":
            with server.begin() as connection:
                connection.execute(text(f"DROP SCHEMA {schema} CASCADE"))
            server.dispose()
