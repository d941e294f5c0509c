# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party's record as a file: every entry, and the signed roster that anyone can verify it with.

The file is a document in its one canonical encoding, so no change goes unnoticed: everything that no signature covers
is a constant or repeats something that one covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from coterie_common import document
from coterie_common.audit.chain import Finding, verify_chain
from coterie_common.audit.entry import FIRST_PREVIOUS, Entry, Head, Owner
from coterie_common.crypto.hashing import DIGEST_BYTES
from coterie_common.errors import MalformedMessage
from coterie_common.fields import Fields
from coterie_common.limits import AUDIT_EXPORT_BYTES, AUDIT_EXPORT_PARTS
from coterie_common.protocol.roster import SignedRoster, founder_fingerprint

_FORMAT: Final = "coterie-audit-record"
_VERSION: Final = 1
_MAX_ENTRIES: Final = AUDIT_EXPORT_BYTES // 256
"""No entry takes fewer bytes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """A record with the roster that verifies it; nothing in it is trusted before ``verify``.

    Attributes:
        party_id: the owner of the record.
        signed_roster: the roster in force at the party when it wrote the file.
        entries: the whole record.
    """

    party_id: str
    signed_roster: SignedRoster
    entries: tuple[Entry, ...]

    @property
    def owner(self) -> Owner:
        """The owner of the record."""
        return Owner(founder_fingerprint(self.signed_roster.founder_key), self.party_id)

    @property
    def head(self) -> Head:
        """The last entry; keep it to notice later if the record is cut off."""
        return self.entries[-1].head if self.entries else Head(0, FIRST_PREVIOUS)

    def verify(self, founder: str, heads: tuple[Head, ...] = ()) -> tuple[Finding, ...]:
        """Check the roster against the pinned founder, and the record against the roster.

        Args:
            founder: fingerprint, canonical.
            heads: entries that the record is known to have reached before.

        Returns:
            The faults in the record; empty if it is intact.

        Raises:
            IdentityMismatch: another founder's federation.
            InvalidSignature: the roster is not signed by the founder.
            NotInCohort: the roster has no such party.
        """
        roster = self.signed_roster.verify(founder)
        return verify_chain(self.entries, self.owner, roster.member(self.party_id).verify_key, heads)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes."""
        return document.encode(
            {
                "format": _FORMAT,
                "version": _VERSION,
                "party": self.party_id,
                "signed_roster": self.signed_roster.to_document(),
                "head": {"sequence": self.head.sequence, "hash": self.head.hash.hex()},
                "entries": [entry.to_document() for entry in self.entries],
            }
        )

    @classmethod
    def from_bytes(cls, data: bytes) -> Export:
        """Parse canonical bytes without verifying; raises ``MalformedMessage``, which names the entry concerned."""
        value = document.decode(data, "the exported record", maximum=AUDIT_EXPORT_BYTES, parts=AUDIT_EXPORT_PARTS)
        fields = Fields.of_file(
            value, "the exported record", _FORMAT, _VERSION, ("party", "signed_roster", "head", "entries")
        )
        items = fields.items("entries", maximum=_MAX_ENTRIES)
        export = cls(
            party_id=fields.text("party", longest=32),
            signed_roster=SignedRoster.from_document(fields.value("signed_roster")),
            entries=tuple(_entry(place, item) for place, item in enumerate(items, 1)),
        )
        head = Fields(fields.value("head"), "the head of the exported record", ("sequence", "hash"))
        stated = Head(
            head.integer("sequence", minimum=0, maximum=2**53 - 1),
            head.octets("hash", minimum=DIGEST_BYTES, maximum=DIGEST_BYTES),
        )
        if stated != export.head:
            raise MalformedMessage(
                f"the exported record states that it ends with entry {stated.sequence}, but its last one is "
                f"{export.head.sequence} or another: entries were cut off or exchanged"
            )
        return export


def _entry(place: int, value: Any) -> Entry:
    try:
        return Entry.from_document(value)
    except MalformedMessage as cause:
        raise MalformedMessage(f"entry {place} of the exported record: {cause.message}") from cause
