# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import ast
from dataclasses import fields, is_dataclass
from math import gcd
from pathlib import Path
from typing import cast

import gmpy2
import pytest

import coterie_common
from coterie_common.crypto import dealer, primes
from coterie_common.crypto.dealer import Dealing, _deal_insecure_for_tests, deal
from coterie_common.crypto.paillier import Encryptor
from coterie_common.crypto.threshold import ThresholdPublicKey, check_share, combine, partial_decrypt
from coterie_common.errors import ConfigurationError
from coterie_common.randomness import OsRandom
from coterie_common.secret import Secret
from tests.support.dealings import load_primes, make_dealing
from tests.support.seeded_random import SeededRandom


@pytest.fixture(params=[1, 2])
def dealing(request: pytest.FixtureRequest) -> Dealing:
    return make_dealing(5, 3, s=request.param)


def test_deal_shares_lie_on_a_polynomial_through_the_root_exponent(dealing):
    p, q = load_primes()
    e, group = dealing.key.public_key.plaintext_modulus, (p // 2) * (q // 2)
    values = {share.index: share.value.reveal() for share in dealing.shares}
    assert all(0 <= value < group for value in values.values())
    for subset in ((1, 2, 3), (2, 4, 5)):
        secret = 0
        for i in subset:
            weight = 1
            for j in subset:
                if j != i:
                    weight = weight * j * pow(j - i, -1, group) % group
            secret += weight * values[i]
        # f(0) = Δ·e^{-1}, with Δ = 5!.
        assert secret * e % group == 120


def test_deal_verification_keys_are_powers_of_the_base(dealing):
    key = dealing.key
    modulus = key.public_key.modulus
    expected = tuple(pow(key.verification_base, share.value.reveal(), modulus) for share in dealing.shares)
    assert key.verification_keys == expected


def test_deal_draws_a_square_as_base_and_minus_a_square_as_generator():
    p, q = load_primes()
    # One unit in four is a square: ten would all be with probability 2^-20.
    for seed in range(10):
        key = _deal_insecure_for_tests(p, q, holders=3, decryption_threshold=2, random=SeededRandom(seed)).key
        assert gmpy2.legendre(key.verification_base, p) == gmpy2.legendre(key.verification_base, q) == 1
        generator = key.public_key.generator
        assert gmpy2.legendre(-generator, p) == gmpy2.legendre(-generator, q) == 1


def test_deal_draws_every_coefficient_below_the_group_order():
    class Recorder(SeededRandom):
        def __init__(self) -> None:
            super().__init__("recorder")
            self.bounds: list[int] = []

        def randbelow(self, bound: int) -> int:
            self.bounds.append(bound)
            return super().randbelow(bound)

    p, q = load_primes()
    recorder = Recorder()
    _deal_insecure_for_tests(p, q, holders=5, decryption_threshold=4, random=recorder)
    n = p * q
    assert recorder.bounds == [n, *[(p // 2) * (q // 2)] * 3, n]


def test_deal_draws_again_where_a_number_is_no_unit():
    class Scripted(SeededRandom):
        first = True

        def randbelow(self, bound: int) -> int:
            if self.first:
                self.first = False
                return load_primes()[0]
            return super().randbelow(bound)

    p, q = load_primes()
    key = _deal_insecure_for_tests(p, q, holders=3, decryption_threshold=2, random=Scripted("x")).key
    assert gcd(key.public_key.generator, key.public_key.modulus) == 1


def numbers_in(value: object) -> list[int]:
    if isinstance(value, int):
        return [value]
    if isinstance(value, Secret):
        return numbers_in(value.reveal())
    if isinstance(value, (tuple, list)):
        return [number for item in value for number in numbers_in(item)]
    if isinstance(value, dict):
        return [number for item in value.values() for number in numbers_in(item)]
    if is_dataclass(value) and not isinstance(value, type):
        own = [number for item in fields(value) for number in numbers_in(getattr(value, item.name))]
        return own + numbers_in(getattr(value, "__dict__", {}))
    return [cast("int", value)] if type(value).__name__ == "mpz" else []


def test_nothing_that_a_dealing_holds_carries_a_factor_of_the_group_order(dealing):
    p, q = load_primes()
    modulus = p * q
    numbers = numbers_in(dealing)
    assert len(numbers) > 12
    for number in filter(None, numbers):  # B is 0
        assert gcd(number, modulus) in (1, modulus)
        assert gcd(number, (p // 2) * (q // 2)) == 1


def test_modules_of_the_dealer_keep_no_large_number():
    deal_once = _deal_insecure_for_tests(*load_primes(), holders=3, decryption_threshold=2, random=SeededRandom(1))
    assert deal_once.key.holders == 3
    for module in (dealer, primes):
        assert all(number.bit_length() < 64 for number in numbers_in(vars(module)))


@pytest.mark.parametrize("key_bits", [0, 512, 1024, 2047, 2049, 8192])
def test_deal_of_a_size_that_is_not_allowed_raises(key_bits):
    with pytest.raises(ConfigurationError) as raised:
        deal(key_bits=key_bits, holders=5, decryption_threshold=4, random=OsRandom())
    assert raised.value.code == "configuration"


@pytest.mark.parametrize(("parties", "threshold"), [(2, 2), (0, 0), (201, 100), (5, 0), (5, 6)])
def test_deal_to_impossible_parties_raises(parties, threshold):
    with pytest.raises(ConfigurationError):
        deal(key_bits=2048, holders=parties, decryption_threshold=threshold, random=OsRandom())


def test_constructors_for_tests_are_called_by_nothing_else():
    root = Path(coterie_common.__file__).parents[2]
    sources = [path for part in ("common", "aggregator", "party") for path in (root / part).rglob("*.py")]
    assert len(sources) > 20
    uses = [
        (path.name, name)
        for path in sorted(sources)
        for node in ast.walk(ast.parse(path.read_text()))
        if "insecure_for_tests" in (name := getattr(node, "attr", None) or getattr(node, "id", None) or "")
    ]
    # The dealer's test constructor, and generation with parameters that only a test can make, make a small public key.
    assert uses == [("dealer.py", "_insecure_for_tests"), ("record.py", "_insecure_for_tests")]


@pytest.mark.slow  # searches for two real safe primes of 1024 bits: 0.3 to 3 s
def test_deal_at_full_size_makes_a_working_key():
    random = OsRandom()
    dealing = deal(key_bits=2048, holders=3, decryption_threshold=2, random=random)
    assert dealing.key.public_key.key_bits == 2048
    assert ThresholdPublicKey.from_document(dealing.key.to_document()) == dealing.key
    for share in dealing.shares:
        check_share(dealing.key, share)
    encryptor = Encryptor(dealing.key.public_key)
    ciphertext = encryptor.encrypt(4711, encryptor.draw_nonce(random))
    for pair in (dealing.shares[:2], dealing.shares[1:]):
        partials = {share.index: partial_decrypt(dealing.key, share, [ciphertext]) for share in pair}
        assert combine(dealing.key, [ciphertext], partials) == (4711,)
