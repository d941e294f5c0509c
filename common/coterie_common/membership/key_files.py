# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Private keys stored unencrypted in a home folder, because a daemon needs them with nobody at the terminal.

Only the TLS keys, and the aggregator's signing key: none of them opens a reply. Key shares and a party's other keys are
locked under a password (``crypto.keystore``).
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from coterie_common import document
from coterie_common.crypto.certificates import TlsKey, load_key
from coterie_common.crypto.identity import SEED_BYTES, SigningKey
from coterie_common.errors import KeyFileError, MalformedMessage, StorageError
from coterie_common.fields import Fields
from coterie_common.files import OTHERS, PRIVATE, read_bytes, write_atomically
from coterie_common.limits import KEY_FILE_BYTES

_FORMAT: Final = "coterie-signing-key"
_VERSION: Final = 1


def write_tls_key(path: Path, key: TlsKey) -> None:
    """Write a TLS key, readable by its owner only; raises ``StorageError``."""
    write_atomically(path, key.reveal(), mode=PRIVATE)


def read_tls_key(path: Path) -> TlsKey:
    """Read a TLS key.

    Raises:
        ConfigurationError: it is missing.
        KeyFileError: others may read it, or it is not a key.
    """
    key = TlsKey(read_private(path, "the TLS key"))
    load_key(key)
    return key


def write_signing_key(path: Path, key: SigningKey) -> None:
    """Write a signing key unencrypted, readable by its owner only; raises ``StorageError``."""
    content = document.encode({"format": _FORMAT, "version": _VERSION, "seed": key.seed().hex()})
    write_atomically(path, content, mode=PRIVATE)


def read_signing_key(path: Path) -> SigningKey:
    """Read a signing key that ``write_signing_key`` wrote; raises as ``read_tls_key`` does."""
    data = read_private(path, "the signing key")
    try:
        value = document.decode(data, "the signing key", maximum=KEY_FILE_BYTES)
        fields = Fields.of_file(value, "the signing key", _FORMAT, _VERSION, ("seed",))
        return SigningKey(fields.octets("seed", minimum=SEED_BYTES, maximum=SEED_BYTES))
    except MalformedMessage as cause:
        raise KeyFileError(f"{path} is no signing key, or damaged: {cause.message}") from cause


def read_private(path: Path, what: str) -> bytes:
    """Read a secret that is stored unencrypted.

    Raises:
        ConfigurationError: it is missing.
        KeyFileError: others may read it.
    """
    content = read_bytes(path, what, maximum=KEY_FILE_BYTES)
    try:
        mode = path.stat().st_mode
    except OSError as cause:
        raise StorageError(f"cannot read {what} {path}: {cause.strerror}") from cause
    if mode & OTHERS:
        raise KeyFileError(f"{what} {path} may be read by others; correct it with: chmod 600 {path}")
    return content
