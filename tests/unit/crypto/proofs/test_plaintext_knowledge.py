# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import pickle
from dataclasses import replace

import pytest

from coterie_common.crypto.paillier import Ciphertext, Encryptor
from coterie_common.crypto.proofs import plaintext_knowledge
from coterie_common.crypto.proofs.plaintext_knowledge import Proof, Statement, Witness, prove, verify
from coterie_common.errors import InvalidProof, KeyMismatch, MalformedMessage, StateError
from coterie_common.limits import MAX_CIPHERTEXTS
from tests.support.dealings import load_encryptor, load_primes, make_dealing, other_keys
from tests.support.powers import power
from tests.support.recording_random import RecordingRandom
from tests.support.seeded_random import SeededRandom


def proven(encryptor: Encryptor, count: int = 3, seed: str = "proven") -> tuple[Statement, Witness, Proof]:
    random = SeededRandom(seed)
    key = encryptor.public_key
    plaintexts = tuple(random.randbelow(key.plaintext_modulus) for _ in range(count))
    nonces = tuple(encryptor.draw_nonce(random) for _ in range(count))
    statement = Statement(
        session_id=b"session",
        party_id="hospital-a",
        public_key=key,
        padded_digest=b"digest",
        ciphertexts=tuple(map(encryptor.encrypt, plaintexts, nonces)),
    )
    witness = Witness(plaintexts, nonces)
    return statement, witness, prove(statement, witness, encryptor, random)


@pytest.fixture(scope="module")
def encryptor() -> Encryptor:
    return load_encryptor()


@pytest.fixture(scope="module")
def made(encryptor: Encryptor) -> tuple[Statement, Witness, Proof]:
    return proven(encryptor)


def refused(statement: Statement, proof: Proof, encryptor: Encryptor) -> int:
    with pytest.raises(InvalidProof) as raised:
        verify(statement, proof, encryptor)
    assert raised.value.code == "invalid-proof"
    assert raised.value.culprits == (statement.party_id,)
    return raised.value.check


@pytest.mark.parametrize("s", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 17])
def test_verify_of_an_honest_proof_passes(s, count):
    encryptor = Encryptor(make_dealing(s=s).key.public_key)
    statement, _, proof = proven(encryptor, count)
    verify(statement, proof, encryptor)


def test_verify_of_a_proof_over_the_most_ciphertexts_passes(encryptor):
    # The same ciphertext over and over: what grows with their number is the nonce and the response.
    statement, witness, _ = proven(encryptor, 1)
    maximum = replace(statement, ciphertexts=statement.ciphertexts * MAX_CIPHERTEXTS)
    witness = Witness(witness.plaintexts * MAX_CIPHERTEXTS, witness.nonces * MAX_CIPHERTEXTS)
    proof = prove(maximum, witness, encryptor, SeededRandom("most"))
    verify(maximum, proof, encryptor)
    assert Proof.from_bytes(statement.public_key, proof.to_bytes(statement.public_key)) == proof


def test_verify_at_full_size_passes():
    encryptor = load_encryptor(key_bits=2048)
    statement, _, proof = proven(encryptor, 2)
    verify(statement, proof, encryptor)


def test_proof_satisfies_the_equation_of_its_definition(made, encryptor):
    statement, _, proof = made
    key = statement.public_key
    n, modulus = key.modulus, key.ciphertext_modulus
    left = proof.commitment
    for ciphertext, challenge in zip(
        statement.ciphertexts, plaintext_knowledge._challenges(statement, proof.commitment), strict=True
    ):
        left = left * pow(ciphertext.value, challenge, modulus) % modulus
    right = pow(1 + n, proof.plaintext_response, modulus) * pow(key.blinding_base, proof.nonce_response, modulus)
    assert left == right % modulus


@pytest.mark.parametrize(("count", "extra"), [(1, 0), (2, 1), (3, 2), (4, 2), (5, 3), (12, 4), (124, 7), (1000, 10)])
def test_prove_draws_nonces_of_exactly_the_required_length(encryptor, count, extra):
    statement, witness, _ = proven(encryptor, 1)
    statement = replace(statement, ciphertexts=statement.ciphertexts * count)
    witness = Witness(witness.plaintexts * count, witness.nonces * count)
    random = RecordingRandom("lengths")
    proof = prove(statement, witness, encryptor, random)
    key = statement.public_key
    assert random.bounds == [key.plaintext_modulus]
    assert random.bits == [key.key_bits // 2 + 256 + extra]
    # Both nonces are in the responses, and hide something.
    u, w = random.results
    challenges = plaintext_knowledge._challenges(statement, proof.commitment)
    assert proof.nonce_response - w == sum(challenges) * witness.nonces[0].reveal()
    assert (proof.plaintext_response - u - sum(challenges) * witness.plaintexts[0]) % key.plaintext_modulus == 0


def test_challenges_have_128_bits_and_differ(made):
    statement, _, proof = made
    statement = replace(statement, ciphertexts=statement.ciphertexts * 40)
    challenges = plaintext_knowledge._challenges(statement, proof.commitment)
    assert len(set(challenges)) == 120
    assert max(challenges).bit_length() == 128


def test_challenges_absorb_parameters_statement_and_commitment(made):
    statement, _, proof = made
    key = statement.public_key
    first, second, third = statement.ciphertexts
    statements = [
        statement,
        replace(statement, session_id=b"other"),
        replace(statement, party_id="hospital-b"),
        replace(statement, padded_digest=b"other"),
        replace(statement, session_id=b"digest", padded_digest=b"session"),
        *(
            replace(statement, ciphertexts=ciphertexts)
            for ciphertexts in (
                (second, first, third),
                (first, second),
                (power(first, 2), second, third),
                (first, power(second, 2), third),
                (first, second, power(third, 2)),
            )
        ),
        *(
            replace(
                statement,
                public_key=other,
                ciphertexts=tuple(Ciphertext(c.value, other) for c in (first, second, third)),
            )
            for other in other_keys(key)
        ),
    ]
    challenges = [plaintext_knowledge._challenges(one, proof.commitment) for one in statements]
    challenges.append(plaintext_knowledge._challenges(statement, proof.commitment + 1))
    # Not one challenge of any of them occurs in another.
    assert len({e for each in challenges for e in each}) == sum(map(len, challenges))


@pytest.mark.parametrize(
    "change",
    [
        {"session_id": b"other session"},
        {"party_id": "hospital-b"},
        {"padded_digest": b"other digest"},
        {"session_id": b"sessiondigest", "padded_digest": b""},
    ],
)
def test_verify_for_another_session_party_or_padded_part_fails(made, encryptor, change):
    statement, _, proof = made
    assert refused(replace(statement, **change), proof, encryptor) == 4


def test_verify_with_other_ciphertexts_fails(made, encryptor):
    statement, _, proof = made
    key = statement.public_key
    first, second, third = statement.ciphertexts
    for ciphertexts in (
        (second, first, third),
        (first, second),
        (first, second, third, third),
        (first, second, power(third, -1)),
        (first, second, power(third, 2)),
        (first, second, key.check(key.ciphertext_modulus - third.value)),
    ):
        assert refused(replace(statement, ciphertexts=ciphertexts), proof, encryptor) == 4


def test_prove_without_the_right_witness_fails(made, encryptor):
    statement, witness, _ = made
    for wrong in (
        replace(witness, plaintexts=(witness.plaintexts[0] + 1, *witness.plaintexts[1:])),
        replace(witness, nonces=witness.nonces[::-1]),
    ):
        assert refused(statement, prove(statement, wrong, encryptor, SeededRandom("wrong")), encryptor) == 4


def test_verify_under_another_key_fails(made):
    statement, _, proof = made
    other = load_encryptor(4, 3)  # same modulus, other generator
    key = other.public_key
    moved = replace(statement, public_key=key, ciphertexts=tuple(key.check(c.value) for c in statement.ciphertexts))
    assert refused(moved, proof, other) == 4


@pytest.mark.parametrize("commitment", ["zero", "modulus", "negative", "shares a factor"])
def test_verify_commitment_that_is_no_unit_fails_check_1(made, encryptor, commitment):
    statement, _, proof = made
    bad = {
        "zero": 0,
        "modulus": statement.public_key.ciphertext_modulus,
        "negative": -proof.commitment,
        "shares a factor": load_primes()[0],
    }[commitment]
    assert refused(statement, replace(proof, commitment=bad), encryptor) == 1


def test_verify_plaintext_response_out_of_range_fails_check_2(made, encryptor):
    statement, _, proof = made
    space = statement.public_key.plaintext_modulus
    for response in (proof.plaintext_response + space, space, -1):
        assert refused(statement, replace(proof, plaintext_response=response), encryptor) == 2


def test_verify_nonce_response_out_of_range_fails_check_3(made, encryptor):
    statement, _, proof = made
    for response in (1 << (statement.nonce_bits + 1), -1):
        assert refused(statement, replace(proof, nonce_response=response), encryptor) == 3


def test_verify_nonce_response_of_the_greatest_length_reaches_check_4(made, encryptor):
    statement, _, proof = made
    longest = (1 << (statement.nonce_bits + 1)) - 1
    assert refused(statement, replace(proof, nonce_response=longest), encryptor) == 4


def test_proof_bytes_have_a_length_that_follows_from_the_key(encryptor):
    key = encryptor.public_key
    proofs = [proven(encryptor, count)[2] for count in (1, 2, 40)]
    assert {len(proof.to_bytes(key)) for proof in proofs} == {128 + 64 + (256 + 256 + 10 + 1 + 7) // 8}
    assert [Proof.from_bytes(key, proof.to_bytes(key)) for proof in proofs] == proofs


@pytest.mark.parametrize("length", [0, 1, -1, 1000])
def test_proof_bytes_of_another_length_raise(made, length):
    statement, _, proof = made
    data = proof.to_bytes(statement.public_key)
    with pytest.raises(MalformedMessage) as raised:
        Proof.from_bytes(statement.public_key, data[:length] if length < 1 else data + bytes(length))
    assert raised.value.code == "malformed-message"


def test_statement_without_ciphertexts_or_with_too_many_raises(made):
    statement, _, _ = made
    for count in (0, MAX_CIPHERTEXTS + 1):
        with pytest.raises(StateError):
            replace(statement, ciphertexts=statement.ciphertexts[:1] * count)


def test_statement_with_another_keys_ciphertext_raises(made):
    statement, _, _ = made
    foreign, _, _ = proven(load_encryptor(4, 3), 1)
    with pytest.raises(KeyMismatch):
        replace(statement, ciphertexts=foreign.ciphertexts)


def test_prove_and_verify_with_another_keys_encryptor_raise(made):
    statement, witness, proof = made
    other = load_encryptor(4, 3)
    with pytest.raises(KeyMismatch):
        prove(statement, witness, other, SeededRandom(1))
    with pytest.raises(KeyMismatch):
        verify(statement, proof, other)


def test_prove_with_too_few_witnesses_raises(made, encryptor):
    statement, witness, _ = made
    for short in (replace(witness, nonces=witness.nonces[1:]), replace(witness, plaintexts=())):
        with pytest.raises(KeyMismatch):
            prove(statement, short, encryptor, SeededRandom(1))


def test_witness_shows_nothing_and_is_not_pickled(made):
    _, witness, _ = made
    shown = f"{witness} {witness!r} {[witness]}"
    assert str(witness.plaintexts[0])[:12] not in shown
    with pytest.raises(TypeError):
        pickle.dumps(witness)
