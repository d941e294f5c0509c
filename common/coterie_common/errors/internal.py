# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Errors of our own: bugs, values that do not belong together, storage that can no longer be trusted."""

from __future__ import annotations

from typing_extensions import override

from coterie_common.errors.error import CoterieError


class StateError(CoterieError):
    """Our code called something out of order."""

    code = "state"


class InternalError(CoterieError):
    """Something impossible happened; a comment at the raise states why it is impossible.

    Attributes:
        incident: number under which the log has the traceback; empty until ``Incidents.take`` has logged it. The
            message then says no more than the number, so others may see it.
    """

    code = "internal"

    def __init__(self, message: str, *, incident: str = "") -> None:
        super().__init__(message)
        self.incident = incident

    @property
    @override
    def public_message(self) -> str:
        return self.message if self.incident else ""


class CryptoError(CoterieError):
    """A caller passed values that do not belong together."""


class KeyMismatch(CryptoError):
    """Values of different keys met."""

    code = "key-mismatch"


class PlaintextOutOfRange(CryptoError):
    """A plaintext or packed value is outside its stated range."""

    code = "plaintext-out-of-range"


class InsufficientShares(CryptoError):
    """Fewer distinct partial decryptions than the decryption threshold."""

    code = "insufficient-shares"


class NotOpened(CryptoError):
    """Partial decryptions, enough of them, do not open the ciphertexts: one of them is wrong."""

    code = "not-opened"


class StorageError(CoterieError):
    """Durable state cannot be read or written; the daemon stops."""

    code = "storage"
