# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One entry of a party's audit record: an event, bound to the entry before it and signed by the party.

Invariants:
- An entry's hash covers the record's owner (founder, party), its place, its whole content and the previous hash: no
  entry can be altered, moved, left out, or taken over from another record without breaking the chain.
- Details are a document in canonical form; only digests and sizes in them depend on the party's data.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final

from coterie_common import document
from coterie_common.crypto.hashing import DIGEST_BYTES, Label, tuple_hash
from coterie_common.crypto.identity import SIGNATURE_BYTES, SigningKey, VerifyKey
from coterie_common.document import Document
from coterie_common.errors import MalformedMessage, StateError
from coterie_common.fields import Fields
from coterie_common.limits import AUDIT_DETAILS_BYTES, MAX_ROUND_NUMBER

FIRST_PREVIOUS: Final = bytes(DIGEST_BYTES)
"""The previous hash of the first entry."""

_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"
_MAX_SEQUENCE: Final = 2**53 - 1
_JOB_LONGEST: Final = 64

Details = Mapping[str, Document]


class Kind(StrEnum):
    """The kind of event that an entry records; ``docs/audit.md`` lists the details of each."""

    STARTED = "started"
    DECISION = "decision"
    LEDGER = "ledger"
    QUERY = "query"
    REPLY = "reply"
    DECRYPTION = "decryption"
    PARTIAL = "partial-decryption"
    REFUSAL = "refusal"
    MODEL = "model"
    JOB_END = "job-end"


@dataclass(frozen=True, slots=True)
class Owner:
    """The owner of a record.

    Attributes:
        founder: fingerprint of the founder of the federation.
        party_id: the party.
    """

    founder: str
    party_id: str


@dataclass(frozen=True, slots=True)
class Head:
    """The last entry of a record at some time; anyone who holds it notices if the record is later cut off before it.

    Attributes:
        sequence: of the entry; 0 for a record without entries.
        hash: of the entry.
    """

    sequence: int
    hash: bytes

    def __str__(self) -> str:
        return f"{self.sequence}:{self.hash.hex()}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Parse the output of ``str``; raises ``MalformedMessage``."""
        number, _, digest = text.strip().partition(":")
        if not (number.isascii() and number.isdigit()) or len(digest) != 2 * DIGEST_BYTES:
            raise MalformedMessage("a head of a record is written SEQUENCE:HASH, the hash with 64 digits")
        try:
            return cls(int(number), bytes.fromhex(digest))
        except ValueError as cause:
            raise MalformedMessage("the hash in the head of a record is not hexadecimal") from cause


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry; nothing in it is trusted before the chain is verified.

    Attributes:
        sequence: 1, 2, 3, …
        time: by the party's own clock, UTC, ISO 8601 with microseconds.
        kind: of the event.
        job_id: the job it is about, or empty.
        round_number: the round it is about, or 0.
        details: canonical bytes of a JSON object.
        previous: hash of the entry before, ``FIRST_PREVIOUS`` in the first.
        hash: of all of the above and of the owner.
        signature: Ed25519, the party's, over the hash.
    """

    sequence: int
    time: str
    kind: Kind
    job_id: str
    round_number: int
    details: bytes
    previous: bytes
    hash: bytes
    signature: bytes

    @property
    def facts(self) -> dict[str, Any]:
        """The details as values; raises ``MalformedMessage`` if they are no object in canonical form."""
        value = document.decode(self.details, f"the details of entry {self.sequence}", maximum=AUDIT_DETAILS_BYTES)
        if not isinstance(value, dict):
            raise MalformedMessage(f"the details of entry {self.sequence} are no object")
        return value

    @property
    def moment(self) -> datetime | None:
        """The time as a value; ``None`` if it cannot be parsed."""
        try:
            return datetime.strptime(self.time, _TIME).replace(tzinfo=UTC)
        except ValueError:
            return None

    @property
    def head(self) -> Head:
        """The head of the record that ends with this entry."""
        return Head(self.sequence, self.hash)

    def expected_hash(self, owner: Owner) -> bytes:
        """Return the hash that this content has in the owner's record."""
        return tuple_hash(
            Label.AUDIT_ENTRY,
            owner.founder,
            owner.party_id,
            self.sequence,
            self.time,
            self.kind.value,
            self.job_id,
            self.round_number,
            self.details,
            self.previous,
        )

    def verify_signature(self, key: VerifyKey) -> None:
        """Check the party's signature over the hash; raises ``InvalidSignature``."""
        key.verify(self.signature, Label.AUDIT_SIGNATURE, self.hash)

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value from which ``from_document`` makes an equal object."""
        return {
            "sequence": self.sequence,
            "time": self.time,
            "kind": self.kind.value,
            "job": self.job_id,
            "round": self.round_number,
            "details": self.facts,
            "previous": self.previous.hex(),
            "hash": self.hash.hex(),
            "signature": self.signature.hex(),
        }

    @classmethod
    def from_document(cls, value: Any) -> Entry:
        """Parse without verifying; raises ``MalformedMessage``."""
        names = ("sequence", "time", "kind", "job", "round", "details", "previous", "hash", "signature")
        fields = Fields(value, "an entry of the record", names)
        details = fields.value("details")
        if not isinstance(details, dict):
            raise MalformedMessage("details of an entry of the record must be an object")
        try:
            kind = Kind(fields.text("kind", longest=64))
        except ValueError as cause:
            raise MalformedMessage("an entry of the record is of a kind that this version does not know") from cause
        return cls(
            sequence=fields.integer("sequence", minimum=1, maximum=_MAX_SEQUENCE),
            time=fields.text("time", longest=64),
            kind=kind,
            job_id=fields.text("job", longest=_JOB_LONGEST),
            round_number=fields.integer("round", minimum=0, maximum=MAX_ROUND_NUMBER),
            details=document.encode(details),
            previous=fields.octets("previous", minimum=DIGEST_BYTES, maximum=DIGEST_BYTES),
            hash=fields.octets("hash", minimum=DIGEST_BYTES, maximum=DIGEST_BYTES),
            signature=fields.octets("signature", minimum=SIGNATURE_BYTES, maximum=SIGNATURE_BYTES),
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """An event to be recorded.

    Attributes:
        kind: of the event.
        job_id: the job it is about, or empty.
        round_number: the round it is about, or 0.
        details: a JSON object of at most ``AUDIT_DETAILS_BYTES`` bytes.
    """

    kind: Kind
    job_id: str = ""
    round_number: int = 0
    details: Details


def next_entry(event: Event, after: Head, owner: Owner, key: SigningKey, *, now: datetime) -> Entry:
    """Make and sign the entry that follows ``after``.

    Args:
        event: the event to record.
        after: head of the record so far; ``Head(0, FIRST_PREVIOUS)`` before the first entry.
        owner: of the record.
        key: the owner's signing key.
        now: wall time, in any time zone.

    Raises:
        StateError: the details are longer than a reader accepts.
    """
    details = document.encode(event.details)
    if len(details) > AUDIT_DETAILS_BYTES:
        raise StateError(f"details of {len(details)} bytes are too long for the record")
    content = Entry(
        sequence=after.sequence + 1,
        time=now.astimezone(UTC).strftime(_TIME),
        kind=event.kind,
        job_id=event.job_id,
        round_number=event.round_number,
        details=details,
        previous=after.hash,
        hash=b"",
        signature=b"",
    )
    digest = content.expected_hash(owner)
    return replace(content, hash=digest, signature=key.sign(Label.AUDIT_SIGNATURE, digest))
