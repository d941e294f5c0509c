# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A ledger as a file, for moving it to another machine or to the folder of another federation.

It contains the secret that decides which records are set aside, so that these stay the same: keep it as private as the
party's folder.

Invariant: the whole file is checked before anything in it is stored.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from coterie_common import document
from coterie_common.errors import ConfigurationError, CoterieError, MalformedMessage
from coterie_common.fields import Fields
from coterie_common.files import PRIVATE, read_bytes, write_atomically
from coterie_common.identifiers import JobId
from coterie_common.learning.plan import Records
from coterie_common.privacy.accounting.cost import Cost
from coterie_common.privacy.event import event_from_document
from coterie_party.store.records import LedgerEntry, ReservationStatus

_FORMAT: Final = "coterie-ledger"
_VERSION: Final = 1
_MAX_BYTES: Final = 1 << 28
_MAX_LINES: Final = 1 << 20
_SALT_BYTES: Final = 32
_LINE: Final = (
    "dataset",
    "founder",
    "job_id",
    "round",
    "status",
    "reserved_at",
    "settled_at",
    "records",
    "division",
    "event",
    "cost",
)


@dataclass(frozen=True, slots=True)
class LedgerFile:
    """The contents of a file.

    Attributes:
        entries: lines by data set.
        salts: secrets that decide which records are set aside, by data set.
    """

    entries: Mapping[str, tuple[LedgerEntry, ...]]
    salts: Mapping[str, bytes]

    def write(self, path: Path) -> None:
        """Write it, readable by its owner only."""
        lines = [_line(name, entry) for name, entries in self.entries.items() for entry in entries]
        content: document.Document = {
            "format": _FORMAT,
            "version": _VERSION,
            "salts": {name: salt.hex() for name, salt in self.salts.items()},
            "lines": lines,
        }
        write_atomically(path, document.encode(content), mode=PRIVATE)

    @classmethod
    def read(cls, path: Path) -> LedgerFile:
        """Read and check a whole file; raises ``ConfigurationError``."""
        content = read_bytes(path, "the ledger", maximum=_MAX_BYTES)
        try:
            value = document.decode(content, "the ledger", maximum=_MAX_BYTES)
            fields = Fields.of_file(value, "the ledger", _FORMAT, _VERSION, ("salts", "lines"))
            salts = fields.value("salts")
            if not isinstance(salts, dict):
                raise MalformedMessage("salts of the ledger must be an object")
            names = Fields(salts, "the ledger's salts", salts)
            entries: dict[str, list[LedgerEntry]] = {}
            for line in fields.items("lines", maximum=_MAX_LINES):
                name, entry = _entry(line)
                entries.setdefault(name, []).append(entry)
            return cls(
                {name: tuple(each) for name, each in entries.items()},
                {name: names.octets(name, minimum=_SALT_BYTES, maximum=_SALT_BYTES) for name in salts},
            )
        except (CoterieError, ValueError) as cause:
            raise ConfigurationError(
                f"{path} is no exported ledger, or was altered: {cause}; export it again with 'coterie-party ledger "
                "export FILE'"
            ) from cause


def _line(dataset: str, entry: LedgerEntry) -> dict[str, Any]:
    return {
        "dataset": dataset,
        "founder": entry.founder,
        "job_id": entry.job_id,
        "round": entry.round_number,
        "status": entry.status.value,
        "reserved_at": None if entry.reserved_at is None else entry.reserved_at.isoformat(),
        "settled_at": None if entry.settled_at is None else entry.settled_at.isoformat(),
        "records": entry.records,
        "division": entry.division,
        "event": entry.event,
        "cost": entry.cost,
    }


def _entry(value: Any) -> tuple[str, LedgerEntry]:
    fields = Fields(value, "a line of the ledger", _LINE)
    cost, event = fields.value("cost"), fields.value("event")
    Cost.from_document(cost)
    if event is not None:
        event_from_document(event)
    return fields.text("dataset", longest=64), LedgerEntry(
        founder=fields.text("founder", longest=128),
        job_id=JobId(fields.text("job_id", longest=64)),
        round_number=fields.integer("round", minimum=1, maximum=1 << 31),
        cost=cost,
        status=ReservationStatus(fields.text("status", longest=16)),
        event=event,
        records=Records(fields.text("records", longest=16)).value,
        division=fields.text("division", longest=64),
        reserved_at=_time(fields.value("reserved_at")),
        settled_at=_time(fields.value("settled_at")),
    )


def _time(value: Any) -> datetime | None:
    if value is None:
        return None
    moment = datetime.fromisoformat(value) if isinstance(value, str) and len(value) <= 40 else None
    if moment is None or moment.tzinfo is None:
        raise MalformedMessage("a time in the ledger must be an ISO 8601 date with a time zone")
    return moment
