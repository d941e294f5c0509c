# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Reading the audit record from a party's folder, also while the daemon runs on it. No password is needed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from coterie_common.audit.chain import Finding
from coterie_common.audit.export import Export
from coterie_common.errors import WrongOrderError
from coterie_common.host.database import open_database
from coterie_party.home.home import PartyHome
from coterie_party.store import MIGRATIONS, AuditLog


@dataclass(frozen=True, slots=True)
class FolderRecord:
    """A party's record.

    Attributes:
        export: the record, with the roster in force.
        gaps: disagreements with the party's permanent records; these can be found only in the party's folder.
    """

    export: Export
    gaps: tuple[Finding, ...] = ()


def read_folder(root: Path) -> FolderRecord:
    """Read the record of a party, unverified.

    Args:
        root: the party's folder.

    Raises:
        WrongOrderError: the folder was not made, no bundle was imported, or the daemon never ran.
        StorageError: the database cannot be read.
    """
    home = PartyHome(root)
    config, membership = home.config(), home.federation().require_membership()
    database = root / "store" / "party.db"
    if not database.is_file():
        raise WrongOrderError(f"{root} holds no record yet; it begins when 'coterie-party run' is started")
    engine = open_database(f"sqlite:///{database}", MIGRATIONS)
    try:
        log = AuditLog(engine, config.founder)
        # Gaps first: anything written in between is then at least in the record.
        gaps = log.gaps()
        entries = log.entries()
    finally:
        engine.dispose()
    return FolderRecord(Export(party_id=config.id, signed_roster=membership.signed_roster, entries=entries), gaps)
