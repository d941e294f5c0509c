# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Holding the records of several parties side by side: did the aggregator tell all of them the same?

Everything that an honest aggregator says to all in the same words is compared, per job and per round. What a party
refused counts too, if the aggregator signed it: a query that came second is as telling as one that was answered.

The caller has verified every record. What a party left out of its own record from the start cannot be seen here, except
that the others saw its contribution.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from coterie_common.audit.entry import Entry, Kind
from coterie_common.audit.export import Export
from coterie_common.crypto.hashing import Item, Label
from coterie_common.crypto.identity import VerifyKey
from coterie_common.errors import InvalidSignature
from coterie_common.protocol.messages import DecryptionRequest, Query

_QUERY: Final = {
    "session_id": "query (session id)",
    "roster_digest": "roster",
    "key_epoch": "key epoch",
    "spec_digest": "job specification",
    "body_digest": "body of the query",
    "round_terms_digest": "terms of the round",
    "cohort": "cohort",
    "round_quorum": "quorum of the round",
    "previous_transcript": "transcript of the round before",
}
_COMPARED: Final[Mapping[Kind, Mapping[str, str]]] = {
    Kind.DECISION: {"spec_digest": "job specification", "terms_digest": "terms of the job"},
    Kind.QUERY: _QUERY,
    Kind.DECRYPTION: {**_QUERY, "transcript_digest": "transcript", "contributors": "contributors"},
    Kind.MODEL: {"model_digest": "model"},
    Kind.JOB_END: {"outcome": "end of the job"},
}
"""Per kind of entry, what all parties must have been told in the same words."""

_REFUSED: Final = {
    "JobProposal": Kind.DECISION,
    "Query": Kind.QUERY,
    "DecryptionRequest": Kind.DECRYPTION,
    "ModelDelivery": Kind.MODEL,
}
"""Which kind of entry a message would have become, had it not been refused."""


@dataclass(frozen=True, slots=True)
class Version:
    """One of the things that parties were told.

    Attributes:
        value: what, as text.
        parties: who was told it, in order.
        refused_by: those of them who refused it.
        is_signed: whether the aggregator's signature on it verifies at one of them at least.
    """

    value: str
    parties: tuple[str, ...]
    refused_by: tuple[str, ...] = ()
    is_signed: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not the same for all.

    Attributes:
        job_id: the job, or empty.
        round_number: the round, or 0 for the job as a whole.
        what: the thing that differs.
        versions: two or more.
    """

    job_id: str
    round_number: int
    what: str
    versions: tuple[Version, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """What came out.

    Attributes:
        differences: by job, round, and what.
        jobs: how many jobs two parties or more know.
        rounds: how many rounds two parties or more know.
    """

    differences: tuple[Difference, ...]
    jobs: int
    rounds: int


@dataclass(frozen=True, slots=True)
class _Heard:
    """One thing that one party was told."""

    party_id: str
    value: str
    is_refused: bool
    is_signed: bool


_Subject = tuple[str, int, str]


def compare(exports: Sequence[Export]) -> Comparison:
    """Compare verified records of one federation; several of one party must be the same record at different times."""
    heard: dict[_Subject, list[_Heard]] = {}
    for export in exports:
        for subject, thing in _heard(export):
            heard.setdefault(subject, []).append(thing)
    differences = [
        Difference(*subject, versions)
        for subject, things in sorted(heard.items())
        if len(versions := _versions(things)) > 1
    ]
    known = {(job, number): set[str]() for job, number, _ in heard}
    for (job, number, _), things in heard.items():
        known[job, number] |= {thing.party_id for thing in things}
    shared = [number for (_, number), parties in known.items() if len(parties) > 1]
    return Comparison(
        (*_forks(exports), *differences, *_unknown_contributions(exports)),
        jobs=shared.count(0),
        rounds=len(shared) - shared.count(0),
    )


def _heard(export: Export) -> Iterator[tuple[_Subject, _Heard]]:
    key = export.signed_roster.roster.aggregator.verify_key
    for entry in export.entries:
        kind, facts, is_refused = entry.kind, entry.facts, entry.kind is Kind.REFUSAL
        if is_refused:
            kind, facts = _REFUSED.get(str(facts.get("message")), Kind.REFUSAL), facts.get("told") or {}
        is_signed = _is_signed(kind, entry.job_id, facts, key)
        if is_refused and not is_signed:
            continue
        for name, what in _COMPARED.get(kind, {}).items():
            if name in facts:
                yield (
                    (entry.job_id, entry.round_number, what),
                    _Heard(export.party_id, _text(facts[name]), is_refused, is_signed),
                )


def _versions(things: Iterable[_Heard]) -> tuple[Version, ...]:
    by_value: dict[str, list[_Heard]] = {}
    for thing in things:
        by_value.setdefault(thing.value, []).append(thing)
    versions = []
    for value, same in by_value.items():
        parties = sorted({thing.party_id for thing in same})
        accepted = {thing.party_id for thing in same if not thing.is_refused}
        refused = tuple(party_id for party_id in parties if party_id not in accepted)
        versions.append(Version(value, tuple(parties), refused, any(thing.is_signed for thing in same)))
    return tuple(sorted(versions, key=lambda version: version.parties))


def _forks(exports: Sequence[Export]) -> Iterator[Difference]:
    """Yield parties whose records are not one record at different times."""
    longest: dict[str, Export] = {}
    for export in sorted(exports, key=lambda export: len(export.entries), reverse=True):
        other = longest.setdefault(export.party_id, export)
        for mine, theirs in zip(export.entries, other.entries, strict=False):
            if mine.hash != theirs.hash:
                versions = (Version(str(mine.head), (export.party_id,)), Version(str(theirs.head), (export.party_id,)))
                yield Difference("", 0, f"record of {export.party_id} from entry {mine.sequence} on", versions)
                break


def _unknown_contributions(exports: Sequence[Export]) -> Iterator[Difference]:
    """Yield contributions that others helped to open, but that their party's own record knows nothing of."""
    seen: dict[tuple[str, int, str], list[str]] = {}
    for export in exports:
        for entry in _of(export, Kind.DECRYPTION):
            for contributor in entry.facts.get("contributors") or ():
                seen.setdefault((entry.job_id, entry.round_number, str(contributor)), []).append(export.party_id)
    for export in exports:
        replied = {(entry.job_id, entry.round_number) for entry in _of(export, Kind.REPLY)}
        for (job_id, number, contributor), witnesses in sorted(seen.items()):
            if contributor != export.party_id or (job_id, number) in replied or not _reaches(export, job_id, number):
                continue
            versions = (
                Version("contributed", tuple(sorted(set(witnesses))), is_signed=True),
                Version("made no reply", (export.party_id,)),
            )
            yield Difference(job_id, number, f"contribution of {contributor}", versions)


def _reaches(export: Export, job_id: str, number: int) -> bool:
    """Tell whether a record goes on beyond the opening of a round, so that the round's reply would have to be in it."""
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


def _is_signed(kind: Kind, job_id: str, facts: Mapping[str, Any], key: VerifyKey) -> bool:
    """Tell whether the aggregator's signature that an entry quotes covers what the entry says."""
    try:
        label, items = _SIGNED[kind](job_id, facts)
        key.verify(bytes.fromhex(facts["aggregator_signature"]), label, *items)
    except (KeyError, TypeError, ValueError, InvalidSignature):
        return False
    return True


def _octets(facts: Mapping[str, Any], name: str) -> bytes:
    return bytes.fromhex(facts[name])


_SIGNED: Final[Mapping[Kind, Callable[[str, Mapping[str, Any]], tuple[Label, tuple[Item, ...]]]]] = {
    # The messages of these hold the bytes themselves, of which a record has the digests.
    Kind.DECISION: lambda job_id, facts: (
        Label.PROPOSAL,
        (job_id, *(_octets(facts, name) for name in ("roster_digest", "spec_digest", "terms_digest"))),
    ),
    Kind.MODEL: lambda job_id, facts: (Label.MODEL_DELIVERY, (job_id, _octets(facts, "model_digest"))),
    Kind.QUERY: lambda _, facts: Query.signed_items(_octets(facts, "session_id")),
    Kind.DECRYPTION: lambda _, facts: DecryptionRequest.signed_items(_octets(facts, "transcript_digest")),
    Kind.JOB_END: lambda job_id, facts: (Label.JOB_END, (job_id, facts["outcome"], facts["reason"])),
}


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)
