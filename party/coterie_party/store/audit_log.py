# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party's audit record as a whole: reading it, comparing it with the permanent records, adding separate entries.

Entries about acts that the store keeps for ever are written by ``PartyStore``, in the same transaction.
"""

from __future__ import annotations

from sqlalchemy import Engine

from coterie_common.audit.chain import Finding
from coterie_common.audit.entry import Details, Entry, Event, Kind
from coterie_common.errors import StateError
from coterie_common.host.database import transaction
from coterie_party.store import audit, promises
from coterie_party.store.audit import Recorder
from coterie_party.store.ledger import carried_record
from coterie_party.store.ledger import record as ledger_record


class AuditLog:
    """See the module.

    Args:
        engine: as of ``PartyStore``.
        founder: fingerprint of the founder's key.
        recorder: appends; without it the record can only be read.
    """

    def __init__(self, engine: Engine, founder: str, recorder: Recorder | None = None) -> None:
        self._engine = engine
        self._founder = founder
        self._recorder = recorder

    def record_start(self, details: Details) -> None:
        """Record that the daemon starts, and the lines of the ledger that are not in the record yet."""
        with transaction(self._engine) as connection:
            self._writing().append(connection, Event(kind=Kind.STARTED, details=details))
            ledger_record.append_older(connection, self._writing())
            carried_record.append_new(connection, self._writing())

    def record_model(self, job_id: str, told: Details) -> None:
        """Record that a model was received and written to disk; once per job, however often it comes.

        Args:
            job_id: the job.
            told: the aggregator's message, as details; with the model's digest and size.
        """
        event = Event(kind=Kind.MODEL, job_id=job_id, details=told)
        with transaction(self._engine) as connection:
            if not audit.has(connection, self._founder, Kind.MODEL, job_id):
                self._writing().append(connection, event)

    def record_refusal(self, job_id: str, number: int, details: Details) -> None:
        """Record a refusal before it is sent; in a flood of refusals most are only counted."""
        with transaction(self._engine) as connection:
            self._writing().refusal(connection, job_id, number, details)

    def entries(self) -> tuple[Entry, ...]:
        """Return the whole record, unverified; raises ``StorageError`` for an entry that cannot be read."""
        with transaction(self._engine) as connection:
            return tuple(audit.entries(connection, self._founder))

    def gaps(self) -> tuple[Finding, ...]:
        """Return the disagreements between the record and the party's permanent records.

        The ledger of a data set spans federations: the lines of another founder are compared with that founder's
        record, which only a bundle of that founder can verify.
        """
        with transaction(self._engine) as connection:
            entries = tuple(audit.entries(connection, self._founder))
            kept = tuple(promises.kept(connection, self._founder))
            lines = ledger_record.kept(connection, self._founder)
            carried = carried_record.kept(connection)
            others = {
                founder: (tuple(audit.entries(connection, founder)), ledger_record.kept(connection, founder))
                for founder in ledger_record.founders(connection)
                if founder != self._founder
            }
        # Outside the transaction: it takes a while, and the daemon may have to write meanwhile.
        return (
            *promises.gaps(entries, kept),
            *ledger_record.gaps(entries, lines),
            *carried_record.gaps(entries, carried),
            *(
                Finding(0, f"in the federation of founder {founder}: {finding}")
                for founder, (recorded, charged) in others.items()
                for finding in ledger_record.gaps(recorded, charged)
            ),
        )

    def _writing(self) -> Recorder:
        if self._recorder is None:
            raise StateError("this audit record was opened for reading")
        return self._recorder
