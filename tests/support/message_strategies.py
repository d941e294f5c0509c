# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Hypothesis strategies for every message of the protocol and every value of the operator API."""

from __future__ import annotations

from datetime import UTC, datetime
from fractions import Fraction
from typing import Any

from hypothesis import strategies as st

from coterie_common.crypto.masks.ephemeral import CIPHERTEXT_BYTES, EphemeralSecret
from coterie_common.identifiers import JobId, PartyId
from coterie_common.limits import PADDED_PART_BYTES, REASON_CHARACTERS
from coterie_common.privacy.count_encoding import CountEncoding
from coterie_common.privacy.noise.mechanisms import Mechanism, Placement, Unit
from coterie_common.privacy.vector_encoding import Rounding, VectorEncoding
from coterie_common.protocol import acceptance as a
from coterie_common.protocol import masked_reply as k
from coterie_common.protocol import messages as m
from coterie_common.protocol import progress as p
from coterie_common.protocol.encrypted_reply import Contribution, EncryptedReply, KeyPart
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.terms import CountTerms, RoundTerms, SealingKind, VectorTerms
from tests.support.noise import noise_terms

digests = st.binary(min_size=32, max_size=32)
signatures = st.binary(min_size=64, max_size=64)
ids = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True)
job_ids = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?", fullmatch=True)
codes = st.from_regex(r"[a-z][a-z0-9-]{0,20}", fullmatch=True)
words = st.text(st.characters(categories=["L", "N", "P", "S"], include_characters=" "), max_size=REASON_CHARACTERS)
rounds = st.integers(1, 10_000)
uint32 = st.integers(1, 2**32 - 1)
blobs = st.binary(min_size=1, max_size=200)
numbers = st.lists(st.binary(min_size=1, max_size=64), min_size=1, max_size=4).map(tuple)
id_lists = st.lists(ids, unique=True, max_size=5).map(tuple)

noise = st.one_of(
    st.builds(
        noise_terms,
        mechanism=st.just(Mechanism.DISCRETE_GAUSSIAN),
        placement=st.sampled_from([Placement.DISTRIBUTED, Placement.LOCAL]),
        variance=st.fractions(min_value=Fraction(200), max_value=Fraction(10**6), max_denominator=1000),
        shares=st.integers(2, 10),
    ),
    st.builds(
        noise_terms,
        mechanism=st.just(Mechanism.DISCRETE_LAPLACE),
        placement=st.just(Placement.DISTRIBUTED),
        ratio=st.fractions(min_value=Fraction(1, 1000), max_value=Fraction(2), max_denominator=1000),
        shares=st.integers(2, 10),
    ),
)
count_terms = st.builds(
    CountTerms,
    encoding=st.builds(
        CountEncoding,
        length=st.integers(1, 10_000),
        scale_bits=st.integers(0, 10),
        lower=st.integers(-1000, 0),
        upper=st.integers(1, 10**6),
    ),
    l0=st.integers(1, 100),
    linf=st.integers(1, 100),
)
vector_terms = st.builds(
    VectorTerms,
    encoding=st.builds(
        VectorEncoding,
        length=st.integers(1, 10**8),
        clip_norm=st.fractions(min_value=Fraction(1, 100), max_value=Fraction(100), max_denominator=1000),
        scale_bits=st.integers(-4, 8),
        rounding=st.sampled_from(Rounding),
        units=st.integers(2, 10_000),
        lower=st.integers(-1000, 0),
        upper=st.integers(1, 10**6),
    ),
    sampling_rate=st.one_of(
        st.none(), st.fractions(min_value=Fraction(1, 100), max_value=Fraction(1), max_denominator=1000)
    ),
)
terms = st.builds(
    RoundTerms,
    sealing=st.sampled_from(SealingKind),
    values=st.one_of(count_terms, vector_terms),
    noise=noise,
    unit=st.sampled_from(Unit),
)


@st.composite
def session_fields(draw: st.DrawFn) -> SessionFields:
    cohort = tuple(PartyId(member) for member in sorted(draw(st.lists(ids, unique=True, min_size=1, max_size=5))))
    number = draw(rounds)
    step = draw(st.integers(1, number))
    return SessionFields(
        roster_digest=draw(digests),
        key_epoch=draw(uint32),
        job_id=JobId(draw(job_ids)),
        spec_digest=draw(digests),
        round_number=number,
        plan_step=step,
        body_digest=draw(digests),
        cohort=cohort,
        round_quorum=draw(st.integers(1, len(cohort))),
        previous_transcript=b"" if step == 1 else draw(digests),
        acceptances=draw(digests) if (chosen := draw(terms)).sealing.is_complete else b"",
        terms=chosen,
    )


contributions = st.builds(
    Contribution,
    party_id=ids,
    key_part=st.builds(KeyPart, ciphertexts=numbers, proof=blobs),
    padded_digest=digests,
    signature=signatures,
)
# Drawing thousands of bytes for each of them would take most of a test's time.
ephemeral_keys = st.sampled_from([EphemeralSecret(bytes([seed]) * 96).public.encoded for seed in range(1, 4)])
ciphertexts = st.sampled_from([bytes([octet]) * CIPHERTEXT_BYTES for octet in range(3)])
job_replies = st.one_of(
    st.builds(
        a.JobReply,
        job_id=job_ids,
        party_id=ids,
        spec_digest=digests,
        terms_digest=digests,
        decision=st.sampled_from(a.Decision),
        code=codes,
        detail=words,
        signature=signatures,
    ),
    st.builds(
        a.JobReply,
        job_id=job_ids,
        party_id=ids,
        spec_digest=digests,
        terms_digest=digests,
        decision=st.just(a.Decision.ACCEPTED),
        code=st.just(""),
        detail=words,
        signature=signatures,
        ephemeral_key=ephemeral_keys,
    ),
)
encapsulations = st.builds(
    a.Encapsulation,
    job_id=job_ids,
    sender=ids,
    recipient=ids,
    acceptances=st.tuples(digests, digests),
    ciphertext=ciphertexts,
    signature=signatures,
)
listed = st.dictionaries(ids, digests, min_size=1, max_size=3).map(lambda found: tuple(sorted(found.items())))
reply_lists = st.builds(k.ReplyList, session_id=digests, replies=listed)


def ordered(messages: st.SearchStrategy[Any], name: str, *, minimum: int) -> st.SearchStrategy[tuple[Any, ...]]:
    """A few messages in the order of a field that all of them have, no value twice."""
    several = st.lists(messages, min_size=minimum, max_size=2, unique_by=lambda each: getattr(each, name))
    return several.map(lambda found: tuple(sorted(found, key=lambda each: getattr(each, name))))


rejections = st.builds(
    m.Rejection, code=codes, detail=words, job_id=st.one_of(st.just(""), job_ids), round_number=st.integers(0, 10_000)
)
party_messages = st.one_of(
    st.builds(m.Hello, protocol_version=uint32, party_id=ids, roster_serial=uint32, roster_digest=digests),
    job_replies,
    st.builds(
        a.Encapsulations,
        job_id=job_ids,
        party_id=ids,
        encapsulations=ordered(encapsulations, "recipient", minimum=0),
    ),
    st.builds(
        k.MaskedReply,
        job_id=job_ids,
        round_number=rounds,
        session_id=digests,
        party_id=ids,
        masked=st.builds(k.MaskedPart, values=blobs),
        padded_digest=digests,
        signature=signatures,
    ),
    st.builds(
        EncryptedReply,
        job_id=job_ids,
        round_number=rounds,
        session_id=digests,
        contribution=contributions,
    ),
    st.builds(
        m.PaddedPart,
        job_id=job_ids,
        round_number=rounds,
        session_id=digests,
        party_id=ids,
        size=st.integers(1, PADDED_PART_BYTES),
    ),
    st.builds(
        m.PartialDecryption,
        job_id=job_ids,
        round_number=rounds,
        session_id=digests,
        transcript_digest=digests,
        party_id=ids,
        values=numbers,
        proof=blobs,
        transcript_signature=signatures,
        signature=signatures,
    ),
    st.builds(m.ModelReceipt, job_id=job_ids, party_id=ids, model_digest=digests, signature=signatures),
    rejections,
)
queries = st.builds(
    m.Query,
    fields=session_fields(),
    body=blobs,
    signature=signatures,
    previous=st.one_of(st.none(), reply_lists),
)
acceptances = st.builds(
    a.Acceptances, job_id=job_ids, replies=ordered(job_replies, "party_id", minimum=1), signature=signatures
)
relayed = st.builds(
    a.RelayedEncapsulations, job_id=job_ids, encapsulations=ordered(encapsulations, "sender", minimum=0)
)
decryption_requests = st.builds(
    m.DecryptionRequest,
    fields=session_fields(),
    contributions=st.lists(contributions, min_size=1, max_size=3, unique_by=lambda c: c.party_id).map(tuple),
    signature=signatures,
)
proposals = st.builds(
    m.JobProposal, job_id=job_ids, roster_digest=digests, spec=blobs, terms=blobs, signature=signatures
)
deliveries = st.builds(m.ModelDelivery, job_id=job_ids, model=blobs, signature=signatures)
ends = st.builds(m.JobEnd, job_id=job_ids, outcome=st.sampled_from(m.JobOutcome), reason=words, signature=signatures)
aggregator_messages = st.one_of(
    st.builds(m.Welcome, protocol_version=uint32, roster_serial=uint32, roster_digest=digests),
    proposals,
    acceptances,
    relayed,
    queries,
    decryption_requests,
    deliveries,
    ends,
    rejections,
)

instants = st.datetimes(datetime(2020, 1, 1), datetime(2100, 1, 1), timezones=st.just(UTC))
privacy = st.builds(p.Privacy, epsilon=words, delta=words, unit=words, mechanism=words, placement=words)
party_statuses = st.builds(
    p.PartyStatus,
    party_id=ids,
    index=st.integers(1, 200),
    connected=st.booleans(),
    since=st.one_of(st.none(), instants),
)
job_statuses = st.builds(
    p.JobStatus,
    job_id=job_ids,
    name=words,
    algorithm=words,
    dataset=words,
    state=st.sampled_from(p.JobState),
    reason=words,
    waiting_for=st.integers(0, 200),
    rounds_planned=st.integers(0, 10_000),
    is_complete=st.booleans(),
    spare_rounds=st.integers(0, 1_000),
    spare_rounds_used=st.integers(0, 1_000),
    steps_epsilon=words,
    round=st.one_of(
        st.none(),
        st.builds(
            p.RoundProgress,
            number=rounds,
            phase=st.sampled_from(p.RoundPhase),
            plan_step=st.integers(1, 10_000),
            quorum=st.integers(1, 200),
            contributed=id_lists,
            decrypted=id_lists,
        ),
    ),
    privacy=privacy,
    parties=st.lists(
        st.builds(
            p.JobParty,
            party_id=ids,
            decision=st.one_of(st.none(), st.sampled_from(a.Decision)),
            code=st.one_of(st.just(""), codes),
            detail=words,
            waiting=words,
            model_received=st.booleans(),
        ),
        max_size=3,
    ).map(tuple),
    submitted_by=ids,
    submitted_at=instants,
    finished_at=st.one_of(st.none(), instants),
)
model_infos = st.builds(
    p.ModelInfo,
    job_id=job_ids,
    name=words,
    algorithm=words,
    digest=digests,
    size_bytes=st.integers(1, 128 << 20),
    rounds=st.integers(0, 10_000),
    rounds_planned=st.integers(0, 10_000),
    privacy=privacy,
    finished_at=instants,
)


@st.composite
def mutated(draw: st.DrawFn, wires: st.SearchStrategy[bytes]) -> bytes:
    """Bytes of a real message, changed as an attacker would: bits, cuts, records again, floods and nesting."""
    data = bytearray(draw(wires))
    for change in draw(st.lists(st.sampled_from(_CHANGES), min_size=1, max_size=3)):
        start = draw(st.integers(0, len(data)))
        end = draw(st.integers(start, min(len(data), start + 64)))
        change(data, start, end, draw(st.integers(1, 255)))
    return bytes(data)


def _flip(data: bytearray, start: int, end: int, value: int) -> None:
    if start < len(data):
        data[start] ^= value


def _cut(data: bytearray, start: int, end: int, value: int) -> None:
    del data[start:]


def _leave_out(data: bytearray, start: int, end: int, value: int) -> None:
    del data[start:end]


def _repeat(data: bytearray, start: int, end: int, value: int) -> None:
    data[start:start] = data[start:end] * value


def _again(data: bytearray, start: int, end: int, value: int) -> None:
    data.extend(bytes(data))


def _flood(data: bytearray, start: int, end: int, value: int) -> None:
    data[start:start] = bytes([value & 0x78 | 2, 0]) * 5_000


def _nest(data: bytearray, start: int, end: int, value: int) -> None:
    data[start:start] = (b"[" if value & 1 else b'{"a":') * (5 * value)


def _enclose(data: bytearray, start: int, end: int, value: int) -> None:
    """A message inside a field of itself, its length written in five bytes."""
    length = len(data)
    data[0:0] = bytes([value & 0x78 | 2, *(length >> 7 * i & 0x7F | 0x80 for i in range(4)), length >> 28])


_CHANGES = (_flip, _flip, _cut, _leave_out, _repeat, _again, _flood, _nest, _enclose)
