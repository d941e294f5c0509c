# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import pickle
from concurrent.futures import ThreadPoolExecutor

import phe
import pytest

from coterie_common.crypto.dealer import Dealing
from coterie_common.crypto.paillier import Ciphertext, Encryptor, Nonce, PublicKey
from coterie_common.crypto.threshold import combine, partial_decrypt
from coterie_common.errors import InvalidCiphertext, KeyFileError, KeyMismatch, PlaintextOutOfRange, StateError
from coterie_common.limits import MAX_CIPHERTEXTS
from tests.support.dealings import load_dealing, load_encryptor, load_primes, make_dealing
from tests.support.powers import power
from tests.support.seeded_random import SeededRandom

KEY = load_dealing().key.public_key
FULL_KEY = load_dealing(key_bits=2048).key.public_key


def decrypt(dealing: Dealing, *ciphertexts: Ciphertext) -> list[int]:
    partials = {share.index: partial_decrypt(dealing.key, share, ciphertexts) for share in dealing.shares}
    return list(combine(dealing.key, ciphertexts, partials))


@pytest.fixture(scope="module", params=[1, 2, 3])
def dealing(request: pytest.FixtureRequest) -> Dealing:
    return make_dealing(s=request.param)


@pytest.fixture(scope="module")
def encryptor(dealing: Dealing) -> Encryptor:
    return Encryptor(dealing.key.public_key)


@pytest.fixture
def random() -> SeededRandom:
    return SeededRandom("paillier")


def test_encrypt_is_the_formula(encryptor, random):
    key = encryptor.public_key
    n, s = key.modulus, key.s
    for plaintext in (0, 1, n**s - 1, random.randbelow(n**s)):
        nonce = encryptor.draw_nonce(random)
        blinding = pow(pow(key.generator, n**s, n ** (s + 1)), nonce.reveal(), n ** (s + 1))
        expected = pow(1 + n, plaintext, n ** (s + 1)) * blinding % n ** (s + 1)
        assert encryptor.encrypt(plaintext, nonce).value == expected


def test_encrypt_then_decrypt_returns_the_plaintext(dealing, encryptor, random):
    n, s = dealing.key.public_key.modulus, dealing.key.public_key.s
    plaintexts = [0, 1, n**s - 1, random.randbelow(n**s)]
    assert decrypt(dealing, *(encryptor.encrypt(m, encryptor.draw_nonce(random)) for m in plaintexts)) == plaintexts


def test_sums_and_powers_act_on_plaintexts(dealing, encryptor, random):
    key = dealing.key.public_key
    a, b = random.randbelow(key.plaintext_modulus), random.randbelow(key.plaintext_modulus)
    first, second = (encryptor.encrypt(m, encryptor.draw_nonce(random)) for m in (a, b))
    results = decrypt(
        dealing,
        key.add([first, second]),
        key.add(c for c in (first, second, second)),
        power(first, 12345),
        power(first, -1),
        power(first, 0),
        key.add([first, power(first, -1)]),
    )
    expected = [a + b, a + 2 * b, 12345 * a, -a, 0, 0]
    assert results == [value % key.plaintext_modulus for value in expected]


def test_encrypt_with_two_nonces_gives_two_ciphertexts(encryptor, random):
    assert len({encryptor.encrypt(7, encryptor.draw_nonce(random)).value for _ in range(10)}) == 10


@pytest.mark.parametrize("beyond", [-1, 0])
def test_encrypt_out_of_range_raises(encryptor, random, beyond):
    plaintext = -1 if beyond < 0 else encryptor.public_key.plaintext_modulus
    with pytest.raises(PlaintextOutOfRange) as raised:
        encryptor.encrypt(plaintext, encryptor.draw_nonce(random))
    assert raised.value.code == "plaintext-out-of-range"


def test_nonce_has_half_the_bits_of_the_modulus(encryptor):
    class Recorder(SeededRandom):
        drawn: list[int] = []  # noqa: RUF012  # one test, one list

        def randbits(self, bits: int) -> int:
            self.drawn.append(bits)
            return super().randbits(bits)

    recorder = Recorder(1)
    nonces = [encryptor.draw_nonce(recorder).reveal() for _ in range(64)]
    assert set(recorder.drawn) == {encryptor.public_key.key_bits // 2}
    assert max(nonces).bit_length() == encryptor.public_key.key_bits // 2


def test_masked_reaches_the_longest_response_of_a_proof_and_no_further(encryptor):
    key = encryptor.public_key
    longest = key.nonce_bits + 256 + (MAX_CIPHERTEXTS - 1).bit_length() + 1
    modulus = key.ciphertext_modulus
    assert encryptor.masked(0, (1 << longest) - 1) == pow(key.blinding_base, (1 << longest) - 1, modulus)
    with pytest.raises(StateError):
        encryptor.masked(0, 1 << longest)


def test_encryptor_used_by_threads_gives_the_same_as_alone(encryptor):
    nonces = [Nonce(SeededRandom(i).randbits(encryptor.public_key.nonce_bits)) for i in range(32)]
    alone = [encryptor.encrypt(i, nonce) for i, nonce in enumerate(nonces)]
    with ThreadPoolExecutor(4) as threads:
        assert list(threads.map(encryptor.encrypt, range(32), nonces)) == alone


@pytest.mark.parametrize("key_bits", [512, 2048])
def test_phe_decrypts_what_we_encrypt(key_bits, random):
    encryptor = load_encryptor(key_bits=key_bits)
    n = encryptor.public_key.modulus
    theirs = phe.PaillierPrivateKey(phe.PaillierPublicKey(n), *load_primes(key_bits))
    for plaintext in (0, 1, n - 1, random.randbelow(n)):
        assert theirs.raw_decrypt(encryptor.encrypt(plaintext, encryptor.draw_nonce(random)).value) == plaintext


@pytest.mark.parametrize("key_bits", [512, 2048])
def test_we_combine_what_phe_encrypts(key_bits, random):
    dealing, encryptor = load_dealing(key_bits=key_bits), load_encryptor(key_bits=key_bits)
    key = dealing.key.public_key
    theirs = phe.PaillierPublicKey(key.modulus)
    plaintext = random.randbelow(key.modulus)
    from_phe = key.check(theirs.raw_encrypt(plaintext))
    ours = encryptor.encrypt(5, encryptor.draw_nonce(random))
    assert decrypt(dealing, from_phe, key.add([from_phe, ours])) == [plaintext, (plaintext + 5) % key.modulus]


def test_check_accepts_number_and_bytes(encryptor, random):
    key = encryptor.public_key
    ciphertext = encryptor.encrypt(3, encryptor.draw_nonce(random))
    assert key.check(ciphertext.value) == ciphertext
    assert key.check(ciphertext.to_bytes()) == ciphertext
    assert len(ciphertext.to_bytes()) == key.ciphertext_bytes == (key.s + 1) * 512 // 8


@pytest.mark.parametrize("value", ["zero", "negative", "modulus", "beyond", "p", "multiple of q", "N"])
def test_check_refuses_what_is_no_unit(encryptor, value):
    key = encryptor.public_key
    p, q = load_primes()
    bad = {
        "zero": 0,
        "negative": -1,
        "modulus": key.ciphertext_modulus,
        "beyond": key.ciphertext_modulus + 1,
        "p": p,
        "multiple of q": q * 12345678901234567890,
        "N": key.modulus,
    }[value]
    with pytest.raises(InvalidCiphertext) as raised:
        key.check(bad)
    assert raised.value.code == "invalid-ciphertext"


@pytest.mark.parametrize("change", [-1, 1])
def test_check_refuses_truncated_or_padded_bytes(encryptor, random, change):
    key = encryptor.public_key
    encoded = encryptor.encrypt(3, encryptor.draw_nonce(random)).to_bytes()
    with pytest.raises(InvalidCiphertext):
        key.check(encoded[:-1] if change < 0 else b"\0" + encoded)


def test_add_of_another_keys_ciphertext_raises(random):
    ours, theirs = load_encryptor(), load_encryptor(4, 3)
    foreign = theirs.encrypt(1, theirs.draw_nonce(random))
    own = ours.encrypt(1, ours.draw_nonce(random))
    with pytest.raises(KeyMismatch) as raised:
        KEY.add([own, foreign])
    assert raised.value.code == "key-mismatch"


def test_add_of_nothing_raises():
    with pytest.raises(StateError):
        KEY.add([])


def test_equal_keys_accept_each_others_ciphertexts(random):
    encryptor = load_encryptor()
    twin = PublicKey._insecure_for_tests(KEY.modulus, KEY.s, KEY.generator, KEY.nonce_bits)
    ciphertext = encryptor.encrypt(1, encryptor.draw_nonce(random))
    assert twin == KEY
    assert twin.add([ciphertext]) == ciphertext


def test_digest_depends_on_every_part():
    longer = PublicKey._insecure_for_tests(KEY.modulus, KEY.s, KEY.generator, KEY.key_bits + 128)
    keys = [KEY, longer, load_dealing(4, 3).key.public_key, make_dealing(s=2).key.public_key, FULL_KEY]
    assert len({key.digest for key in keys}) == len(keys)


@pytest.mark.parametrize("s", [1, 2, 3, 8])
def test_plaintext_bits_fit_below_the_plaintext_modulus(s):
    key = PublicKey._insecure_for_tests(KEY.modulus, s, KEY.generator, KEY.nonce_bits)
    assert (1 << key.plaintext_bits) < key.plaintext_modulus
    assert key.plaintext_bits == 511 * s - 1


def test_public_key_of_full_size_is_accepted():
    assert PublicKey(FULL_KEY.modulus, 1, FULL_KEY.generator, FULL_KEY.nonce_bits).key_bits == 2048


@pytest.mark.parametrize(
    ("modulus", "s", "generator"),
    [
        (KEY.modulus, 1, KEY.generator),  # 512 bits
        (FULL_KEY.modulus >> 1, 1, FULL_KEY.generator >> 2),
        (FULL_KEY.modulus + 1, 1, FULL_KEY.generator),  # even
        (FULL_KEY.modulus - FULL_KEY.modulus % 5, 1, FULL_KEY.generator),
        (2**2048 - 1557, 1, FULL_KEY.generator),  # prime
        (FULL_KEY.modulus, 0, FULL_KEY.generator),
        (FULL_KEY.modulus, 9, FULL_KEY.generator),
        (FULL_KEY.modulus, 1, 0),
        (FULL_KEY.modulus, 1, 1),
        (FULL_KEY.modulus, 1, FULL_KEY.modulus - 1),
        (FULL_KEY.modulus, 1, FULL_KEY.modulus),
        (FULL_KEY.modulus, 1, FULL_KEY.modulus + FULL_KEY.generator),
        (FULL_KEY.modulus, 1, load_primes(2048)[0]),
    ],
)
def test_public_key_out_of_range_or_form_raises(modulus, s, generator):
    with pytest.raises(KeyFileError) as raised:
        PublicKey(modulus, s, generator, modulus.bit_length() // 2)
    assert raised.value.code == "key-file"


@pytest.mark.parametrize("nonce_bits", [0, 1, 1023, 1025, 2048, 2048 + 127, 2048 + 129])
def test_public_key_with_encryption_exponents_of_another_length_raises(nonce_bits):
    with pytest.raises(KeyFileError, match="encryption exponents"):
        PublicKey(FULL_KEY.modulus, 1, FULL_KEY.generator, nonce_bits)
    assert PublicKey(FULL_KEY.modulus, 1, FULL_KEY.generator, 2048 + 128).nonce_bits == 2176


def test_public_key_whose_generator_has_the_wrong_jacobi_symbol_raises():
    p, q = load_primes()
    # A square modulo p and a non-square modulo q.
    generator = next(x for x in range(2, 1000) if pow(x, p // 2, p) == 1 and pow(x, q // 2, q) != 1)
    with pytest.raises(KeyFileError, match="generator"):
        PublicKey._insecure_for_tests(p * q, 1, generator, 256)


def test_nothing_printed_shows_a_nonce():
    nonce = Nonce(123456789)
    assert "123456789" not in f"{nonce} {nonce!r} {nonce!s} {nonce:>40}"
    with pytest.raises(TypeError):
        pickle.dumps(nonce)


def test_printed_keys_and_ciphertexts_are_short(random):
    encryptor = load_encryptor()
    assert len(repr(encryptor.encrypt(1, encryptor.draw_nonce(random)))) < 100


def test_numbers_that_leave_the_module_are_plain_integers(dealing, encryptor, random):
    key = encryptor.public_key
    ciphertext = encryptor.encrypt(1, encryptor.draw_nonce(random))
    numbers = (
        ciphertext.value,
        key.add([ciphertext]).value,
        key.blinding_base,
        key.plaintext_modulus,
        key.ciphertext_modulus,
        encryptor.masked(1, 1),
        *decrypt(dealing, ciphertext),
        *(share.value.reveal() for share in dealing.shares),
        *dealing.key.verification_keys,
    )
    assert {type(number) for number in numbers} == {int}


def bad_encodings(key: PublicKey) -> dict[str, bytes]:
    p, q = load_primes()
    size = key.ciphertext_bytes
    numbers = {
        "zero": 0,
        "modulus": key.ciphertext_modulus,
        "above the modulus": key.ciphertext_modulus + 1,
        "multiple of p": 3 * p,
        "multiple of q": q,
        "multiple of N": 5 * key.modulus,
    }
    encodings = {name: value.to_bytes(size, "big") for name, value in numbers.items()}
    return {**encodings, "truncated": bytes([1] * (size - 1)), "padded": bytes([1] * (size + 1)), "empty": b""}


def test_check_all_accepts_what_check_accepts(encryptor, random):
    key = encryptor.public_key
    ciphertexts = tuple(encryptor.encrypt(k, encryptor.draw_nonce(random)) for k in range(5))
    assert key.check_all([ciphertext.to_bytes() for ciphertext in ciphertexts]) == ciphertexts
    assert key.check_all([]) == ()


@pytest.mark.parametrize("position", [0, 2, 4])
@pytest.mark.parametrize("defect", bad_encodings(KEY))
def test_check_all_refuses_one_bad_among_good_as_check_does(random, defect, position):
    encryptor = load_encryptor()
    encoded = [encryptor.encrypt(k, encryptor.draw_nonce(random)).to_bytes() for k in range(5)]
    encoded[position] = bad_encodings(KEY)[defect]
    with pytest.raises(InvalidCiphertext) as alone:
        KEY.check(encoded[position])
    with pytest.raises(InvalidCiphertext) as together:
        KEY.check_all(encoded)
    assert (together.value.code, together.value.message) == ("invalid-ciphertext", alone.value.message)


def test_check_all_refuses_factors_that_two_of_them_share_between_each_other():
    # p in one and q in another: each shares a factor with N, and so does the product.
    p, q = load_primes()
    with pytest.raises(InvalidCiphertext):
        KEY.check_all([number.to_bytes(KEY.ciphertext_bytes, "big") for number in (p, q)])
