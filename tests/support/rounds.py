# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Messages of a round for tests of state machines, which look at digests and nothing else: no keys, no proofs."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from coterie_common.identifiers import JobId, PartyId
from coterie_common.privacy.count_encoding import CountEncoding
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement, Unit
from coterie_common.protocol.encrypted_reply import Contribution, EncryptedReply, KeyPart
from coterie_common.protocol.messages import DecryptionRequest, PartialDecryption, Query
from coterie_common.protocol.padded_part import NOTHING_PADDED
from coterie_common.protocol.session import SessionFields, body_digest
from coterie_common.protocol.terms import CountTerms, RoundTerms, SealingKind
from coterie_common.protocol.verification.request import VerifiedRequest
from tests.support.noise import noise_terms

JOB = JobId("job-1")
COHORT = (PartyId("alpha"), PartyId("beta"), PartyId("gamma"))


def make_query(body: bytes) -> Query:
    fields = SessionFields(
        roster_digest=bytes(32),
        key_epoch=1,
        job_id=JOB,
        spec_digest=bytes(32),
        round_number=1,
        plan_step=1,
        body_digest=body_digest(body),
        cohort=COHORT,
        round_quorum=3,
        terms=RoundTerms(
            sealing=SealingKind.DIRECT,
            values=CountTerms(encoding=CountEncoding(length=6, scale_bits=2, lower=0, upper=100), l0=2, linf=1),
            noise=noise_terms(
                mechanism=Mechanism.DISCRETE_GAUSSIAN,
                placement=Placement.DISTRIBUTED,
                variance=Fraction(300),
                shares=2,
            ),
            unit=Unit.RECORD,
        ),
        previous_transcript=b"",
    )
    return Query(fields=fields, body=body, signature=bytes(64))


def make_contribution(party_id: PartyId, content: bytes) -> Contribution:
    return Contribution(
        party_id=party_id,
        key_part=KeyPart(ciphertexts=(content,), proof=b"proof"),
        padded_digest=NOTHING_PADDED,
        signature=bytes(64),
    )


def make_reply(query: Query, content: bytes, party_id: PartyId = COHORT[0]) -> EncryptedReply:
    return EncryptedReply(
        job_id=JOB,
        round_number=1,
        session_id=query.fields.session_id,
        contribution=make_contribution(party_id, content),
    )


def make_request(query: Query, contributions: Sequence[Contribution]) -> DecryptionRequest:
    return DecryptionRequest(fields=query.fields, contributions=tuple(contributions), signature=bytes(64))


def digest_of_request(request: DecryptionRequest) -> bytes:
    return request.transcript_digest


def make_verified(request: DecryptionRequest) -> VerifiedRequest:
    return VerifiedRequest(
        session_id=request.fields.session_id,
        transcript_digest=digest_of_request(request),
        total=(),
        contributors=len(request.contributions),
    )


def make_partial(request: DecryptionRequest, proof: bytes = b"proof") -> PartialDecryption:
    return PartialDecryption(
        job_id=JOB,
        round_number=1,
        session_id=request.fields.session_id,
        transcript_digest=digest_of_request(request),
        party_id=COHORT[0],
        values=(b"value",),
        proof=proof,
        transcript_signature=bytes(64),
        signature=bytes(64),
    )
