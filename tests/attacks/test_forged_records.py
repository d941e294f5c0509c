# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party writes its own record anew, with its own key, so that somebody else looks guilty, or that it does not.

Every check of what counts as evidence has a forgery that it stops, and without the check the forgery accuses an honest
aggregator. Nobody can be framed by a record, and nobody can deny what others show with its signature.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import pytest

from coterie_common.audit.comparison import AGGREGATOR, Difference, compare
from coterie_common.audit.entry import Event, Kind
from coterie_common.audit.evidence import EVIDENCE_CHECKS, Claim, Signers, _passes, claim_of, is_proven
from coterie_common.audit.export import Export
from coterie_common.audit.told import told, told_briefly
from coterie_common.crypto.identity import SigningKey
from coterie_common.document import Document
from coterie_common.identifiers import JobId, PartyId
from coterie_common.limits import AUDIT_TOLD_BYTES, MAX_PARTIES
from coterie_common.protocol.encrypted_reply import Contribution, KeyPart
from coterie_common.protocol.messages import DecryptionRequest, JobEnd, JobOutcome, JobProposal, ModelDelivery, Query
from coterie_common.protocol.roster import SignedRoster
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.signed import UNSIGNED
from tests.support.audit_records import make_export
from tests.support.federation import FOUNDER, FOUNDER_KEY, digest_of, make_federation
from tests.support.present import present
from tests.support.seeded_random import SeededRandom

FEDERATION = make_federation()
HONEST, LIAR, OTHER = FEDERATION.parties[:3]
JOBS = (JobId("job-1"), JobId("job-2"))


def fields(job_id: JobId, number: int, **changes: object) -> SessionFields:
    previous = b"" if number == 1 else digest_of(f"{job_id} transcript {number - 1}")
    values = {"job_id": job_id, "round_number": number, "previous_transcript": previous}
    values["body_digest"] = digest_of(f"{job_id} body {number}")
    return FEDERATION.fields(**(values | changes))


def query(asked: SessionFields) -> Query:
    return Query(fields=asked, body=b"", signature=UNSIGNED).signed_by(FEDERATION.aggregator_key)


@cache
def request_of(job_id: JobId, number: int) -> DecryptionRequest:
    return request(fields(job_id, number))


def contribution(asked: SessionFields, party_id: PartyId, text: str = "") -> Contribution:
    """What a record needs of one: digests and signature."""
    content = f"{party_id} {text}".encode()
    return FEDERATION.signed(party_id, asked.session_id, KeyPart(ciphertexts=(content,), proof=b"proof"))


def request(asked: SessionFields, contributors: Iterable[PartyId] = FEDERATION.parties) -> DecryptionRequest:
    return FEDERATION.request(asked, tuple(contribution(asked, party_id) for party_id in contributors))


def proposal(job_id: JobId) -> JobProposal:
    content = job_id.encode()
    made = JobProposal(
        job_id=job_id, roster_digest=FEDERATION.roster.digest, spec=content, terms=content, signature=UNSIGNED
    )
    return made.signed_by(FEDERATION.aggregator_key)


def delivery(job_id: JobId) -> ModelDelivery:
    made = ModelDelivery(job_id=job_id, model=job_id.encode(), signature=UNSIGNED)
    return made.signed_by(FEDERATION.aggregator_key)


def end(job_id: JobId, outcome: JobOutcome, reason: str = "enough") -> JobEnd:
    made = JobEnd(job_id=job_id, outcome=outcome, reason=reason, signature=UNSIGNED)
    return made.signed_by(FEDERATION.aggregator_key)


@cache
def events(party_id: PartyId) -> tuple[Event, ...]:
    return tuple(_events(party_id))


def _events(party_id: PartyId) -> Iterator[Event]:
    """What a party records of two jobs, of two rounds each, that an honest aggregator ran and one cancelled."""
    for job_id, outcome in zip(JOBS, (JobOutcome.CANCELLED, JobOutcome.FAILED), strict=True):
        yield Event(kind=Kind.DECISION, job_id=job_id, details={"decision": "accepted", **told(proposal(job_id))})
        for number in (1, 2):
            asked = fields(job_id, number)
            place: dict[str, Any] = {"job_id": job_id, "round_number": number}
            yield Event(kind=Kind.QUERY, **place, details=told(query(asked)))
            own = contribution(asked, party_id).digest.hex()
            yield Event(kind=Kind.REPLY, **place, details={"contribution_digest": own})
            yield Event(kind=Kind.DECRYPTION, **place, details=told(request_of(job_id, number)))
        yield Event(kind=Kind.MODEL, job_id=job_id, details=told(delivery(job_id)))
        yield Event(kind=Kind.JOB_END, job_id=job_id, details=told(end(job_id, outcome)))


Change = Callable[[Event], Event | None]


def unchanged(event: Event) -> Event:
    return event


@cache
def record(party_id: PartyId, change: Change = unchanged) -> Export:
    changed = [result for event in events(party_id) if (result := change(event)) is not None]
    export = make_export(FEDERATION, party_id, changed)
    # The one thing that a forger has is its own key: its record verifies.
    assert export.verify(FOUNDER) == ()
    return export


def facts_of(kind: Kind, job_id: JobId, number: int = 0) -> dict[str, Any]:
    return next(
        dict(event.details)
        for event in events(LIAR)
        if (event.kind, event.job_id, event.round_number) == (kind, job_id, number)
    )


def at(
    kind: Kind, change: Callable[[dict[str, Any]], dict[str, Any]], job_id: JobId = JOBS[1], number: int = 1
) -> Change:
    """Change the details of one entry."""

    def changed(event: Event) -> Event:
        hit = (event.kind, event.job_id, event.round_number) == (kind, job_id, number)
        return replace(event, details=change(dict(event.details))) if hit else event

    return changed


def found(*exports: Export) -> tuple[Difference, ...]:
    return compare([Export.from_bytes(export.to_bytes()) for export in exports]).differences


@dataclass(frozen=True)
class Forgery:
    check: int
    name: str
    kind: Kind
    change: Change


ROUND_1, OTHER_ROUND = facts_of(Kind.QUERY, JOBS[0], 1), facts_of(Kind.QUERY, JOBS[1], 2)
OPENED, OTHER_OPENED = facts_of(Kind.DECRYPTION, JOBS[0], 1), facts_of(Kind.DECRYPTION, JOBS[1], 2)
SIGNED = ("session_id", "aggregator_signature")
OPENING = ("transcript_digest", "aggregator_signature")
COALITION = tuple(sorted(FEDERATION.parties[:4]))


def taken(facts: dict[str, Any], names: Iterable[str]) -> dict[str, Any]:
    return {name: facts[name] for name in names}


def without_noise(facts: dict[str, Any]) -> dict[str, Any]:
    terms = {**facts["terms"], "noise": {**facts["terms"]["noise"], "variance": "1/1000"}}
    return {**facts, "terms": terms}


def unsigned_session(facts: dict[str, Any]) -> dict[str, Any]:
    asked = fields(JOBS[1], 1, cohort=COALITION)
    return {**told(query(asked)), "aggregator_signature": facts["aggregator_signature"]}


def other_transcript(facts: dict[str, Any]) -> dict[str, Any]:
    """The transcript of another round of the same parties, beside the contributions of this one."""
    return {**facts, **taken(OTHER_OPENED, OPENING)}


FORGERIES = (
    Forgery(1, "session id of another job", Kind.QUERY, at(Kind.QUERY, lambda f: f | taken(ROUND_1, SIGNED))),
    Forgery(1, "session id of another round", Kind.QUERY, at(Kind.QUERY, lambda f: f | taken(OTHER_ROUND, SIGNED))),
    Forgery(1, "whole query of another job", Kind.QUERY, at(Kind.QUERY, lambda f: f | ROUND_1)),
    Forgery(1, "another cohort", Kind.QUERY, at(Kind.QUERY, lambda f: f | {"cohort": list(COALITION)})),
    Forgery(1, "less noise", Kind.QUERY, at(Kind.QUERY, without_noise)),
    Forgery(1, "a lower quorum", Kind.QUERY, at(Kind.QUERY, lambda f: f | {"round_quorum": 2})),
    Forgery(1, "another step", Kind.QUERY, at(Kind.QUERY, lambda f: f | {"plan_step": 2})),
    Forgery(1, "another body", Kind.QUERY, at(Kind.QUERY, lambda f: f | {"body_digest": digest_of("x").hex()})),
    Forgery(1, "an unknown version", Kind.QUERY, at(Kind.QUERY, lambda f: f | {"cohort": [], "protocol_version": 99})),
    Forgery(1, "no version", Kind.QUERY, at(Kind.QUERY, lambda f: {"cohort": [], **taken(f, SIGNED)})),
    Forgery(1, "cohort of an opening", Kind.DECRYPTION, at(Kind.DECRYPTION, lambda f: f | {"cohort": list(COALITION)})),
    Forgery(2, "transcript of another round", Kind.DECRYPTION, at(Kind.DECRYPTION, other_transcript)),
    Forgery(
        2,
        "a contributor less",
        Kind.DECRYPTION,
        at(
            Kind.DECRYPTION,
            lambda f: f | {"contributors": f["contributors"][:4], "contributions": f["contributions"][:4]},
        ),
    ),
    Forgery(
        2,
        "contributors renamed",
        Kind.DECRYPTION,
        at(Kind.DECRYPTION, lambda f: f | {"contributors": f["contributors"][::-1]}),
    ),
    Forgery(3, "a query that nobody asked", Kind.QUERY, at(Kind.QUERY, unsigned_session)),
    Forgery(
        3,
        "an end that nobody said",
        Kind.JOB_END,
        at(Kind.JOB_END, lambda f: f | {"outcome": "completed"}, number=0),
    ),
    Forgery(
        3,
        "the end of another job",
        Kind.JOB_END,
        at(Kind.JOB_END, lambda f: facts_of(Kind.JOB_END, JOBS[0]), number=0),
    ),
    Forgery(
        3, "the model of another job", Kind.MODEL, at(Kind.MODEL, lambda f: facts_of(Kind.MODEL, JOBS[0]), number=0)
    ),
    Forgery(
        3,
        "another job's proposal",
        Kind.DECISION,
        at(Kind.DECISION, lambda f: f | facts_of(Kind.DECISION, JOBS[0]), number=0),
    ),
)


def test_honest_records_agree_and_every_word_of_the_aggregator_is_proven():
    exports = [record(party_id) for party_id in (HONEST, LIAR, OTHER)]
    assert found(*exports) == ()
    signers = Signers([FEDERATION.roster])
    claims = [claim_of(entry, signers) for entry in exports[0].entries if entry.kind is not Kind.REPLY]
    assert len(claims) == 14
    assert all(is_proven(claim) for claim in claims)


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_forged_record_holds_nothing_against_the_aggregator(forgery):
    differences = found(record(HONEST), record(LIAR, forgery.change))
    assert differences, "the forger says something else"
    for difference in differences:
        assert difference.proven_against == ""
        assert [version.parties for version in difference.versions if not version.is_signed] == [(LIAR,)]


@pytest.mark.parametrize("forgery", FORGERIES, ids=lambda forgery: forgery.name)
def test_forgery_is_stopped_by_its_check_and_by_no_other(forgery):
    before = {(e.kind, e.job_id, e.round_number): e.details for e in record(LIAR).entries}
    export = record(LIAR, forgery.change)
    (entry,) = [e for e in export.entries if before[e.kind, e.job_id, e.round_number] != e.details]
    assert entry.kind is forgery.kind
    claim = claim_of(entry, Signers([FEDERATION.roster]))
    assert not is_proven(claim)
    # Of a forged opening the session stands; of a forged session the opening.
    assert _passes(claim, tuple(check for check in EVIDENCE_CHECKS if check.number != forgery.check))


def capitals(text: str) -> str:
    return text.upper()


def spaced(text: str) -> str:
    return f"{text[:2]} {text[2:]}"


def of_everything(change: Callable[[str], str], *names: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda facts: facts | {name: change(facts[name]) for name in names}


SESSION_DIGESTS = ("session_id", "roster_digest", "spec_digest", "body_digest")
OTHERWISE: dict[str, tuple[Kind, int, Callable[[dict[str, Any]], dict[str, Any]]]] = {
    **{
        f"{name} of a {kind} in {change.__name__}": (kind, number, of_everything(change, name))
        for change in (capitals, spaced)
        for kind, number, names in (
            (Kind.DECISION, 0, ("spec_digest", "terms_digest", "roster_digest", "aggregator_signature")),
            (Kind.QUERY, 2, (*SESSION_DIGESTS, "previous_transcript", "aggregator_signature")),
            (Kind.DECRYPTION, 2, (*SESSION_DIGESTS, "previous_transcript", "transcript_digest")),
            (Kind.MODEL, 0, ("model_digest",)),
        )
        for name in names
    },
    "no transcript as null": (Kind.QUERY, 1, lambda f: f | {"previous_transcript": None}),
    "no transcript as false": (Kind.QUERY, 1, lambda f: f | {"previous_transcript": False}),
    "no transcript as zero": (Kind.QUERY, 1, lambda f: f | {"previous_transcript": 0}),
    "no transcript as a list": (Kind.DECRYPTION, 1, lambda f: f | {"previous_transcript": []}),
    "no transcript as a space": (Kind.QUERY, 1, lambda f: f | {"previous_transcript": " "}),
    "epoch as a float": (Kind.QUERY, 1, lambda f: f | {"key_epoch": float(f["key_epoch"])}),
    "epoch as true": (Kind.QUERY, 1, lambda f: f | {"key_epoch": bool(f["key_epoch"])}),
    "epoch as text": (Kind.DECRYPTION, 1, lambda f: f | {"key_epoch": str(f["key_epoch"])}),
    "quorum as a float": (Kind.QUERY, 2, lambda f: f | {"round_quorum": float(f["round_quorum"])}),
    "cohort in another order": (Kind.QUERY, 1, lambda f: f | {"cohort": f["cohort"][::-1]}),
    "cohort in one text": (Kind.QUERY, 1, lambda f: f | {"cohort": [", ".join(f["cohort"])]}),
    "cohort as text": (Kind.QUERY, 1, lambda f: f | {"cohort": ", ".join(f["cohort"])}),
    "a member twice": (Kind.QUERY, 1, lambda f: f | {"cohort": [*f["cohort"], f["cohort"][-1]]}),
    "a name in another form": (Kind.QUERY, 1, lambda f: f | {"cohort": [f["cohort"][0] + "\u0301", *f["cohort"][1:]]}),
    "terms as text": (Kind.QUERY, 1, lambda f: f | {"terms": str(f["terms"])}),
    "terms with another member": (Kind.QUERY, 1, lambda f: f | {"terms": f["terms"] | {"more": 1}}),
    "contributions in another order": (
        Kind.DECRYPTION,
        1,
        lambda f: f | {name: f[name][::-1] for name in ("contributors", "contributions")},
    ),
    "contributions in capitals": (
        Kind.DECRYPTION,
        1,
        lambda f: f | {"contributions": [capitals(text) for text in f["contributions"]]},
    ),
    # Of earlier versions: nothing that this version signs covers it.
    "another digest beside the terms": (Kind.QUERY, 1, lambda f: f | {"round_terms_digest": "00" * 32}),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_was_said_once_and_is_written_in_another_form_is_not_said_twice(name):
    kind, number, change = OTHERWISE[name]
    forged = record(LIAR, at(kind, change, JOBS[0], number))
    assert {each.proven_against for each in found(record(HONEST), forged, record(OTHER))} <= {""}
    # Nor by the liar alone, which writes down the same message twice.
    twice = [*events(LIAR), *(e for e in map(at(kind, change, JOBS[0], number), events(LIAR)) if e)]
    assert {each.proven_against for each in found(make_export(FEDERATION, LIAR, twice))} <= {""}


def test_two_forgers_cannot_frame_the_aggregator_with_what_its_signature_does_not_cover():
    def with_digest(text: str) -> Change:
        return at(Kind.QUERY, lambda facts: facts | {"round_terms_digest": text * 32})

    first, second = with_digest("00"), with_digest("11")
    (difference,) = found(record(LIAR, first), record(OTHER, second))
    assert (difference.what, difference.proven_against) == ("digest of the terms of the round", "")


@pytest.mark.parametrize("contributors", [5, "party-1", None, {"a": 1}, [[1], {}]])
def test_contributors_that_are_no_list_end_no_comparison(contributors):
    def change(facts: dict[str, Any]) -> dict[str, Any]:
        return {name: value for name, value in facts.items() if name != "contributions"} | {
            "contributors": contributors
        }

    assert {each.proven_against for each in found(record(HONEST), record(LIAR, at(Kind.DECRYPTION, change)))} == {""}


def test_checks_are_numbered_in_order_and_each_has_a_forgery():
    numbers = [check.number for check in EVIDENCE_CHECKS]
    assert numbers == list(range(1, len(EVIDENCE_CHECKS) + 1))
    assert {forgery.check for forgery in FORGERIES} == set(numbers)


def test_signature_of_an_aggregator_that_the_founder_did_not_certify_counts_for_nobody():
    impostor = SigningKey.generate(SeededRandom("impostor"))

    def resigned(facts: dict[str, Any]) -> dict[str, Any]:
        asked = fields(JOBS[1], 1, cohort=COALITION)
        return dict(told(query(asked).signed_by(impostor)))

    forged = record(LIAR, at(Kind.QUERY, resigned))
    roster = replace(
        FEDERATION.roster, aggregator=replace(FEDERATION.roster.aggregator, verify_key=impostor.verify_key)
    )
    for difference in found(record(HONEST), forged):
        assert difference.proven_against == ""
    # Nor does a roster that the liar puts beside it: it cannot sign one as the founder.
    with pytest.raises(Exception, match="does not verify"):
        replace(forged, signed_roster=replace(forged.signed_roster, roster=roster)).verify(FOUNDER)


def test_aggregator_of_an_earlier_roster_is_held_to_what_it_signed_under_it():
    key = SigningKey.generate(SeededRandom("next aggregator"))
    newer = replace(
        FEDERATION.roster, serial=2, aggregator=replace(FEDERATION.roster.aggregator, verify_key=key.verify_key)
    )
    later = replace(record(HONEST), signed_roster=SignedRoster.create(newer, FOUNDER_KEY))
    other = record(OTHER, at(Kind.QUERY, lambda _: dict(told(query(fields(JOBS[1], 1, cohort=COALITION))))))
    proven = {difference.proven_against for difference in found(later, other)}
    assert AGGREGATOR in proven


def of_whom(differences: Iterable[Difference], party_id: PartyId) -> list[Difference]:
    return [difference for difference in differences if difference.what == f"contribution of {party_id}"]


def test_party_cannot_deny_a_contribution_that_it_signed():
    def without_reply(event: Event) -> Event | None:
        return None if event.kind is Kind.REPLY and event.job_id == JOBS[0] and event.round_number == 1 else event

    (denied,) = found(record(HONEST), record(LIAR, without_reply), record(OTHER))
    assert (denied.what, denied.job_id, denied.round_number) == (f"contribution of {LIAR}", JOBS[0], 1)
    assert denied.proven_against == LIAR


def test_party_cannot_say_that_it_contributed_something_else():
    lie = at(Kind.REPLY, lambda _: {"contribution_digest": digest_of("something else").hex()})
    (denied,) = found(record(HONEST), record(LIAR, lie), record(OTHER))
    assert (denied.what, denied.proven_against) == (f"contribution of {LIAR}", LIAR)


def with_contribution(made: Contribution) -> Callable[[dict[str, Any]], dict[str, Any]]:
    """Put another contribution in the place of its party's."""

    def change(facts: dict[str, Any]) -> dict[str, Any]:
        seen = list(facts["contributions"])
        text = (made.key_part.digest + made.padded_digest + made.signature).hex()
        seen[facts["contributors"].index(made.party_id)] = text
        return {**facts, "contributions": seen}

    return change


@pytest.mark.parametrize("has_own_record", [True, False])
@pytest.mark.parametrize("signature", ["none", "another round's", "another session's", "the liar's"])
def test_party_cannot_frame_another_with_a_contribution_that_it_never_signed(signature, has_own_record):
    asked = fields(JOBS[1], 1)
    made = contribution(asked, HONEST, "forged")
    made = replace(
        made,
        signature={
            "none": bytes(64),
            "another round's": contribution(fields(JOBS[1], 2), HONEST).signature,
            "another session's": contribution(fields(JOBS[1], 1, cohort=COALITION), HONEST, "forged").signature,
            "the liar's": made.signed_by(FEDERATION.party_keys[LIAR], asked.session_id).signature,
        }[signature],
    )
    forged = record(LIAR, at(Kind.DECRYPTION, with_contribution(made)))
    others = [record(HONEST)] if has_own_record else []
    differences = found(*others, record(OTHER), forged)
    (difference,) = of_whom(differences, HONEST)
    assert {each.proven_against for each in differences} == {""}
    unsigned = [version.parties for version in difference.versions if not version.is_signed]
    assert unsigned == [(LIAR,)]


def test_aggregator_and_party_together_cannot_frame_another_that_made_no_reply():
    # The aggregator signs whatever transcript it likes; under its word alone nobody is a culprit.
    asked = fields(JOBS[0], 1)
    forged = replace(contribution(asked, HONEST), signature=bytes(64))
    opened = FEDERATION.request(asked, (forged, *(contribution(asked, p) for p in FEDERATION.parties[1:])))

    def without_reply(event: Event) -> Event | None:
        return None if event.kind is Kind.REPLY and event.job_id == JOBS[0] and event.round_number == 1 else event

    def conspire(event: Event) -> Event:
        hit = (event.kind, event.job_id, event.round_number) == (Kind.DECRYPTION, JOBS[0], 1)
        return replace(event, details=told(opened)) if hit else event

    victim = record(HONEST, lambda event: without_reply(conspire(event)))
    differences = found(victim, record(LIAR, conspire))
    (difference,) = of_whom(differences, HONEST)
    assert difference.proven_against == ""
    assert [version.signed_by for version in difference.versions] == ["", HONEST]


def test_two_contributions_that_one_party_signed_are_proven_also_without_its_record():
    second = contribution(fields(JOBS[1], 1), OTHER, "second")
    lie = at(Kind.DECRYPTION, with_contribution(second))
    differences = found(record(HONEST), record(LIAR, lie))
    (difference,) = of_whom(differences, OTHER)
    # The session recomputes, and both bear its signature for that session.
    assert difference.proven_against == OTHER


def test_refused_message_is_held_against_the_aggregator_only_where_its_entry_recomputes():
    second = query(fields(JOBS[1], 1, cohort=COALITION))
    said: dict[str, Document] = {"message": "Query", "code": "already-answered", "told": dict(told_briefly(second))}

    def refusing(job_id: JobId, number: int) -> Export:
        refusal = Event(kind=Kind.REFUSAL, job_id=job_id, round_number=number, details=said)
        return make_export(FEDERATION, LIAR, [*events(LIAR), refusal])

    assert {each.proven_against for each in found(record(HONEST), refusing(JOBS[1], 1))} == {AGGREGATOR}
    # Filed under another job or round it proves nothing, and is not even held beside.
    assert found(record(HONEST), refusing(JOBS[0], 1)) == found(record(HONEST), refusing(JOBS[1], 2)) == ()


def test_entries_of_versions_that_kept_no_terms_are_their_authors_word():
    def older(event: Event) -> Event:
        facts = dict(event.details)
        if "terms" in facts:
            for name in ("terms", "protocol_version", "contributions"):
                facts.pop(name, None)
            facts["round_terms_digest"] = digest_of("terms").hex()
        return replace(event, details=facts)

    assert found(record(HONEST, older), record(LIAR, older), record(OTHER)) == ()
    lie = at(Kind.QUERY, lambda facts: facts | taken(ROUND_1, SIGNED))
    for difference in found(record(HONEST, older), record(LIAR, lambda event: older(present(lie(event))))):
        assert difference.proven_against == ""


def test_entry_about_the_largest_round_fits_and_a_refusal_of_it_is_cut():
    # 200 parties with ids of 32 characters are more than any federation has.
    ids = [PartyId(f"party-{index:03d}-{'x' * 22}") for index in range(MAX_PARTIES)]
    asked = fields(JOBS[0], 1, cohort=tuple(ids))
    one = contribution(asked, HONEST)
    huge = FEDERATION.request(asked, tuple(replace(one, party_id=party_id) for party_id in ids))
    export = make_export(
        FEDERATION, HONEST, [Event(kind=Kind.DECRYPTION, job_id="job-1", round_number=1, details=told(huge))]
    )
    claim = claim_of(export.entries[0], Signers([FEDERATION.roster]))
    assert is_proven(claim)
    brief = told_briefly(huge)
    assert "contributions" not in brief
    assert len(str(brief)) < 1.1 * AUDIT_TOLD_BYTES
    assert not is_proven(
        Claim(kind=Kind.DECRYPTION, job_id="job-1", round_number=1, facts=brief, signers=Signers([FEDERATION.roster]))
    )
