# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Every check of a reply and of a partial decryption has an attack that it stops; without the check, the attack works.

A malicious party attacks the round: what the aggregator lets pass spoils the sum, or makes every honest party refuse
the one transcript that the round can have, or leaves the culprit without evidence against it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pytest

from coterie_common.crypto import threshold
from coterie_common.crypto.paillier import Ciphertext
from coterie_common.crypto.proofs import partial_decryption
from coterie_common.errors import CoterieError, InvalidSignature, PlaintextOutOfRange
from coterie_common.identifiers import PartyId
from coterie_common.protocol.encrypted_reply import Contribution, EncryptedReply
from coterie_common.protocol.messages import PartialDecryption
from coterie_common.protocol.padded_part import PaddedFacts, padded_digest
from coterie_common.protocol.sealing.encrypted import EncryptedSealing
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.terms import SealingKind
from coterie_common.protocol.verification.check import Check
from coterie_common.protocol.verification.contribution import REPLY_CHECKS, ReplyReceived, _verify_reply, verify_reply
from coterie_common.protocol.verification.party_messages import (
    PARTIAL_CHECKS,
    PartialReceived,
    _verify_partial,
    verify_partial,
    verify_partial_proof,
)
from coterie_common.protocol.verification.request import OwnKnowledge, verify_request
from tests.support.dishonest import doubled_partial, proven_key_part, signed_partial
from tests.support.federation import digest_of, make_federation, transcript_digest, with_encoding
from tests.support.opening import decrypted
from tests.support.powers import power

FEDERATION = make_federation()
ROSTER = FEDERATION.roster
KEY = FEDERATION.dealing.key
HONEST, CULPRIT = FEDERATION.parties[0], FEDERATION.parties[1]
VALUES = [1, 2, 3, 4, 5, 6]


# Replies.


@dataclass(frozen=True)
class Reply:
    """What a malicious party sends, for which round, and whether letting it pass does the harm."""

    reply: EncryptedReply
    fields: SessionFields
    sealing: EncryptedSealing
    harm: Callable[[], bool]
    padded: bytes = b""

    def verify(self, checks: tuple[Check[ReplyReceived], ...] | None = None) -> None:
        facts = PaddedFacts(len(self.padded), padded_digest(self.padded))
        if checks is None:
            verify_reply(self.reply, facts, self.fields, ROSTER, self.sealing)
            return
        received = ReplyReceived(
            reply=self.reply, padded=facts, fields=self.fields, roster=ROSTER, sealing=self.sealing
        )
        _verify_reply(received, checks)


@dataclass(frozen=True)
class ReplyAttack:
    check: int
    name: str
    code: str
    make: Callable[[], Reply]


def makes_parties_refuse(fields: SessionFields, contribution: Contribution, code: str) -> Callable[[], bool]:
    """Whether an honest party refuses the transcript with this contribution in it: the round is lost."""

    def harm() -> bool:
        index = ROSTER.member(contribution.party_id).index
        honest = [FEDERATION.contribution(p, fields.session_id, VALUES) for p in FEDERATION.parties]
        request = FEDERATION.request(fields, (*honest[: index - 1], contribution, *honest[index:]))
        own = OwnKnowledge(
            party_id=HONEST,
            roster=ROSTER,
            session_id=fields.session_id,
            contribution_digest=honest[0].digest,
            random=FEDERATION.random,
        )
        with pytest.raises(CoterieError) as refusal:
            verify_request(request, own, FEDERATION.sealing())
        return refusal.value.code == code

    return harm


def directly(
    contribution: Contribution, code: str, *, fields: SessionFields | None = None, session_id: bytes | None = None
) -> Reply:
    fields = fields or FEDERATION.fields()
    reply = FEDERATION.reply(contribution, session_id or fields.session_id)
    return Reply(reply, fields, FEDERATION.sealing(), makes_parties_refuse(fields, contribution, code))


def to_another_query() -> Reply:
    other = digest_of("another query")
    return directly(FEDERATION.contribution(CULPRIT, other, VALUES), "invalid-signature", session_id=other)


def not_asked() -> Reply:
    cohort = tuple(p for p in sorted(FEDERATION.parties) if p != CULPRIT)
    fields = FEDERATION.fields(cohort=cohort)
    return directly(FEDERATION.contribution(CULPRIT, fields.session_id, VALUES), "not-in-cohort", fields=fields)


def unsigned() -> Reply:
    contribution = FEDERATION.contribution(CULPRIT, FEDERATION.fields().session_id, VALUES)
    return directly(replace(contribution, signature=bytes(64)), "invalid-signature")


def too_many_ciphertexts() -> Reply:
    session_id = FEDERATION.fields().session_id
    part = proven_key_part(FEDERATION, session_id, CULPRIT, (1, 2))
    return directly(FEDERATION.signed(CULPRIT, session_id, part), "malformed-message")


def inverted_copy() -> Reply:
    """Of another party's reply, which the aggregator showed it."""
    session_id, key = FEDERATION.fields().session_id, KEY.public_key
    part = FEDERATION.contribution(HONEST, session_id, VALUES).key_part
    inverted = tuple(power(key.check(c), -1).to_bytes() for c in part.ciphertexts)
    mauled = FEDERATION.signed(CULPRIT, session_id, replace(part, ciphertexts=inverted))
    return directly(mauled, "invalid-proof")


LENGTH = 3000
PADDED_TERMS = replace(with_encoding(FEDERATION.terms(), length=LENGTH), sealing=SealingKind.PADDED)
PADDED = FEDERATION.sealing(PADDED_TERMS)
DATA = np.arange(LENGTH, dtype=np.int64) % 100
FRAME = 4 * 1000
"""Bytes that are missing where a part is short."""


def spoils_the_sum(fields: SessionFields, contribution: Contribution, padded: bytes) -> Callable[[], bool]:
    """Whether there is no sum with this part, or another than of what was sealed beyond the pads' errors."""

    def harm() -> bool:
        honest = PADDED.seal(DATA, fields.session_id, HONEST, FEDERATION.random)
        padded_sum = PADDED.new_padded_sum(fields.session_id)
        padded_sum.add(honest.padded)
        padded_sum.add(padded)
        total = PADDED.add([PADDED.check_ciphertexts(part) for part in (honest.key_part, contribution.key_part)])
        try:
            opened = PADDED.open(decrypted(FEDERATION, total), 2, padded_sum)
        except PlaintextOutOfRange as lost:
            # The round is lost, and nobody can say because of whom.
            return not lost.culprits
        # Each error is at most 64.
        return int(np.abs(opened - 2 * DATA).max()) > 128

    return harm


def padded(sent: Callable[[bytes], bytes], *, is_named: bool) -> Reply:
    """A reply whose padded part is not what was sealed; its contribution names what it sends, or what it sealed."""
    fields = FEDERATION.fields(terms=PADDED_TERMS)
    sealed = PADDED.seal(DATA, fields.session_id, CULPRIT, FEDERATION.random)
    part, key_part = sent(sealed.padded), sealed.key_part
    named = part if is_named else sealed.padded
    if is_named:
        # The proof names the part too: it is made for the part that is sent.
        plaintexts = decrypted(FEDERATION, PADDED.check_ciphertexts(key_part))
        key_part = proven_key_part(FEDERATION, fields.session_id, CULPRIT, plaintexts, padded_digest(part))
    contribution = FEDERATION.signed(CULPRIT, fields.session_id, key_part, named)
    reply = FEDERATION.reply(contribution, fields.session_id)
    return Reply(reply, fields, PADDED, spoils_the_sum(fields, contribution, part), part)


REPLIES = (
    ReplyAttack(1, "to another query", "parameter-mismatch", to_another_query),
    ReplyAttack(2, "of who was not asked", "not-in-cohort", not_asked),
    ReplyAttack(
        3, "a padded part one frame short", "malformed-message", lambda: padded(lambda p: p[:-FRAME], is_named=True)
    ),
    ReplyAttack(4, "a swapped padded part", "malformed-message", lambda: padded(lambda p: p[::-1], is_named=False)),
    ReplyAttack(5, "unsigned", "invalid-signature", unsigned),
    ReplyAttack(6, "too many ciphertexts", "malformed-message", too_many_ciphertexts),
    ReplyAttack(7, "an inverted copy", "invalid-proof", inverted_copy),
)


def take_as_they_are(v: ReplyReceived) -> None:
    v.ciphertexts = tuple(
        Ciphertext(int.from_bytes(c, "big"), KEY.public_key) for c in v.reply.contribution.key_part.ciphertexts
    )


def reply_checks_without(number: int) -> tuple[Check[ReplyReceived], ...]:
    lenient = [Check(6, "taken as they are", take_as_they_are)] if number == 6 else []
    return tuple(sorted([*(check for check in REPLY_CHECKS if check.number != number), *lenient]))


def test_every_check_of_a_reply_has_an_attack():
    assert {attack.check for attack in REPLIES} == {check.number for check in REPLY_CHECKS}


@pytest.mark.parametrize("attack", REPLIES, ids=lambda attack: attack.name)
def test_reply_is_refused_with_code_and_culprit(attack):
    attempt = attack.make()
    with pytest.raises(CoterieError) as refusal:
        attempt.verify()
    assert (refusal.value.code, refusal.value.culprits) == (attack.code, (CULPRIT,))


@pytest.mark.parametrize("attack", REPLIES, ids=lambda attack: attack.name)
def test_reply_that_passes_without_its_check_does_harm(attack):
    attempt = attack.make()
    attempt.verify(reply_checks_without(attack.check))
    assert attempt.harm()


@pytest.mark.parametrize("is_named", [True, False], ids=["and names none", "but names one"])
def test_reply_that_omits_its_padded_part_is_refused_by_more_than_one_check(is_named):
    attempt = padded(lambda _: b"", is_named=is_named)
    for checks in (REPLY_CHECKS, reply_checks_without(3)):
        with pytest.raises(CoterieError) as refusal:
            attempt.verify(checks)
        assert (refusal.value.code, refusal.value.culprits) == ("malformed-message", (CULPRIT,))
    assert attempt.harm()


def test_key_part_that_is_no_key_of_a_pad_passes_every_check_and_ends_the_round():
    # That it is in range no proof shows. Nobody knows whose it was: its sum with the others' is what is opened.
    fields = FEDERATION.fields(terms=PADDED_TERMS)
    honest = PADDED.seal(DATA, fields.session_id, HONEST, FEDERATION.random)
    sealed = PADDED.seal(DATA, fields.session_id, CULPRIT, FEDERATION.random)
    plaintexts = list(decrypted(FEDERATION, PADDED.check_ciphertexts(sealed.key_part)))
    plaintexts[0] += 1 << 9
    key_part = proven_key_part(FEDERATION, fields.session_id, CULPRIT, tuple(plaintexts), sealed.padded_digest)
    contribution = FEDERATION.signed(CULPRIT, fields.session_id, key_part, sealed.padded)
    Reply(FEDERATION.reply(contribution, fields.session_id), fields, PADDED, lambda: True, sealed.padded).verify()
    padded_sum = PADDED.new_padded_sum(fields.session_id)
    padded_sum.add(honest.padded)
    padded_sum.add(sealed.padded)
    total = PADDED.add([PADDED.check_ciphertexts(part) for part in (honest.key_part, key_part)])
    with pytest.raises(CoterieError) as ended:
        PADDED.open(decrypted(FEDERATION, total), 2, padded_sum)
    assert (ended.value.code, ended.value.culprits) == ("invalid-pad-key", ())


# Partial decryptions.

FIELDS = FEDERATION.fields()
CONTRIBUTIONS = tuple(FEDERATION.contribution(p, FIELDS.session_id, VALUES) for p in FEDERATION.parties)
TRANSCRIPT = transcript_digest(FIELDS.session_id, CONTRIBUTIONS)
TOTAL = FEDERATION.sealing().add([FEDERATION.sealing().check_ciphertexts(c.key_part) for c in CONTRIBUTIONS])


def partial_of(
    contributions: tuple[Contribution, ...], party_id: PartyId = CULPRIT, session_id: bytes = FIELDS.session_id
) -> PartialDecryption:
    """An honest partial decryption of a transcript."""
    sealing = FEDERATION.sealing()
    total = sealing.add([sealing.check_ciphertexts(c.key_part) for c in contributions])
    share = FEDERATION.dealing.shares[ROSTER.member(party_id).index - 1]
    values = threshold.partial_decrypt(KEY, share, total)
    statement = partial_decryption.Statement(
        session_id=session_id,
        transcript_digest=transcript_digest(session_id, contributions),
        index=share.index,
        key=KEY,
        ciphertexts=total,
        partials=values,
    )
    partial = PartialDecryption(
        job_id=FIELDS.job_id,
        round_number=1,
        session_id=session_id,
        transcript_digest=statement.transcript_digest,
        party_id=party_id,
        values=(),
        proof=partial_decryption.prove(statement, share, FEDERATION.random).to_bytes(KEY),
        transcript_signature=PartialDecryption.sign_transcript(
            FEDERATION.party_keys[party_id], session_id, statement.transcript_digest
        ),
        signature=UNSIGNED,
    )
    return signed_partial(FEDERATION, partial, tuple(v.to_bytes(KEY.public_key.modulus_bytes, "big") for v in values))


def spoils_the_opening(values: tuple[int, ...]) -> bool:
    honest = FEDERATION.dealing.shares[2:5]
    shares = {share.index: threshold.partial_decrypt(KEY, share, TOTAL) for share in honest}
    shares[ROSTER.member(CULPRIT).index] = values
    try:
        plaintexts = threshold.combine(KEY, TOTAL, shares)
    except CoterieError:
        return True
    return plaintexts != decrypted(FEDERATION, TOTAL)


def of_another_session() -> PartialDecryption:
    """Of the same replies, but said in another round: it could be kept and shown in either."""
    return partial_of(CONTRIBUTIONS, session_id=digest_of("another round"))


def is_bound_to_another_round(values: tuple[int, ...], partial: PartialDecryption) -> bool:
    return partial.session_id != FIELDS.session_id


def nobody_signed(values: tuple[int, ...], partial: PartialDecryption) -> bool:
    """What is kept of it convinces nobody that its sender said it."""
    with pytest.raises(InvalidSignature):
        partial.verify(ROSTER.member(partial.party_id).verify_key)
    return True


def without_receipt() -> PartialDecryption:
    """Signed as a whole, but with a signature over another transcript for the members that hold no key."""
    partial = partial_of(CONTRIBUTIONS)
    key = FEDERATION.party_keys[partial.party_id]
    other = PartialDecryption.sign_transcript(key, FIELDS.session_id, digest_of("another transcript"))
    return replace(partial, transcript_signature=other).signed_by(key)


def members_without_key_see_nothing_signed(values: tuple[int, ...], partial: PartialDecryption) -> bool:
    """The round is opened, and those who hold no key cannot be shown by whom."""
    partial.verify(ROSTER.member(partial.party_id).verify_key)
    with pytest.raises(InvalidSignature):
        partial.verify_transcript(ROSTER.member(partial.party_id).verify_key)
    return True


def swollen() -> PartialDecryption:
    """The right number with a megabyte of zeros in front: what is kept of a round has no bound any more."""
    partial = partial_of(CONTRIBUTIONS)
    return signed_partial(FEDERATION, partial, tuple(bytes(1 << 20) + value for value in partial.values))


@dataclass(frozen=True)
class PartialAttack:
    check: int
    name: str
    code: str
    make: Callable[[], PartialDecryption]
    harm: Callable[[tuple[int, ...], PartialDecryption], bool]


PARTIALS = (
    PartialAttack(1, "of another round", "parameter-mismatch", of_another_session, is_bound_to_another_round),
    PartialAttack(
        2,
        "unsigned",
        "invalid-signature",
        lambda: replace(partial_of(CONTRIBUTIONS), signature=bytes(64)),
        nobody_signed,
    ),
    PartialAttack(3, "without a receipt", "invalid-signature", without_receipt, members_without_key_see_nothing_signed),
    PartialAttack(4, "swollen", "invalid-ciphertext", swollen, lambda _, partial: len(partial.values[0]) > 1 << 20),
    PartialAttack(
        5,
        "a doubled value",
        "invalid-proof",
        lambda: doubled_partial(FEDERATION, partial_of(CONTRIBUTIONS)),
        lambda values, _: spoils_the_opening(values),
    ),
)


def take_values_as_they_are(v: PartialReceived) -> None:
    v.values = tuple(int.from_bytes(value, "big") for value in v.partial.values)


def partial_checks_without(number: int) -> tuple[Check[PartialReceived], ...]:
    lenient = [Check(4, "taken as they are", take_values_as_they_are)] if number == 4 else []
    return tuple(sorted([*(check for check in PARTIAL_CHECKS if check.number != number), *lenient]))


def verify(partial: PartialDecryption, checks: tuple[Check[PartialReceived], ...] | None = None) -> tuple[int, ...]:
    if checks is None:
        verify_partial_proof(partial, FIELDS.session_id, TRANSCRIPT, TOTAL, KEY, ROSTER)
        return verify_partial(partial, FIELDS.session_id, TRANSCRIPT, TOTAL, KEY, ROSTER)
    received = PartialReceived(
        partial=partial,
        session_id=FIELDS.session_id,
        transcript_digest=TRANSCRIPT,
        total=tuple(TOTAL),
        key=KEY,
        roster=ROSTER,
    )
    return _verify_partial(received, checks)


def test_honest_partial_decryption_passes_and_opens_the_sum():
    assert not spoils_the_opening(verify(partial_of(CONTRIBUTIONS)))


def test_every_check_of_a_partial_decryption_has_an_attack():
    assert [attack.check for attack in PARTIALS] == [check.number for check in PARTIAL_CHECKS]


@pytest.mark.parametrize("attack", PARTIALS, ids=lambda attack: attack.name)
def test_partial_decryption_is_refused_with_code_and_culprit(attack):
    with pytest.raises(CoterieError) as refusal:
        verify(attack.make())
    assert (refusal.value.code, refusal.value.culprits) == (attack.code, (CULPRIT,))


@pytest.mark.parametrize("attack", PARTIALS, ids=lambda attack: attack.name)
def test_partial_decryption_that_passes_without_its_check_does_harm(attack):
    partial = attack.make()
    assert attack.harm(verify(partial, partial_checks_without(attack.check)), partial)


def test_partial_decryption_of_a_part_of_the_transcript_is_named_even_without_the_first_check():
    # What a colluder opens besides fits no other sum.
    with pytest.raises(CoterieError) as refusal:
        verify(partial_of(CONTRIBUTIONS[:4]), partial_checks_without(1))
    assert refusal.value.code == "invalid-proof"
