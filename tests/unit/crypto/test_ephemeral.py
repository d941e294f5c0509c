# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from coterie_common.crypto.masks.ephemeral import (
    CIPHERTEXT_BYTES,
    PUBLIC_BYTES,
    SEED_BYTES,
    EphemeralKey,
    EphemeralSecret,
)
from coterie_common.errors import KeyFileError, MalformedMessage
from tests.support.seeded_random import SeededRandom

ONE, OTHER = (EphemeralSecret.generate(SeededRandom(name)) for name in ("one", "other"))


def test_secret_of_the_same_seed_is_the_same():
    again = EphemeralSecret(ONE.seed())
    assert (again.public, again.seed()) == (ONE.public, ONE.seed())
    assert ONE.public != OTHER.public
    assert (len(ONE.seed()), len(ONE.public.encoded)) == (SEED_BYTES, PUBLIC_BYTES) == (96, 1216)


def test_public_key_is_that_of_the_two_primitives_side_by_side():
    point = X25519PrivateKey.from_private_bytes(ONE.seed()[:32]).public_key().public_bytes_raw()
    lattice = MLKEM768PrivateKey.from_seed_bytes(ONE.seed()[32:]).public_key().public_bytes_raw()
    assert ONE.public.encoded == point + lattice


def test_both_exchange_the_same_secret():
    assert ONE.exchange(OTHER.public) == OTHER.exchange(ONE.public)
    assert ONE.exchange(OTHER.public) != ONE.exchange(ONE.public)


def test_owner_alone_decapsulates():
    secret, ciphertext = OTHER.public.encapsulate()
    assert len(ciphertext) == CIPHERTEXT_BYTES
    assert OTHER.decapsulate(ciphertext) == secret
    assert ONE.decapsulate(ciphertext) != secret


def test_altered_ciphertext_gives_another_secret_and_no_error():
    secret, ciphertext = OTHER.public.encapsulate()
    assert OTHER.decapsulate(ciphertext[:-1] + bytes([ciphertext[-1] ^ 1])) != secret


def test_encapsulating_twice_gives_different_secrets():
    first, second = (OTHER.public.encapsulate() for _ in range(2))
    assert first[0] != second[0]
    assert first[1] != second[1]


@pytest.mark.parametrize("size", [0, PUBLIC_BYTES - 1, PUBLIC_BYTES + 1])
def test_public_key_of_another_length_is_malformed(size):
    with pytest.raises(MalformedMessage) as refusal:
        EphemeralKey(bytes(size))
    assert refusal.value.code == "malformed-message"


def test_public_key_with_numbers_out_of_range_is_malformed():
    # 12 bits each, and 4095 is above q = 3329.
    with pytest.raises(MalformedMessage):
        EphemeralKey(ONE.public.encoded[:32] + b"\xff" * 1184)


@pytest.mark.parametrize(
    "point",
    [
        bytes(32),
        bytes([1, *bytes(31)]),
        bytes.fromhex("e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800"),
        bytes.fromhex("5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157"),
        (2**255 - 20).to_bytes(32, "little"),
        (2**255 - 19).to_bytes(32, "little"),
        (2**255 - 18).to_bytes(32, "little"),
    ],
    ids=["0", "1", "of order 8", "of order 8 too", "p - 1", "p", "p + 1"],
)
def test_public_key_with_a_point_of_small_order_is_malformed(point):
    # The points of https://cr.yp.to/ecdh.html#validate
    with pytest.raises(MalformedMessage, match="small order"):
        EphemeralKey(point + OTHER.public.encoded[32:])


@pytest.mark.parametrize("size", [0, CIPHERTEXT_BYTES - 1, CIPHERTEXT_BYTES + 1])
def test_encapsulation_of_another_length_is_malformed(size):
    with pytest.raises(MalformedMessage):
        ONE.decapsulate(bytes(size))


@pytest.mark.parametrize("size", [0, SEED_BYTES - 1, SEED_BYTES + 1])
def test_seed_of_another_length_raises(size):
    with pytest.raises(KeyFileError):
        EphemeralSecret(bytes(size))


def test_secrets_show_nothing_and_cannot_be_pickled():
    secret, _ = OTHER.public.encapsulate()
    for each in (secret, ONE.exchange(OTHER.public)):
        assert "redacted" in f"{each!r} {each}"
        with pytest.raises(TypeError):
            pickle.dumps(each)
    with pytest.raises(TypeError):
        pickle.dumps(ONE)
    assert ONE.seed().hex() not in repr(ONE)
