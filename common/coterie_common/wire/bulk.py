# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Messages with one very long field, read and written without the copies that protocol buffers would make of it.

A model of hundreds of megabytes is copied once when a message is read, and once when it is written: the field is taken
out of the bytes before they are parsed, and put between the others after they were serialised. The meaning of the bytes
does not change: other implementations read and write them with protocol buffers alone.

Source: Protocol Buffers, "Encoding": records of tag and payload, variable-width integers, merging of concatenations.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from coterie_common.errors import MalformedMessage
from coterie_common.long_bytes import join_long
from coterie_common.wire.strict import Octets

_LENGTH_DELIMITED: Final = 2
_MAX_VARINT_BYTES: Final = 10
_MAX_RECORDS: Final = 16
"""Maximum number of fields of a message with a long one; if there are more, none of them is kept here."""


class Taken(NamedTuple):
    """Parts of a message.

    Attributes:
        rest: the message without its long field.
        field: content of the long field.
    """

    rest: bytes
    field: bytes


def enclose(outer: int, before: bytes, inner: int, field: bytes, after: bytes) -> bytes:
    """Return the bytes of an envelope whose one message has a long field.

    Args:
        outer: number of the message's field in the envelope.
        before: the message's fields before the long one, serialised.
        inner: number of the long field.
        field: its content, not empty.
        after: the message's fields after it, serialised.
    """
    header = _header(inner, len(field))
    length = len(before) + len(header) + len(field) + len(after)
    return b"".join((_header(outer, length), before, header, field, after))


def take_out(data: Octets, fields: Mapping[int, int], *, minimum: int) -> Taken | None:
    """Take the long field out of an envelope's bytes.

    Args:
        data: of the envelope.
        fields: number of the long field by that of its message in the envelope.
        minimum: minimum number of bytes of a long field.

    Returns:
        ``None`` if there is no such field, or if it is unusual in any way: then protocol buffers decide.

    Raises:
        MalformedMessage: the field occurs twice.
    """
    view = memoryview(data)
    try:
        outer, start, end = _record(view, 0)
        if outer not in fields or end != len(view):
            return None
        kept: list[memoryview] = []
        taken: memoryview | None = None
        while start < end:
            if len(kept) >= _MAX_RECORDS:
                raise _Unusual
            number, content, following = _record(view, start)
            if number == fields[outer] and following - content >= minimum:
                if taken is not None:
                    raise MalformedMessage("the message has repeated fields")
                taken = view[content:following]
            else:
                kept.append(view[start:following])
            start = following
    except _Unusual:
        return None
    if taken is None:
        return None
    rest = b"".join(kept)
    return Taken(_header(outer, len(rest)) + rest, join_long([taken]))


class _Unusual(Exception):
    """A record of another kind, one that exceeds the bytes, or one with needless bytes in its numbers."""


def _record(view: memoryview, start: int) -> tuple[int, int, int]:
    """Return a record's field number, and the beginning and end of its content."""
    tag, position = _varint(view, start)
    if tag & 7 != _LENGTH_DELIMITED:
        raise _Unusual
    length, position = _varint(view, position)
    if length > len(view) - position:
        raise _Unusual
    return tag >> 3, position, position + length


def _varint(view: memoryview, start: int) -> tuple[int, int]:
    value = 0
    for count in range(_MAX_VARINT_BYTES):
        if start + count >= len(view):
            raise _Unusual
        byte = view[start + count]
        value |= (byte & 0x7F) << 7 * count
        if byte < 0x80:
            if count and not byte:
                raise _Unusual
            return value, start + count + 1
    raise _Unusual


def _header(number: int, length: int) -> bytes:
    return _to_varint(number << 3 | _LENGTH_DELIMITED) + _to_varint(length)


def _to_varint(value: int) -> bytes:
    digits = bytearray()
    while value >= 0x80:
        digits.append(value & 0x7F | 0x80)
        value >>= 7
    digits.append(value)
    return bytes(digits)
