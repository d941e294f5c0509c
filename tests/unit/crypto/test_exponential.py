# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import pytest

from coterie_common.crypto.exponential import exponential, logarithm
from coterie_common.errors import KeyMismatch
from tests.support.dealings import load_dealing
from tests.support.seeded_random import SeededRandom

N = load_dealing().key.public_key.modulus


@pytest.mark.parametrize("s", [1, 2, 3, 5, 8])
def test_exponential_equals_pow_and_logarithm_inverts_it(s):
    random = SeededRandom(s)
    for plaintext in (0, 1, 2, N - 1, N**s - 1, random.randbelow(N**s)):
        power = exponential(plaintext, N, s)
        assert power == pow(1 + N, plaintext, N ** (s + 1))
        assert logarithm(power, N, s) == plaintext


@pytest.mark.parametrize("s", [1, 2, 3])
def test_exponential_takes_residues(s):
    assert exponential(-1, N, s) == exponential(N**s - 1, N, s)
    assert exponential(N**s + 5, N, s) == exponential(5, N, s)


@pytest.mark.parametrize("value", [0, 2, N, N + 2])
def test_logarithm_of_what_is_no_power_raises(value):
    with pytest.raises(KeyMismatch) as raised:
        logarithm(value, N, 2)
    assert raised.value.code == "key-mismatch"
