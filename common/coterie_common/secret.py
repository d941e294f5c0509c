# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Secrets are types that redact themselves.

CPython cannot guarantee that a secret is erased from memory; this type keeps it out of logs, tracebacks, pickles and
accidental comparison. ``reveal()`` is the only way to the value, so that every use can be found by its name.
"""

from __future__ import annotations

import hmac
from typing import Generic, NoReturn, TypeVar

T = TypeVar("T")


class Secret(Generic[T]):
    """Wraps one secret value.

    Subclass it to name the kind of secret: ``class Password(Secret[bytes])``.
    """

    __slots__ = ("_value",)

    def __init__(self, value: T) -> None:
        self._value = value

    def reveal(self) -> T:
        """Return the value itself. Keep the result in a local variable, never in a field or a message."""
        return self._value

    def __repr__(self) -> str:
        return f"{type(self).__name__}(<redacted>)"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return repr(self)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        mine, theirs = self._value, other._value
        if isinstance(mine, bytes) and isinstance(theirs, bytes):
            return hmac.compare_digest(mine, theirs)
        raise TypeError("only secrets of bytes can be compared, in constant time")

    __hash__ = None  # type: ignore[assignment]  # a hash of a secret is a leak

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")


class Password(Secret[bytes]):
    """The password that a person typed to unlock a key file."""
