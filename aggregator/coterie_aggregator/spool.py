# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What parties sent in rounds, as files: too large for the database, and of no use once the job is over.

Layout: ``FOLDER/JOB/ROUND/contributions/PARTY`` and ``FOLDER/JOB/ROUND/partials/PARTY``. Ids consist of letters,
digits and hyphens, so they are file names.

Invariants:
- A file that ``put_…`` returned for is durable and never changes until its job is deleted.
- Files hold only what parties encrypted; still they are their owner's alone: who keeps them and later gets hold of
  enough key shares can open them.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from coterie_common.errors import Equivocation, StorageError
from coterie_common.files import PRIVATE, sync_folder, write_atomically
from coterie_common.identifiers import JobId, PartyId

_CONTRIBUTIONS: Final = "contributions"
_PARTIALS: Final = "partials"


class Spool:
    """See the module.

    Args:
        folder: of the spool alone; created when it is first needed, its parent must exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def put_contribution(self, job_id: JobId, number: int, party_id: PartyId, data: bytes) -> None:
        """Keep the reply of a party to a round; the same again changes nothing.

        Raises:
            Equivocation: it sent another reply before; the party is the culprit.
            StorageError: the file system refused.
        """
        self._put(self._path(job_id, number, _CONTRIBUTIONS, party_id), data, "reply", party_id)

    def contribution(self, job_id: JobId, number: int, party_id: PartyId) -> bytes:
        """Return a reply that was put; raises ``StorageError``."""
        return _read(self._path(job_id, number, _CONTRIBUTIONS, party_id))

    def put_partial(self, job_id: JobId, number: int, party_id: PartyId, data: bytes) -> None:
        """Keep the partial decryption of a party; as ``put_contribution``."""
        self._put(self._path(job_id, number, _PARTIALS, party_id), data, "partial decryption", party_id)

    def partial(self, job_id: JobId, number: int, party_id: PartyId) -> bytes:
        """Return a partial decryption that was put; raises ``StorageError``."""
        return _read(self._path(job_id, number, _PARTIALS, party_id))

    def delete_job(self, job_id: JobId) -> None:
        """Delete all that was put for a job that has ended; a job without files is fine."""
        try:
            shutil.rmtree(self._folder / job_id)
        except FileNotFoundError:
            return
        except OSError as cause:
            raise StorageError(f"cannot delete {self._folder / job_id}: {cause.strerror}") from cause

    def _path(self, job_id: JobId, number: int, kind: str, party_id: PartyId) -> Path:
        return self._folder / job_id / str(number) / kind / party_id

    def _put(self, path: Path, data: bytes, what: str, party_id: PartyId) -> None:
        if path.exists():
            if _read(path) != data:
                raise Equivocation(f"{party_id} sent two different {what} messages", culprits=(party_id,))
            return
        self._make_folders(path.parent)
        write_atomically(path, data, mode=PRIVATE)

    def _make_folders(self, folder: Path) -> None:
        """Create ``folder`` and what is missing above it, up to the spool, so that all of it survives a crash."""
        if folder.is_dir():
            return
        if folder != self._folder:
            self._make_folders(folder.parent)
        try:
            folder.mkdir(mode=0o700, exist_ok=True)
            sync_folder(folder.parent)
        except OSError as cause:
            raise StorageError(f"cannot create the folder {folder}: {cause.strerror}") from cause


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as cause:
        raise StorageError(f"cannot read {path}: {cause.strerror}") from cause
