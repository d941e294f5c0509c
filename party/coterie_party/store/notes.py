# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Notes that only the steward may read: why the party's own data or configuration stopped a job.

They quote cells. They are in no message and in no audit record, because others read both.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import Engine, delete, insert, select

from coterie_common.clock import Clock
from coterie_common.errors import CoterieError
from coterie_common.host.database import transaction
from coterie_common.identifiers import JobId
from coterie_party.store.tables import NOTES

_MAX_NOTES: Final = 1000
_CHARACTERS: Final = 2000


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """The reason for which a job, or one of its rounds, failed at this party.

    Attributes:
        round_number: 0 for the decision on the job.
        code: of the error; it left the party.
        detail: the words of the error; they did not.
        noted_at: when it last happened.
    """

    round_number: int
    code: str
    detail: str
    noted_at: datetime


class StewardNotes:
    """Notes in the party's database.

    Args:
        engine: of the party's store.
        founder: fingerprint of the founder's key; separates federations.
        clock: for the time of a note; without it nothing can be written.
    """

    def __init__(self, engine: Engine, founder: str, clock: Clock | None = None) -> None:
        self._engine = engine
        self._founder = founder
        self._clock = clock

    def add(self, job_id: JobId, round_number: int, error: CoterieError) -> None:
        """Note why a job or a round failed; the last reason of each stays, and the newest thousand of all."""
        mine = (NOTES.c.founder == self._founder) & (NOTES.c.job_id == job_id) & (NOTES.c.number == round_number)
        values = {"founder": self._founder, "job_id": job_id, "number": round_number}
        values |= {"code": error.code, "detail": _printable(error.message), "noted_at": self._now()}
        with transaction(self._engine) as connection:
            connection.execute(delete(NOTES).where(mine))
            connection.execute(insert(NOTES).values(values))
            newest = select(NOTES.c.sequence).order_by(NOTES.c.sequence.desc()).limit(_MAX_NOTES)
            connection.execute(delete(NOTES).where(NOTES.c.sequence.not_in(newest)))

    def of_job(self, job_id: str) -> tuple[Note, ...]:
        """Return the notes on a job, in the order of its rounds."""
        mine = (NOTES.c.founder == self._founder) & (NOTES.c.job_id == job_id)
        with transaction(self._engine) as connection:
            rows = connection.execute(select(NOTES).where(mine).order_by(NOTES.c.number)).all()
        return tuple(
            Note(round_number=row.number, code=row.code, detail=row.detail, noted_at=row.noted_at) for row in rows
        )

    def _now(self) -> datetime:
        if self._clock is None:
            raise TypeError("these notes were opened for reading")
        return self._clock.now()


def _printable(text: str) -> str:
    line = "".join(letter if letter.isprintable() else " " for letter in text[: _CHARACTERS + 1])
    return line if len(line) <= _CHARACTERS else line[: _CHARACTERS - 1] + "…"
