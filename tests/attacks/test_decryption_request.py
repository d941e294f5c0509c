# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Every check of a decryption request has an attack that it stops, and without the check the attack succeeds.

Where the victim's check is left out, everybody's is: a quorum then decrypts what passed, and the test shows what the
attacker has from it. Replies hold no noise here, so that what is learnt can be told exactly.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from coterie_common.crypto.hashing import Label
from coterie_common.crypto.identity import SigningKey
from coterie_common.crypto.paillier import Ciphertext
from coterie_common.errors import CoterieError
from coterie_common.identifiers import JobId, PartyId
from coterie_common.privacy.noise.mechanisms import Placement
from coterie_common.protocol.encrypted_reply import Contribution, KeyPart
from coterie_common.protocol.messages import DecryptionRequest
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.terms import JobTerms
from coterie_common.protocol.verification.check import Check
from coterie_common.protocol.verification.query import JobKnowledge, OpenedRound
from coterie_common.protocol.verification.request import (
    REQUEST_CHECKS,
    OwnKnowledge,
    RequestReceived,
    VerifiedRequest,
    _verify_request,
    verify_request,
)
from tests.support.dishonest import proven_key_part
from tests.support.federation import Federation, digest_of, make_federation, transcript_digest
from tests.support.noise import gaussian
from tests.support.opening import decrypted, opened
from tests.support.powers import power
from tests.support.seeded_random import SeededRandom

SECRET = [93, 4, 71, 17, 58, 26]
"""The victim's exact reply."""

PLAIN = [1, 2, 3, 4, 5, 6]
"""What everybody else replies, unless an attack says otherwise."""

ZERO = [0] * 6

SHIFT = 256
"""Bits by which a mauled copy is moved: more than the plaintext of a sum has."""


@dataclass(frozen=True)
class Attempt:
    """What an attacker has parties asked to open, and what it reads from the sum if they do."""

    request: DecryptionRequest
    own: OwnKnowledge
    gain: Callable[[VerifiedRequest], bool]


@dataclass(frozen=True)
class Attack:
    check: int
    name: str
    code: str
    culprits: tuple[str, ...]
    make: Callable[[Federation], Attempt]


def replies(
    federation: Federation, fields: SessionFields, values: list[int] | None = None, victim: list[int] | None = None
) -> tuple[Contribution, ...]:
    """Everybody's reply to one query; the first party is the victim."""
    return tuple(
        federation.contribution(p, fields.session_id, (victim or SECRET) if p == federation.parties[0] else values)
        for p in federation.parties
    )


def knowledge(
    federation: Federation, fields: SessionFields | None, contribution: Contribution | None = None, **changes: object
) -> OwnKnowledge:
    """What the victim knows, after it accepted a query (or none) and sent a contribution (or none)."""
    own = OwnKnowledge(
        party_id=federation.parties[0],
        roster=federation.roster,
        session_id=fields.session_id if fields else None,
        contribution_digest=contribution.digest if contribution else None,
        random=federation.random,
    )
    return replace(own, **changes)  # type: ignore[arg-type]  # names of its fields


def honest(federation: Federation) -> tuple[DecryptionRequest, OwnKnowledge]:
    fields = federation.fields()
    contributions = replies(federation, fields)
    return federation.request(fields, contributions), knowledge(federation, fields, contributions[0])


def total(*vectors: list[int]) -> list[int]:
    return [sum(column) for column in zip(*vectors, strict=True)]


def another_roster(federation: Federation) -> Attempt:
    """A forged roster names a lower quorum: who believed it sized the noise for a federation that there is not."""
    fields = federation.fields(roster_digest=digest_of("a roster of the aggregator's own"))
    contributions = replies(federation, fields)[1:]
    return Attempt(
        federation.request(fields, contributions),
        knowledge(federation, None),
        lambda verified: opened(federation, verified) == total(*[PLAIN] * 4),
    )


def another_query(federation: Federation) -> Attempt:
    """The victim answered one query; the others were sent another, without it in the cohort, and answered the same."""
    request, own = honest(federation)
    first = verify_request(request, own, federation.sealing())
    fields = federation.fields(cohort=tuple(sorted(federation.parties[1:])))
    contributions = replies(federation, fields)[1:]

    def gain(verified: VerifiedRequest) -> bool:
        # Two sums of one round: their difference is the victim's exact reply.
        difference = zip(opened(federation, first), opened(federation, verified), strict=True)
        return [more - less for more, less in difference] == SECRET

    return Attempt(federation.request(fields, contributions), own, gain)


def accepted(federation: Federation, **changes: object) -> JobKnowledge:
    job = JobKnowledge(
        spec_digest=digest_of("spec"),
        terms=JobTerms((federation.terms(), federation.terms())),
        round_quorum=federation.parameters.quorum,
        previous_cohort=None,
        opened={},
    )
    return replace(job, **changes)  # type: ignore[arg-type]  # names of its fields


def opened_by_who_did_not_answer(federation: Federation, fields: SessionFields, **known: Any) -> Attempt:
    """A decryptor that saw no query of the round, but knows the job, helps to open what others were asked."""
    contributions = replies(federation, fields)[1:]
    return Attempt(
        federation.request(fields, contributions),
        knowledge(federation, None, **known),
        lambda verified: opened(federation, verified) == total(*[PLAIN] * 4),
    )


def another_specification(federation: Federation) -> Attempt:
    """To some the job was proposed as one thing, to others as another, under the same id."""
    fields = federation.fields(spec_digest=digest_of("a specification with a tenth of the noise"))
    return opened_by_who_did_not_answer(federation, fields, spec_digest=digest_of("spec"))


def other_terms(federation: Federation) -> Attempt:
    """Others were talked into less noise than this party accepted for the same job."""
    terms = federation.terms()
    noise = gaussian(terms.noise)
    assert noise.variance is not None
    fields = federation.fields(terms=replace(terms, noise=replace(noise, variance=noise.variance / 100)))
    return opened_by_who_did_not_answer(federation, fields, spec_digest=digest_of("spec"), job=accepted(federation))


def another_past(federation: Federation) -> Attempt:
    """The round continues from a release that this party did not help to open, although it helped with that round."""
    fields = federation.fields(round_number=2, previous_transcript=digest_of("a release that nobody made"))
    job = accepted(federation, opened={1: OpenedRound(number=1, transcript=digest_of("the release of round 1"))})
    return opened_by_who_did_not_answer(federation, fields, spec_digest=digest_of("spec"), job=job)


def unsigned(federation: Federation) -> Attempt:
    """A colluder that is not the aggregator chooses whose replies are opened."""
    request, own = honest(federation)
    outsider, chosen = SigningKey.generate(SeededRandom("outsider")), request.contributions[:4]
    signature = outsider.sign(Label.TRANSCRIPT_SIGNATURE, transcript_digest(request.fields.session_id, chosen))
    return Attempt(
        replace(request, contributions=chosen, signature=signature),
        own,
        lambda verified: opened(federation, verified) == total(SECRET, *[PLAIN] * 3),
    )


def same_party_twice(federation: Federation) -> Attempt:
    """A quorum made of one colluder's many contributions of nothing."""
    request, own = honest(federation)
    fields, colluder = request.fields, federation.parties[1]
    many = tuple(federation.contribution(colluder, fields.session_id, ZERO) for _ in range(4))
    return Attempt(
        federation.request(fields, (request.contributions[0], *many)),
        own,
        lambda verified: opened(federation, verified) == SECRET,
    )


def outside_cohort(federation: Federation) -> Attempt:
    """A colluder that was not asked takes the place of a party that did not reply, and says what it likes."""
    fields = federation.fields(cohort=tuple(sorted(federation.parties[:4])))
    contributions = list(replies(federation, fields))
    contributions[4] = federation.contribution(federation.parties[4], fields.session_id, [50] * 6)
    without_one = (*contributions[:3], contributions[4])
    return Attempt(
        federation.request(fields, without_one),
        knowledge(federation, fields, contributions[0]),
        lambda verified: opened(federation, verified) == total(SECRET, PLAIN, PLAIN, [50] * 6),
    )


def single_reply(federation: Federation) -> Attempt:
    request, own = honest(federation)
    return Attempt(
        federation.request(request.fields, request.contributions[:1]),
        own,
        lambda verified: opened(federation, verified) == SECRET,
    )


def lowered_quorum(federation: Federation) -> Attempt:
    """The query itself named a quorum below the federation's; two colluders add nothing to the victim's reply."""
    fields = federation.fields(round_quorum=3)
    contributions = replies(federation, fields, ZERO)[:3]
    return Attempt(
        federation.request(fields, contributions),
        knowledge(federation, fields, contributions[0]),
        lambda verified: opened(federation, verified) == SECRET,
    )


def without_noise_and_one_reply(federation: Federation) -> Attempt:
    """A sum without noise that lacks the victim: beside one of all it shows the victim's exact reply.

    The other decryptors never saw a query of the round. To them the aggregator says that four replies are enough.
    """
    terms = federation.terms()
    exact = replace(terms, noise=replace(gaussian(terms.noise), placement=Placement.NONE, variance=None))
    fields = federation.fields(terms=exact)
    return opened_by_who_did_not_answer(federation, fields)


def without_noise_of_everybody_but_one(federation: Federation) -> Attempt:
    """The same, from a query that did not even ask the victim."""
    terms = federation.terms()
    exact = replace(terms, noise=replace(gaussian(terms.noise), placement=Placement.NONE, variance=None))
    fields = federation.fields(terms=exact, cohort=tuple(sorted(federation.parties[1:])))
    return opened_by_who_did_not_answer(federation, fields)


def swapped_own_contribution(federation: Federation) -> Attempt:
    """Under the victim's id stands something that the victim's key signed, but that it did not send in this round."""
    request, own = honest(federation)
    forged = federation.contribution(own.party_id, request.fields.session_id, [7] * 6)
    return Attempt(
        federation.request(request.fields, (forged, *request.contributions[1:])),
        own,
        lambda verified: opened(federation, verified) == total([7] * 6, *[PLAIN] * 4),
    )


def never_sent(federation: Federation) -> Attempt:
    """The same, to a party that sent nothing in this round."""
    attempt = swapped_own_contribution(federation)
    return replace(attempt, own=replace(attempt.own, contribution_digest=None))


def forged_members(federation: Federation) -> Attempt:
    """The aggregator makes the other members' contributions itself: nothing in them, proven, but it has no keys."""
    fields = federation.fields()
    victim, *others = replies(federation, fields, ZERO)
    forged = tuple(replace(contribution, signature=bytes(64)) for contribution in others)
    return Attempt(
        federation.request(fields, (victim, *forged)),
        knowledge(federation, fields, victim),
        lambda verified: opened(federation, verified) == SECRET,
    )


def replies_to_another_query(federation: Federation) -> Attempt:
    """The others answered zero to a query of their own, and stand beside the victim's reply to the real one."""
    fields = federation.fields()
    theirs = federation.fields(body_digest=digest_of("a model on which everyone answers zero"))
    victim = federation.contribution(federation.parties[0], fields.session_id, SECRET)
    others = []
    for party_id in federation.parties[1:]:
        answer = federation.contribution(party_id, theirs.session_id, ZERO)
        # A proof names its session. That one is not enough: here colluders make proofs for both, sign for one.
        proven = federation.contribution(party_id, fields.session_id, ZERO)
        others.append(replace(proven, signature=answer.signature))
    return Attempt(
        federation.request(fields, (victim, *others)),
        knowledge(federation, fields, victim),
        lambda verified: opened(federation, verified) == SECRET,
    )


def too_many_ciphertexts(federation: Federation) -> Attempt:
    """A colluder seals more than the terms say, and proves it: its contribution can be added to nobody's."""
    request, own = honest(federation)
    colluder = federation.parties[1]
    part = proven_key_part(federation, request.fields.session_id, colluder, (1, 2))
    long = federation.signed(colluder, request.fields.session_id, part)

    def gain(verified: VerifiedRequest) -> bool:
        raise AssertionError("there is no sum")

    return Attempt(
        federation.request(request.fields, (request.contributions[0], long, *request.contributions[2:])), own, gain
    )


def inverted_copy(federation: Federation) -> Attempt:
    """A colluder submits the inverse of the victim's ciphertexts, and so takes the victim's reply and noise out."""
    request, own = honest(federation)

    def gain(verified: VerifiedRequest) -> bool:
        rest = federation.sealing().add([federation.sealing().check_ciphertexts(c.key_part) for c in others])
        return decrypted(federation, verified.total) == decrypted(federation, rest)

    others = request.contributions[2:]
    mauled = mauled_copy(federation, request, -1)
    return Attempt(federation.request(request.fields, (request.contributions[0], mauled, *others)), own, gain)


def shifted_copy(federation: Federation) -> Attempt:
    """A colluder moves the victim's plaintext out of the way of all others, where it can be read off."""
    request, own = honest(federation)

    def gain(verified: VerifiedRequest) -> bool:
        (plaintext,) = decrypted(federation, verified.total)
        return [int(v) for v in federation.sealing().open((plaintext >> SHIFT,), 1)] == SECRET

    mauled = mauled_copy(federation, request, 1 << SHIFT)
    contributions = (request.contributions[0], mauled, *request.contributions[2:])
    return Attempt(federation.request(request.fields, contributions), own, gain)


def mauled_copy(federation: Federation, request: DecryptionRequest, factor: int) -> Contribution:
    """The victim's ciphertexts to a power, in the second party's name, beside the proof that was for the original."""
    victim, colluder = request.contributions[0], federation.parties[1]
    key = federation.dealing.key.public_key
    powers = tuple(power(key.check(c), factor).to_bytes() for c in victim.key_part.ciphertexts)
    key_part = KeyPart(ciphertexts=powers, proof=victim.key_part.proof)
    return federation.contribution(colluder, request.fields.session_id, key_part=key_part)


ATTACKS = (
    Attack(1, "another roster", "parameter-mismatch", (), another_roster),
    Attack(2, "another query", "equivocation", (), another_query),
    Attack(3, "another specification", "equivocation", (), another_specification),
    Attack(3, "other terms", "parameter-mismatch", (), other_terms),
    Attack(3, "another past", "equivocation", (), another_past),
    Attack(4, "not signed by the aggregator", "invalid-signature", (), unsigned),
    Attack(5, "the same party twice", "parameter-mismatch", (), same_party_twice),
    Attack(6, "outside the cohort", "not-in-cohort", (), outside_cohort),
    Attack(7, "a single reply", "quorum-too-small", (), single_reply),
    Attack(7, "a lowered quorum", "quorum-too-small", (), lowered_quorum),
    Attack(8, "without noise and one reply", "quorum-too-small", (), without_noise_and_one_reply),
    Attack(8, "without noise, of all but one", "quorum-too-small", (), without_noise_of_everybody_but_one),
    Attack(9, "swapped own contribution", "equivocation", (), swapped_own_contribution),
    Attack(9, "own contribution that was never sent", "equivocation", (), never_sent),
    Attack(10, "forged members", "invalid-signature", (), forged_members),
    Attack(10, "replies to another query", "invalid-signature", (), replies_to_another_query),
    Attack(11, "too many ciphertexts", "malformed-message", ("party-2",), too_many_ciphertexts),
    Attack(12, "an inverted copy", "invalid-proof", ("party-2",), inverted_copy),
    Attack(12, "a shifted copy", "invalid-proof", ("party-2",), shifted_copy),
)


def take_as_they_are(v: RequestReceived) -> None:
    """Stands where the form would be checked: ciphertexts must come from somewhere."""
    key = make_federation().dealing.key.public_key
    v.ciphertexts = [
        tuple(Ciphertext(int.from_bytes(c, "big"), key) for c in contribution.key_part.ciphertexts)
        for contribution in v.request.contributions
    ]


def checks_without(number: int) -> tuple[Check[RequestReceived], ...]:
    if number == 11:
        lenient = Check(11, "taken as they are", take_as_they_are)
        return tuple(lenient if check.number == 11 else check for check in REQUEST_CHECKS)
    return tuple(check for check in REQUEST_CHECKS if check.number != number)


def verify_without(number: int, attempt: Attempt, federation: Federation) -> VerifiedRequest:
    fields = attempt.request.fields
    received = RequestReceived(attempt.request, attempt.own, federation.sealing(), fields.session_id)
    return _verify_request(received, checks_without(number))


def test_verify_request_of_honest_round_opens_the_sum_of_all():
    federation = make_federation()
    request, own = honest(federation)
    verified = verify_request(request, own, federation.sealing())
    assert verified.contributors == 5
    assert verified.session_id == request.fields.session_id
    assert opened(federation, verified) == total(SECRET, *[PLAIN] * 4)


def test_verify_request_without_own_reply_is_accepted():
    federation = make_federation()
    request, own = honest(federation)
    late = federation.request(request.fields, request.contributions[1:])
    verified = verify_request(late, own, federation.sealing())
    assert verified.contributors == 4


@pytest.mark.parametrize("known", ["nothing", "the job", "what it accepted", "another job"])
def test_verify_request_by_who_did_not_answer_is_accepted(known):
    federation = make_federation()
    request, own = honest(federation)
    changes_of: dict[str, dict[str, Any]] = {
        "nothing": {},
        "the job": {"spec_digest": digest_of("spec")},
        "what it accepted": {"spec_digest": digest_of("spec"), "job": accepted(federation)},
        "another job": {},
    }
    changes = changes_of[known]
    fields = request.fields if known != "another job" else federation.fields(job_id=JobId("job-2"))
    contributions = replies(federation, fields)[1:]
    own = knowledge(federation, None, **changes)
    verified = verify_request(federation.request(fields, contributions), own, federation.sealing())
    assert verified.contributors == 4


def test_verify_request_of_another_key_epoch_is_refused():
    federation = make_federation()
    _, own = honest(federation)
    fields = federation.fields(key_epoch=2)
    contributions = tuple(federation.contribution(p, fields.session_id) for p in federation.parties)
    with pytest.raises(CoterieError) as refusal:
        verify_request(federation.request(fields, contributions), own, federation.sealing())
    assert refusal.value.code == "parameter-mismatch"


def test_cohort_that_grew_is_refused_by_who_was_asked_earlier_and_did_not_answer():
    federation = make_federation()
    four = tuple(sorted(federation.parties[:4]))
    job = accepted(federation, previous_cohort=four)
    fields = federation.fields(round_number=2, previous_transcript=digest_of("round 1"))
    attempt = opened_by_who_did_not_answer(federation, fields, spec_digest=digest_of("spec"), job=job)
    with pytest.raises(CoterieError) as refusal:
        verify_request(attempt.request, attempt.own, federation.sealing())
    assert refusal.value.code == "not-in-cohort"


def test_checks_are_numbered_in_order_and_each_has_an_attack():
    numbers = [check.number for check in REQUEST_CHECKS]
    assert numbers == list(range(1, len(REQUEST_CHECKS) + 1))
    assert {attack.check for attack in ATTACKS} == set(numbers)


@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_attack_is_refused_with_code_and_culprit(attack):
    federation = make_federation()
    attempt = attack.make(federation)
    with pytest.raises(CoterieError) as refusal:
        verify_request(attempt.request, attempt.own, federation.sealing())
    assert refusal.value.code == attack.code
    assert refusal.value.culprits == tuple(map(PartyId, attack.culprits))


@pytest.mark.parametrize("attack", [a for a in ATTACKS if a.check != 11], ids=lambda attack: attack.name)
def test_attack_without_its_check_succeeds(attack):
    federation = make_federation()
    attempt = attack.make(federation)
    verified = verify_without(attack.check, attempt, federation)
    assert attempt.gain(verified)


def test_contribution_of_another_form_would_stop_the_round_with_nobody_to_blame():
    federation = make_federation()
    attempt = too_many_ciphertexts(federation)
    # Its proof is right, for more than was asked: nothing else names the culprit.
    with pytest.raises(ValueError, match="zip"):
        verify_without(11, attempt, federation)
