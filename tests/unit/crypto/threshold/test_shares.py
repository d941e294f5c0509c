# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import copy
import pickle
from dataclasses import replace

import pytest

from coterie_common.crypto.dealer import Dealing
from coterie_common.crypto.paillier import Encryptor
from coterie_common.crypto.threshold import KeyShare, check_share, combine, partial_decrypt
from coterie_common.errors import KeyFileError, KeyMismatch, NotOpened
from coterie_common.secret import Secret
from tests.support.dealings import load_dealing, load_encryptor, load_primes, make_dealing
from tests.support.generated_keys import make_generated
from tests.support.seeded_random import SeededRandom


@pytest.fixture(
    params=[
        *(pytest.param((make_dealing, s), id=str(s)) for s in (1, 2, 3)),
        *(pytest.param((make_generated, s), id=f"generated-{s}") for s in (1, 2)),
    ]
)
def dealing(request: pytest.FixtureRequest) -> Dealing:
    make, s = request.param
    made: Dealing = make(5, 3, s=s)
    return made


def test_partial_decrypt_is_the_formula(dealing):
    key, share = dealing.key, dealing.shares[1]
    encryptor = Encryptor(key.public_key)
    ciphertext = encryptor.encrypt(1, encryptor.draw_nonce(SeededRandom(1)))
    modulus = key.public_key.modulus
    secret = pow(ciphertext.value, 2 * key.root_factor * share.value.reveal(), modulus)
    expected = secret * pow(ciphertext.value, 2 * key.delta * key.root_offset, modulus) % modulus
    assert partial_decrypt(key, share, [ciphertext]) == (expected,)


def test_partial_decrypt_of_another_keys_ciphertext_raises():
    dealing, other = load_dealing(), load_encryptor(4, 3)
    foreign = other.encrypt(1, other.draw_nonce(SeededRandom(1)))
    with pytest.raises(KeyMismatch):
        partial_decrypt(dealing.key, dealing.shares[0], [foreign])


def test_partial_decrypt_with_an_index_that_was_not_dealt_raises():
    dealing = load_dealing(4, 3)
    with pytest.raises(KeyMismatch):
        partial_decrypt(dealing.key, load_dealing().shares[4], [])


def test_check_share_accepts_every_share_of_the_key(dealing):
    for share in dealing.shares:
        check_share(dealing.key, share)


def test_check_share_longer_than_the_record_says_raises():
    # Its proofs would be too short to hide it.
    dealing = make_generated()
    longest = max(share.value.reveal().bit_length() for share in dealing.shares)
    assert longest > 512 + 128
    for share in dealing.shares:
        if share.value.reveal().bit_length() == longest:
            check_share(replace(dealing.key, share_bits=longest), share)
            with pytest.raises(KeyFileError):
                check_share(replace(dealing.key, share_bits=longest - 1), share)


@pytest.mark.parametrize("left_out", [{"root_factor": 1}, {"root_offset": 0}], ids=["A", "B"])
def test_partial_decrypt_of_a_generated_key_needs_its_root_exponents(left_out):
    dealing = make_generated()
    encryptor = Encryptor(dealing.key.public_key)
    ciphertext = encryptor.encrypt(7, encryptor.draw_nonce(SeededRandom(1)))
    without = replace(dealing.key, **left_out)
    partials = {share.index: partial_decrypt(without, share, [ciphertext]) for share in dealing.shares}
    with pytest.raises(NotOpened):
        combine(dealing.key, [ciphertext], partials)


@pytest.mark.parametrize(
    "defect", ["altered", "other index", "index 0", "index 6", "negative", "too large", "other key"]
)
def test_check_share_that_does_not_match_raises(defect):
    dealing = load_dealing()
    value = dealing.shares[1].value.reveal()
    p, q = load_primes()
    group = (p // 2) * (q // 2)  # adding it changes no power
    index, number = {
        "altered": (2, value + 1),
        "other index": (3, value),
        "index 0": (0, value),
        "index 6": (6, value),
        "negative": (2, value - group),
        "too large": (2, value + 5 * group),
        "other key": (2, load_dealing(4, 3).shares[1].value.reveal()),
    }[defect]
    with pytest.raises(KeyFileError) as raised:
        check_share(dealing.key, KeyShare(index, Secret(number)))
    assert raised.value.code == "key-file"


def test_share_bytes_come_back():
    dealing = load_dealing()
    for share in dealing.shares:
        again = KeyShare.from_bytes(dealing.key, share.to_bytes(dealing.key))
        assert (again.index, again.value.reveal()) == (share.index, share.value.reveal())


@pytest.mark.parametrize("defect", ["truncated", "padded", "empty", "altered", "other index"])
def test_share_bytes_with_a_defect_raise(defect):
    dealing = load_dealing()
    data = dealing.shares[1].to_bytes(dealing.key)
    bad = {
        "truncated": data[:-1],
        "padded": data + b"\0",
        "empty": b"",
        "altered": data[:-1] + bytes([data[-1] ^ 1]),
        "other index": b"\0\1" + data[2:],
    }[defect]
    with pytest.raises(KeyFileError):
        KeyShare.from_bytes(dealing.key, bad)


def test_shares_and_dealings_show_nothing_and_are_not_pickled():
    dealing = load_dealing()
    value = dealing.shares[0].value.reveal()
    shown = f"{dealing} {dealing!r} {dealing.shares[0]} {dealing.shares!r}"
    assert all(text not in shown for text in (str(value)[:20], f"{value:x}"[:20]))
    for secret in (dealing, dealing.shares[0], dealing.shares[0].value):
        with pytest.raises(TypeError):
            pickle.dumps(secret)
        with pytest.raises(TypeError):
            copy.deepcopy(secret)
