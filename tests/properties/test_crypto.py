# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from coterie_common.crypto import keystore
from coterie_common.crypto.comb import Comb
from coterie_common.crypto.exponential import exponential, logarithm
from coterie_common.crypto.hashing import Label
from coterie_common.crypto.identity import SealingKey, SigningKey, seal_to
from coterie_common.crypto.multiexponentiation import product_of_powers
from coterie_common.crypto.packing import Packing
from coterie_common.crypto.paillier import Ciphertext, Encryptor
from coterie_common.crypto.proofs import partial_decryption, plaintext_knowledge
from coterie_common.crypto.proofs.plaintext_knowledge import Proof, Statement
from coterie_common.crypto.threshold import KeyShare, ThresholdPublicKey, check_record, combine, partial_decrypt
from coterie_common.errors import InsufficientShares, InvalidProof, InvalidSignature, KeyFileError, NotOpened
from coterie_common.secret import Password
from tests.support.cheating_provers import proven
from tests.support.dealings import load_dealing, make_dealing
from tests.support.generated_keys import make_generated
from tests.support.powers import power
from tests.support.seeded_random import SeededRandom

orders = st.sampled_from([1, 2, 3])
seeds = st.integers(0, 1 << 32)


@cache
def encryptor_for(s: int) -> Encryptor:
    return Encryptor(make_dealing(s=s).key.public_key)


def decrypt(s: int, *ciphertexts: Ciphertext) -> tuple[int, ...]:
    dealing = make_dealing(s=s)
    partials = {share.index: partial_decrypt(dealing.key, share, ciphertexts) for share in dealing.shares[:3]}
    return combine(dealing.key, ciphertexts, partials)


def flipped(data: bytes, bit: int) -> bytes:
    octets = bytearray(data)
    octets[bit // 8 % len(octets)] ^= 1 << bit % 8
    return bytes(octets)


@settings(deadline=None, max_examples=40)
@given(orders, st.lists(st.integers(0, 1 << 1600), min_size=1, max_size=6), st.integers(-(1 << 70), 1 << 70), seeds)
def test_ciphertexts_compute_with_plaintexts(s, numbers, scalar, seed):
    encryptor, random = encryptor_for(s), SeededRandom(seed)
    key = encryptor.public_key
    plaintexts = [number % key.plaintext_modulus for number in numbers]
    ciphertexts = [encryptor.encrypt(m, encryptor.draw_nonce(random)) for m in plaintexts]
    total = key.add(ciphertexts)
    scaled = power(total, scalar)
    expected = sum(plaintexts) % key.plaintext_modulus
    assert decrypt(s, total, scaled) == (expected, expected * scalar % key.plaintext_modulus)
    assert key.check(total.to_bytes()) == total


@settings(deadline=None, max_examples=40)
@given(st.integers(3, 9), st.sampled_from([1, 2]), st.sampled_from([make_dealing, make_generated]), st.data(), seeds)
def test_any_threshold_of_parties_combines_and_fewer_do_not(parties, s, make, data, seed):
    threshold = data.draw(st.integers(1, parties))
    dealing = make(parties, threshold, s=s)
    subset = data.draw(st.sets(st.integers(1, parties), min_size=threshold))
    random = SeededRandom(seed)
    encryptor = encryptor_for(s)
    check_record(dealing.key)
    # All dealings of the test key's primes share the modulus, but each has its own generator.
    ciphertext = dealing.key.public_key.check(encryptor.encrypt(4711, encryptor.draw_nonce(random)).value)
    partials = {i: partial_decrypt(dealing.key, dealing.shares[i - 1], [ciphertext]) for i in subset}
    assert combine(dealing.key, [ciphertext], partials) == (4711,)
    fewer = dict(list(partials.items())[: threshold - 1])
    with pytest.raises(InsufficientShares):
        combine(dealing.key, [ciphertext], fewer)
    wrong = {**partials, min(partials): (4 * partials[min(partials)][0] % dealing.key.public_key.modulus,)}
    with pytest.raises(NotOpened):
        combine(dealing.key, [ciphertext], wrong)


@settings(deadline=None, max_examples=100)
@given(st.data())
def test_unpack_of_a_sum_is_the_sum(data):
    max_contributors = data.draw(st.integers(1, 200))
    limit = (1 << 63) // max_contributors - 1
    lower, upper = sorted(data.draw(st.tuples(*[st.integers(-limit, limit)] * 2)))
    assume((upper - lower) * max_contributors < 1 << 64)
    length = data.draw(st.integers(1, 60))
    layout = Packing(length, lower, upper, max_contributors, data.draw(st.integers(64, 600)))
    contributors = data.draw(st.integers(1, min(max_contributors, 5)))
    vectors = [
        data.draw(st.lists(st.integers(lower, upper), min_size=length, max_size=length)) for _ in range(contributors)
    ]
    packed = [layout.pack(np.array(vector, dtype=np.int64)) for vector in vectors]
    assert {len(plaintexts) for plaintexts in packed} == {layout.plaintexts}
    totals = [sum(column) for column in zip(*packed, strict=True)]
    assert max(totals).bit_length() <= layout.plaintext_bits
    assert layout.unpack(totals, contributors).tolist() == [sum(column) for column in zip(*vectors, strict=True)]


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 6), st.integers(), seeds)
def test_logarithm_inverts_exponential(s, plaintext, seed):
    modulus = load_dealing().key.public_key.modulus
    plaintext += SeededRandom(seed).randbits(512 * s)
    assert logarithm(exponential(plaintext, modulus, s), modulus, s) == plaintext % modulus**s


@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(1, 200), min_size=1, max_size=3), st.integers(1, 1 << 90), seeds)
def test_comb_equals_pow(segments, base, seed):
    modulus = load_dealing().key.public_key.modulus
    exponent = SeededRandom(seed).randbits(sum(segments))
    assert Comb(base, modulus, segments).power(exponent) == pow(base, exponent, modulus)


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 1 << 200), st.integers(0, 1 << 128)), max_size=40))
def test_product_of_powers_equals_pow(pairs):
    modulus = load_dealing().key.public_key.modulus
    expected = 1
    for base, exponent in pairs:
        expected = expected * pow(base, exponent, modulus) % modulus
    assert product_of_powers([base for base, _ in pairs], [exponent for _, exponent in pairs], modulus) == expected


def knowledge(s: int, count: int, seed: int) -> tuple[Statement, Proof]:
    encryptor, random = encryptor_for(s), SeededRandom(seed)
    key = encryptor.public_key
    plaintexts = tuple(random.randbelow(key.plaintext_modulus) for _ in range(count))
    nonces = tuple(encryptor.draw_nonce(random) for _ in range(count))
    ciphertexts = tuple(map(encryptor.encrypt, plaintexts, nonces))
    statement = plaintext_knowledge.Statement(b"session", "party", key, b"padded", ciphertexts)
    witness = plaintext_knowledge.Witness(plaintexts, nonces)
    return statement, plaintext_knowledge.prove(statement, witness, encryptor, random)


@settings(deadline=None, max_examples=60)
@given(orders, st.integers(1, 5), seeds, st.integers(0, 1 << 16))
def test_knowledge_proof_holds_and_any_flipped_bit_breaks_it(s, count, seed, bit):
    statement, proof = knowledge(s, count, seed)
    key = statement.public_key
    data = proof.to_bytes(key)
    plaintext_knowledge.verify(statement, plaintext_knowledge.Proof.from_bytes(key, data), encryptor_for(s))
    bad = plaintext_knowledge.Proof.from_bytes(key, flipped(data, bit))
    with pytest.raises(InvalidProof):
        plaintext_knowledge.verify(statement, bad, encryptor_for(s))


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(0, 2), st.integers(0, 1023))
def test_knowledge_proof_breaks_with_any_flipped_bit_of_a_ciphertext(seed, which, bit):
    statement, proof = knowledge(1, 3, seed)
    key = statement.public_key
    value = statement.ciphertexts[which].value ^ 1 << bit
    assume(key.is_unit(value))
    ciphertexts = list(statement.ciphertexts)
    ciphertexts[which] = key.check(value)
    with pytest.raises(InvalidProof) as raised:
        plaintext_knowledge.verify(replace(statement, ciphertexts=tuple(ciphertexts)), proof, encryptor_for(1))
    assert raised.value.check == 4


@settings(deadline=None, max_examples=60)
@given(orders, st.integers(1, 5), seeds, st.data())
def test_knowledge_proofs_hold_together_and_any_flipped_bit_of_any_breaks_them(s, parties, seed, data):
    claims = [proven(encryptor_for(s), 1 + k % 2, f"{seed} {k}", f"party-{k}") for k in range(parties)]
    key = encryptor_for(s).public_key
    plaintext_knowledge.verify_together(claims, encryptor_for(s), SeededRandom(seed))
    which, bit = data.draw(st.integers(0, parties - 1)), data.draw(st.integers(0, 1 << 16))
    statement, proof = claims[which]
    claims[which] = (statement, plaintext_knowledge.Proof.from_bytes(key, flipped(proof.to_bytes(key), bit)))
    with pytest.raises(InvalidProof) as raised:
        plaintext_knowledge.verify_together(claims, encryptor_for(s), SeededRandom(seed))
    assert raised.value.culprits == (f"party-{which}",)


def decrypted(
    s: int, count: int, index: int, seed: int
) -> tuple[partial_decryption.Statement, partial_decryption.Proof]:
    dealing, random = make_dealing(s=s), SeededRandom(seed)
    encryptor = encryptor_for(s)
    ciphertexts = tuple(encryptor.encrypt(k, encryptor.draw_nonce(random)) for k in range(count))
    share = dealing.shares[index - 1]
    partials = partial_decrypt(dealing.key, share, ciphertexts)
    statement = partial_decryption.Statement(b"session", b"transcript", index, dealing.key, ciphertexts, partials)
    return statement, partial_decryption.prove(statement, share, random)


@settings(deadline=None, max_examples=40)
@given(orders, st.integers(1, 4), st.integers(1, 5), seeds, st.integers(0, 1 << 16))
def test_decryption_proof_holds_and_any_flipped_bit_breaks_it(s, count, index, seed, bit):
    statement, proof = decrypted(s, count, index, seed)
    data = proof.to_bytes(statement.key)
    partial_decryption.verify(statement, partial_decryption.Proof.from_bytes(statement.key, data))
    bad = partial_decryption.Proof.from_bytes(statement.key, flipped(data, bit))
    with pytest.raises(InvalidProof):
        partial_decryption.verify(statement, bad)


@settings(deadline=None, max_examples=40)
@given(seeds, st.integers(0, 2), st.integers(0, 1023))
def test_decryption_proof_breaks_with_any_flipped_bit_of_a_value(seed, which, bit):
    statement, proof = decrypted(1, 3, 2, seed)
    partials = list(statement.partials)
    partials[which] ^= 1 << bit
    with pytest.raises(InvalidProof):
        partial_decryption.verify(replace(statement, partials=tuple(partials)), proof)


@settings(deadline=None, max_examples=60)
@given(seeds, st.binary(max_size=50), st.integers(0, 1 << 12))
def test_signature_holds_and_any_flipped_bit_breaks_it(seed, message, bit):
    key = SigningKey.generate(SeededRandom(seed))
    signature = key.sign(Label.SESSION, message)
    key.verify_key.verify(signature, Label.SESSION, message)
    with pytest.raises(InvalidSignature):
        key.verify_key.verify(flipped(signature, bit), Label.SESSION, message)


@settings(deadline=None, max_examples=60)
@given(seeds, st.binary(max_size=50), st.integers(0, 1 << 12))
def test_sealed_message_opens_and_any_flipped_bit_spoils_it(seed, message, bit):
    key = SealingKey.generate(SeededRandom(seed))
    sealed = seal_to(key.public, message, info=b"info", associated=b"associated")
    assert key.open(sealed, info=b"info", associated=b"associated") == message
    # The highest bit of an X25519 key is not part of it (RFC 7748), but it is part of what HPKE hashes.
    with pytest.raises(KeyFileError):
        key.open(flipped(sealed, bit), info=b"info", associated=b"associated")


@settings(deadline=None, max_examples=12)  # each example runs scrypt three times
@given(st.binary(max_size=50), st.integers(0, 1 << 14))
def test_key_file_opens_and_any_flipped_bit_spoils_it(content, bit):
    password = Password(b"correct horse")
    data = keystore._lock(content, password, kind="share", random=SeededRandom(1), scrypt_n=1 << 14)
    assert keystore.unlock(data, password, kind="share") == content
    with pytest.raises(KeyFileError):
        keystore.unlock(flipped(data, bit), password, kind="share")


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1 << 16), st.integers(0, 4))
def test_share_bytes_come_back_and_any_flipped_bit_is_refused(bit, which):
    dealing = load_dealing()
    data = dealing.shares[which].to_bytes(dealing.key)
    again = KeyShare.from_bytes(dealing.key, data)
    assert (again.index, again.value.reveal()) == (which + 1, dealing.shares[which].value.reveal())
    with pytest.raises(KeyFileError):
        KeyShare.from_bytes(dealing.key, flipped(data, bit))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@settings(deadline=None, max_examples=80)
@given(
    st.sampled_from(
        [
            "kind",
            "modulus",
            "s",
            "generator",
            "nonce_bits",
            "holders",
            "decryption_threshold",
            "root_factor",
            "root_offset",
            "share_bits",
            "verification_base",
            "other",
        ]
    ),
    json_values,
)
def test_key_document_with_any_replaced_entry_is_read_strictly(name, value):
    key = load_dealing(key_bits=2048).key
    document = key.to_document()
    assume(not (isinstance(value, int) and document.get(name) == value))
    try:
        changed = ThresholdPublicKey.from_document({**document, name: value})
    except KeyFileError:
        return
    # The one entry with other values that are valid, and the digest tells them apart.
    assert name == "decryption_threshold"
    assert changed.digest != key.digest
