# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Counting the fields of a message on its bytes, before protocol buffers parse them.

Two bytes of an empty entry become some ninety of memory, and only then could a count be looked at. So the bytes are
walked first: a field that the message does not have, one that is set twice, or a list of more entries than it may have
ends the walk, which is never longer than the largest allowed message.

Source: Protocol Buffers, "Encoding": records of tag and payload, variable-width integers.
"""

from __future__ import annotations

from functools import cache
from typing import Any, Final, NamedTuple

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

from coterie_common.errors import MalformedMessage
from coterie_common.limits import MAX_CIPHERTEXTS, MAX_COMPLETE_COHORT, MAX_PARTIES, MAX_PUBLISHED

LISTS: Final = {
    "coterie.v1.SessionFields.cohort": MAX_PARTIES,
    "coterie.v1.KeyPart.ciphertexts": MAX_CIPHERTEXTS,
    "coterie.v1.DecryptionRequest.contributions": MAX_PARTIES,
    "coterie.v1.PartialDecryption.values": MAX_CIPHERTEXTS,
    "coterie.v1.Acceptances.replies": MAX_COMPLETE_COHORT,
    "coterie.v1.Encapsulations.encapsulations": MAX_COMPLETE_COHORT,
    "coterie.v1.RelayedEncapsulations.encapsulations": MAX_COMPLETE_COHORT,
    "coterie.v1.ReplyList.replies": MAX_COMPLETE_COHORT,
    "coterie.v1.RoundProgress.contributed": MAX_PARTIES,
    "coterie.v1.RoundProgress.decrypted": MAX_PARTIES,
    "coterie.v1.JobStatus.parties": MAX_PARTIES,
    "coterie.v1.KeptApplication.published": MAX_PUBLISHED,
}
"""The maximum number of entries of every list in a message."""

_VARINT, _DELIMITED = 0, 2
_MAX_VARINT_BYTES: Final = 10


class _Field(NamedTuple):
    name: str
    maximum: int
    is_list: bool
    is_delimited: bool
    message: Descriptor | None


def check_counts(kind: type[Message], data: bytes | bytearray | memoryview, what: str) -> None:
    """Refuse bytes with more than a ``kind`` may hold.

    Args:
        kind: the message.
        data: its bytes.
        what: its name in errors.

    Raises:
        MalformedMessage: an unknown field, one set twice, too many entries, or a record that is cut off.
    """
    view = memoryview(data)
    waiting: list[tuple[Any, int, int]] = [(kind.DESCRIPTOR, 0, len(view))]
    while waiting:
        message, position, end = waiting.pop()
        fields, counts = _fields(message), dict[int, int]()
        while position < end:
            tag, position = _varint(view, position, end, what)
            field = fields.get(tag)
            if field is None:
                raise MalformedMessage(f"{what} has unknown or repeated fields")
            counts[tag] = counts.get(tag, 0) + 1
            if counts[tag] > field.maximum:
                raise MalformedMessage(
                    f"{field.name} must have at most {field.maximum} entries"
                    if field.is_list
                    else f"{what} has unknown or repeated fields"
                )
            value, position = _varint(view, position, end, what)
            if not field.is_delimited:
                continue
            if value > end - position:
                raise _cut_off(what)
            if field.message is not None:
                waiting.append((field.message, position, position + value))
            position += value


@cache
def _fields(message: Descriptor) -> dict[int, _Field]:
    """Return the fields of a message by their tag: number and form."""
    return {
        field.number << 3 | (_DELIMITED if (is_delimited := _is_delimited(field)) else _VARINT): _Field(
            name=field.name,
            maximum=LISTS[field.full_name] if field.is_repeated else 1,
            is_list=field.is_repeated,
            is_delimited=is_delimited,
            message=field.message_type,
        )
        for field in message.fields
    }


def _is_delimited(field: FieldDescriptor) -> bool:
    return field.type in (FieldDescriptor.TYPE_STRING, FieldDescriptor.TYPE_BYTES, FieldDescriptor.TYPE_MESSAGE)


def _varint(view: memoryview, start: int, end: int, what: str) -> tuple[int, int]:
    value = 0
    for position in range(start, min(end, start + _MAX_VARINT_BYTES)):
        byte = view[position]
        value |= (byte & 0x7F) << 7 * (position - start)
        if byte < 0x80:
            return value, position + 1
    raise _cut_off(what)


def _cut_off(what: str) -> MalformedMessage:
    return MalformedMessage(f"{what} cannot be parsed")
