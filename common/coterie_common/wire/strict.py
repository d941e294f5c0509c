# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Reading protocol buffers without trusting them: the laxities of protobuf are refused here, in one place.

proto3 keeps unknown fields, lets a field be sent twice (the last wins), and cannot distinguish absent from zero.
``check`` refuses the first two; each field reader states its allowed values, so that a missing one is refused as well.

Invariant: every failure is a ``MalformedMessage`` that names the field and quotes nothing of the content.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from enum import Enum
from typing import Any, Final, TypeAlias, TypeVar

from google.protobuf.message import DecodeError, Message

from coterie_common.crypto.hashing import DIGEST_BYTES
from coterie_common.crypto.identity import SIGNATURE_BYTES
from coterie_common.errors import ConfigurationError, MalformedMessage
from coterie_common.identifiers import JobId, MemberId, PartyId, parse_job_id, parse_member_id, parse_party_id
from coterie_common.limits import MAX_PARTIES
from coterie_common.protocol.reason import is_code, is_one_line
from coterie_common.wire.counting import check_counts

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_TIME: Final = int((datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH) / timedelta(microseconds=1))

AnyMessage = TypeVar("AnyMessage", bound=Message)
AnyEnum = TypeVar("AnyEnum", bound=Enum)
AnyWire = TypeVar("AnyWire", bound=int)
T = TypeVar("T")

Octets: TypeAlias = bytes | bytearray | memoryview


def parse(kind: type[AnyMessage], data: Octets, what: str) -> AnyMessage:
    """Parse ``data`` as a ``kind``; ``what`` names it in errors.

    Raises:
        MalformedMessage: not such a message, an unknown field, a field set twice, too many entries of a list, or a
            number written with needless bytes.
    """
    check_counts(kind, data, what)
    message = kind()
    try:
        message.ParseFromString(data)  # type: ignore[arg-type]  # takes a bytearray as well; copying it would double it
    except DecodeError as cause:
        raise MalformedMessage(f"{what} cannot be parsed") from cause
    # Independent of the order of fields, which protobuf does not promise: only the shortest form has this size.
    message.DiscardUnknownFields()
    if message.ByteSize() != len(data):
        raise MalformedMessage(f"{what} has unknown or repeated fields")
    return message


def parse_any(parser: Callable[[bytes], T], data: bytes, what: str) -> T:
    """Parse with a parser of protocol buffers, such as gRPC uses for the messages of one frame.

    Raises:
        MalformedMessage: no such message.
    """
    try:
        return parser(data)
    except DecodeError as cause:
        raise MalformedMessage(f"{what} cannot be parsed") from cause


def check_known(message: Message, what: str) -> None:
    """Refuse unknown fields at any depth of a message that gRPC has parsed already; raises ``MalformedMessage``."""
    size = message.ByteSize()
    message.DiscardUnknownFields()
    if message.ByteSize() != size:
        raise MalformedMessage(f"{what} has unknown fields")


def part(message: Message, field: str) -> Any:
    """Return a sub-message that must be present."""
    if not message.HasField(field):
        raise MalformedMessage(f"{field} is missing")
    return getattr(message, field)


def octets(value: bytes, field: str, *, minimum: int = 0, maximum: int) -> bytes:
    """Return bytes whose length is in the given range."""
    if not minimum <= len(value) <= maximum:
        expected = f"{minimum} bytes" if minimum == maximum else f"{minimum} to {maximum} bytes"
        raise MalformedMessage(f"{field} must have {expected}")
    return value


def digest(value: bytes, field: str) -> bytes:
    """Return a digest."""
    return octets(value, field, minimum=DIGEST_BYTES, maximum=DIGEST_BYTES)


def signature(value: bytes, field: str = "signature") -> bytes:
    """Return a signature, not verified yet."""
    return octets(value, field, minimum=SIGNATURE_BYTES, maximum=SIGNATURE_BYTES)


def number(value: int, field: str, *, minimum: int = 0, maximum: int) -> int:
    """Return an integer in the given range."""
    if not minimum <= value <= maximum:
        raise MalformedMessage(f"{field} must be {minimum} to {maximum}")
    return value


def several(values: Iterable[T], field: str, *, minimum: int = 0, maximum: int) -> tuple[T, ...]:
    """Return a list with a number of entries in the given range."""
    entries = tuple(values)
    if not minimum <= len(entries) <= maximum:
        raise MalformedMessage(f"{field} must have {minimum} to {maximum} entries")
    return entries


def party_id(value: str, field: str = "party_id") -> PartyId:
    """Return an id of a party."""
    return _named(parse_party_id, value, field)


def member_id(value: str, field: str) -> MemberId:
    """Return an id of a party or person."""
    return _named(parse_member_id, value, field)


def job_id(value: str) -> JobId:
    """Return a job's id."""
    return _named(parse_job_id, value, "job_id")


def party_ids(values: Iterable[str], field: str) -> tuple[PartyId, ...]:
    """Return ids of parties, none twice, in the order given."""
    ids = tuple(party_id(value, field) for value in several(values, field, maximum=MAX_PARTIES))
    if len(set(ids)) != len(ids):
        raise MalformedMessage(f"{field} names a party twice")
    return ids


def reason(value: str, field: str) -> str:
    """Return text for a person."""
    if not is_one_line(value):
        raise MalformedMessage(f"{field} must be one printable line of bounded length")
    return value


def code(value: str, *, optional: bool = False) -> str:
    """Return an error code; with ``optional``, the empty text too."""
    if not is_code(value) and not (optional and value == ""):
        raise MalformedMessage("code must be an error code")
    return value


def enum(table: Mapping[AnyWire, AnyEnum], value: AnyWire, field: str) -> AnyEnum:
    """Return the member for a wire value; 0 (unspecified) is in no table."""
    if value not in table:
        raise MalformedMessage(f"{field} has an unknown value")
    return table[value]


def instant(value: int, field: str) -> datetime:
    """Return a time that must be present, from microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=number(value, field, minimum=1, maximum=_MAX_TIME))


def optional_instant(value: int, field: str) -> datetime | None:
    """Return a time, or ``None`` for 0."""
    return instant(value, field) if value else None


def microseconds(when: datetime | None) -> int:
    """Return the wire form that ``instant`` and ``optional_instant`` read."""
    return 0 if when is None else (when - _EPOCH) // timedelta(microseconds=1)


def _named(parser: Callable[[str], T], value: str, field: str) -> T:
    try:
        return parser(value)
    except ConfigurationError as cause:
        raise MalformedMessage(f"{field} is no valid id") from cause
