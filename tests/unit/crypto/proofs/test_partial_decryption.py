# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from collections.abc import Iterator
from dataclasses import replace

import pytest

from coterie_common.crypto.dealer import Dealing
from coterie_common.crypto.paillier import Ciphertext, Encryptor
from coterie_common.crypto.proofs import partial_decryption
from coterie_common.crypto.proofs.partial_decryption import Proof, Statement, nonce_bits, prove, verify
from coterie_common.crypto.threshold import KeyShare, combine, partial_decrypt
from coterie_common.errors import InvalidProof, KeyMismatch, MalformedMessage, StateError
from coterie_common.secret import Secret
from tests.support.cheating_provers import with_factors
from tests.support.dealings import load_dealing, load_encryptor, load_primes, make_dealing, other_keys
from tests.support.generated_keys import make_generated, share_bits
from tests.support.powers import power
from tests.support.recording_random import RecordingRandom
from tests.support.seeded_random import SeededRandom

MAKERS = [pytest.param(make_dealing, id="dealt"), pytest.param(make_generated, id="generated")]


def encrypted(encryptor: Encryptor, count: int) -> tuple[Ciphertext, ...]:
    random = SeededRandom(f"encrypted {count}")
    return tuple(encryptor.encrypt(k, encryptor.draw_nonce(random)) for k in range(count))


def stated(dealing: Dealing, ciphertexts: tuple[Ciphertext, ...], index: int = 2) -> Statement:
    return Statement(
        session_id=b"session",
        transcript_digest=b"transcript",
        index=index,
        key=dealing.key,
        ciphertexts=ciphertexts,
        partials=partial_decrypt(dealing.key, dealing.shares[index - 1], ciphertexts),
    )


@pytest.fixture(scope="module")
def dealing() -> Dealing:
    return load_dealing()


@pytest.fixture(scope="module")
def statement(dealing: Dealing) -> Statement:
    return stated(dealing, encrypted(load_encryptor(), 3))


@pytest.fixture(scope="module")
def proof(dealing: Dealing, statement: Statement) -> Proof:
    return prove(statement, dealing.shares[1], SeededRandom("proof"))


def refused(statement: Statement, proof: Proof) -> int:
    with pytest.raises(InvalidProof, match=f"holder index {statement.index}") as raised:
        verify(statement, proof)
    assert raised.value.code == "invalid-proof"
    return raised.value.check


@pytest.mark.parametrize("s", [1, 2, 3])
@pytest.mark.parametrize("count", [1, 2, 17])
@pytest.mark.parametrize("make", MAKERS)
def test_verify_of_honest_proofs_passes_for_every_share(s, count, make):
    dealing = make(s=s)
    ciphertexts = encrypted(Encryptor(dealing.key.public_key), count)
    for share in dealing.shares:
        statement = stated(dealing, ciphertexts, share.index)
        verify(statement, prove(statement, share, SeededRandom(1)))


def test_verify_at_full_size_passes():
    dealing = load_dealing(key_bits=2048)
    statement = stated(dealing, encrypted(load_encryptor(key_bits=2048), 1))
    verify(statement, prove(statement, dealing.shares[1], SeededRandom(1)))


@pytest.mark.parametrize("s", [1, 2, 3])
@pytest.mark.parametrize("make", MAKERS)
def test_prove_draws_a_nonce_longer_than_the_share_by_256_bits(s, make):
    dealing = make(s=s)
    statement = stated(dealing, encrypted(Encryptor(dealing.key.public_key), 2))
    random = RecordingRandom("lengths")
    proof = prove(statement, dealing.shares[1], random)
    longest = max(share.value.reveal().bit_length() for share in dealing.shares)
    assert random.bits == [dealing.key.share_bits + 256]
    assert longest <= dealing.key.share_bits == (510 if make is make_dealing else share_bits(512, 5, 3))
    assert random.bounds == []
    # The witness is the share itself, not Δ times the share, for which this nonce would be too short.
    x, y = partial_decryption._batched(statement)
    e = partial_decryption._challenge(statement, x, y, proof.commitment_x, proof.commitment_v)
    assert 120 < e.bit_length() <= 128
    assert proof.response - random.results[0] == e * dealing.shares[1].value.reveal()


def test_proof_satisfies_the_equations_of_its_definition(dealing, statement, proof):
    key = statement.key
    modulus = key.public_key.modulus
    x, y = partial_decryption._batched(statement)
    e = partial_decryption._challenge(statement, x, y, proof.commitment_x, proof.commitment_v)
    share = dealing.shares[1].value.reveal()
    assert y == pow(x, share, modulus)
    assert pow(x, proof.response, modulus) == proof.commitment_x * pow(y, e, modulus) % modulus
    own_key = key.verification_keys[1]
    right = proof.commitment_v * pow(own_key, e, modulus) % modulus
    assert pow(key.verification_base, proof.response, modulus) == right


def restated(statement: Statement) -> Iterator[Statement]:
    """Yield the statement, and others that differ from it in one thing each."""
    threshold_key, key = statement.key, statement.key.public_key
    first, second, third = statement.ciphertexts
    one, two, three = statement.partials
    yield statement
    for change in (
        {"session_id": b"other"},
        {"transcript_digest": b"other"},
        {"session_id": b"transcript", "transcript_digest": b"session"},
        {"index": 3},
        {"ciphertexts": (second, first, third)},
        {"ciphertexts": (first, second, power(third, 2))},
        {"ciphertexts": (first, second), "partials": (one, two)},
        {"partials": (two, one, three)},
        {"partials": (one, two, three + 1)},
        {"partials": (one, two)},
    ):
        yield replace(statement, **change)
    verification_keys = list(threshold_key.verification_keys)
    verification_keys[1] += 1
    for changed in (
        replace(threshold_key, verification_base=threshold_key.verification_base + 1),
        replace(threshold_key, verification_keys=tuple(verification_keys)),
        replace(threshold_key, verification_keys=threshold_key.verification_keys[::-1]),
        replace(threshold_key, decryption_threshold=3),
        replace(threshold_key, holders=4, verification_keys=threshold_key.verification_keys[:4]),
    ):
        yield replace(statement, key=changed)
    for other in other_keys(key):
        moved = tuple(Ciphertext(ciphertext.value, other) for ciphertext in statement.ciphertexts)
        yield replace(statement, key=replace(threshold_key, public_key=other), ciphertexts=moved)


def test_weights_absorb_parameters_and_statement(statement):
    weights = [partial_decryption._weights(other) for other in restated(statement)]
    assert len({weight for each in weights for weight in each}) == sum(map(len, weights))
    assert 120 < max(map(max, weights)).bit_length() <= 128


def test_challenge_absorbs_parameters_statement_and_commitments(statement, proof):
    x, y = partial_decryption._batched(statement)
    a, b = proof.commitment_x, proof.commitment_v
    challenges = [partial_decryption._challenge(other, x, y, a, b) for other in restated(statement)]
    for numbers in ((x + 1, y, a, b), (x, y + 1, a, b), (x, y, a + 1, b), (x, y, a, b + 1), (y, x, a, b), (x, y, b, a)):
        challenges.append(partial_decryption._challenge(statement, *numbers))
    assert len(set(challenges)) == len(challenges)


@pytest.mark.parametrize("sign", [1, -1])
def test_a_value_of_the_other_sign_is_proven_and_combines_to_the_same(dealing, statement, sign):
    # −1 is the one element of small order that anybody knows; combining takes even powers.
    negated = with_factors(statement, (sign, 1, 1))
    verify(negated, prove(negated, dealing.shares[1], SeededRandom("sign")))
    honest = {i: partial_decrypt(dealing.key, dealing.shares[i - 1], statement.ciphertexts) for i in (1, 3, 4)}
    assert combine(dealing.key, statement.ciphertexts, {**honest, 2: negated.partials}) == (0, 1, 2)


def test_two_proofs_with_one_nonce_would_reveal_the_share(dealing, statement, proof):
    other = replace(statement, session_id=b"another session")
    again = prove(other, dealing.shares[1], SeededRandom("proof"))
    challenges = []
    for claim, made in ((statement, proof), (other, again)):
        x, y = partial_decryption._batched(claim)
        challenges.append(partial_decryption._challenge(claim, x, y, made.commitment_x, made.commitment_v))
    share, rest = divmod(again.response - proof.response, challenges[1] - challenges[0])
    assert (share, rest) == (dealing.shares[1].value.reveal(), 0)


def test_a_wrong_partial_decryption_is_caught_and_its_index_named(dealing):
    ciphertexts = encrypted(load_encryptor(), 4)
    statements = {share.index: stated(dealing, ciphertexts, share.index) for share in dealing.shares}
    key = dealing.key.public_key
    spoilt = list(statements[3].partials)
    spoilt[2] = spoilt[2] * 4 % key.modulus
    statements[3] = replace(statements[3], partials=tuple(spoilt))
    culprits = []
    for share in dealing.shares:
        made = prove(statements[share.index], share, SeededRandom(share.index))
        try:
            verify(statements[share.index], made)
        except InvalidProof as error:
            culprits.append((share.index, error.check))
    assert culprits == [(3, 6)]
    honest = {index: statement.partials for index, statement in statements.items() if index != 3}
    assert combine(dealing.key, ciphertexts, honest) == (0, 1, 2, 3)


@pytest.mark.parametrize("change", [{"session_id": b"x"}, {"transcript_digest": b"x"}])
def test_verify_for_another_session_or_transcript_fails(statement, proof, change):
    assert refused(replace(statement, **change), proof) == 5


def test_verify_under_another_index_fails(statement, proof):
    assert refused(replace(statement, index=3), proof) == 5


def test_verify_with_another_partys_share_fails_although_the_values_match(dealing, statement):
    thief = KeyShare(2, Secret(dealing.shares[2].value.reveal()))
    values = partial_decrypt(dealing.key, thief, statement.ciphertexts)
    stolen = replace(statement, partials=values)
    assert refused(stolen, prove(stolen, thief, SeededRandom(1))) == 5


def test_verify_with_other_ciphertexts_or_values_fails(statement, proof):
    key = statement.key.public_key
    first, second, third = statement.ciphertexts
    one, two, three = statement.partials
    for change in (
        {"ciphertexts": (second, first, third)},
        {"ciphertexts": (first, second, power(third, 2))},
        {"partials": (two, one, three)},
        {"partials": (one, two, pow(three, -1, key.modulus))},
        {"partials": (one, two, key.modulus - three)},
        {"ciphertexts": (first, second), "partials": (one, two)},
    ):
        assert refused(replace(statement, **change), proof) == 5


def test_verify_under_another_key_fails(statement, proof):
    other = replace(statement.key, verification_keys=statement.key.verification_keys[::-1])
    assert refused(replace(statement, key=other), proof) == 5


def test_verify_with_a_missing_value_fails_check_1(statement, proof):
    assert refused(replace(statement, partials=statement.partials[:-1]), proof) == 1


@pytest.mark.parametrize("value", ["zero", "modulus", "negative", "shares a factor"])
def test_verify_with_a_value_that_is_no_unit_fails_check_2(statement, proof, value):
    bad = {
        "zero": 0,
        "modulus": statement.key.public_key.modulus,
        "negative": -1,
        "shares a factor": load_primes()[1],
    }[value]
    assert refused(replace(statement, partials=(*statement.partials[:-1], bad)), proof) == 2


@pytest.mark.parametrize("name", ["commitment_x", "commitment_v"])
def test_verify_with_a_commitment_that_is_no_unit_fails_check_3(statement, proof, name):
    for bad in (0, statement.key.public_key.modulus, load_primes()[0]):
        assert refused(statement, replace(proof, **{name: bad})) == 3


def test_verify_with_a_response_out_of_range_fails_check_4(statement, proof):
    for bad in (-1, 1 << (nonce_bits(statement.key) + 1)):
        assert refused(statement, replace(proof, response=bad)) == 4


def test_verify_with_the_longest_response_reaches_check_5(statement, proof):
    assert refused(statement, replace(proof, response=(1 << (nonce_bits(statement.key) + 1)) - 1)) == 5


def test_proof_bytes_have_a_length_that_follows_from_the_key(statement, proof):
    data = proof.to_bytes(statement.key)
    assert len(data) == 64 + 64 + (510 + 256 + 1 + 7) // 8
    assert Proof.from_bytes(statement.key, data) == proof


@pytest.mark.parametrize("change", ["empty", "truncated", "padded"])
def test_proof_bytes_of_another_length_raise(statement, proof, change):
    data = proof.to_bytes(statement.key)
    bad = {"empty": b"", "truncated": data[:-1], "padded": data + b"\0"}[change]
    with pytest.raises(MalformedMessage) as raised:
        Proof.from_bytes(statement.key, bad)
    assert raised.value.code == "malformed-message"


def test_prove_with_another_share_or_a_missing_value_raises(dealing, statement):
    with pytest.raises(KeyMismatch):
        prove(statement, dealing.shares[0], SeededRandom(1))
    with pytest.raises(KeyMismatch):
        prove(replace(statement, partials=()), dealing.shares[1], SeededRandom(1))


def test_statement_with_nothing_or_strangers_raises(statement):
    with pytest.raises(StateError):
        replace(statement, ciphertexts=())
    with pytest.raises(KeyMismatch):
        replace(statement, ciphertexts=encrypted(load_encryptor(4, 3), 3))
    for index in (0, 6):
        with pytest.raises(KeyMismatch):
            replace(statement, index=index)


def test_proof_under_other_root_exponents_fails():
    dealing = make_generated()
    statement = stated(dealing, encrypted(Encryptor(dealing.key.public_key), 2))
    made = prove(statement, dealing.shares[1], SeededRandom(1))
    verify(statement, made)
    key = dealing.key
    for other in (replace(key, root_factor=key.root_factor - 1), replace(key, root_offset=key.root_offset - 1)):
        assert refused(replace(statement, key=other), made) == 5


@pytest.mark.parametrize("make", MAKERS)
def test_wrong_missing_swapped_and_replayed_partial_decryptions_are_named_by_their_proof(make):
    # Everything that the opening's own check catches, apart from a wrong sign, which opens.
    dealing = make()
    key, share = dealing.key, dealing.shares[1]
    encryptor = Encryptor(key.public_key)
    statement, other = (stated(dealing, encrypted(encryptor, count)) for count in (3, 2))
    made = prove(statement, share, SeededRandom("honest"))
    one, two, three = statement.partials
    stale = replace(other, session_id=b"earlier", partials=other.partials)
    cases = {
        "plus one": ((one + 1, two, three), made, {5, 6}),
        "one": ((1, two, three), made, {5, 6}),
        "zero": ((0, two, three), made, {2}),
        "missing": ((one, two), made, {1}),
        "swapped": ((two, one, three), made, {5, 6}),
        "of other ciphertexts": ((*other.partials[::-1], three), made, {5, 6}),
        "replayed": (stale.partials, prove(stale, share, SeededRandom("stale")), {1}),
    }
    for values, proof, checks in cases.values():
        spoilt = replace(statement, partials=values)
        assert refused(spoilt, proof) in checks
        if len(values) == 3 and 0 not in values:  # also where its sender proves anew what it sends
            assert refused(spoilt, prove(spoilt, share, SeededRandom("again"))) == 6
