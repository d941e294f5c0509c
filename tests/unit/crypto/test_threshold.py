# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import copy
import json
import pickle
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest

from coterie_common.crypto.paillier import Encryptor
from coterie_common.crypto.threshold import KeyShare, ThresholdPublicKey, check_share, combine, partial_decrypt
from coterie_common.errors import InsufficientShares, KeyFileError, KeyMismatch
from coterie_common.secret import Secret
from tests.support.dealings import load_dealing, load_encryptor, load_primes, make_dealing
from tests.support.seeded_random import SeededRandom


@pytest.fixture(scope="module", params=[1, 2, 3])
def opened(request: pytest.FixtureRequest) -> tuple[ThresholdPublicKey, tuple[int, ...], dict[int, tuple[int, ...]]]:
    """A dealing for (5, 3), plaintexts, and everybody's partial decryptions of their ciphertexts."""
    dealing = make_dealing(5, 3, s=request.param)
    random = SeededRandom("opened")
    encryptor = Encryptor(dealing.key.public_key)
    space = dealing.key.public_key.plaintext_modulus
    plaintexts = (0, 1, space - 1, random.randbelow(space))
    ciphertexts = tuple(encryptor.encrypt(m, encryptor.draw_nonce(random)) for m in plaintexts)
    partials = {share.index: partial_decrypt(dealing.key, share, ciphertexts) for share in dealing.shares}
    return dealing.key, plaintexts, partials


def test_combine_over_every_subset_of_threshold_or_more_returns_the_plaintexts(opened):
    key, plaintexts, partials = opened
    for size in (3, 4, 5):
        for subset in combinations(partials, size):
            assert combine(key, {index: partials[index] for index in subset}) == plaintexts


def test_combine_over_every_subset_below_the_threshold_raises(opened):
    key, _, partials = opened
    for size in (0, 1, 2):
        for subset in combinations(partials, size):
            with pytest.raises(InsufficientShares) as raised:
                combine(key, {index: partials[index] for index in subset})
            assert raised.value.code == "insufficient-shares"


def test_too_few_shares_open_nothing_even_when_the_check_is_evaded(opened):
    key, _, partials = opened
    evaded = replace(key, decryption_threshold=2)
    for subset in combinations(partials, 2):
        with pytest.raises(KeyMismatch):
            combine(evaded, {index: partials[index] for index in subset})


@pytest.mark.parametrize(("parties", "threshold"), [(3, 3), (4, 3), (10, 7), (12, 9)])
def test_combine_for_other_shapes_returns_the_plaintext(parties, threshold):
    dealing, encryptor = load_dealing(parties, threshold), load_encryptor(parties, threshold)
    random = SeededRandom("shapes")
    ciphertext = encryptor.encrypt(4711, encryptor.draw_nonce(random))
    partials = {share.index: partial_decrypt(dealing.key, share, [ciphertext]) for share in dealing.shares}
    subsets = list(combinations(partials, threshold))
    for subset in subsets[:: max(1, len(subsets) // 12)]:
        assert combine(dealing.key, {index: partials[index] for index in subset}) == (4711,)


def test_combine_at_full_size_returns_the_plaintext():
    dealing, encryptor = load_dealing(key_bits=2048), load_encryptor(key_bits=2048)
    ciphertext = encryptor.encrypt(4711, encryptor.draw_nonce(SeededRandom(1)))
    partials = {share.index: partial_decrypt(dealing.key, share, [ciphertext]) for share in dealing.shares[1:]}
    assert combine(dealing.key, partials) == (4711,)


def test_combine_uses_the_lowest_indices_of_more_than_enough(opened):
    key, plaintexts, partials = opened
    assert combine(key, {**partials, 5: tuple(1 for _ in plaintexts)}) == plaintexts


def test_combine_of_no_ciphertexts_is_empty(opened):
    key, _, _ = opened
    assert combine(key, {1: (), 2: (), 3: ()}) == ()


def test_combine_with_a_wrong_partial_decryption_raises(opened):
    key, _, partials = opened
    with pytest.raises(KeyMismatch) as raised:
        combine(key, {1: partials[1], 2: partials[3], 3: partials[2]})
    assert raised.value.code == "key-mismatch"


def test_combine_with_unequal_counts_raises(opened):
    key, _, partials = opened
    with pytest.raises(KeyMismatch, match="party index 3 decrypted 3 ciphertexts, others 4"):
        combine(key, {1: partials[1], 2: partials[2], 3: partials[3][:-1]})


@pytest.mark.parametrize("index", [0, 6, -1])
def test_combine_with_an_index_that_was_not_dealt_raises(opened, index):
    key, _, partials = opened
    with pytest.raises(KeyMismatch):
        combine(key, {1: partials[1], 2: partials[2], index: partials[3]})


def test_combine_with_a_partial_decryption_that_is_no_unit_raises(opened):
    key, plaintexts, partials = opened
    bad = (load_primes()[0],) * len(plaintexts)
    # Coefficients of both signs occur, so that a non-unit lands above and below the fraction bar.
    for index in (1, 2, 3):
        with pytest.raises(KeyMismatch):
            combine(key, {**{i: partials[i] for i in (1, 2, 3)}, index: bad})


def test_partial_decrypt_is_the_formula(opened):
    key, _, _ = opened
    dealing = make_dealing(5, 3, s=key.public_key.s)
    encryptor = Encryptor(key.public_key)
    ciphertext = encryptor.encrypt(1, encryptor.draw_nonce(SeededRandom(1)))
    share = dealing.shares[1]
    expected = pow(ciphertext.value, 2 * 120 * share.value.reveal(), key.public_key.ciphertext_modulus)
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


def test_check_share_accepts_every_share_of_the_key(opened):
    key, _, _ = opened
    for share in make_dealing(5, 3, s=key.public_key.s).shares:
        check_share(key, share)


@pytest.mark.parametrize(
    "defect", ["altered", "other index", "index 0", "index 6", "negative", "too large", "other key"]
)
def test_check_share_that_does_not_match_raises(defect):
    dealing = load_dealing()
    value = dealing.shares[1].value.reveal()
    p, q = load_primes()
    group = p * q * (p // 2) * (q // 2)  # adding it changes no power
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


def test_digest_depends_on_every_part():
    key = load_dealing().key
    others = [
        replace(key, decryption_threshold=3),
        replace(key, verification_base=key.verification_keys[0]),
        replace(key, verification_keys=key.verification_keys[::-1]),
        load_dealing(4, 3).key,
    ]
    assert len({key.digest, *(other.digest for other in others)}) == 5


def test_document_comes_back_through_json():
    key = load_dealing(key_bits=2048).key
    again = ThresholdPublicKey.from_document(json.loads(json.dumps(key.to_document())))
    assert again == key
    assert again.digest == key.digest


def test_document_of_a_small_key_is_refused():
    with pytest.raises(KeyFileError):
        ThresholdPublicKey.from_document(load_dealing().key.to_document())


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("modulus", lambda d: d["modulus"].upper()),
        ("modulus", lambda d: "00" + d["modulus"]),
        ("modulus", lambda d: "0x" + d["modulus"][2:]),
        ("modulus", lambda d: int(d["modulus"], 16)),
        ("modulus", lambda d: d["modulus"][:-1] + "e"),
        ("modulus", lambda d: "0" + d["modulus"][1:]),
        ("s", lambda d: 0),
        ("s", lambda d: 2),
        ("s", lambda d: True),
        ("s", lambda d: "1"),
        ("generator", lambda d: "00" * 256),
        ("generator", lambda d: "00" * 255 + "01"),
        ("generator", lambda d: d["modulus"]),
        ("generator", lambda d: d["generator"].lstrip("0")[1:]),
        ("parties", lambda d: 4),
        ("parties", lambda d: 0),
        ("parties", lambda d: 201),
        ("decryption_threshold", lambda d: 0),
        ("decryption_threshold", lambda d: 6),
        ("decryption_threshold", lambda d: 4.0),
        ("verification_base", lambda d: "00" * 512),
        ("verification_base", lambda d: "00" * 511 + "01"),
        ("verification_base", lambda d: d["modulus"]),
        ("verification_base", lambda d: "00" * 256 + d["modulus"]),
        ("verification_keys", lambda d: d["verification_keys"][:-1]),
        ("verification_keys", lambda d: [*d["verification_keys"][:-1], "00" * 512]),
        ("verification_keys", lambda d: [*d["verification_keys"][:-1], "ff" * 512]),
        ("verification_keys", lambda d: [*d["verification_keys"][:-1], d["verification_keys"][-1][2:]]),
        ("verification_keys", lambda d: [*d["verification_keys"][:-1], None]),
        ("verification_keys", lambda d: "".join(d["verification_keys"])),
        ("unknown", lambda d: 1),
    ],
)
def test_document_with_a_defect_raises(change, value):
    document = load_dealing(key_bits=2048).key.to_document()
    document[change] = value(document)
    with pytest.raises(KeyFileError) as raised:
        ThresholdPublicKey.from_document(document)
    assert raised.value.code == "key-file"


def test_document_without_an_entry_or_no_object_raises():
    document = load_dealing(key_bits=2048).key.to_document()
    del document["verification_base"]
    documents: tuple[Any, ...] = (document, [], None, "key")
    for bad in documents:
        with pytest.raises(KeyFileError):
            ThresholdPublicKey.from_document(bad)
