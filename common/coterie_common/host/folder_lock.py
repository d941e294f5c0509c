# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One daemon per folder: a lock that the operating system drops when the process ends, in any way."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from coterie_common.errors import ConfigurationError
from coterie_common.files import PRIVATE

LOCK_NAME = ".lock"


@contextmanager
def locked(folder: Path, program: str) -> Iterator[None]:
    """Lock ``folder`` for this process.

    Args:
        folder: the daemon's home; must exist.
        program: the holder's name in errors, such as ``"coterie-party"``.

    Raises:
        ConfigurationError: another process holds it, or the lock file cannot be made.
    """
    try:
        handle = os.open(folder / LOCK_NAME, os.O_RDWR | os.O_CREAT, PRIVATE)
    except OSError as cause:
        raise ConfigurationError(f"cannot lock the folder {folder}: {cause.strerror}") from cause
    # The file stays: removing it would let a third process lock a new file while a second still waits on the old one.
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as cause:
            raise ConfigurationError(f"another {program} runs on the folder {folder}: stop it first") from cause
        except OSError as cause:
            raise ConfigurationError(f"cannot lock the folder {folder}: {cause.strerror}") from cause
        yield
    finally:
        os.close(handle)
