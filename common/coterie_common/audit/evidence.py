# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The proof in an entry against anyone but its author: only facts that recompute count as signed.

A party writes its record itself and can write anything. An entry quotes the aggregator. This module decides whether the
quote is genuine: it recomputes, from the entry's own job, round and fields, the bytes that the signature must cover.
Every ``EVIDENCE_CHECKS`` entry is a numbered check. The same rule decides whether a contribution is its party's.

A round's fields are recomputed by the rules of that round's protocol version. A later version adds its function to
``_SESSION_IDS``; the entries of earlier ones stay as they are. Entries made before the terms were kept state no
version: they are unproven claims of their author.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from coterie_common import document
from coterie_common.audit.entry import Entry, Kind
from coterie_common.crypto.hashing import DIGEST_BYTES, Label
from coterie_common.crypto.identity import SIGNATURE_BYTES, VerifyKey
from coterie_common.document import Document
from coterie_common.errors import InvalidSignature, MalformedMessage, NotInCohort, ParameterMismatch, PeerError
from coterie_common.protocol.encrypted_reply import Contribution
from coterie_common.protocol.messages import DecryptionRequest, JobProposal, ModelDelivery, Query
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.session import session_id_of
from coterie_common.protocol.signed import SignedItems
from coterie_common.protocol.transcript import transcript_digest_of
from coterie_common.protocol.verification.check import Check, run_checks

_ROUNDS: Final = (Kind.QUERY, Kind.DECRYPTION)
_OF_SESSION: Final = ("session_id", "roster_digest", "spec_digest", "body_digest")
_DIGESTS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.DECISION: ("roster_digest", "spec_digest", "terms_digest"),
    Kind.QUERY: _OF_SESSION,
    Kind.DECRYPTION: (*_OF_SESSION, "transcript_digest"),
    Kind.MODEL: ("model_digest",),
}
"""Per kind, the digests covered by its signature."""


class Signers:
    """The keys that a founder has certified, by roster.

    Args:
        rosters: signed by their founder, as verified by the caller.
    """

    def __init__(self, rosters: Iterable[Roster]) -> None:
        self._rosters = sorted({roster.digest: roster for roster in rosters}.values(), key=lambda each: -each.serial)

    def aggregators(self, roster_digest: bytes | None) -> tuple[VerifyKey, ...]:
        """Return the aggregator's possible keys under a roster; all known keys if nobody has that roster."""
        named = [roster for roster in self._rosters if roster.digest == roster_digest] or self._rosters
        return tuple(roster.aggregator.verify_key for roster in named)

    def party(self, party_id: str, roster_digest: bytes) -> VerifyKey | None:
        """Return a party's key under a roster, or in the newest known one if nobody has that roster."""
        named = [roster for roster in self._rosters if roster.digest == roster_digest] or self._rosters[:1]
        try:
            return named[0].member(party_id).verify_key if named else None
        except NotInCohort:
            return None


@dataclass(slots=True, kw_only=True)
class Claim:
    """A message of the aggregator as an entry quotes it.

    Attributes:
        kind: of the message.
        job_id: of the entry.
        round_number: of the entry.
        facts: as recorded in the entry.
        signers: the keys that count.
    """

    kind: Kind
    job_id: str
    round_number: int
    facts: Mapping[str, Any]
    signers: Signers

    def octets(self, name: str, length: int = DIGEST_BYTES) -> bytes:
        """Return a fact of lower-case hexadecimal as bytes; raises ``MalformedMessage``."""
        return _octets(self.facts.get(name), name, length)


@dataclass(frozen=True, slots=True)
class SeenContribution:
    """A contribution that an entry shows, with the values its party signed.

    Attributes:
        party_id: the party that it is attributed to.
        key_part_digest: of its key part.
        padded_digest: of its padded part.
        signature: of its party.
    """

    party_id: str
    key_part_digest: bytes
    padded_digest: bytes
    signature: bytes
    digest: bytes = field(init=False)

    def __post_init__(self) -> None:
        digests = (self.key_part_digest, self.padded_digest)
        object.__setattr__(self, "digest", Contribution.digest_of(self.party_id, *digests, self.signature))

    def is_signed(self, claim: Claim) -> bool:
        """Return true if its party signed it for the round of a claim, which ``is_of_its_session``."""
        key = claim.signers.party(self.party_id, claim.octets("roster_digest"))
        label, items = Contribution.signed_items(
            claim.octets("session_id"), self.party_id, self.key_part_digest, self.padded_digest
        )
        if key is None:
            return False
        try:
            key.verify(self.signature, label, *items)
        except InvalidSignature:
            return False
        return True


def is_proven(claim: Claim) -> bool:
    """Return true if the aggregator signed the message that an entry quotes."""
    return _passes(claim, EVIDENCE_CHECKS)


def _passes(claim: Claim, checks: tuple[Check[Claim], ...]) -> bool:
    try:
        run_checks(checks, claim)
    except PeerError:
        return False
    return True


def proven_facts(claim: Claim) -> Mapping[str, Document]:
    """Return the facts of an entry that the aggregator signed, each in its canonical form; empty if it signed none.

    A party chooses how it writes its entries. Facts in another form, or added ones, are not returned.
    """
    return _covered(claim) if is_proven(claim) else {}


def _covered(claim: Claim) -> dict[str, Document]:
    """Return the facts that the checks recompute."""
    facts = claim.facts
    said: dict[str, Document] = {name: claim.octets(name).hex() for name in _DIGESTS.get(claim.kind, ())}
    if claim.kind is Kind.JOB_END:
        said["outcome"] = str(facts["outcome"])
    if claim.kind in _ROUNDS:
        said |= {"key_epoch": int(facts["key_epoch"]), "round_quorum": int(facts["round_quorum"])}
        said |= {"cohort": list(facts["cohort"]), "terms": dict(facts["terms"])}
        said["previous_transcript"] = _previous_transcript(claim).hex()
        if facts["protocol_version"] != 1:
            said["plan_step"] = int(facts["plan_step"])
        if "acceptances" in facts:
            said["acceptances"] = claim.octets("acceptances").hex()
    if claim.kind is Kind.DECRYPTION:
        said["contributors"] = [each.party_id for each in contributions(claim)]
    return said


def is_of_its_session(claim: Claim) -> bool:
    """Return true if the session id of an entry follows from its other fields, signed or not."""
    return _passes(claim, EVIDENCE_CHECKS[:1])


def claim_of(entry: Entry, signers: Signers) -> Claim:
    """Return the aggregator's message that an entry quotes; a refusal quotes the refused message."""
    kind, facts = entry.kind, entry.facts
    if kind is Kind.REFUSAL:
        told = facts.get("told")
        kind, facts = _REFUSED.get(str(facts.get("message")), kind), told if isinstance(told, dict) else {}
    return Claim(kind=kind, job_id=entry.job_id, round_number=entry.round_number, facts=facts, signers=signers)


def contributions(claim: Claim) -> Iterator[SeenContribution]:
    """Yield the contributions that a decryption entry shows, as recorded; raises ``MalformedMessage``."""
    ids, seen = claim.facts.get("contributors"), claim.facts.get("contributions")
    if not isinstance(ids, list) or not isinstance(seen, list) or len(ids) != len(seen):
        raise MalformedMessage("the entry does not show its contributions")
    for party_id, text in zip(ids, seen, strict=True):
        if not isinstance(party_id, str):
            raise MalformedMessage("a contributor of the entry has no name")
        data = _octets(text, "a contribution", 2 * DIGEST_BYTES + SIGNATURE_BYTES)
        first, second = data[:DIGEST_BYTES], data[DIGEST_BYTES : 2 * DIGEST_BYTES]
        yield SeenContribution(party_id, first, second, data[2 * DIGEST_BYTES :])


def _octets(text: object, name: str, length: int) -> bytes:
    try:
        value = bytes.fromhex(text) if isinstance(text, str) else None
    except ValueError:
        value = None
    # fromhex also accepts capitals and spaces; accepting them would make one statement look like two.
    if value is None or len(value) != length or value.hex() != text:
        raise MalformedMessage(f"the entry has no {name} of {length} bytes in lower-case hexadecimal")
    return value


def _previous_transcript(claim: Claim) -> bytes:
    # The first round of a job has the empty text; nothing else may be empty.
    return b"" if claim.facts.get("previous_transcript") == "" else claim.octets("previous_transcript")


_REFUSED: Final = {
    JobProposal.stored_as: Kind.DECISION,
    Query.stored_as: Kind.QUERY,
    DecryptionRequest.stored_as: Kind.DECRYPTION,
    ModelDelivery.stored_as: Kind.MODEL,
}
"""The kind of entry that a message would have become if it had not been refused."""


def _first_version(claim: Claim) -> bytes:
    """Return the session id of a round of protocol version 1, whose number was also its step."""
    return _session_id(claim, protocol_version=1, plan_step=None)


def _second_version(claim: Claim) -> bytes:
    """Return the session id of a round of protocol version 2."""
    step = claim.facts.get("plan_step")
    if type(step) is not int:
        raise MalformedMessage("the entry does not show the step of its round")
    return _session_id(claim, protocol_version=2, plan_step=step)


def _session_id(claim: Claim, *, protocol_version: int, plan_step: int | None) -> bytes:
    facts = claim.facts
    cohort, terms = facts.get("cohort"), facts.get("terms")
    epoch, quorum = facts.get("key_epoch"), facts.get("round_quorum")
    if not isinstance(cohort, list) or not all(isinstance(party_id, str) for party_id in cohort):
        raise MalformedMessage("the entry has no cohort")
    if not isinstance(terms, dict) or type(epoch) is not int or type(quorum) is not int:
        raise MalformedMessage("the entry does not show the terms of its round")
    return session_id_of(
        protocol_version=protocol_version,
        roster_digest=claim.octets("roster_digest"),
        key_epoch=epoch,
        job_id=claim.job_id,
        spec_digest=claim.octets("spec_digest"),
        round_number=claim.round_number,
        plan_step=plan_step,
        body_digest=claim.octets("body_digest"),
        cohort=cohort,
        round_quorum=quorum,
        terms=(document.encode(terms),),
        previous_transcript=_previous_transcript(claim),
        acceptances=claim.octets("acceptances") if "acceptances" in facts else b"",
    )


_SESSION_IDS: Final[Mapping[int, Callable[[Claim], bytes]]] = {1: _first_version, 2: _second_version}


def _session(claim: Claim) -> None:
    if claim.kind not in _ROUNDS:
        return
    version = claim.facts.get("protocol_version")
    recompute = _SESSION_IDS.get(version) if type(version) is int else None
    if recompute is None:
        raise MalformedMessage("the entry is of a protocol version that cannot be recomputed here, or states none")
    if recompute(claim) != claim.octets("session_id"):
        raise ParameterMismatch("the session id of the entry is not that of its job, round and fields")


def _transcript(claim: Claim) -> None:
    if claim.kind is not Kind.DECRYPTION:
        return
    seen = [(each.party_id, each.key_part_digest, each.padded_digest) for each in contributions(claim)]
    if transcript_digest_of(claim.octets("session_id"), seen) != claim.octets("transcript_digest"):
        raise ParameterMismatch("the transcript of the entry is not that of its session and contributions")


def _signature(claim: Claim) -> None:
    make = _SIGNED.get(claim.kind)
    if make is None:
        raise MalformedMessage("the entry quotes nothing that the aggregator signs")
    label, items = make(claim)
    signature = claim.octets("aggregator_signature", SIGNATURE_BYTES)
    named = claim.octets("roster_digest") if "roster_digest" in claim.facts else None
    for key in claim.signers.aggregators(named):
        try:
            key.verify(signature, label, *items)
        except InvalidSignature:
            continue
        return
    raise InvalidSignature("the aggregator did not sign what the entry quotes")


def _end(claim: Claim) -> SignedItems:
    outcome, reason = claim.facts.get("outcome"), claim.facts.get("reason")
    if not isinstance(outcome, str) or not isinstance(reason, str):
        raise MalformedMessage("the entry does not show the end of its job")
    return Label.JOB_END, (claim.job_id, outcome, reason)


_SIGNED: Final[Mapping[Kind, Callable[[Claim], SignedItems]]] = {
    # As ``signed_items`` of the messages; those hold contents, a record holds their digests.
    Kind.DECISION: lambda claim: (
        Label.PROPOSAL,
        (claim.job_id, *(claim.octets(name) for name in ("roster_digest", "spec_digest", "terms_digest"))),
    ),
    Kind.MODEL: lambda claim: (Label.MODEL_DELIVERY, (claim.job_id, claim.octets("model_digest"))),
    Kind.QUERY: lambda claim: (Label.QUERY_SIGNATURE, (claim.octets("session_id"),)),
    Kind.DECRYPTION: lambda claim: (Label.TRANSCRIPT_SIGNATURE, (claim.octets("transcript_digest"),)),
    Kind.JOB_END: _end,
}


EVIDENCE_CHECKS: Final[tuple[Check[Claim], ...]] = (
    Check(1, "the session id is that of the entry's job, round, cohort, quorum, body and terms", _session),
    Check(2, "the transcript is that of the session and of the contributions that the entry shows", _transcript),
    Check(3, "signed by the aggregator of a roster that the founder signed", _signature),
)
