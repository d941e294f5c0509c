# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The pinned founder of a folder that has no configuration entry for it: one line in the file ``founder``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from coterie_common.errors import ConfigurationError
from coterie_common.files import read_bytes, write_atomically
from coterie_common.fingerprint import printed_fingerprint, read_fingerprint

_NAME: Final = "founder"
_MAX_BYTES: Final = 256


def pin_founder(folder: Path, fingerprint: str) -> None:
    """Pin a founder's fingerprint, canonical; raises ``StorageError``."""
    write_atomically(folder / _NAME, f"{printed_fingerprint(fingerprint)}\n".encode("ascii"))


def pinned_founder(folder: Path) -> str | None:
    """Return the pinned fingerprint, ``None`` if there is none.

    Raises:
        ConfigurationError: the file holds no fingerprint.
    """
    path = folder / _NAME
    if not path.is_file():
        return None
    return read_fingerprint(read_bytes(path, "the pinned founder", maximum=_MAX_BYTES).decode("utf-8", "replace"))


def check_pin(folder: Path, founder: str | None) -> None:
    """Check that an existing folder pins the founder that is named now, if one is named.

    Raises:
        ConfigurationError: it pins another one, or none.
    """
    if founder is not None and pinned_founder(folder) != founder:
        raise ConfigurationError(f"{folder} was made without pinning this founder; take another folder with --home")
