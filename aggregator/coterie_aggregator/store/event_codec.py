# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Events as they are stored: the word that their class states, and their fields as a canonical JSON document.

Invariant: ``decode(*encode(event)) == event``, and anything that is not exactly an event is refused. Changing
``stored_as`` or the name of a field therefore needs a migration; a class may be renamed.
"""

from __future__ import annotations

from dataclasses import fields
from enum import Enum
from typing import Any, ClassVar, Final, Generic, Protocol, TypeVar, get_args, get_origin, get_type_hints

from coterie_common import document
from coterie_common.errors import MalformedMessage, StorageError

E = TypeVar("E", bound="StoredEvent")

_DOCUMENT_BYTES: Final = 1 << 20
"""Events hold ids, codes and one line of text."""


class StoredEvent(Protocol):
    """An event that can be stored."""

    stored_as: ClassVar[str]


class EventCodec(Generic[E]):
    """Turns the events of one state machine into records and back.

    Args:
        union: the machine's ``Event``: a union of flat dataclasses with fields of text, several texts, integers or
            enumerations. Each has its own ``stored_as``.

    Raises:
        TypeError: an event states no word of its own, or has a field of another type.
    """

    def __init__(self, union: Any) -> None:
        self._types: dict[str, dict[str, type]] = {}
        self._classes: dict[str, type[E]] = {}
        for event in get_args(union):
            word = vars(event).get("stored_as")
            if not isinstance(word, str) or word in self._classes:
                raise TypeError(f"{event.__name__} has no stored_as of its own")
            hints = get_type_hints(event)
            self._classes[word] = event
            self._types[word] = {f.name: _plain_type(hints[f.name]) for f in fields(event)}

    @property
    def classes(self) -> tuple[type[E], ...]:
        """All events that can be stored."""
        return tuple(self._classes.values())

    @property
    def words(self) -> dict[str, tuple[str, ...]]:
        """The stored word of each event, and the names of its fields."""
        return {word: tuple(types) for word, types in self._types.items()}

    def encode(self, event: E) -> tuple[str, bytes]:
        """Return kind and document."""
        kind = event.stored_as
        values = {name: getattr(event, name) for name in self._types[kind]}
        return kind, document.encode({name: _plain(value) for name, value in values.items()})

    def decode(self, kind: str, data: bytes) -> E:
        """Return the event.

        Raises:
            StorageError: not the record of an event of this machine.
        """
        types = self._types.get(kind)
        if types is None:
            raise StorageError(f"the database holds an event {kind}, which this version of Coterie does not know")
        try:
            values = document.decode(data, "an event", maximum=_DOCUMENT_BYTES)
            if not isinstance(values, dict) or values.keys() != types.keys():
                raise MalformedMessage("an event has other fields than its class")
            return self._classes[kind](**{name: _parse(types[name], value) for name, value in values.items()})
        except (MalformedMessage, ValueError) as cause:
            raise StorageError(f"the database holds an event {kind} that cannot be read: {cause}") from cause


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return list(value)
    return value.value if isinstance(value, Enum) else value


def _plain_type(hint: Any) -> type:
    if get_origin(hint) is tuple:
        texts, more = get_args(hint)
        if more is Ellipsis and _plain_type(texts) is str:
            return tuple
    # An id is a ``NewType`` over text.
    plain = getattr(hint, "__supertype__", hint)
    if isinstance(plain, type) and (plain in (str, int, bool) or issubclass(plain, Enum)):
        return plain
    raise TypeError(f"events have no fields of type {plain}")


def _parse(expected: type, value: Any) -> Any:
    if issubclass(expected, Enum):
        return expected(value)
    if expected is tuple:
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value):
            raise MalformedMessage("a field of an event is no list of texts")
        return tuple(value)
    if type(value) is not expected:
        raise MalformedMessage(f"a field of an event is no {expected.__name__}")
    return value
