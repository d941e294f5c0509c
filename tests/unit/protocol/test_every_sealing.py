# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What every way to seal a vector must do behind the one interface; a new one is tested by its name in the terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, TypeAlias

import numpy as np
import pytest
from numpy.typing import NDArray

from coterie_common.crypto import threshold
from coterie_common.errors import (
    CapacityExceeded,
    InvalidPadKey,
    InvalidProof,
    MalformedMessage,
    PlaintextOutOfRange,
    StateError,
)
from coterie_common.identifiers import PartyId
from coterie_common.limits import MAX_MASKED_VALUES
from coterie_common.protocol.encrypted_reply import Contribution, KeyPart
from coterie_common.protocol.masked_reply import MaskedPart
from coterie_common.protocol.sealing.choice import make_complete_sealing, make_sealing
from coterie_common.protocol.sealing.complete import CompletePaddedSealing, CompleteSealing
from coterie_common.protocol.sealing.encrypted import EncryptedSealing
from coterie_common.protocol.sealing.sealing import SealedVector, Sealing
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.terms import RoundTerms, SealingKind
from tests.support.federation import digest_of, make_federation, with_encoding
from tests.support.noise import gaussian
from tests.support.pair_secrets import secrets_of
from tests.support.seeded_random import SeededRandom

AnySealing: TypeAlias = EncryptedSealing | CompleteSealing

FEDERATION = make_federation()
KEY = FEDERATION.dealing.key
PARTIES = FEDERATION.parameters.parties
PARTY, OTHER = FEDERATION.parties[:2]
SESSION = digest_of("session")
LENGTH = 2100
"""A block of a pad, and some more."""
NOISE = FEDERATION.terms().noise
# Shares of a standard deviation of 64: a pad needs no errors besides, and every sum is exact.
TERMS = replace(
    with_encoding(FEDERATION.terms(), length=LENGTH),
    noise=replace(gaussian(NOISE), variance=4096 * Fraction(NOISE.shares)),
)
LOWER, UPPER = TERMS.encoding.contribution_range(TERMS.noise)


ENCRYPTED = [kind for kind in SealingKind if not kind.is_complete]
COMPLETE = [kind for kind in SealingKind if kind.is_complete]


def terms_of(kind: SealingKind) -> RoundTerms:
    terms = replace(TERMS, sealing=kind)
    return with_encoding(terms, length=MAX_MASKED_VALUES) if kind is SealingKind.COMPLETE else terms


def sealing_of(kind: SealingKind, party: PartyId = PARTY, cohort: Sequence[PartyId] = FEDERATION.parties) -> AnySealing:
    """What a party has in a session with this cohort."""
    if kind.is_complete:
        return make_complete_sealing(terms_of(kind), PARTIES, secrets_of(cohort)[party].masks_for(SESSION, cohort))
    return make_sealing(terms_of(kind), PARTIES, FEDERATION.encryptor)


@pytest.fixture(params=SealingKind, ids=str)
def kind(request: pytest.FixtureRequest) -> SealingKind:
    found: SealingKind = request.param
    return found


@pytest.fixture(params=ENCRYPTED, ids=str)
def encrypted(request: pytest.FixtureRequest) -> EncryptedSealing:
    return make_sealing(terms_of(request.param), PARTIES, FEDERATION.encryptor)


@pytest.fixture(params=COMPLETE, ids=str)
def complete(request: pytest.FixtureRequest) -> CompleteSealing:
    made = sealing_of(request.param)
    assert isinstance(made, CompleteSealing)
    return made


def vector(seed: int, kind: SealingKind = SealingKind.DIRECT) -> NDArray[np.int64]:
    random = np.random.Generator(np.random.PCG64(seed))
    return random.integers(LOWER, UPPER, terms_of(kind).encoding.length, endpoint=True)


def length_of(sealing: CompleteSealing) -> int:
    return LENGTH if isinstance(sealing, CompletePaddedSealing) else MAX_MASKED_VALUES


def seal(sealing: AnySealing, values: NDArray[np.int64], seed: str = "seal") -> SealedVector[Any]:
    return sealing.seal(values, SESSION, PARTY, SeededRandom(seed))


def sealed_by_all(kind: SealingKind, vectors: Sequence[NDArray[np.int64]]) -> list[SealedVector[Any]]:
    """A cohort of as many parties as there are vectors seals them."""
    cohort = FEDERATION.parties[: len(vectors)]
    return [
        seal(sealing_of(kind, party, cohort), values, f"seal {party}")
        for party, values in zip(cohort, vectors, strict=True)
    ]


def contribution(sealed: SealedVector[KeyPart]) -> Contribution:
    return Contribution(
        party_id=PARTY, key_part=sealed.key_part, padded_digest=sealed.padded_digest, signature=UNSIGNED
    )


def opened(kind: SealingKind, sealed: Sequence[SealedVector[Any]]) -> list[int]:
    """What the aggregator makes of sealed vectors."""
    encrypted = None if kind.is_complete else make_sealing(terms_of(kind), PARTIES, FEDERATION.encryptor)
    sealing = encrypted or make_complete_sealing(terms_of(kind), PARTIES)
    padded_sum = sealing.new_padded_sum(SESSION)
    for one in sealed:
        sealing.check_padded(len(one.padded))
        sealing.check_padded_digest(one.padded_digest)
        padded_sum.add(one.padded)
    if isinstance(sealing, EncryptedSealing):
        total = sealing.add([sealing.check_ciphertexts(one.key_part) for one in sealed])
        shares = FEDERATION.dealing.shares[: KEY.decryption_threshold]
        partials = {share.index: threshold.partial_decrypt(KEY, share, total) for share in shares}
        values: list[int] = sealing.open(threshold.combine(KEY, total, partials), len(sealed), padded_sum).tolist()
    else:
        values = sealing.open(sealing.add([one.key_part for one in sealed]), len(sealed), padded_sum).tolist()
    return values


def test_every_sealing_is_that_of_one_kind_of_terms():
    made = [type(sealing_of(kind)) for kind in SealingKind]
    assert len(set(made)) == len(made)
    # Benchmarks, which other tests import, have one of their own.
    ours = {
        kind
        for family in (EncryptedSealing, CompleteSealing)
        for kind in family.__subclasses__()
        if kind.__module__.startswith("coterie_common.")
    }
    assert set(made) == ours
    assert {EncryptedSealing, CompleteSealing} == set(Sealing.__subclasses__())


@pytest.mark.parametrize("contributors", [1, PARTIES])
def test_open_of_the_sum_is_the_sum_of_what_was_sealed(kind, contributors):
    # A cohort of one has nobody to share a mask with.
    vectors = [vector(seed, kind) for seed in range(max(contributors, 2) if kind.is_complete else contributors)]
    assert opened(kind, sealed_by_all(kind, vectors)) == np.sum(vectors, axis=0).tolist()


@pytest.mark.parametrize("extreme", [LOWER, UPPER])
def test_sum_of_extremes_of_all_parties_does_not_overflow(kind, extreme):
    values = np.full(len(vector(1, kind)), extreme, np.int64)
    assert opened(kind, sealed_by_all(kind, [values] * PARTIES)) == [PARTIES * extreme] * len(values)


def test_vector_sealed_in_pieces_opens_as_one(kind):
    values, parts, cohort = vector(1, kind), list[bytes](), FEDERATION.parties[:2]
    pieces = (values[:2048], values[2048:])[: 1 if len(values) <= 2048 else 2]
    sealing = sealing_of(kind, PARTY, cohort)
    key_part, digest = sealing.seal_pieces(pieces, SESSION, PARTY, SeededRandom("seal"), parts.append)
    nothing = seal(sealing_of(kind, cohort[1], cohort), np.zeros(len(values), np.int64), "other")
    sealed = [SealedVector(key_part, b"".join(parts), digest), nothing]
    assert opened(kind, sealed) == values.tolist()


def test_sealing_twice_gives_different_ciphertexts(encrypted):
    random = SeededRandom("one stream")
    one, other = (encrypted.seal(vector(1), SESSION, PARTY, random).key_part.ciphertexts for _ in range(2))
    assert set(one).isdisjoint(other)


def test_masks_of_a_session_cannot_be_used_twice(complete):
    values = np.zeros(length_of(complete), np.int64)
    seal(complete, values)
    with pytest.raises(StateError, match="another vector before"):
        seal(complete, values)


@pytest.mark.parametrize("kind", COMPLETE, ids=str)
def test_side_without_masks_cannot_seal(kind):
    with pytest.raises(StateError, match="no secrets"):
        make_complete_sealing(terms_of(kind), PARTIES).seal(vector(1, kind), SESSION, PARTY, SeededRandom("seal"))


@pytest.mark.parametrize("value", [LOWER - 1, UPPER + 1, -(2**63), 2**63 - 1])
def test_seal_of_a_value_outside_its_range_raises(kind, value):
    values = vector(1, kind)
    values[-1] = value
    with pytest.raises(PlaintextOutOfRange) as refusal:
        seal(sealing_of(kind), values)
    assert refusal.value.code == "plaintext-out-of-range"
    assert str(value) not in refusal.value.message


@pytest.mark.parametrize("length", [0, LENGTH - 1, LENGTH + 1])
def test_seal_of_another_length_raises(kind, length):
    with pytest.raises(PlaintextOutOfRange):
        seal(sealing_of(kind), np.zeros(length, np.int64))


def test_key_part_with_another_number_of_ciphertexts_is_malformed(encrypted):
    key_part = seal(encrypted, vector(1)).key_part
    for ciphertexts in ((), key_part.ciphertexts[1:], key_part.ciphertexts + key_part.ciphertexts[:1]):
        with pytest.raises(MalformedMessage):
            encrypted.check_ciphertexts(replace(key_part, ciphertexts=ciphertexts))


def test_masked_part_of_another_length_is_malformed(complete):
    masked = seal(complete, np.zeros(length_of(complete), np.int64)).key_part.values
    for size in (0, 4, len(masked) - 4, len(masked) + 1, 2 * len(masked)):
        with pytest.raises(MalformedMessage):
            complete.check_masked(MaskedPart(values=(masked * 2)[:size]))


@pytest.mark.parametrize("kind", COMPLETE, ids=str)
def test_sum_without_a_member_does_not_open(kind):
    sealed = sealed_by_all(kind, [vector(seed, kind) for seed in range(PARTIES)])
    with pytest.raises((PlaintextOutOfRange, InvalidPadKey)):
        opened(kind, sealed[:-1])


@pytest.mark.parametrize("kind", COMPLETE, ids=str)
def test_sum_of_the_masked_parts_must_be_of_the_terms(kind):
    sealing = make_complete_sealing(terms_of(kind), PARTIES)
    padded_sum, total = sealing.new_padded_sum(SESSION), sealing.add([])
    sealing.open(total, 1, padded_sum)
    cases: list[tuple[Any, int]] = [(total[1:], 1), (total.astype(np.int16), 1), (total, 0), (total, PARTIES + 1)]
    for wrong, contributors in cases:
        with pytest.raises(StateError):
            sealing.open(wrong, contributors, padded_sum)


def test_sealing_of_the_other_family_is_never_made():
    for kind in COMPLETE:
        with pytest.raises(StateError):
            make_sealing(terms_of(kind), PARTIES, FEDERATION.encryptor)
    for kind in ENCRYPTED:
        with pytest.raises(StateError):
            make_complete_sealing(terms_of(kind), PARTIES)


def test_vector_of_more_exact_values_than_are_masked_directly_does_not_fit():
    with pytest.raises(CapacityExceeded, match=str(MAX_MASKED_VALUES)) as refusal:
        make_complete_sealing(replace(TERMS, sealing=SealingKind.COMPLETE), PARTIES)
    assert refusal.value.code == "capacity-exceeded"


def test_padded_part_of_another_length_is_malformed(kind):
    sealing = sealing_of(kind)
    padded = seal(sealing, vector(1, kind)).padded
    for size in {0, len(padded) - 4, len(padded) + 1, len(padded) + 4} - {len(padded), -4}:
        with pytest.raises(MalformedMessage):
            sealing.check_padded(size)


def test_knowledge_holds_for_its_session_party_and_padded_part_only(encrypted):
    made = contribution(seal(encrypted, vector(1)))
    ciphertexts = encrypted.check_ciphertexts(made.key_part)
    encrypted.verify_knowledge(made, ciphertexts, SESSION)
    encrypted.verify_knowledge_together([made], [ciphertexts], SESSION, SeededRandom("weights"))
    for wrong, session_id in (
        (made, digest_of("another session")),
        (replace(made, party_id=OTHER), SESSION),
        (replace(made, padded_digest=digest_of("another padded part")), SESSION),
    ):
        with pytest.raises(InvalidProof) as alone:
            encrypted.verify_knowledge(wrong, ciphertexts, session_id)
        with pytest.raises(InvalidProof) as together:
            encrypted.verify_knowledge_together([wrong], [ciphertexts], session_id, SeededRandom("weights"))
        assert alone.value.culprits == together.value.culprits == (wrong.party_id,)


def test_knowledge_with_a_proof_of_another_length_names_its_sender(encrypted):
    made = contribution(seal(encrypted, vector(1)))
    wrong = replace(made, key_part=replace(made.key_part, proof=made.key_part.proof + b"\0"))
    with pytest.raises(MalformedMessage) as refusal:
        encrypted.verify_knowledge(wrong, encrypted.check_ciphertexts(made.key_part), SESSION)
    assert refusal.value.culprits == (PARTY,)
