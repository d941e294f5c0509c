# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Pair secrets and masks, against a second computation: hashes as SP 800-185 defines them, sums in plain integers."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest
from Crypto.Cipher import AES
from Crypto.Hash import TupleHash256
from numpy.typing import NDArray

from coterie_common.crypto.masks.ephemeral import EncapsulatedSecret, ExchangedSecret
from coterie_common.crypto.masks.mask import PairSecrets, Purpose, add_masked, keystream
from coterie_common.crypto.masks.pairwise import Pair, PairSecret
from coterie_common.crypto.pads.pad import MaskablePadKey, OneTimePad
from coterie_common.errors import StateError
from coterie_common.identifiers import JobId, PartyId
from tests.support.federation import digest_of
from tests.support.pair_secrets import secrets_of
from tests.support.seeded_random import SeededRandom

SESSION = digest_of("session")
PAIR = Pair(
    job_id=JobId("job-1"), roster_digest=digest_of("roster"), lower=digest_of("lower"), higher=digest_of("higher")
)


def party_ids(count: int) -> list[PartyId]:
    return [PartyId(f"party-{number:02}") for number in range(1, count + 1)]


def expected_stream(secret: bytes, session_id: bytes, purpose: str, size: int) -> bytes:
    key = TupleHash256.new(digest_bytes=32, custom=b"coterie/mask/1")
    for item in (b"b" + secret, b"b" + session_id, b"s" + purpose.encode()):
        key.update(item)
    return AES.new(key.digest(), AES.MODE_CTR, nonce=b"", initial_value=0).encrypt(bytes(size))


def test_pair_secret_is_the_hash_of_everything_that_identifies_it():
    derived = PAIR.derive(ExchangedSecret(b"x" * 32), EncapsulatedSecret(b"k" * 32), b"ciphertext")
    state = TupleHash256.new(digest_bytes=32, custom=b"coterie/pair/1")
    for item in (
        b"b" + b"x" * 32,
        b"b" + b"k" * 32,
        b"sjob-1",
        b"b" + digest_of("roster"),
        b"b" + digest_of("lower"),
        b"b" + digest_of("higher"),
        b"bciphertext",
    ):
        state.update(item)
    assert derived.reveal() == state.digest()


@pytest.mark.parametrize(
    "changed",
    [
        {"job_id": JobId("job-2")},
        {"roster_digest": digest_of("another roster")},
        {"lower": digest_of("another acceptance")},
        {"higher": digest_of("another acceptance")},
        {"lower": PAIR.higher, "higher": PAIR.lower},
    ],
    ids=["job", "roster", "lower acceptance", "higher acceptance", "swapped"],
)
def test_pair_secret_of_another_pair_or_job_is_unrelated(changed):
    fields = {name: getattr(PAIR, name) for name in ("job_id", "roster_digest", "lower", "higher")} | changed
    exchanged, encapsulated = ExchangedSecret(b"x" * 32), EncapsulatedSecret(b"k" * 32)
    assert Pair(**fields).derive(exchanged, encapsulated, b"c") != PAIR.derive(exchanged, encapsulated, b"c")


def test_pair_secret_needs_both_exchanges_and_the_ciphertext():
    known = PAIR.derive(ExchangedSecret(b"x" * 32), EncapsulatedSecret(b"k" * 32), b"c")
    for exchanged, encapsulated, ciphertext in (
        (b"y" * 32, b"k" * 32, b"c"),
        (b"x" * 32, b"l" * 32, b"c"),
        (b"x" * 32, b"k" * 32, b"d"),
    ):
        other = PAIR.derive(ExchangedSecret(exchanged), EncapsulatedSecret(encapsulated), ciphertext)
        assert other != known


@pytest.mark.parametrize("purpose", Purpose)
def test_keystream_is_aes_in_counter_mode_under_a_labelled_hash(purpose):
    secret = digest_of("secret")
    assert keystream(PairSecret(secret), SESSION, purpose, 100) == expected_stream(secret, SESSION, purpose.value, 100)


def test_masks_of_three_parties_are_those_of_plain_integers():
    parties = party_ids(3)
    one, two, three = parties
    secrets = secrets_of(parties)
    stream = {
        pair: expected_stream(digest_of(" ".join(pair)), SESSION, "values", 16) for pair in combinations(parties, 2)
    }
    f = {pair: [int.from_bytes(octets[at : at + 8], "little") for at in (0, 8)] for pair, octets in stream.items()}
    values = {one: [1, -2], two: [3, 40], three: [-500, 2**62]}
    expected = {
        one: [v + a + b for v, a, b in zip(values[one], f[one, two], f[one, three], strict=True)],
        two: [v - a + b for v, a, b in zip(values[two], f[one, two], f[two, three], strict=True)],
        three: [v - a - b for v, a, b in zip(values[three], f[one, three], f[two, three], strict=True)],
    }
    for party, numbers in values.items():
        covered = secrets[party].masks_for(SESSION, parties).cover_values(np.array(numbers, np.int64))
        assert covered.tolist() == [number % 2**64 for number in expected[party]]


def opened_values(parties: list[PartyId], vectors: list[NDArray[np.int64]], sessions: list[bytes]) -> list[int]:
    secrets = secrets_of(parties)
    total = np.zeros(len(vectors[0]), np.uint64)
    for party, values, session in zip(parties, vectors, sessions, strict=True):
        add_masked(total, secrets[party].masks_for(session, parties).cover_values(values))
    opened: list[int] = total.view(np.int64).tolist()
    return opened


@pytest.mark.parametrize("count", [2, 3, 64])
def test_masks_of_a_whole_cohort_cancel(count):
    random = np.random.Generator(np.random.PCG64(count))
    vectors = [random.integers(-(2**50), 2**50, 2048) for _ in range(count)]
    assert opened_values(party_ids(count), vectors, [SESSION] * count) == np.sum(vectors, axis=0).tolist()


def test_keys_of_pads_of_a_whole_cohort_cancel_modulo_32_bits():
    parties = party_ids(64)
    secrets, expected = secrets_of(parties), np.zeros(2048, np.int64)
    total = np.zeros(2048, np.uint32)
    for party in parties:
        pad = OneTimePad(SESSION, 4000, SeededRandom(party), draw_error=False)
        key = pad.take_maskable_key()
        expected += key.reveal()
        covered = secrets[party].masks_for(SESSION, parties).cover_key(key)
        assert (covered.dtype, covered.nbytes) == (np.uint32, 8192)
        add_masked(total, covered)
    assert total.view(np.int32).tolist() == expected.tolist()


def test_sum_without_one_member_is_random():
    parties, vectors = party_ids(4), [np.full(2048, 1000, np.int64)] * 3
    opened = np.abs(np.array(opened_values(parties, [*vectors, vectors[0]], [SESSION] * 4)))
    assert opened.max() == 4000
    secrets = secrets_of(parties)
    total = np.zeros(2048, np.uint64)
    for party in parties[:3]:
        add_masked(total, secrets[party].masks_for(SESSION, parties).cover_values(vectors[0]))
    # Uniform numbers of 64 bits: that 2,048 of them are all below 2^54 has a probability of 2^-18000.
    assert int(np.abs(total.view(np.int64)).max()) > 2**54


def test_sum_of_two_sessions_is_random():
    parties, vectors = party_ids(4), [np.full(2048, 1000, np.int64)] * 4
    sessions = [SESSION, SESSION, digest_of("another query"), digest_of("another query")]
    assert max(map(abs, opened_values(parties, vectors, sessions))) > 2**54


def test_masks_of_different_purposes_sessions_and_pairs_are_unrelated():
    streams = [
        keystream(PairSecret(digest_of(secret)), digest_of(session), purpose, 64)
        for secret in ("one", "other")
        for session in ("session", "another session")
        for purpose in Purpose
    ]
    assert len(set(streams)) == 8


def test_one_mask_covers_one_vector():
    parties = party_ids(3)
    masks = secrets_of(parties)[parties[0]].masks_for(SESSION, parties)
    masks.cover_values(np.zeros(3, np.int64))
    with pytest.raises(StateError, match="another vector before"):
        masks.cover_values(np.ones(3, np.int64))
    masks.cover_key(MaskablePadKey(np.zeros(2048, np.int64)))
    with pytest.raises(StateError, match="another vector before"):
        masks.cover_key(MaskablePadKey(np.zeros(2048, np.int64)))


@pytest.mark.parametrize("vector", [np.zeros((2, 2), np.int64), np.zeros(3, np.int32), np.zeros(3, np.float64)])
def test_masks_cover_int64_vectors_only(vector):
    parties = party_ids(3)
    with pytest.raises(StateError):
        secrets_of(parties)[parties[0]].masks_for(SESSION, parties).cover_values(vector)


def test_secrets_name_the_cohort_and_need_the_others():
    parties = party_ids(5)
    for party, secrets in secrets_of(parties).items():
        assert secrets.cohort == tuple(parties), party
    with pytest.raises(StateError):
        PairSecrets(parties[0], {})
    with pytest.raises(StateError):
        PairSecrets(parties[0], {parties[0]: PairSecret(bytes(32))})
    for size in (0, 31, 33):
        with pytest.raises(StateError):
            PairSecret(bytes(size))


@pytest.mark.parametrize("other", [np.zeros(3, np.uint64), np.zeros(2, np.uint32)])
def test_masked_vectors_of_other_shapes_or_words_cannot_be_added(other):
    with pytest.raises(StateError):
        add_masked(np.zeros(3, np.uint32), other)


def test_order_of_ids_is_that_of_their_text():
    # party-10 comes before party-9: whichever order, both sides of a pair must take the same.
    parties = [PartyId("party-9"), PartyId("party-10"), PartyId("party-1")]
    assert all(one > other for one, other in pairwise(parties[:2]))
    assert opened_values(parties, [np.array([number], np.int64) for number in (1, 2, 4)], [SESSION] * 3) == [7]
