# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest

from coterie_common.crypto.hashing import Label, long_hash, tuple_hash
from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import InvalidSignature
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol import acceptance as a
from coterie_common.protocol import masked_reply as k
from coterie_common.protocol import messages as m
from coterie_common.protocol.encrypted_reply import Contribution, KeyPart
from coterie_common.protocol.padded_part import NOTHING_PADDED, padded_digest
from coterie_common.protocol.signed import UNSIGNED, Signed
from tests.support.federation import digest_of, make_federation
from tests.support.seeded_random import SeededRandom

JOB, PARTY = JobId("job"), PartyId("alpha")
ONE, TWO, THREE = digest_of("one"), digest_of("two"), digest_of("three")

FIELDS = make_federation().fields()
KEY_PART = KeyPart(ciphertexts=(b"c",), proof=b"p")
CONTRIBUTION = Contribution(party_id=PARTY, key_part=KEY_PART, padded_digest=ONE, signature=UNSIGNED)
KEY = SigningKey.generate(SeededRandom("signer"))

Values = dict[str, Any]

ACCEPTANCE = a.JobReply(
    job_id=JOB,
    party_id=PARTY,
    spec_digest=ONE,
    terms_digest=TWO,
    decision=a.Decision.ACCEPTED,
    code="",
    detail="",
    signature=UNSIGNED,
    ephemeral_key=b"key",
)

SIGNED: list[tuple[Signed, Values, Values]] = [
    # message, another value of each field that its signature covers, and what covers the other fields
    (
        m.JobProposal(job_id=JOB, roster_digest=ONE, spec=b"spec", terms=b"terms", signature=UNSIGNED),
        {"job_id": JobId("other"), "roster_digest": TWO, "spec": b"spec2", "terms": b"terms2"},
        {},
    ),
    (
        a.JobReply(
            job_id=JOB,
            party_id=PARTY,
            spec_digest=ONE,
            terms_digest=TWO,
            decision=a.Decision.REFUSED,
            code="data",
            detail="no such file",
            signature=UNSIGNED,
        ),
        {
            "job_id": JobId("other"),
            "party_id": PartyId("beta"),
            "spec_digest": TWO,
            "terms_digest": ONE,
            "decision": a.Decision.HELD,
            "code": "datano",
            "detail": " such file",
            "ephemeral_key": b"key",
        },
        {},
    ),
    (
        a.Acceptances(job_id=JOB, replies=(ACCEPTANCE,), signature=UNSIGNED),
        {
            "job_id": JobId("other"),
            "replies": (replace(ACCEPTANCE, ephemeral_key=b"other"),),
        },
        {},
    ),
    (
        a.Encapsulation(
            job_id=JOB,
            sender=PARTY,
            recipient=PartyId("beta"),
            acceptances=(ONE, TWO),
            ciphertext=b"ciphertext",
            signature=UNSIGNED,
        ),
        {
            "job_id": JobId("other"),
            "sender": PartyId("aleph"),
            "recipient": PartyId("gamma"),
            "acceptances": (TWO, ONE),
            "ciphertext": b"other",
        },
        {},
    ),
    (
        k.MaskedReply(
            job_id=JOB,
            round_number=1,
            session_id=ONE,
            party_id=PARTY,
            masked=k.MaskedPart(values=b"masked"),
            padded_digest=TWO,
            signature=UNSIGNED,
        ),
        {
            "session_id": TWO,
            "party_id": PartyId("beta"),
            "masked": k.MaskedPart(values=b"other"),
            "padded_digest": ONE,
        },
        {"job_id": "the session id", "round_number": "the session id"},
    ),
    (
        m.Query(fields=FIELDS, body=b"body", signature=UNSIGNED),
        {"fields": replace(FIELDS, body_digest=TWO)},
        {"body": "the digest in its fields", "previous": "the previous transcript in its fields"},
    ),
    (
        m.DecryptionRequest(fields=FIELDS, contributions=(CONTRIBUTION,), signature=UNSIGNED),
        {
            "fields": replace(FIELDS, body_digest=TWO),
            "contributions": (replace(CONTRIBUTION, padded_digest=TWO),),
        },
        {},
    ),
    (
        m.PartialDecryption(
            job_id=JOB,
            round_number=1,
            session_id=ONE,
            transcript_digest=TWO,
            party_id=PARTY,
            values=(b"ab", b"c"),
            proof=b"proof",
            transcript_signature=b"receipt",
            signature=UNSIGNED,
        ),
        {
            "session_id": TWO,
            "transcript_digest": ONE,
            "party_id": PartyId("beta"),
            "values": (b"a", b"bc"),
            "proof": b"other",
            "transcript_signature": b"other",
        },
        {"job_id": "the session id", "round_number": "the session id"},
    ),
    (
        m.ModelDelivery(job_id=JOB, model=b"model", signature=UNSIGNED),
        {"job_id": JobId("other"), "model": b"model2"},
        {},
    ),
    (
        m.ModelReceipt(job_id=JOB, party_id=PARTY, model_digest=ONE, signature=UNSIGNED),
        {"job_id": JobId("other"), "party_id": PartyId("beta"), "model_digest": TWO},
        {},
    ),
    (
        m.JobEnd(job_id=JOB, outcome=m.JobOutcome.FAILED, reason="why", signature=UNSIGNED),
        {"job_id": JobId("other"), "outcome": m.JobOutcome.CANCELLED, "reason": "because"},
        {},
    ),
]


@pytest.mark.parametrize(
    ("message", "others", "elsewhere"),
    SIGNED,
    ids=[f"{type(message).__name__}.signed_items--" for message, _, _ in SIGNED],
)
def test_signature_covers_every_field(message, others, elsewhere):
    assert {each.name for each in fields(message)} == {*others, *elsewhere, "signature"}
    signed = message.signed_by(KEY)
    assert signed == replace(message, signature=signed.signature)
    signed.verify(KEY.verify_key)
    for name, other in others.items():
        with pytest.raises(InvalidSignature):
            replace(signed, **{name: other}).verify(KEY.verify_key)


def test_signature_of_a_contribution_covers_every_field_and_the_session():
    signed = CONTRIBUTION.signed_by(KEY, TWO)
    assert signed == replace(CONTRIBUTION, signature=signed.signature)
    signed.verify(KEY.verify_key, TWO)
    others: Values = {"party_id": PartyId("beta"), "key_part": replace(KEY_PART, proof=b"q"), "padded_digest": TWO}
    assert {each.name for each in fields(CONTRIBUTION)} == {*others, "signature"}
    for name, other in others.items():
        with pytest.raises(InvalidSignature):
            replace(signed, **{name: other}).verify(KEY.verify_key, TWO)
    with pytest.raises(InvalidSignature) as refusal:
        signed.verify(KEY.verify_key, ONE)
    assert refusal.value.code == "invalid-signature"


def test_message_that_nobody_signed_does_not_verify():
    for message, _, _ in SIGNED:
        with pytest.raises(InvalidSignature):
            message.verify(KEY.verify_key)
    with pytest.raises(InvalidSignature):
        CONTRIBUTION.verify(KEY.verify_key, TWO)


def test_every_kind_of_signature_has_a_label_of_its_own():
    labels = [message.signed_items[0] for message, _, _ in SIGNED]
    labels.append(CONTRIBUTION.signed_items(ONE, PARTY, TWO, THREE)[0])
    assert len(set(labels)) == len(SIGNED) + 1 == len({kind.__name__ for kind in Signed.__subclasses__()}) + 1


def test_proposal_names_the_digests_that_a_reply_repeats():
    proposal = m.JobProposal(job_id=JOB, roster_digest=ONE, spec=b"spec", terms=b"terms", signature=bytes(64))
    assert len({proposal.spec_digest, proposal.terms_digest, tuple_hash(Label.JOB_SPEC, b"terms")}) == 3


def test_contribution_digest_covers_all_of_it():
    key_part = KeyPart(ciphertexts=(b"c",), proof=b"p")
    base = {"party_id": PARTY, "key_part": key_part, "padded_digest": ONE, "signature": bytes(64)}
    others: dict[str, Any] = {
        "party_id": PartyId("beta"),
        "key_part": KeyPart(ciphertexts=(b"c",), proof=b"q"),
        "padded_digest": TWO,
        "signature": b"x" * 64,
    }
    digests = {Contribution(**(base | {name: value})).digest for name, value in others.items()}  # type: ignore[arg-type]
    assert len(digests | {Contribution(**base).digest}) == 5  # type: ignore[arg-type]


def test_nothing_padded_is_the_digest_of_no_bytes():
    assert padded_digest(b"") == NOTHING_PADDED != padded_digest(b"\0")


def test_model_delivery_and_receipt_name_the_same_digest():
    delivery = m.ModelDelivery(job_id=JOB, model=b"model", signature=bytes(64))
    assert delivery.model_digest == long_hash(Label.MODEL, b"model")
