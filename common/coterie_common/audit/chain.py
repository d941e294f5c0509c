# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Verifying a record: every entry is unaltered, in the order in which its owner wrote it, and none is missing.

A chain alone cannot show that its end was cut off, or that its owner, who holds the signing key, wrote a different
chain. A ``Head`` noted earlier shows the first; comparing the records of parties shows the second (``comparison``).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from coterie_common.audit.entry import FIRST_PREVIOUS, Entry, Head, Owner
from coterie_common.crypto.identity import VerifyKey
from coterie_common.errors import InvalidSignature


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault in a record.

    Attributes:
        sequence: the entry concerned, 0 if none in particular.
        what: a description for people, one clause.
    """

    sequence: int
    what: str

    def __str__(self) -> str:
        return f"entry {self.sequence}: {self.what}" if self.sequence else self.what


def verify_chain(
    entries: Iterable[Entry], owner: Owner, key: VerifyKey, heads: Iterable[Head] = ()
) -> tuple[Finding, ...]:
    """Check a whole record, from its first entry on.

    Args:
        entries: in their stored order.
        owner: the expected owner of the record.
        key: the owner's, from the roster.
        heads: entries that the record is known to have reached before.

    Returns:
        All faults, in the order of the entries; empty for an intact record.
    """
    findings: list[Finding] = []
    hashes: dict[int, bytes] = {}
    last = Head(0, FIRST_PREVIOUS)
    for entry in entries:
        hashes[entry.sequence] = entry.hash
        findings += _place(entry, last)
        findings += _content(entry, owner, key)
        last = entry.head
    for head in heads:
        findings += _against(head, hashes, last)
    return tuple(findings)


def _place(entry: Entry, last: Head) -> list[Finding]:
    """Check that an entry follows the one before."""
    expected = last.sequence + 1
    if entry.sequence > expected:
        missing = (
            f"entry {expected}" if entry.sequence == expected + 1 else f"entries {expected} to {entry.sequence - 1}"
        )
        return [Finding(entry.sequence, f"{missing} before it missing")]
    if entry.sequence < expected:
        return [Finding(entry.sequence, f"out of order, it comes after entry {last.sequence}")]
    if entry.previous != last.hash:
        before = f"entry {last.sequence} as it stands here" if last.sequence else "nothing, as a first entry does"
        return [Finding(entry.sequence, f"altered, or what comes before it was: it does not follow on {before}")]
    return []


def _content(entry: Entry, owner: Owner, key: VerifyKey) -> list[Finding]:
    """Check that an entry is as its owner wrote it."""
    if entry.expected_hash(owner) != entry.hash:
        return [Finding(entry.sequence, "altered: its content does not have its hash")]
    try:
        entry.verify_signature(key)
    except InvalidSignature:
        return [Finding(entry.sequence, f"not signed by {owner.party_id} with the key in the roster")]
    return []


def _against(head: Head, hashes: dict[int, bytes], last: Head) -> list[Finding]:
    """Check a record against a head noted earlier."""
    if head.sequence == 0:
        return []
    if head.sequence > last.sequence:
        return [
            Finding(0, f"cut off: the record ends with entry {last.sequence}, but had reached entry {head.sequence}")
        ]
    if hashes.get(head.sequence) != head.hash:
        return [
            Finding(
                head.sequence,
                "another entry than the earlier head names: the record was rewritten, or went on from a backup",
            )
        ]
    return []
