# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Make the vectors of signed messages: ``python -m tests.vectors.messages.make_vectors``."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Final

from coterie_common.crypto.identity import SigningKey
from coterie_common.crypto.masks.ephemeral import EphemeralSecret
from coterie_common.identifiers import JobId, PartyId
from coterie_common.privacy.count_encoding import CountEncoding
from coterie_common.privacy.noise.discrete_gaussian import DiscreteGaussianNoise
from coterie_common.privacy.noise.terms import Placement, Unit
from coterie_common.protocol import acceptance as a
from coterie_common.protocol import masked_reply as k
from coterie_common.protocol import messages as m
from coterie_common.protocol.encrypted_reply import Contribution, EncryptedReply, KeyPart
from coterie_common.protocol.padded_part import padded_digest
from coterie_common.protocol.session import SessionFields, body_digest
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.terms import CountTerms, RoundTerms, SealingKind
from coterie_common.wire.federation import aggregator_message_to_wire, party_message_to_wire
from tests.support.federation import digest_of
from tests.support.seeded_random import SeededRandom

FOLDER: Final = Path(__file__).parent
KEY: Final = SigningKey.generate(SeededRandom("signed messages"))
JOB, PARTY, OTHER = JobId("job-1"), PartyId("party-1"), PartyId("party-2")
FROM_PARTIES: Final = (
    a.JobReply,
    a.Encapsulations,
    k.MaskedReply,
    EncryptedReply,
    m.PartialDecryption,
    m.ModelReceipt,
)
BODY = b'{"length":2}'
FIELDS = SessionFields(
    roster_digest=digest_of("roster"),
    key_epoch=3,
    job_id=JOB,
    spec_digest=digest_of("spec"),
    round_number=2,
    plan_step=2,
    body_digest=body_digest(BODY),
    cohort=(PARTY, OTHER),
    round_quorum=2,
    terms=RoundTerms(
        sealing=SealingKind.DIRECT,
        values=CountTerms(encoding=CountEncoding(length=2, scale_bits=2, lower=0, upper=100), l0=2, linf=1),
        noise=DiscreteGaussianNoise(placement=Placement.DISTRIBUTED, variance=Fraction(300), shares=2),
        unit=Unit.RECORD,
    ),
    previous_transcript=digest_of("round 1"),
)


def messages() -> Iterator[tuple[str, m.Message]]:
    """Yield one of each message that bears a signature, by the name of its file."""
    proposal = m.JobProposal(
        job_id=JOB, roster_digest=digest_of("roster"), spec=b"specification", terms=b"terms", signature=UNSIGNED
    )
    yield "job_proposal", proposal.signed_by(KEY)
    reply = a.JobReply(
        job_id=JOB,
        party_id=PARTY,
        spec_digest=digest_of("spec"),
        terms_digest=digest_of("terms"),
        decision=a.Decision.REFUSED,
        code="budget-exhausted",
        detail="0.5 of 1 is left",
        signature=UNSIGNED,
    )
    yield "job_reply", reply.signed_by(KEY)
    acceptances = tuple(
        replace(
            reply, party_id=party_id, decision=a.Decision.ACCEPTED, code="", detail="", ephemeral_key=key.public.encoded
        ).signed_by(KEY)
        for party_id, key in ((PARTY, EphemeralSecret(bytes(range(96)))), (OTHER, EphemeralSecret(bytes(range(1, 97)))))
    )
    yield "acceptance", acceptances[0]
    ordered = tuple(sorted(acceptances, key=lambda each: each.party_id))
    yield "acceptances", a.Acceptances(job_id=JOB, replies=ordered, signature=UNSIGNED).signed_by(KEY)
    lower, higher = ordered
    encapsulation = a.Encapsulation(
        job_id=JOB,
        sender=lower.party_id,
        recipient=higher.party_id,
        acceptances=(lower.acceptance_digest, higher.acceptance_digest),
        ciphertext=bytes(range(136)) * 8,
        signature=UNSIGNED,
    ).signed_by(KEY)
    yield (
        "encapsulations",
        a.Encapsulations(job_id=JOB, party_id=lower.party_id, encapsulations=(encapsulation,)),
    )
    yield "relayed_encapsulations", a.RelayedEncapsulations(job_id=JOB, encapsulations=(encapsulation,))
    masked = k.MaskedReply(
        job_id=JOB,
        round_number=2,
        session_id=FIELDS.session_id,
        party_id=PARTY,
        masked=k.MaskedPart(values=b"eight bytes a value, masked"),
        padded_digest=padded_digest(b"padded part"),
        signature=UNSIGNED,
    ).signed_by(KEY)
    yield "masked_reply", masked
    listed = k.ReplyList(session_id=digest_of("previous session"), replies=((PARTY, masked.digest),))
    yield "query_with_list", m.Query(fields=FIELDS, body=BODY, previous=listed, signature=UNSIGNED).signed_by(KEY)
    yield "query", m.Query(fields=FIELDS, body=BODY, signature=UNSIGNED).signed_by(KEY)
    contributions = tuple(
        Contribution(
            party_id=party_id,
            key_part=KeyPart(ciphertexts=(b"first " + party_id.encode(), b"second"), proof=b"proof"),
            padded_digest=padded_digest(padded),
            signature=UNSIGNED,
        ).signed_by(KEY, FIELDS.session_id)
        for party_id, padded in ((PARTY, b"padded part"), (OTHER, b""))
    )
    yield (
        "encrypted_reply",
        EncryptedReply(job_id=JOB, round_number=2, session_id=FIELDS.session_id, contribution=contributions[0]),
    )
    request = m.DecryptionRequest(fields=FIELDS, contributions=contributions, signature=UNSIGNED)
    yield "decryption_request", request.signed_by(KEY)
    partial = m.PartialDecryption(
        job_id=JOB,
        round_number=2,
        session_id=FIELDS.session_id,
        transcript_digest=digest_of("transcript"),
        party_id=PARTY,
        values=(b"first", b"second"),
        proof=b"proof",
        transcript_signature=m.PartialDecryption.sign_transcript(KEY, FIELDS.session_id, digest_of("transcript")),
        signature=UNSIGNED,
    )
    yield "partial_decryption", partial.signed_by(KEY)
    yield "model_delivery", m.ModelDelivery(job_id=JOB, model=b"a model", signature=UNSIGNED).signed_by(KEY)
    receipt = m.ModelReceipt(job_id=JOB, party_id=PARTY, model_digest=digest_of("model"), signature=UNSIGNED)
    yield "model_receipt", receipt.signed_by(KEY)
    end = m.JobEnd(job_id=JOB, outcome=m.JobOutcome.CANCELLED, reason="not needed any more", signature=UNSIGNED)
    yield "job_end", end.signed_by(KEY)


def to_wire(message: m.Message) -> bytes:
    """Return the bytes of a message of either side."""
    if isinstance(message, FROM_PARTIES):
        return party_message_to_wire(message)
    return aggregator_message_to_wire(message)  # type: ignore[arg-type]  # all others are the aggregator's


def vectors() -> Iterator[tuple[str, dict[str, str]]]:
    """Yield what each file holds."""
    for name, message in messages():
        yield name, {"message": type(message).__name__, "seed": KEY.seed().hex(), "wire": to_wire(message).hex()}


if __name__ == "__main__":
    for name, vector in vectors():
        (FOLDER / f"{name}.json").write_text(json.dumps(vector, indent=1) + "\n")
