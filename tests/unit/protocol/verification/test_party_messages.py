# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest

from coterie_common.crypto import threshold
from coterie_common.crypto.paillier import Ciphertext
from coterie_common.crypto.proofs import partial_decryption
from coterie_common.errors import CoterieError
from coterie_common.identifiers import PartyId
from coterie_common.protocol.acceptance import Decision, JobReply
from coterie_common.protocol.messages import JobProposal, ModelReceipt, PartialDecryption
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.verification.party_messages import (
    PARTIAL_CHECKS,
    verify_job_reply,
    verify_partial,
    verify_partial_proof,
    verify_receipt,
)
from tests.support.federation import JOB, digest_of, make_federation
from tests.support.seeded_random import SeededRandom

FEDERATION = make_federation()
KEY = FEDERATION.dealing.key
ROSTER = FEDERATION.roster
SENDER, OTHER = FEDERATION.parties[1], FEDERATION.parties[2]
SESSION, TRANSCRIPT = digest_of("session"), digest_of("transcript")
SEALING = FEDERATION.sealing()
TOTAL = SEALING.add(
    [SEALING.check_ciphertexts(FEDERATION.contribution(p, SESSION).key_part) for p in FEDERATION.parties]
)
RANDOM = SeededRandom("partial decryptions")


def signed(values: tuple[bytes, ...], proof: bytes, session_id: bytes = SESSION) -> PartialDecryption:
    partial = PartialDecryption(
        job_id=JOB,
        round_number=1,
        session_id=session_id,
        transcript_digest=TRANSCRIPT,
        party_id=SENDER,
        values=values,
        proof=proof,
        transcript_signature=PartialDecryption.sign_transcript(FEDERATION.party_keys[SENDER], session_id, TRANSCRIPT),
        signature=UNSIGNED,
    )
    return partial.signed_by(FEDERATION.party_keys[SENDER])


def partial(*, index: int = 2, total: tuple[Ciphertext, ...] = TOTAL, session_id: bytes = SESSION) -> PartialDecryption:
    """What the holder of share ``index`` makes of ``total``, signed by the sender."""
    share = FEDERATION.dealing.shares[index - 1]
    values = threshold.partial_decrypt(KEY, share, total)
    statement = partial_decryption.Statement(
        session_id=session_id,
        transcript_digest=TRANSCRIPT,
        index=index,
        key=KEY,
        ciphertexts=total,
        partials=values,
    )
    proof = partial_decryption.prove(statement, share, RANDOM).to_bytes(KEY)
    return signed(tuple(value.to_bytes(KEY.public_key.modulus_bytes, "big") for value in values), proof)


HONEST = partial()


def doubled() -> PartialDecryption:
    n, size = KEY.public_key.modulus, KEY.public_key.modulus_bytes
    values = tuple(pow(int.from_bytes(v, "big"), 2, n).to_bytes(size, "big") for v in HONEST.values)
    return signed(values, HONEST.proof)


def of_another_sum() -> PartialDecryption:
    return partial(total=SEALING.check_ciphertexts(FEDERATION.contribution(SENDER, SESSION).key_part))


def transcript_signature(holder: PartyId, session_id: bytes = SESSION) -> bytes:
    return PartialDecryption.sign_transcript(FEDERATION.party_keys[holder], session_id, TRANSCRIPT)


def with_receipt(signature: bytes) -> PartialDecryption:
    changed = replace(HONEST, transcript_signature=signature)
    return changed.signed_by(FEDERATION.party_keys[SENDER])


@dataclass(frozen=True)
class Bad:
    check: int
    name: str
    code: str
    make: Callable[[], PartialDecryption]


BAD = [
    Bad(1, "another session", "parameter-mismatch", lambda: replace(HONEST, session_id=digest_of("another"))),
    Bad(1, "another transcript", "parameter-mismatch", lambda: replace(HONEST, transcript_digest=digest_of("x"))),
    Bad(2, "no signature", "invalid-signature", lambda: replace(HONEST, signature=bytes(64))),
    Bad(2, "values that were not signed", "invalid-signature", lambda: replace(HONEST, values=(b"x",))),
    Bad(2, "a proof that was not signed", "invalid-signature", lambda: replace(HONEST, proof=b"x")),
    Bad(2, "in another's name", "invalid-signature", lambda: replace(HONEST, party_id=OTHER)),
    Bad(
        2, "a receipt that was not signed", "invalid-signature", lambda: replace(HONEST, transcript_signature=bytes(64))
    ),
    Bad(3, "no receipt", "invalid-signature", lambda: with_receipt(bytes(64))),
    Bad(
        3,
        "a receipt for another session",
        "invalid-signature",
        lambda: with_receipt(transcript_signature(SENDER, digest_of("x"))),
    ),
    Bad(3, "another's receipt", "invalid-signature", lambda: with_receipt(transcript_signature(OTHER))),
    Bad(4, "no value", "malformed-message", lambda: signed((), HONEST.proof)),
    Bad(4, "a value too many", "malformed-message", lambda: signed(HONEST.values * 2, HONEST.proof)),
    Bad(4, "a value cut short", "invalid-ciphertext", lambda: signed((HONEST.values[0][1:],), HONEST.proof)),
    Bad(4, "zero", "invalid-ciphertext", lambda: signed((bytes(len(HONEST.values[0])),), HONEST.proof)),
    Bad(5, "a doubled value", "invalid-proof", doubled),
    Bad(5, "another party's share", "invalid-proof", lambda: partial(index=3)),
    Bad(5, "of another sum", "invalid-proof", of_another_sum),
    Bad(5, "proof for another session", "invalid-proof", lambda: partial(session_id=digest_of("another"))),
    Bad(5, "a proof cut short", "malformed-message", lambda: signed(HONEST.values, HONEST.proof[:-1])),
]


def verify(message: PartialDecryption) -> tuple[int, ...]:
    return verify_partial(message, SESSION, TRANSCRIPT, TOTAL, KEY, ROSTER)


def verify_proof(message: PartialDecryption) -> None:
    verify_partial_proof(message, SESSION, TRANSCRIPT, TOTAL, KEY, ROSTER)


def test_honest_partial_decryption_returns_its_values():
    assert verify(HONEST) == threshold.partial_decrypt(KEY, FEDERATION.dealing.shares[1], TOTAL)
    verify_proof(HONEST)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_wrong_partial_decryption_names_its_sender(bad):
    message = bad.make()
    with pytest.raises(CoterieError) as refusal:
        verify_proof(message)
    assert refusal.value.code == bad.code
    assert refusal.value.culprits == (message.party_id,)


@pytest.mark.parametrize("bad", BAD, ids=lambda bad: bad.name)
def test_wrong_partial_decryption_is_refused_before_the_sum_is_opened_unless_only_its_proof_shows_it(bad):
    message = bad.make()
    if bad.check == len(PARTIAL_CHECKS):
        assert len(verify(message)) == len(TOTAL)
        return
    with pytest.raises(CoterieError) as refusal:
        verify(message)
    assert (refusal.value.code, refusal.value.culprits) == (bad.code, (message.party_id,))


def test_every_numbered_check_is_exercised():
    numbers = [check.number for check in PARTIAL_CHECKS]
    assert numbers == list(range(1, len(PARTIAL_CHECKS) + 1))
    assert {bad.check for bad in BAD} == set(numbers)


PROPOSAL = JobProposal(job_id=JOB, roster_digest=ROSTER.digest, spec=b"spec", terms=b"terms", signature=bytes(64))


DIGESTS = (PROPOSAL.spec_digest, PROPOSAL.terms_digest)


def job_reply(decision: Decision = Decision.ACCEPTED, digests: tuple[bytes, bytes] = DIGESTS) -> JobReply:
    reply = JobReply(
        job_id=JOB,
        party_id=SENDER,
        spec_digest=digests[0],
        terms_digest=digests[1],
        decision=decision,
        code="data",
        detail="why",
        signature=UNSIGNED,
    )
    return reply.signed_by(FEDERATION.party_keys[SENDER])


@pytest.mark.parametrize("decision", Decision)
def test_job_reply_to_the_proposal_is_accepted(decision):
    verify_job_reply(job_reply(decision), PROPOSAL, ROSTER)


@pytest.mark.parametrize(
    "digests", [(digest_of("another"), DIGESTS[1]), (DIGESTS[0], digest_of("another")), DIGESTS[::-1]]
)
def test_job_reply_to_another_proposal_names_its_sender(digests):
    with pytest.raises(CoterieError) as refusal:
        verify_job_reply(job_reply(digests=digests), PROPOSAL, ROSTER)
    assert refusal.value.code == "parameter-mismatch"
    assert refusal.value.culprits == (SENDER,)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("job_id", "job-2"),
        ("party_id", OTHER),
        ("decision", Decision.REFUSED),
        ("code", "other"),
        ("detail", "because"),
        ("signature", bytes(64)),
    ],
)
def test_job_reply_that_was_not_signed_like_this_raises(name, value):
    with pytest.raises(CoterieError) as refusal:
        verify_job_reply(replace(job_reply(), **{name: value}), PROPOSAL, ROSTER)
    assert refusal.value.code == "invalid-signature"


MODEL = digest_of("model")


def receipt() -> ModelReceipt:
    made = ModelReceipt(job_id=JOB, party_id=SENDER, model_digest=MODEL, signature=UNSIGNED)
    return made.signed_by(FEDERATION.party_keys[SENDER])


def test_receipt_for_the_model_is_accepted():
    verify_receipt(receipt(), MODEL, ROSTER)


def test_receipt_for_another_model_names_its_sender():
    with pytest.raises(CoterieError) as refusal:
        verify_receipt(receipt(), digest_of("another model"), ROSTER)
    assert refusal.value.code == "parameter-mismatch"
    assert refusal.value.culprits == (SENDER,)


@pytest.mark.parametrize(("name", "value"), [("job_id", "job-2"), ("party_id", OTHER), ("signature", bytes(64))])
def test_receipt_that_was_not_signed_like_this_raises(name, value):
    with pytest.raises(CoterieError) as refusal:
        verify_receipt(replace(receipt(), **{name: value}), MODEL, ROSTER)
    assert refusal.value.code == "invalid-signature"
