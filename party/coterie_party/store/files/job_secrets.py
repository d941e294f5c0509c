# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""This party's secrets of jobs that are sealed completely: one file for each job, and nowhere else.

Layout: ``FOLDER/JOB``, a folder for each founder, in the form of ``KeptSecrets``. It belongs in no backup: a
party that lacks the file of a job answers no further round of it, and that is all that is lost.

- First a file holds the seed of this party's ephemeral keys; then also the acceptances that it checked, what it
  encapsulated, and the pair secrets with those of higher ids; at last all pair secrets, and no seed.
- A file is durable before anything that follows from it leaves.
- What is erased is overwritten before it is removed; an erasure that was interrupted is finished by the next read.
- What is replaced is overwritten as soon as what replaces it is durable. A process killed in between leaves the old
  bytes in blocks that are free.
- A file system that writes elsewhere, or a disk that does, may keep the old bytes all the same.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final

from coterie_common import document
from coterie_common.crypto.masks.ephemeral import PUBLIC_BYTES, SEED_BYTES, EphemeralSecret
from coterie_common.crypto.masks.pairwise import SECRET_BYTES, PairSecret
from coterie_common.errors import MalformedMessage, StorageError
from coterie_common.fields import Fields
from coterie_common.files import PRIVATE, make_durable_folder, remove_drafts, sync_folder, write_atomically
from coterie_common.identifiers import JobId, PartyId
from coterie_common.limits import MAX_COMPLETE_COHORT

_MAX_BYTES: Final = 1 << 20
"""Two messages of ``MAX_COMPLETE_COHORT`` parties in hexadecimal take some 400 KiB."""

_WHAT: Final = "the secrets of a job"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptSecrets:
    """The secrets of one job.

    Attributes:
        job_id: the job.
        expires_at: when they are erased, unless the job ends before.
        public: of this party's ephemeral keys.
        secret: the keys themselves; ``None`` once every pair secret is there.
        acceptances: of everybody, in the bytes of their message; empty before they came.
        sent: this party's encapsulations, in the bytes of their message; empty before.
        pairs: the pair secrets so far, by the other's id.
    """

    job_id: JobId
    expires_at: datetime
    public: bytes
    secret: EphemeralSecret | None
    acceptances: bytes = b""
    sent: bytes = b""
    pairs: Mapping[PartyId, PairSecret]

    @property
    def is_agreed(self) -> bool:
        """Whether every pair secret is there."""
        return self.secret is None

    def to_bytes(self) -> bytes:
        """Return the content of the file."""
        return document.encode(
            {
                "job": self.job_id,
                "expires_at": self.expires_at.isoformat(),
                "public": self.public.hex(),
                "seed": "" if self.secret is None else self.secret.seed().hex(),
                "acceptances": self.acceptances.hex(),
                "sent": self.sent.hex(),
                "pairs": [{"party": party, "secret": each.reveal().hex()} for party, each in self.pairs.items()],
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> KeptSecrets:
        """Parse; raises ``MalformedMessage``."""
        names = ("job", "expires_at", "public", "seed", "acceptances", "sent", "pairs")
        fields = Fields(document.decode(data, _WHAT, maximum=_MAX_BYTES), _WHAT, names)
        try:
            expires_at = datetime.fromisoformat(fields.text("expires_at", longest=64))
        except ValueError as cause:
            raise MalformedMessage(f"{_WHAT} have no time") from cause
        seed = fields.octets("seed", minimum=0, maximum=SEED_BYTES)
        return cls(
            job_id=JobId(fields.text("job", longest=64)),
            expires_at=expires_at,
            public=fields.octets("public", minimum=PUBLIC_BYTES, maximum=PUBLIC_BYTES),
            secret=EphemeralSecret(seed) if seed else None,
            acceptances=fields.octets("acceptances", minimum=0, maximum=_MAX_BYTES),
            sent=fields.octets("sent", minimum=0, maximum=_MAX_BYTES),
            pairs=dict(map(_pair, fields.items("pairs", maximum=MAX_COMPLETE_COHORT))),
        )


class JobSecrets:
    """See the module. Called on the writer's thread only.

    Args:
        folder: of the secrets alone; created with its parent when it is first needed.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def keep(self, secrets: KeptSecrets) -> None:
        """Keep the secrets of a job, in place of those that were kept of it; raises ``StorageError``."""
        path = self._folder / secrets.job_id
        make_durable_folder(self._folder, self._folder.parent)
        remove_drafts(path)
        if not path.exists():
            write_atomically(path, secrets.to_bytes(), mode=PRIVATE)
            return
        try:
            with _opened(path) as replaced:
                write_atomically(path, secrets.to_bytes(), mode=PRIVATE)
                _overwrite(replaced)
        except OSError as cause:
            raise StorageError(f"cannot replace {path}: {cause.strerror}") from cause

    def of(self, job_id: JobId, now: datetime) -> KeptSecrets | None:
        """Return the secrets of a job; erase them if their time has come, or if erasing them was interrupted.

        Raises:
            StorageError: the file cannot be read, or is damaged.
        """
        path = self._folder / job_id
        try:
            data = path.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as cause:
            raise StorageError(f"cannot read {path}: {cause.strerror}") from cause
        if data and not any(data):
            # Overwritten, but not removed: nothing is left to damage, and the daemon must not stop at every start.
            self.erase(job_id)
            return None
        try:
            kept = KeptSecrets.from_bytes(data)
        except MalformedMessage as cause:
            raise StorageError(f"{path} is damaged: {cause.message}") from cause
        if kept.expires_at <= now:
            self.erase(job_id)
            return None
        return kept

    def erase(self, job_id: JobId) -> bool:
        """Erase the secrets of a job; returns whether there were any. Raises ``StorageError``."""
        path = self._folder / job_id
        try:
            remove_drafts(path)
            with _opened(path) as erased:
                _overwrite(erased)
            path.unlink()
            sync_folder(self._folder)
        except FileNotFoundError:
            return False
        except OSError as cause:
            raise StorageError(f"cannot erase {path}: {cause.strerror}") from cause
        return True

    def jobs(self) -> tuple[JobId, ...]:
        """Return the jobs of which there are secrets."""
        try:
            return tuple(JobId(path.name) for path in sorted(self._folder.iterdir()) if not path.name.startswith("."))
        except FileNotFoundError:
            return ()
        except OSError as cause:
            raise StorageError(f"cannot read {self._folder}: {cause.strerror}") from cause


def erase_expired(folder: Path, now: datetime) -> tuple[Path, ...]:
    """Erase the secrets whose time has come, under every founder: also of one that this party pins no more.

    Args:
        folder: of all founders' folders; it may be missing.
        now: the time.

    Returns:
        The files that could not be read or erased, which stay.
    """
    left = []
    for path in sorted(folder.glob("*/[!.]*")):
        try:
            JobSecrets(path.parent).of(JobId(path.name), now)
        except StorageError:
            left.append(path)
    return tuple(left)


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """Open a file to overwrite it, also once another one has its name."""
    handle = os.open(path, os.O_RDWR)
    try:
        yield handle
    finally:
        os.close(handle)


def _overwrite(handle: int) -> None:
    size = os.fstat(handle).st_size
    os.pwrite(handle, bytes(size), 0)
    os.fsync(handle)


def _pair(value: Any) -> tuple[PartyId, PairSecret]:
    fields = Fields(value, f"a pair in {_WHAT}", ("party", "secret"))
    secret = fields.octets("secret", minimum=SECRET_BYTES, maximum=SECRET_BYTES)
    return PartyId(fields.text("party", longest=64)), PairSecret(secret)
