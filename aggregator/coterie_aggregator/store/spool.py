# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Messages that parties sent in rounds, as files: too large for the database, and useless once the job is over.

Layout: ``FOLDER/JOB/ROUND/contributions/PARTY``, ``…/partials/PARTY`` and, where vectors are padded,
``…/padded/PARTY`` and ``…/sum``. Of a job that is sealed completely also
``FOLDER/JOB/acceptances/PARTY``, ``…/encapsulations/PARTY`` and ``…/lists/DIGEST``. Ids consist of letters, digits and
hyphens, so they are file names.

Invariants:
- A file that ``put_…`` or ``commit_padded`` returned for is durable and never changes until its job is deleted; a
  padded part, until it is in the durable checkpoint of the round's sum.
- The checkpoint of a sum is replaced as a whole.
- A padded part is never in memory as a whole.
- Files hold only data that parties encrypted. Even so, only their owner can read them: anyone who keeps them and later
  obtains enough key shares can open them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from coterie_common.errors import Equivocation, StorageError
from coterie_common.files import (
    PRIVATE,
    FileDraft,
    make_durable_folder,
    read_pieces,
    remove_drafts,
    remove_folder,
    write_atomically,
)
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.padded_part import NOTHING_PADDED, PaddedDigest, PaddedFacts
from coterie_common.wire.strict import Octets

_CONTRIBUTIONS: Final = "contributions"
_PARTIALS: Final = "partials"
_ACCEPTANCES: Final = "acceptances"
_ENCAPSULATIONS: Final = "encapsulations"
_LISTS: Final = "lists"
_PADDED: Final = "padded"
_SUM: Final = "sum"

_DIGEST_PIECE_BYTES: Final = 1 << 20
"""Bytes read at a time when a digest is recomputed."""


class Spool:
    """See the module.

    Args:
        folder: of the spool alone; created when it is first needed, its parent must exist.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._padded: dict[Path, PaddedFacts] = {}

    def put_contribution(self, job_id: JobId, number: int, party_id: PartyId, data: Octets) -> None:
        """Keep the reply of a party to a round; the same again changes nothing.

        Raises:
            Equivocation: it sent another reply before; the party is the culprit.
            StorageError: the file system refused.
        """
        self._put(self._path(job_id, number, _CONTRIBUTIONS, party_id), data, "reply", party_id)

    def contribution(self, job_id: JobId, number: int, party_id: PartyId) -> bytes:
        """Return a reply that was put; raises ``StorageError``."""
        return _read(self._path(job_id, number, _CONTRIBUTIONS, party_id))

    def put_acceptance(self, job_id: JobId, party_id: PartyId, data: Octets) -> None:
        """Keep the acceptance of a party of a job that is sealed completely; as ``put_contribution``."""
        self._put(self._job_path(job_id, _ACCEPTANCES, party_id), data, "acceptance", party_id)

    def acceptance(self, job_id: JobId, party_id: PartyId) -> bytes:
        """Return an acceptance that was put; raises ``StorageError``."""
        return _read(self._job_path(job_id, _ACCEPTANCES, party_id))

    def put_encapsulations(self, job_id: JobId, party_id: PartyId, data: Octets) -> None:
        """Keep the encapsulations of a party; as ``put_contribution``."""
        self._put(self._job_path(job_id, _ENCAPSULATIONS, party_id), data, "encapsulations", party_id)

    def encapsulations(self, job_id: JobId, party_id: PartyId) -> bytes:
        """Return encapsulations that were put; raises ``StorageError``."""
        return _read(self._job_path(job_id, _ENCAPSULATIONS, party_id))

    def put_reply_list(self, job_id: JobId, digest: bytes, data: bytes) -> None:
        """Keep the list of the replies in the sum of a round, under its digest; raises ``StorageError``."""
        path = self._job_path(job_id, _LISTS, digest.hex())
        make_durable_folder(path.parent, self._folder)
        write_atomically(path, data, mode=PRIVATE)

    def reply_list(self, job_id: JobId, digest: bytes) -> bytes:
        """Return a list that was put; raises ``StorageError``."""
        return _read(self._job_path(job_id, _LISTS, digest.hex()))

    def put_partial(self, job_id: JobId, number: int, party_id: PartyId, data: Octets) -> None:
        """Keep the partial decryption of a party; as ``put_contribution``."""
        self._put(self._path(job_id, number, _PARTIALS, party_id), data, "partial decryption", party_id)

    def partial(self, job_id: JobId, number: int, party_id: PartyId) -> bytes:
        """Return a partial decryption that was put; raises ``StorageError``."""
        return _read(self._path(job_id, number, _PARTIALS, party_id))

    def begin_padded(self, job_id: JobId, number: int, party_id: PartyId) -> FileDraft:
        """Return the path for a party's padded part while it arrives; remnants that a crash left there are deleted.

        Raises:
            StorageError: the file system refused.
        """
        path = self._path(job_id, number, _PADDED, party_id)
        make_durable_folder(path.parent, self._folder)
        remove_drafts(path)
        draft = FileDraft(path, mode=PRIVATE)
        # At once: later the folder may have gone with its job, which is no failure of the file system.
        draft.begin()
        return draft

    def commit_padded(self, job_id: JobId, number: int, party_id: PartyId, draft: FileDraft, digest: bytes) -> None:
        """Keep a party's complete padded part.

        Args:
            job_id: of the job.
            number: of the round.
            party_id: its sender.
            draft: from ``begin_padded``.
            digest: of its content, already compared.

        Raises:
            Equivocation: a different one is already stored; the party is the culprit.
            StorageError: the file system refused.
        """
        path = self._path(job_id, number, _PADDED, party_id)
        if path.exists():
            if self.padded_facts(job_id, number, party_id) != PaddedFacts(draft.size, digest):
                raise Equivocation(f"{party_id} sent two different padded parts", culprits=(party_id,))
            draft.discard()
            return
        draft.commit()
        self._padded[path] = PaddedFacts(draft.size, digest)

    def padded_facts(self, job_id: JobId, number: int, party_id: PartyId) -> PaddedFacts:
        """Return size and digest of a party's padded part; those of empty content if there is none.

        They are kept in memory from the part's arrival; after a restart the file is read once to compute them. Raises
        ``StorageError``.
        """
        path = self._path(job_id, number, _PADDED, party_id)
        if path not in self._padded:
            if not path.exists():
                return PaddedFacts(0, NOTHING_PADDED)
            digest = PaddedDigest()
            for piece in read_pieces(path, _DIGEST_PIECE_BYTES):
                digest.update(piece)
            self._padded[path] = digest.facts()
        return self._padded[path]

    def padded_parties(self, job_id: JobId, number: int) -> frozenset[PartyId]:
        """Return the parties whose padded parts were committed and are there; raises ``StorageError``."""
        folder = self._folder / job_id / str(number) / _PADDED
        try:
            # Drafts have names that begin with a dot.
            return frozenset(PartyId(path.name) for path in folder.glob("[!.]*"))
        except OSError as cause:
            raise StorageError(f"cannot read {folder}: {cause.strerror}") from cause

    def padded_pieces(self, job_id: JobId, number: int, party_id: PartyId, bytes_per_piece: int) -> Iterator[bytes]:
        """Yield a padded part that was committed in pieces, all but the last of ``bytes_per_piece``.

        Raises:
            StorageError: there is none, or it cannot be read.
        """
        return read_pieces(self._path(job_id, number, _PADDED, party_id), bytes_per_piece)

    def delete_padded(self, job_id: JobId, number: int, party_ids: Iterable[PartyId]) -> None:
        """Delete padded parts that nobody reads any more; some may be gone already.

        The durable checkpoint of the round's sum contains them, or their replies were rejected.

        Raises:
            StorageError: the file system refused.
        """
        for path in [self._path(job_id, number, _PADDED, party_id) for party_id in party_ids]:
            self._padded.pop(path, None)
            try:
                path.unlink(missing_ok=True)
            except OSError as cause:
                raise StorageError(f"cannot delete {path}: {cause.strerror}") from cause

    def begin_sum(self, job_id: JobId, number: int) -> FileDraft:
        """Return the path for a checkpoint of a round's sum while it is written; as ``begin_padded``."""
        path = self._sum_path(job_id, number)
        make_durable_folder(path.parent, self._folder)
        remove_drafts(path)
        draft = FileDraft(path, mode=PRIVATE)
        draft.begin()
        return draft

    def commit_sum(self, draft: FileDraft) -> None:
        """Let a complete checkpoint take the place of the one before, durably; raises ``StorageError``."""
        draft.commit()

    def sum_pieces(self, job_id: JobId, number: int, bytes_per_piece: int) -> Iterator[bytes] | None:
        """Return the checkpoint of a round's sum in pieces, as ``padded_pieces``; ``None`` if there is none."""
        path = self._sum_path(job_id, number)
        return read_pieces(path, bytes_per_piece) if path.exists() else None

    def delete_job(self, job_id: JobId) -> None:
        """Delete all files of a job that has ended; a job without files is fine."""
        folder = self._folder / job_id
        for path in [path for path in self._padded if path.is_relative_to(folder)]:
            self._padded.pop(path, None)
        remove_folder(folder)

    def delete_rounds_before(self, job_id: JobId, number: int) -> None:
        """Delete all files of a job's earlier rounds: with long vectors, hundreds of rounds fill a disk."""
        for folder in [self._folder / job_id / str(earlier) for earlier in range(number - 1, 0, -1)]:
            if not folder.exists():
                return  # and so none before it
            for path in [path for path in self._padded if path.is_relative_to(folder)]:
                self._padded.pop(path, None)
            remove_folder(folder)

    def _job_path(self, job_id: JobId, kind: str, name: str) -> Path:
        return self._folder / job_id / kind / name

    def _path(self, job_id: JobId, number: int, kind: str, party_id: PartyId) -> Path:
        return self._folder / job_id / str(number) / kind / party_id

    def _sum_path(self, job_id: JobId, number: int) -> Path:
        return self._folder / job_id / str(number) / _SUM

    def _put(self, path: Path, data: Octets, what: str, party_id: PartyId) -> None:
        if path.exists():
            if _read(path) != data:
                raise Equivocation(f"{party_id} sent two different {what} messages", culprits=(party_id,))
            return
        make_durable_folder(path.parent, self._folder)
        write_atomically(path, data, mode=PRIVATE)


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as cause:
        raise StorageError(f"cannot read {path}: {cause.strerror}") from cause
