# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import pytest

from coterie_common.crypto.comb import Comb
from coterie_common.errors import StateError
from tests.support.dealings import load_dealing
from tests.support.seeded_random import SeededRandom


@pytest.fixture(scope="module")
def modulus() -> int:
    return load_dealing().key.public_key.ciphertext_modulus


@pytest.mark.parametrize("segments", [(1,), (5,), (64,), (256, 267), (3, 100, 1)])
def test_power_equals_pow_up_to_the_reach(modulus, segments):
    random = SeededRandom(f"comb {segments}")
    base = random.randbelow(modulus)
    comb = Comb(base, modulus, segments)
    reach = sum(segments)
    exponents = [0, 1, (1 << reach) - 1, 1 << (reach - 1), *(random.randbits(reach) for _ in range(20))]
    assert comb.reach_bits == reach
    assert [comb.power(exponent) for exponent in exponents] == [pow(base, e, modulus) for e in exponents]


def test_power_at_the_border_of_segments_equals_pow(modulus):
    comb = Comb(3, modulus, (100, 50))
    for exponent in ((1 << 100) - 1, 1 << 100, (1 << 100) + 1):
        assert comb.power(exponent) == pow(3, exponent, modulus)


@pytest.mark.parametrize("exponent", [-1, 1 << 20])
def test_power_beyond_the_reach_raises(modulus, exponent):
    with pytest.raises(StateError) as raised:
        Comb(3, modulus, (15, 5)).power(exponent)
    assert raised.value.code == "state"


def test_power_is_a_plain_integer(modulus):
    assert type(Comb(3, modulus, (8,)).power(5)) is int
