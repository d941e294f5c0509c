# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Writing files so that a crash leaves either the old or the new content, never half of it."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from coterie_common.errors import ConfigurationError, StorageError

PRIVATE = 0o600
PUBLIC = 0o644


def write_atomically(path: Path, content: bytes, *, mode: int = PUBLIC) -> None:
    """Write ``content`` to ``path``: temporary file in the same folder, fsync, rename, fsync of the folder.

    Args:
        path: the target; its folder must exist.
        content: the whole new content.
        mode: permission bits of the file, set before any byte is written.

    Raises:
        StorageError: the file system refused; the old content is untouched.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            os.fchmod(handle, mode)
            with os.fdopen(handle, "wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(temporary, path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
        sync_folder(path.parent)
    except OSError as cause:
        raise StorageError(f"cannot write {path}: {cause.strerror}") from cause


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


def read_bytes(path: Path, what: str, *, most: int) -> bytes:
    """Read a file that a person named.

    Args:
        path: the file.
        what: how to call it in the error, such as ``"the roster"``.
        most: refuse anything larger, in bytes.

    Raises:
        ConfigurationError: missing, unreadable, no regular file or too large.
    """
    try:
        if not path.is_file():
            raise ConfigurationError(f"{what} {path} does not exist")
        if path.stat().st_size > most:
            raise ConfigurationError(f"{what} {path} is larger than {most} bytes")
        return path.read_bytes()
    except OSError as cause:
        raise ConfigurationError(f"cannot read {what} {path}: {cause.strerror}") from cause
