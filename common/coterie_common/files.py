# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Writing files so that a crash leaves either the old or the new content, never half of it."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from coterie_common.errors import ConfigurationError, StateError, StorageError
from coterie_common.long_bytes import Octets

PRIVATE = 0o600
PUBLIC = 0o644
OTHERS = 0o077
"""Permission bits that a secret file must not have."""

_ATTEMPTS = 10
"""Attempts to remove a folder: a writer that is still active when its job is over ends within one piece."""


class FileDraft:
    """A file that is written piece by piece, and appears under its name as a whole or not at all.

    ``discard`` may be called while ``write`` or ``sync`` runs on another thread; nothing else may run at the same time.

    Args:
        path: the target. Its folder must exist when the first piece comes.
        mode: permission bits of the file, set before any byte is written.
    """

    def __init__(self, path: Path, *, mode: int = PUBLIC) -> None:
        self._path = path
        self._mode = mode
        self._stream: BinaryIO | None = None
        self._temporary: Path | None = None
        self._discarded = False
        self._size = 0

    @property
    def size(self) -> int:
        """Bytes that were written."""
        return self._size

    def begin(self) -> None:
        """Create the file now rather than with the first piece; raises ``StorageError``."""
        self.write(b"")

    def write(self, piece: Octets) -> None:
        """Add the next piece.

        Raises:
            StorageError: the file system refused.
            StateError: the draft was discarded.
        """
        if self._discarded:
            raise self._called_off()
        try:
            stream = self._stream if self._stream is not None else self._create()
            stream.write(piece)
        except OSError as cause:
            raise self._refused(cause) from cause
        except ValueError as cause:  # closed at this very moment
            raise self._called_off() from cause
        self._size += len(piece)

    def sync(self) -> None:
        """Make the written bytes durable, so that ``commit`` has little left to do; raises ``StorageError``."""
        if self._stream is None:
            return
        try:
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as cause:
            raise self._refused(cause) from cause

    def commit(self) -> None:
        """Give the file its name, durably, replacing any existing file; without any piece, do nothing.

        Raises:
            StorageError: the file system refused; the old content is untouched.
            StateError: the draft was discarded.
        """
        if self._discarded:
            raise self._called_off()
        if self._stream is None or self._temporary is None:
            return
        self.sync()
        try:
            self._stream.close()
            os.replace(self._temporary, self._path)
            self._stream = self._temporary = None
            sync_folder(self._path.parent)
        except OSError as cause:
            raise self._refused(cause) from cause

    def discard(self) -> None:
        """Remove a draft that was not committed; after ``commit``, do nothing."""
        self._discarded = True
        self._remove()

    def _create(self) -> BinaryIO:
        handle, temporary = tempfile.mkstemp(dir=self._path.parent, prefix=f".{self._path.name}.")
        self._temporary = Path(temporary)
        self._stream = stream = os.fdopen(handle, "wb")
        os.fchmod(handle, self._mode)
        if self._discarded:  # meanwhile, by another thread, which may not have seen the file
            self._remove()
        return stream

    def _remove(self) -> None:
        # Unflushed content is not wanted; the file goes first, so that nobody finds it even if the next step fails.
        with suppress(OSError):
            if self._temporary is not None:
                self._temporary.unlink(missing_ok=True)
            if self._stream is not None:
                self._stream.close()

    def _called_off(self) -> StateError:
        return StateError(f"the draft of {self._path} was discarded")

    def _refused(self, cause: OSError) -> StorageError:
        return StorageError(f"cannot write {self._path}: {cause.strerror}")


def write_atomically(path: Path, content: Octets, *, mode: int = PUBLIC) -> None:
    """Write ``content`` to ``path``: temporary file in the same folder, fsync, rename, fsync of the folder.

    Args:
        path: the target; its folder must exist.
        content: the whole new content; may be empty.
        mode: permission bits of the file, set before any byte is written.

    Raises:
        StorageError: the file system refused; the old content is untouched.
    """
    draft = FileDraft(path, mode=mode)
    try:
        draft.write(content)
        draft.commit()
    finally:
        draft.discard()


def remove_drafts(path: Path) -> None:
    """Remove drafts of ``path`` left by a crash; none may be in progress. Raises ``StorageError``."""
    try:
        for left in path.parent.glob(f".{path.name}.*"):
            left.unlink(missing_ok=True)
    except OSError as cause:
        raise StorageError(f"cannot clean {path.parent}: {cause.strerror}") from cause


def remove_folder(path: Path) -> None:
    """Remove a folder and its content, even if another thread removes or adds files meanwhile; it may be missing.

    Raises:
        StorageError: the file system refused.
    """
    for _ in range(_ATTEMPTS):
        try:
            shutil.rmtree(path)
        except FileNotFoundError:
            if not path.exists():
                return
        except OSError as cause:
            if cause.errno != errno.ENOTEMPTY:
                raise StorageError(f"cannot delete {path}: {cause.strerror}") from cause
        else:
            return
    raise StorageError(f"cannot delete {path}: it does not stay empty")


def read_pieces(path: Path, bytes_per_piece: int) -> Iterator[bytes]:
    """Yield the content of a file of our own in pieces, all but the last of ``bytes_per_piece``.

    Raises:
        StorageError: missing or unreadable.
    """
    try:
        with path.open("rb") as stream:
            while piece := stream.read(bytes_per_piece):
                yield piece
    except OSError as cause:
        raise StorageError(f"cannot read {path}: {cause.strerror}") from cause


def sync_folder(folder: Path) -> None:
    """Make a rename or creation inside ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def make_private_folder(path: Path) -> None:
    """Create ``path`` (and parents) readable by its owner only; an existing folder keeps its mode.

    Raises:
        ConfigurationError: the path exists and is no folder, or cannot be created.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as cause:
        raise ConfigurationError(f"cannot create the folder {path}: {cause.strerror}") from cause


def make_durable_folder(path: Path, top: Path) -> None:
    """Create ``path`` and its missing parents, up to and including ``top``, so that all of them survive a crash.

    Raises:
        StorageError: the file system refused.
    """
    if path.is_dir():
        return
    if path != top:
        make_durable_folder(path.parent, top)
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        sync_folder(path.parent)
    except OSError as cause:
        raise StorageError(f"cannot create the folder {path}: {cause.strerror}") from cause


def read_bytes(path: Path, what: str, *, maximum: int) -> bytes:
    """Read a file that a person named.

    Args:
        path: the file, or a pipe such as a shell's ``<(…)`` or ``/dev/stdin``.
        what: its name in errors, such as ``"the roster"``.
        maximum: refuse anything larger, in bytes.

    Raises:
        ConfigurationError: missing, unreadable, neither file nor pipe, or too large.
    """
    try:
        mode = path.stat().st_mode
        if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode)):
            raise ConfigurationError(f"{what} {path} is {'a folder' if stat.S_ISDIR(mode) else 'no file'}")
        with path.open("rb") as stream:
            content = stream.read(maximum + 1)
        if len(content) > maximum:
            raise ConfigurationError(f"{what} {path} is larger than {maximum} bytes")
        return content
    except (FileNotFoundError, NotADirectoryError) as cause:
        raise ConfigurationError(f"{what} {path} does not exist") from cause
    except OSError as cause:
        raise ConfigurationError(f"cannot read {what} {path}: {cause.strerror}") from cause
