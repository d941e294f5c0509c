# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Contributions of parties as recorded by others, compared with their own records.

A contribution that bears its party's signature for the round cannot be denied: a party signs once its reply is in its
own record. One without it is an unproven claim of the record that shows it, and counts against nobody.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass

from coterie_common.audit.entry import Entry, Kind
from coterie_common.audit.evidence import Signers, claim_of, contributions, is_of_its_session
from coterie_common.audit.export import Export
from coterie_common.errors import MalformedMessage

_Place = tuple[str, int, str]


@dataclass(frozen=True, slots=True)
class Seen:
    """One contribution, as recorded by others.

    Attributes:
        digest: of the contribution; empty where an entry states only that there was one.
        witnesses: the parties whose records contain it.
        is_signed: true if its party's signature for this round verifies.
    """

    digest: bytes
    witnesses: tuple[str, ...]
    is_signed: bool


@dataclass(frozen=True, slots=True)
class Denial:
    """A contribution on which records disagree.

    Attributes:
        job_id: the job.
        round_number: the round.
        party_id: the contributor.
        seen: the contribution as others recorded it.
        has_record: true if its own record is present and extends beyond the round.
        own: digest of the reply in its own record; empty if there is none.
    """

    job_id: str
    round_number: int
    party_id: str
    seen: tuple[Seen, ...]
    has_record: bool
    own: bytes


def denied_contributions(exports: Sequence[Export], signers: Signers) -> Iterator[Denial]:
    """Yield, in order, contributions that differ from their party's own record, or that others recorded in two ways."""
    seen = _seen(exports, signers)
    own = _own(exports, signers)
    for (job_id, number, party_id), by_digest in sorted(seen.items()):
        records = [export for export in exports if export.party_id == party_id and _reaches(export, job_id, number)]
        replied = own.get((job_id, number, party_id), b"")
        has_record = bool(records) or bool(replied)
        # Records of earlier versions show that there was a contribution, not which.
        agrees = has_record and all(digest == replied or (not digest and replied) for digest in by_digest)
        told_apart = [digest for digest in by_digest if digest]
        if agrees or (not has_record and len(told_apart) < 2):
            continue
        versions = tuple(
            Seen(digest, tuple(sorted(set(witnesses))), is_signed)
            for digest, (witnesses, is_signed) in sorted(by_digest.items())
        )
        yield Denial(job_id, number, party_id, versions, has_record, replied)


def _seen(exports: Sequence[Export], signers: Signers) -> dict[_Place, dict[bytes, tuple[list[str], bool]]]:
    """Return job, round and contributor → digest → the recording parties, and if a signature verifies."""
    found: dict[_Place, dict[bytes, tuple[list[str], bool]]] = {}
    for export in exports:
        for entry in _of(export, Kind.DECRYPTION):
            for party_id, digest, is_signed in _contributors(entry, signers):
                by_digest = found.setdefault((entry.job_id, entry.round_number, party_id), {})
                witnesses, before = by_digest.get(digest, ([], False))
                by_digest[digest] = ([*witnesses, export.party_id], before or is_signed)
    return found


def _contributors(entry: Entry, signers: Signers) -> Iterator[tuple[str, bytes, bool]]:
    claim = claim_of(entry, signers)
    if "contributions" not in claim.facts:
        named = claim.facts.get("contributors")
        for party_id in named if isinstance(named, list) else ():
            yield str(party_id), b"", False
        return
    is_sound = is_of_its_session(claim)
    try:
        for each in contributions(claim):
            yield each.party_id, each.digest, is_sound and each.is_signed(claim)
    except MalformedMessage:
        return


def _own(exports: Sequence[Export], signers: Signers) -> dict[_Place, bytes]:
    replies: dict[_Place, bytes] = {}
    for export in exports:
        for entry in _of(export, Kind.REPLY):
            with suppress(MalformedMessage):  # otherwise it states nothing that others could have seen
                digest = claim_of(entry, signers).octets("contribution_digest")
                replies[entry.job_id, entry.round_number, export.party_id] = digest
    return replies


def _reaches(export: Export, job_id: str, number: int) -> bool:
    """Return true if a record extends beyond the opening of a round, so that it must contain the round's reply."""
    return any(
        entry.job_id == job_id
        and (
            entry.kind in (Kind.MODEL, Kind.JOB_END)
            or entry.round_number > number
            or (entry.kind is Kind.DECRYPTION and entry.round_number == number)
        )
        for entry in export.entries
    )


def _of(export: Export, kind: Kind) -> Iterator[Entry]:
    return (entry for entry in export.entries if entry.kind is kind)
