# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import pytest

from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import CoterieError
from coterie_common.identifiers import JobId, PartyId
from coterie_common.privacy.noise.mechanisms import Placement
from coterie_common.protocol.masked_reply import ReplyList
from coterie_common.protocol.messages import JobEnd, JobOutcome, JobProposal, ModelDelivery, Query
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.terms import JobTerms, SealingKind
from coterie_common.protocol.verification.aggregator_messages import verify_delivery, verify_job_end, verify_proposal
from coterie_common.protocol.verification.check import run_checks
from coterie_common.protocol.verification.query import (
    QUERY_CHECKS,
    AgreedParties,
    JobKnowledge,
    OpenedRound,
    QueryReceived,
    verify_query,
)
from tests.support.federation import JOB, Federation, digest_of, make_federation, with_encoding
from tests.support.noise import gaussian, noise_terms
from tests.support.seeded_random import SeededRandom
from tests.support.spares import make_spares

FEDERATION = make_federation()
OWN = FEDERATION.parties[0]
OUTSIDER = SigningKey.generate(SeededRandom("outsider"))
ROUND_1 = digest_of("transcript of round 1")
OPENED_1 = {1: OpenedRound(number=1, transcript=ROUND_1)}
TWO_ROUNDS = JobTerms((FEDERATION.terms(6), FEDERATION.terms(9)))


ACCEPTED = JobKnowledge(
    spec_digest=digest_of("spec"), terms=TWO_ROUNDS, round_quorum=4, previous_cohort=None, opened={}
)


def accepted(**changes: Any) -> JobKnowledge:
    return replace(ACCEPTED, **changes)


TWICE = replace(ACCEPTED, terms=replace(TWO_ROUNDS, spares=make_spares(1)))


def second(**changes: Any) -> Query:
    """The query of a second round."""
    later: dict[str, Any] = {"round_number": 2, "previous_transcript": ROUND_1, "terms": FEDERATION.terms(9)}
    return FEDERATION.query(**(later | changes))


def other_noise(federation: Federation) -> Query:
    terms = federation.terms()
    return federation.query(terms=replace(terms, noise=replace(gaussian(terms.noise), variance=Fraction(1))))


def signed_by_an_outsider(federation: Federation) -> Query:
    return federation.query().signed_by(OUTSIDER)


def other_scale(federation: Federation) -> Query:
    terms = federation.terms()
    return federation.query(terms=with_encoding(terms, scale_bits=0))


@dataclass(frozen=True)
class Bad:
    check: int
    name: str
    code: str
    make: Callable[[Federation], Query]
    job: JobKnowledge = ACCEPTED


EXACT = replace(
    FEDERATION.terms(),
    noise=noise_terms(
        mechanism=FEDERATION.terms().noise.mechanism,
        placement=Placement.NONE,
        variance=None,
        shares=FEDERATION.terms().noise.shares,
    ),
)
FOUR_SHARES = replace(FEDERATION.terms(), noise=replace(FEDERATION.terms().noise, shares=4))
COHORT = tuple(sorted(FEDERATION.parties))
STRANGER = PartyId("stranger")
OTHER_JOB = JobId("job-2")

COMPLETE = replace(FEDERATION.terms(), sealing=SealingKind.COMPLETE)
AGREED = AgreedParties(digest=digest_of("acceptances"), cohort=COHORT)
LISTED = ReplyList(
    session_id=digest_of("the session before"),
    replies=tuple((party_id, digest_of(f"reply of {party_id}")) for party_id in COHORT),
)
TWO_COMPLETE = JobTerms((COMPLETE, COMPLETE))


def complete(federation: Federation, **changes: Any) -> Query:
    """The query of a first round that is sealed completely."""
    quorum = changes.get("round_quorum", 5)
    terms = COMPLETE.in_shares(quorum - federation.parameters.corruption_bound)
    asked = {"terms": terms, "acceptances": AGREED.digest, "cohort": COHORT, "round_quorum": quorum}
    return federation.query(**(asked | changes))


def with_list(listed: ReplyList | None, named: ReplyList = LISTED) -> Query:
    """The query of a second one: it names a list, and holds one."""
    fields = complete(FEDERATION, round_number=2, plan_step=2, previous_transcript=named.digest).fields
    query = FEDERATION.query(**{name: getattr(fields, name) for name in fields.__slots__})
    return replace(query, previous=listed)


def knows_complete(**changes: Any) -> JobKnowledge:
    return accepted(
        **({"terms": TWO_COMPLETE, "agreement": AGREED, "listed_reply": digest_of(f"reply of {OWN}")} | changes)
    )


WITHOUT_OWN = replace(LISTED, replies=tuple(each for each in LISTED.replies if each[0] != OWN))
ALTERED = replace(
    LISTED, replies=tuple((p, digest_of("another reply") if p == OWN else digest) for p, digest in LISTED.replies)
)

BAD = [
    Bad(15, "sealed completely without secrets", "secrets-erased", complete, knows_complete(agreement=None)),
    Bad(
        15,
        "sealed completely for other acceptances",
        "equivocation",
        lambda f: complete(f, acceptances=digest_of("others")),
        knows_complete(),
    ),
    Bad(
        15,
        "sealed completely for a party that did not agree",
        "equivocation",
        complete,
        knows_complete(agreement=replace(AGREED, cohort=COHORT[:4])),
    ),
    Bad(
        15,
        "sealed completely with less than everybody",
        "quorum-too-small",
        lambda f: complete(f, round_quorum=4),
        knows_complete(),
    ),
    Bad(16, "no list of replies", "malformed-message", lambda f: with_list(None), knows_complete()),
    Bad(16, "a list that the query does not name", "malformed-message", lambda f: with_list(ALTERED), knows_complete()),
    Bad(
        16,
        "a list that omits this party's reply",
        "altered-reply-list",
        lambda f: with_list(WITHOUT_OWN, WITHOUT_OWN),
        knows_complete(),
    ),
    Bad(
        16,
        "a list that alters this party's reply",
        "altered-reply-list",
        lambda f: with_list(ALTERED, ALTERED),
        knows_complete(),
    ),
    Bad(
        16,
        "a list of a session that this party did not answer",
        "altered-reply-list",
        lambda f: with_list(LISTED),
        knows_complete(listed_reply=None),
    ),
    Bad(1, "another roster", "parameter-mismatch", lambda f: f.query(roster_digest=digest_of("another"))),
    Bad(1, "another key epoch", "parameter-mismatch", lambda f: f.query(key_epoch=2)),
    Bad(2, "no signature", "invalid-signature", lambda f: replace(f.query(), signature=bytes(64))),
    Bad(2, "another signer", "invalid-signature", signed_by_an_outsider),
    Bad(
        2,
        "signature of another round",
        "invalid-signature",
        lambda f: replace(second(), signature=f.query().signature),
    ),
    Bad(3, "another body", "malformed-message", lambda f: replace(f.query(), body=b'{"length":5}')),
    Bad(5, "another specification", "equivocation", lambda f: f.query(spec_digest=digest_of("other spec"))),
    Bad(
        6,
        "a round beyond the plan",
        "unknown-round",
        lambda f: f.query(round_number=3, previous_transcript=ROUND_1),
    ),
    Bad(7, "less noise", "parameter-mismatch", other_noise),
    Bad(7, "another scale", "parameter-mismatch", other_scale),
    Bad(7, "terms of another round", "malformed-message", lambda f: f.query(terms=f.terms(9))),
    Bad(8, "a stranger in the cohort", "not-in-cohort", lambda f: f.query(cohort=(*COHORT, STRANGER))),
    Bad(4, "a cohort without this party", "not-in-cohort", lambda f: f.query(cohort=COHORT[1:])),
    Bad(9, "a cohort that grew", "not-in-cohort", lambda f: second(), accepted(previous_cohort=COHORT[:4])),
    Bad(10, "quorum below the federation's", "quorum-too-small", lambda f: f.query(round_quorum=3)),
    Bad(10, "quorum below the job's", "quorum-too-small", lambda f: f.query(), accepted(round_quorum=5)),
    Bad(
        11,
        "noise for more shares than are honest",
        "noise-insufficient",
        # the narrowest shares of the job, for a quorum that needs wider ones
        lambda f: f.query(terms=FOUR_SHARES),
    ),
    Bad(11, "noise for a smaller quorum", "parameter-mismatch", lambda f: f.query(terms=f.terms(), round_quorum=5)),
    Bad(
        12,
        "another release to continue from",
        "equivocation",
        lambda f: second(previous_transcript=digest_of("another release")),
        accepted(opened=OPENED_1),
    ),
    Bad(
        12,
        "another release to continue from, after the step was asked again and opened",
        "equivocation",
        lambda f: f.query(round_number=3, plan_step=2, terms=f.terms(9), previous_transcript=digest_of("another")),
        accepted(opened={1: OpenedRound(number=2, transcript=ROUND_1)}, asked={1: 1, 2: 1}, terms=TWICE.terms),
    ),
    Bad(
        13,
        "no noise and one party less",
        "quorum-too-small",
        lambda f: f.query(terms=EXACT, cohort=COHORT[:4]),
        # what an earlier version would have accepted
        accepted(terms=JobTerms((EXACT,))),
    ),
    Bad(
        13,
        "no noise and a sum that could do without one party",
        "quorum-too-small",
        lambda f: f.query(terms=EXACT),
        accepted(terms=JobTerms((EXACT,))),
    ),
    Bad(
        14,
        "no noise and all members of another roster than before",
        "not-in-cohort",
        lambda f: second(terms=EXACT, round_quorum=5),
        accepted(
            terms=JobTerms((EXACT, EXACT)),
            round_quorum=5,
            previous_cohort=(*COHORT, PartyId("party-6")),
            opened=OPENED_1,
        ),
    ),
]


BAD += [
    Bad(
        6,
        "more abandoned rounds than spare ones",
        "unknown-round",
        lambda f: f.query(round_number=3, plan_step=1),
        TWICE,
    ),
    Bad(17, "an older round", "stale-round", lambda f: f.query(), accepted(asked={2: 1}, terms=TWICE.terms)),
    Bad(
        17,
        "an earlier step",
        "stale-round",
        lambda f: f.query(round_number=2, plan_step=1),
        accepted(asked={1: 2}, terms=TWICE.terms),
    ),
    Bad(
        18,
        "a third answer to a step",
        "budget-exhausted",
        lambda f: f.query(round_number=3, plan_step=1),
        accepted(asked={1: 1, 2: 1}, terms=replace(TWO_ROUNDS, spares=make_spares(2, (1, ((1, 1),)), (1, ((2, 2),))))),
    ),
]


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_query_with_one_thing_wrong_raises_with_its_code(bad):
    with pytest.raises(CoterieError) as refusal:
        verify_query(bad.make(FEDERATION), OWN, FEDERATION.roster, bad.job)
    assert refusal.value.code == bad.code


def test_every_numbered_check_is_exercised():
    numbers = [check.number for check in QUERY_CHECKS]
    assert numbers == list(range(1, len(QUERY_CHECKS) + 1))
    assert {bad.check for bad in BAD} == set(numbers)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_query_with_one_thing_wrong_passes_without_its_check(bad):
    # Nothing else would have caught it.
    others = tuple(check for check in QUERY_CHECKS if check.number != bad.check)
    query = bad.make(FEDERATION)
    roster = FEDERATION.roster
    run_checks(others, QueryReceived(fields=query.fields, roster=roster, job=bad.job, query=query, own_id=OWN))


@pytest.mark.parametrize(
    ("query", "job"),
    [
        (FEDERATION.query(), ACCEPTED),
        # fewer values than planned
        (FEDERATION.query(terms=FEDERATION.terms(5)), ACCEPTED),
        # the same round again
        (FEDERATION.query(), accepted(previous_cohort=COHORT)),
        (second(), accepted(previous_cohort=COHORT, opened=OPENED_1)),
        # a member was lost
        (second(cohort=COHORT[:4]), accepted(previous_cohort=COHORT, opened=OPENED_1)),
        # this party helped to open an abandoned round of the step before, and not the one that was released
        (
            FEDERATION.query(
                round_number=3, plan_step=2, terms=FEDERATION.terms(9), previous_transcript=digest_of("2")
            ),
            accepted(opened=OPENED_1, asked={1: 1, 2: 1}, terms=TWICE.terms),
        ),
        # this party did not help to open the round before
        (second(), accepted(previous_cohort=COHORT)),
        (FEDERATION.query(round_quorum=5), accepted(round_quorum=5)),
        (FEDERATION.query(round_quorum=5), ACCEPTED),
        (second(cohort=COHORT[:4]), accepted(previous_cohort=COHORT[:4])),
        (complete(FEDERATION), knows_complete()),
        (complete(FEDERATION, cohort=COHORT[:4], round_quorum=4), knows_complete(previous_cohort=COHORT)),
        (with_list(LISTED), knows_complete(previous_cohort=COHORT)),
        (FEDERATION.query(terms=EXACT, round_quorum=5), accepted(terms=JobTerms((EXACT,)), round_quorum=5)),
        (
            second(terms=EXACT, round_quorum=5),
            accepted(terms=JobTerms((EXACT, EXACT)), round_quorum=5, previous_cohort=COHORT),
        ),
    ],
    ids=[
        "first",
        "shortened",
        "again",
        "second",
        "smaller cohort",
        "answered again after an abandoned round",
        "not seen before",
        "higher quorum",
        "quorum of those present, above the job's",
        "quorum of those left",
        "sealed completely",
        "sealed completely by a smaller cohort",
        "sealed completely with the list of the round before",
        "everybody without noise",
        "everybody again without noise",
    ],
)
def test_query_that_keeps_to_the_job_is_accepted(query, job):
    verify_query(query, OWN, FEDERATION.roster, job)


@pytest.mark.parametrize("placement", [Placement.LOCAL, Placement.NONE])
def test_query_with_noise_that_is_not_shared_need_not_fit_the_honest_shares(placement):
    noise = FEDERATION.terms().noise
    variance, quorum = (gaussian(noise).variance, 4) if placement is Placement.LOCAL else (None, 5)
    terms = replace(
        FEDERATION.terms(),
        noise=noise_terms(mechanism=noise.mechanism, placement=placement, variance=variance, shares=5),
    )
    job = accepted(terms=JobTerms((terms,)), round_quorum=quorum)
    verify_query(FEDERATION.query(terms=terms, round_quorum=quorum), OWN, FEDERATION.roster, job)


# The other things that an aggregator signs.


def proposal(**changes: Any) -> JobProposal:
    values = {"job_id": JOB, "roster_digest": FEDERATION.roster.digest, "spec": b"spec", "terms": b"terms"}
    return JobProposal(**(values | changes), signature=UNSIGNED).signed_by(FEDERATION.aggregator_key)


def delivery() -> ModelDelivery:
    return ModelDelivery(job_id=JOB, model=b"model", signature=UNSIGNED).signed_by(FEDERATION.aggregator_key)


def job_end() -> JobEnd:
    end = JobEnd(job_id=JOB, outcome=JobOutcome.CANCELLED, reason="why", signature=UNSIGNED)
    return end.signed_by(FEDERATION.aggregator_key)


def test_what_the_aggregator_signed_is_accepted():
    verify_proposal(proposal(), FEDERATION.roster)
    verify_delivery(delivery(), FEDERATION.roster)
    verify_job_end(job_end(), FEDERATION.roster)


def test_proposal_under_another_roster_raises():
    with pytest.raises(CoterieError) as refusal:
        verify_proposal(proposal(roster_digest=digest_of("another")), FEDERATION.roster)
    assert refusal.value.code == "parameter-mismatch"


@pytest.mark.parametrize(
    ("verify", "message"),
    [
        (verify_proposal, replace(proposal(), spec=b"other")),
        (verify_proposal, replace(proposal(), terms=b"other")),
        (verify_proposal, replace(proposal(), job_id=OTHER_JOB)),
        (verify_proposal, replace(proposal(), signature=bytes(64))),
        (verify_delivery, replace(delivery(), model=b"other")),
        (verify_delivery, replace(delivery(), job_id=OTHER_JOB)),
        (verify_delivery, replace(delivery(), signature=job_end().signature)),
        (verify_job_end, replace(job_end(), outcome=JobOutcome.COMPLETED)),
        (verify_job_end, replace(job_end(), reason="because")),
        (verify_job_end, replace(job_end(), job_id=OTHER_JOB)),
    ],
    ids=lambda value: "" if callable(value) else type(value).__name__,
)
def test_what_the_aggregator_did_not_sign_raises(verify, message):
    with pytest.raises(CoterieError) as refusal:
        verify(message, FEDERATION.roster)
    assert refusal.value.code == "invalid-signature"
