# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from collections.abc import Iterable
from dataclasses import replace
from itertools import combinations

import pytest
from gmpy2 import powmod

from coterie_common.crypto.paillier import Encryptor
from coterie_common.crypto.threshold import (
    KeyKind,
    ThresholdPublicKey,
    check_record,
    check_share,
    combine,
    partial_decrypt,
)
from coterie_common.errors import KeyFileError
from tests.support.dealings import load_dealing, load_primes, make_dealing
from tests.support.generated_keys import make_generated
from tests.support.seeded_random import SeededRandom

SHAPES = [(3, 1), (3, 3), (4, 3), (5, 3), (10, 7), (12, 5)]


@pytest.mark.parametrize("make", [make_dealing, make_generated], ids=["dealt", "generated"])
@pytest.mark.parametrize("s", [1, 2])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_check_record_accepts_every_honest_record(make, s, shape):
    check_record(make(*shape, s=s).key)


@pytest.mark.parametrize("key_bits", [512, 2048])
def test_check_record_accepts_the_published_dealings(key_bits):
    check_record(load_dealing(5, 4, key_bits).key)


def refused(key: ThresholdPublicKey) -> None:
    with pytest.raises(KeyFileError) as raised:
        check_record(key)
    assert raised.value.code == "key-file"


def with_keys(key: ThresholdPublicKey, verification_keys: Iterable[int]) -> ThresholdPublicKey:
    return replace(key, verification_keys=tuple(verification_keys))


@pytest.mark.parametrize("make", [make_dealing, make_generated], ids=["dealt", "generated"])
@pytest.mark.parametrize("shape", SHAPES[1:], ids=str)
def test_check_record_refuses_any_one_verification_key_altered(make, shape):
    key = make(*shape).key
    modulus = key.public_key.modulus
    for index in range(key.holders):
        keys = list(key.verification_keys)
        keys[index] = keys[index] * key.verification_base % modulus
        refused(with_keys(key, keys))


@pytest.mark.parametrize("make", [make_dealing, make_generated], ids=["dealt", "generated"])
def test_check_record_refuses_any_two_verification_keys_swapped(make):
    key = make(5, 3).key
    for first, second in combinations(range(5), 2):
        keys = list(key.verification_keys)
        keys[first], keys[second] = keys[second], keys[first]
        refused(with_keys(key, keys))


@pytest.mark.parametrize("make", [make_dealing, make_generated], ids=["dealt", "generated"])
def test_verification_key_of_the_other_sign_may_pass_opens_the_same_and_is_refused_by_its_holder(make):
    dealing = make(5, 3)
    public_key, random = dealing.key.public_key, SeededRandom("signs")
    encryptor = Encryptor(public_key)
    plaintexts = tuple(random.randbelow(public_key.plaintext_modulus) for _ in range(2))
    ciphertexts = tuple(encryptor.encrypt(m, encryptor.draw_nonce(random)) for m in plaintexts)
    passed = []
    for index in range(1, 6):
        keys = list(dealing.key.verification_keys)
        keys[index - 1] = public_key.modulus - keys[index - 1]
        key = with_keys(dealing.key, keys)
        try:
            check_record(key)
        except KeyFileError:
            continue
        passed.append(index)
        for share in dealing.shares:
            if share.index != index:
                check_share(key, share)
                continue
            with pytest.raises(KeyFileError, match="does not match its verification key"):
                check_share(key, share)
        partials = {share.index: partial_decrypt(key, share, ciphertexts) for share in dealing.shares}
        for subset in combinations(partials, 3):
            assert combine(key, ciphertexts, {index: partials[index] for index in subset}) == plaintexts
    # The rest is of the records that do pass.
    assert passed


@pytest.mark.parametrize("change", [1, -1, 2])
def test_check_record_refuses_other_root_exponents(change):
    key = make_generated().key
    refused(replace(key, root_factor=key.root_factor + change))
    refused(replace(key, root_offset=key.root_offset + change))


def test_check_record_refuses_another_base_generator_excepted():
    key = make_generated().key
    modulus = key.public_key.modulus
    refused(replace(key, verification_base=pow(key.verification_base, 2, modulus)))


def test_check_record_refuses_the_shares_of_one_kind_in_a_record_of_the_other():
    generated = make_generated().key
    assert generated.kind is KeyKind.GENERATED
    refused(replace(generated, root_factor=1, root_offset=0))


def test_check_record_refuses_shares_of_two_polynomials_that_both_give_the_root():
    # 1..3 and 3..5 each interpolate to the same value at 0, but not together: other sets would open nothing.
    p, q = load_primes()
    order, dealing = (p // 2) * (q // 2), make_dealing(5, 3)
    key, values = dealing.key, [share.value.reveal() for share in dealing.shares]
    # x·(x − 3) vanishes at 0 and at 3, so that adding it changes neither what 3..5 give at 0 nor the share of 3.
    values[3:] = [(value + x * (x - 3)) % order for value, x in zip(values[3:], (4, 5), strict=True)]
    keys = [int(powmod(key.verification_base, value, p * q)) for value in values]
    with pytest.raises(KeyFileError, match="no one polynomial"):
        check_record(with_keys(key, keys))
