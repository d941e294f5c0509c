# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The padded parts of this party's replies, as files beside its store: too large for the database and for memory.

Layout: ``FOLDER/JOB/ROUND``. Ids of jobs consist of letters, digits and hyphens, so they are file names.

Invariants:
- A file that was committed is durable; it stays until its job is over, as the reply that names it does.
- The file comes before the record of the reply, and that before anything is sent. A file without a record was never
  sent, so that the next answer may take its place.
- The output of a cancelled computation never becomes a file, however long its thread continues.
"""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO, TypeAlias

from coterie_common.errors import AlreadyAnswered, StorageError
from coterie_common.files import PRIVATE, FileDraft, make_durable_folder, remove_drafts, remove_folder
from coterie_common.identifiers import JobId
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.masked_reply import MaskedReply
from coterie_common.protocol.messages import PaddedPart, PartyMessage, Reply
from coterie_common.protocol.padded_part import NOTHING_PADDED
from coterie_common.rpc.content import Ready, WithContent
from coterie_common.wire.federation import party_message_from_wire

Outgoing: TypeAlias = PartyMessage | WithContent[PartyMessage] | Ready


class PaddedParts:
    """See the module.

    Args:
        folder: of the padded parts alone; created when it is first needed, its parent must exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def begin(self, job_id: JobId, number: int) -> FileDraft:
        """Return the path for the padded part of a reply; remnants that a crash left there are deleted.

        The caller commits it before it records the reply, and discards it in any other case. Where a vector is sealed
        directly nothing is written, and committing that leaves no file.

        Raises:
            StorageError: the file system refused.
        """
        path = self._path(job_id, number)
        make_durable_folder(path.parent, self._folder)
        remove_drafts(path)
        return FileDraft(path, mode=PRIVATE)

    def outgoing(self, stored: bytes | None, known: Reply | None = None) -> tuple[Outgoing, ...]:
        """Return everything to be sent for a stored message: for a reply with a padded part, that part first.

        Args:
            stored: the bytes of a reply or partial decryption, sent as they are; ``None`` if they were deleted.
            known: the same reply, where it need not be parsed to see what it names.

        Raises:
            AlreadyAnswered: the message or its padded part was deleted; it is never computed again.
            StorageError: the file system refused.
        """
        if stored is None:
            raise AlreadyAnswered("this round's reply was sent and deleted; it is never made again")
        reply = known or party_message_from_wire(stored)
        if not isinstance(reply, EncryptedReply | MaskedReply) or reply.padded_digest == NOTHING_PADDED:
            return (Ready(stored),)
        job_id, number = reply.job_id, reply.round_number
        size = self.size(job_id, number)
        if size is None:
            raise AlreadyAnswered("the padded part of this round's reply is gone; it is never made again")
        part = PaddedPart(
            job_id=job_id,
            round_number=number,
            session_id=reply.session_id,
            party_id=reply.party_id,
            size=size,
        )
        return (
            WithContent(
                message=part,
                length=size,
                digest=reply.padded_digest,
                open=lambda: self.open(job_id, number),
            ),
            Ready(stored),
        )

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
        remove_folder(self._folder / job_id)

    def delete_before(self, job_id: JobId, number: int) -> None:
        """Delete the padded parts of earlier rounds of a job, which nobody needs once a later one is answered.

        A later request for one is refused: a deleted part is never computed again. Raises ``StorageError``.
        """
        for path in [self._path(job_id, earlier) for earlier in range(number - 1, 0, -1)]:
            try:
                path.unlink()
            except FileNotFoundError:
                return  # and so none before it, or this party was away for a round: the end of the job deletes them
            except OSError as cause:
                raise StorageError(f"cannot delete {path}: {cause.strerror}") from cause

    def _path(self, job_id: JobId, number: int) -> Path:
        return self._folder / job_id / str(number)
