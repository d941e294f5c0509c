# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Reading a parsed document without trusting it: exact keys, exact types, stated ranges.

Invariant: every failure is a ``MalformedMessage`` that names the place and quotes nothing of the content.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any, Self

from coterie_common.errors import MalformedMessage


class Fields:
    """The entries of one JSON object that must have exactly the given keys.

    Args:
        value: the result of ``document.decode``, or a part of it.
        what: the name of the object in errors, such as ``"the roster"``.
        names: the exact keys that it must have.

    Raises:
        MalformedMessage: not an object, or with other keys.
    """

    def __init__(self, value: Any, what: str, names: Iterable[str]) -> None:
        expected = set(names)
        if not isinstance(value, dict) or set(value) != expected:
            raise MalformedMessage(f"{what} must be an object with exactly the keys {', '.join(sorted(expected))}")
        self._value: dict[str, Any] = value
        self._what = what

    @classmethod
    def of_file(cls, value: Any, what: str, format_name: str, version: int, names: Iterable[str]) -> Self:
        """Return the entries of a whole file, which has a format and a version besides ``names``; checks these two."""
        fields = cls(value, what, ("format", "version", *names))
        fields.constant("format", format_name)
        fields.constant("version", version)
        return fields

    def value(self, name: str) -> Any:
        """Return the entry as it is, to be checked by its own parser."""
        return self._value[name]

    def text(self, name: str, *, longest: int) -> str:
        """Return a text of at most ``longest`` characters; raises ``MalformedMessage``."""
        value = self._value[name]
        if not isinstance(value, str) or len(value) > longest:
            raise self._malformed(name, f"text of at most {longest} characters")
        return value

    def constant(self, name: str, expected: str | int) -> None:
        """Insist on one value, such as a format's name or version; raises ``MalformedMessage``."""
        value = self._value[name]
        if type(value) is not type(expected) or value != expected:
            raise self._malformed(name, repr(expected))

    def integer(self, name: str, *, minimum: int, maximum: int) -> int:
        """Return an integer from ``minimum`` to ``maximum``, both included; raises ``MalformedMessage``."""
        value = self._value[name]
        if type(value) is not int or not minimum <= value <= maximum:
            raise self._malformed(name, f"an integer from {minimum} to {maximum}")
        return value

    def boolean(self, name: str) -> bool:
        """Return true or false; raises ``MalformedMessage``."""
        value = self._value[name]
        if not isinstance(value, bool):
            raise self._malformed(name, "true or false")
        return value

    def octets(self, name: str, *, minimum: int, maximum: int) -> bytes:
        """Return ``minimum`` to ``maximum`` bytes written as lower-case hexadecimal; raises ``MalformedMessage``."""
        value = self._value[name]
        expected = f"{minimum} bytes" if minimum == maximum else f"{minimum} to {maximum} bytes"
        if not isinstance(value, str) or not 2 * minimum <= len(value) <= 2 * maximum:
            raise self._malformed(name, f"{expected} in hexadecimal")
        try:
            octets = bytes.fromhex(value)
        except ValueError as cause:
            raise self._malformed(name, f"{expected} in hexadecimal") from cause
        # fromhex also accepts capitals and spaces; one value has one spelling.
        if octets.hex() != value:
            raise self._malformed(name, f"{expected} in lower-case hexadecimal")
        return octets

    def moment(self, name: str) -> datetime:
        """Return a moment, in UTC and whole seconds: ``2026-10-01T00:00:00+00:00``; raises ``MalformedMessage``."""
        value = self._value[name]
        expected = "a moment in UTC such as 2026-10-01T00:00:00+00:00"
        try:
            moment = datetime.fromisoformat(value) if isinstance(value, str) else None
        except ValueError as cause:
            raise self._malformed(name, expected) from cause
        # fromisoformat also accepts other forms and zones; one value has one spelling.
        if moment is None or moment.tzinfo != UTC or moment.microsecond or moment.isoformat() != value:
            raise self._malformed(name, expected)
        return moment

    def items(self, name: str, *, maximum: int) -> list[Any]:
        """Return a list of at most ``maximum`` entries; raises ``MalformedMessage``."""
        value = self._value[name]
        if not isinstance(value, list) or len(value) > maximum:
            raise self._malformed(name, f"a list of at most {maximum} entries")
        return value

    def texts(self, name: str, *, maximum: int, longest: int) -> tuple[str, ...]:
        """Return a list of at most ``maximum`` texts of at most ``longest`` characters; raises ``MalformedMessage``."""
        values = self.items(name, maximum=maximum)
        if not all(isinstance(value, str) and len(value) <= longest for value in values):
            raise self._malformed(name, f"a list of texts of at most {longest} characters")
        return tuple(values)

    def _malformed(self, name: str, expected: str) -> MalformedMessage:
        return MalformedMessage(f"{name} of {self._what} must be {expected}")
