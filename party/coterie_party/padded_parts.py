# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The padded parts of this party's replies, as files beside its store: too large for the database and for memory.

Layout: ``FOLDER/JOB/ROUND``. Ids of jobs consist of letters, digits and hyphens, so they are file names.

Invariants:
- A file that was committed is durable; it stays until its job is over, as the reply that names it does.
- The file comes before the record of the reply, and that before anything is sent. A file without a record was never
  sent, so that the next answer may take its place.
- What a computation wrote that was called off never becomes a file, however long its thread goes on.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import BinaryIO

from coterie_common.errors import StorageError
from coterie_common.files import PRIVATE, FileDraft, make_durable_folder, remove_drafts
from coterie_common.identifiers import JobId


class PaddedParts:
    """See the module.

    Args:
        folder: of the padded parts alone; created when it is first needed, its parent must exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, job_id: JobId, number: int) -> FileDraft:
        """Return where the padded part of a reply is written; what a crash left of an earlier one goes.

        The caller commits it before it records the reply, and discards it in any other case. Where a vector is sealed
        directly nothing is written, and committing that leaves no file.

        Raises:
            StorageError: the file system refused.
        """
        path = self._path(job_id, number)
        make_durable_folder(path.parent, self._folder)
        remove_drafts(path)
        return FileDraft(path, mode=PRIVATE)

    def size(self, job_id: JobId, number: int) -> int | None:
        """Return the bytes of a padded part; ``None`` if there is none (any more). Raises ``StorageError``."""
        path = self._path(job_id, number)
        try:
            return path.stat().st_size
        except FileNotFoundError:
            return None
        except OSError as cause:
            raise StorageError(f"cannot read {path}: {cause.strerror}") from cause

    def open(self, job_id: JobId, number: int) -> BinaryIO | None:
        """Open a padded part for reading; ``None`` if there is none (any more). Raises ``StorageError``."""
        path = self._path(job_id, number)
        try:
            return path.open("rb")
        except FileNotFoundError:
            return None
        except OSError as cause:
            raise StorageError(f"cannot read {path}: {cause.strerror}") from cause

    def delete_job(self, job_id: JobId) -> None:
        """Delete the padded parts of a job that is over; a job without any is fine. Raises ``StorageError``."""
        try:
            shutil.rmtree(self._folder / job_id)
        except FileNotFoundError:
            return
        except OSError as cause:
            raise StorageError(f"cannot delete {self._folder / job_id}: {cause.strerror}") from cause

    def _path(self, job_id: JobId, number: int) -> Path:
        return self._folder / job_id / str(number)
