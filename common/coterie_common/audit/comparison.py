# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Comparing the records of several parties: did the aggregator send all of them the same?

Everything that an honest aggregator sends identically to all is compared, per job and per round. Messages that a party
refused count too, if the aggregator signed them: a second, refused query is as much evidence as an answered one.

A party writes its own record and can write anything. A difference therefore counts against a member only where two
versions bear that member's signature and recompute (``evidence``); everything else is an unproven claim of its authors.

The caller has verified every record. Entries that a party never recorded cannot be seen here, except for a contribution
that others saw.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from coterie_common import document
from coterie_common.audit.entry import Kind
from coterie_common.audit.evidence import Signers, claim_of, proven_facts
from coterie_common.audit.export import Export
from coterie_common.audit.replies import denied_contributions

AGGREGATOR: Final = "the aggregator"
"""The aggregator as a signer; no party can have this id."""

_QUERY: Final = {
    "session_id": "query (session id)",
    "roster_digest": "roster",
    "key_epoch": "key epoch",
    "spec_digest": "job specification",
    "plan_step": "step of the plan",
    "body_digest": "body of the query",
    "terms": "terms of the round",
    # Of entries made before the terms were kept.
    "round_terms_digest": "digest of the terms of the round",
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
"""Per kind of entry, the facts that must be identical for all parties."""


@dataclass(frozen=True, slots=True)
class Version:
    """One of the versions that parties recorded.

    Attributes:
        value: the recorded value, as text.
        parties: the parties whose records contain it, in order.
        refused_by: those of them that refused it.
        signed_by: the signer whose signature verifies over the value recomputed from at least one of the records: the
            aggregator or a party; empty if only ``parties`` claim it.
    """

    value: str
    parties: tuple[str, ...]
    refused_by: tuple[str, ...] = ()
    signed_by: str = ""

    @property
    def is_signed(self) -> bool:
        """True if a signature supports it, beyond the claim of the parties that recorded it."""
        return bool(self.signed_by)


@dataclass(frozen=True, slots=True)
class Difference:
    """A fact that is not the same for all.

    Attributes:
        job_id: the job, or empty.
        round_number: the round, or 0 for the job as a whole.
        what: the differing fact.
        versions: two or more.
        proven_against: the member that signed two of them and so caused the difference; empty if none did.
    """

    job_id: str
    round_number: int
    what: str
    versions: tuple[Version, ...]
    proven_against: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """The result of a comparison.

    Attributes:
        differences: by job, round and fact.
        jobs: the number of jobs known to two or more parties.
        rounds: the number of rounds known to two or more parties.
    """

    differences: tuple[Difference, ...]
    jobs: int
    rounds: int


@dataclass(frozen=True, slots=True)
class _Heard:
    """One fact that one party recorded as received."""

    party_id: str
    value: str
    is_refused: bool
    is_signed: bool


_Subject = tuple[str, int, str]


def compare(exports: Sequence[Export]) -> Comparison:
    """Compare verified records of one federation; several of one party must be the same record at different times."""
    heard: dict[_Subject, list[_Heard]] = {}
    signers = Signers(export.signed_roster.roster for export in exports)
    for export in exports:
        for subject, thing in _heard(export, signers):
            heard.setdefault(subject, []).append(thing)
    differences = [
        _difference(*subject, versions)
        for subject, things in sorted(heard.items())
        if len(versions := _versions(things)) > 1
    ]
    known = {(job, number): set[str]() for job, number, _ in heard}
    for (job, number, _), things in heard.items():
        known[job, number] |= {thing.party_id for thing in things}
    shared = [number for (_, number), parties in known.items() if len(parties) > 1]
    return Comparison(
        (*_forks(exports), *differences, *_denials(exports, signers)),
        jobs=shared.count(0),
        rounds=len(shared) - shared.count(0),
    )


def _heard(export: Export, signers: Signers) -> Iterator[tuple[_Subject, _Heard]]:
    for entry in export.entries:
        claim, is_refused = claim_of(entry, signers), entry.kind is Kind.REFUSAL
        compared = _COMPARED.get(claim.kind, {})
        proven = proven_facts(claim) if compared else {}
        if is_refused and not proven:
            continue
        for name, what in compared.items():
            if name in claim.facts:
                is_signed = name in proven
                value = _text(proven[name] if is_signed else claim.facts[name])
                subject = entry.job_id, entry.round_number, what
                yield subject, _Heard(export.party_id, value, is_refused, is_signed)


def _versions(things: Iterable[_Heard]) -> tuple[Version, ...]:
    by_value: dict[str, list[_Heard]] = {}
    for thing in things:
        by_value.setdefault(thing.value, []).append(thing)
    versions = []
    for value, same in by_value.items():
        parties = sorted({thing.party_id for thing in same})
        accepted = {thing.party_id for thing in same if not thing.is_refused}
        refused = tuple(party_id for party_id in parties if party_id not in accepted)
        signed_by = AGGREGATOR if any(thing.is_signed for thing in same) else ""
        versions.append(Version(value, tuple(parties), refused, signed_by))
    return tuple(sorted(versions, key=lambda version: version.parties))


def _difference(job_id: str, round_number: int, what: str, versions: tuple[Version, ...]) -> Difference:
    signers = [version.signed_by for version in versions if version.signed_by]
    twice = next((signer for signer in signers if signers.count(signer) > 1), "")
    return Difference(job_id, round_number, what, versions, proven_against=twice)


def _forks(exports: Sequence[Export]) -> Iterator[Difference]:
    """Yield parties whose records are not one record at different times: each signed both."""
    longest: dict[str, Export] = {}
    for export in sorted(exports, key=lambda export: len(export.entries), reverse=True):
        other = longest.setdefault(export.party_id, export)
        for mine, theirs in zip(export.entries, other.entries, strict=False):
            if mine.hash != theirs.hash:
                who = export.party_id
                versions = tuple(Version(str(each.head), (who,), signed_by=who) for each in (mine, theirs))
                yield _difference("", 0, f"record of {who} from entry {mine.sequence} on", versions)
                break


def _denials(exports: Sequence[Export], signers: Signers) -> Iterator[Difference]:
    """Yield contributions that others helped to open and that differ from their party's own record."""
    for denial in denied_contributions(exports, signers):
        versions = []
        for seen in denial.seen:
            # A party signed its own record, and every reply in it.
            is_own = denial.has_record and seen.digest == denial.own
            parties = sorted({*seen.witnesses, denial.party_id} if is_own else seen.witnesses)
            signed_by = denial.party_id if is_own or seen.is_signed else ""
            versions.append(Version(f"contributed {seen.digest.hex()}".rstrip(), tuple(parties), signed_by=signed_by))
        if denial.has_record and denial.own not in [seen.digest for seen in denial.seen]:
            own = f"contributed {denial.own.hex()}" if denial.own else "made no reply"
            versions.append(Version(own, (denial.party_id,), signed_by=denial.party_id))
        what = f"contribution of {denial.party_id}"
        yield _difference(denial.job_id, denial.round_number, what, tuple(versions))


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return document.encode(value).decode("utf-8") if isinstance(value, dict) else str(value)
