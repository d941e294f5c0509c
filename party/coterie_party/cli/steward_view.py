# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The steward's commands' view of a party, also while the daemon runs: its store and the current policy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from coterie_common.host.console import say

if TYPE_CHECKING:
    from coterie_party.policy.policy import Policy
    from coterie_party.store import PartyStore, StewardNotes
    from coterie_party.store.ledger.carried import CarriedLines


@dataclass(frozen=True, slots=True, kw_only=True)
class StewardView:
    """A steward's view of a party.

    Attributes:
        store: the party's decisions and spending.
        notes: why jobs failed on the party's own data, and whether the data fit.
        policy: that of the file; ``None`` if it cannot be used, which has then been reported.
        now: the time of the command.
    """

    store: PartyStore
    notes: StewardNotes
    policy: Policy | None
    now: datetime


@contextmanager
def open_steward_view(home: Path) -> Iterator[StewardView]:
    """Open a party's folder for a command.

    Raises:
        WrongOrderError: the folder was not made, or no daemon ever ran on it.
        StorageError: the store cannot be read.
    """
    from coterie_common.clock import SystemClock
    from coterie_common.errors import WrongOrderError
    from coterie_common.host.database import open_database
    from coterie_party.home.home import PartyHome
    from coterie_party.store import MIGRATIONS, PartyStore, StewardNotes

    config, path = PartyHome(home).config(), home / "store" / "party.db"
    if not path.is_file():
        raise WrongOrderError(f"no daemon ran on {home} yet: nothing was asked, and nothing spent")
    policy = read_policy(home)
    engine = open_database(f"sqlite:///{path}", MIGRATIONS)
    try:
        yield StewardView(
            store=PartyStore(engine, config.founder),
            notes=StewardNotes(engine, config.founder),
            policy=policy,
            now=SystemClock().now(),
        )
    finally:
        engine.dispose()


@contextmanager
def open_lines(home: Path) -> Iterator[CarriedLines]:
    """Open the ledger of a party's folder to take it elsewhere, or to add to it; no daemon need have run there.

    Raises:
        WrongOrderError: the folder was not made.
        StorageError: the store cannot be read.
    """
    from coterie_common.files import make_private_folder
    from coterie_common.host.database import open_database
    from coterie_party.home.home import PartyHome
    from coterie_party.store import MIGRATIONS
    from coterie_party.store.ledger.carried import CarriedLines

    PartyHome(home).config()
    make_private_folder(home / "store")
    engine = open_database(f"sqlite:///{home}/store/party.db", MIGRATIONS)
    try:
        yield CarriedLines(engine)
    finally:
        engine.dispose()


def read_policy(home: Path) -> Policy | None:
    """Read the policy; if it cannot be used, report that on standard error and return ``None``."""
    from coterie_common.errors import ConfigurationError
    from coterie_party.policy.policy import POLICY_FILE_NAME, load_policy

    try:
        return load_policy(home / POLICY_FILE_NAME)
    except ConfigurationError as error:
        say(f"warning: {error}; a daemon that runs goes on with the policy before", err=True)
        return None
