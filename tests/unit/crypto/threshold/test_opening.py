# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations

import phe
import pytest

from coterie_common.crypto.dealer import _deal_insecure_for_tests
from coterie_common.crypto.paillier import Ciphertext, Encryptor
from coterie_common.crypto.threshold import (
    ThresholdPublicKey,
    combine,
    combine_any,
    combine_powers,
    opening,
    partial_decrypt,
)
from coterie_common.errors import InsufficientShares, KeyMismatch, NotOpened
from tests.support.dealings import load_dealing, load_encryptor, load_primes, make_dealing
from tests.support.generated_keys import make_generated
from tests.support.seeded_random import SeededRandom

Partials = dict[int, tuple[int, ...]]
Opened = tuple[ThresholdPublicKey, tuple[Ciphertext, ...], tuple[int, ...], Partials]


@pytest.fixture(
    scope="module",
    params=[
        *(pytest.param((make_dealing, s), id=str(s)) for s in (1, 2, 3)),
        *(pytest.param((make_generated, s), id=f"generated-{s}") for s in (1, 2)),
    ],
)
def opened(request: pytest.FixtureRequest) -> Opened:
    """A key for (5, 3), ciphertexts, their plaintexts, and everybody's partial decryptions."""
    make, s = request.param
    dealing = make(5, 3, s=s)
    random = SeededRandom("opened")
    encryptor = Encryptor(dealing.key.public_key)
    space = dealing.key.public_key.plaintext_modulus
    plaintexts = (0, 1, space - 1, random.randbelow(space))
    ciphertexts = tuple(encryptor.encrypt(m, encryptor.draw_nonce(random)) for m in plaintexts)
    partials = {share.index: partial_decrypt(dealing.key, share, ciphertexts) for share in dealing.shares}
    return dealing.key, ciphertexts, plaintexts, partials


def test_combine_over_every_subset_of_threshold_or_more_returns_the_plaintexts(opened):
    key, ciphertexts, plaintexts, partials = opened
    for size in (3, 4, 5):
        for subset in combinations(partials, size):
            assert combine(key, ciphertexts, {index: partials[index] for index in subset}) == plaintexts


def test_combine_over_every_subset_below_the_threshold_raises(opened):
    key, ciphertexts, _, partials = opened
    for size in (0, 1, 2):
        for subset in combinations(partials, size):
            with pytest.raises(InsufficientShares) as raised:
                combine(key, ciphertexts, {index: partials[index] for index in subset})
            assert raised.value.code == "insufficient-shares"


def test_too_few_shares_open_nothing_even_when_the_check_is_evaded(opened):
    key, ciphertexts, _, partials = opened
    evaded = replace(key, decryption_threshold=2)
    for subset in combinations(partials, 2):
        with pytest.raises(NotOpened):
            combine(evaded, ciphertexts, {index: partials[index] for index in subset})


@pytest.mark.parametrize(("parties", "threshold"), [(3, 3), (4, 3), (10, 7), (12, 9)])
def test_combine_for_other_shapes_returns_the_plaintext(parties, threshold):
    dealing, encryptor = load_dealing(parties, threshold), load_encryptor(parties, threshold)
    random = SeededRandom("shapes")
    ciphertext = encryptor.encrypt(4711, encryptor.draw_nonce(random))
    partials = {share.index: partial_decrypt(dealing.key, share, [ciphertext]) for share in dealing.shares}
    subsets = list(combinations(partials, threshold))
    for subset in subsets[:: max(1, len(subsets) // 12)]:
        assert combine(dealing.key, [ciphertext], {index: partials[index] for index in subset}) == (4711,)


def test_combine_at_full_size_returns_the_plaintext():
    dealing, encryptor = load_dealing(key_bits=2048), load_encryptor(key_bits=2048)
    ciphertext = encryptor.encrypt(4711, encryptor.draw_nonce(SeededRandom(1)))
    partials = {share.index: partial_decrypt(dealing.key, share, [ciphertext]) for share in dealing.shares[1:]}
    assert combine(dealing.key, [ciphertext], partials) == (4711,)


def test_combine_uses_the_lowest_indices_of_more_than_enough(opened):
    key, ciphertexts, plaintexts, partials = opened
    assert combine(key, ciphertexts, {**partials, 5: tuple(2 for _ in plaintexts)}) == plaintexts


def test_combine_of_no_ciphertexts_is_empty(opened):
    key, _, _, _ = opened
    assert combine(key, [], {1: (), 2: (), 3: ()}) == ()


def test_combine_with_a_wrong_partial_decryption_raises(opened):
    key, ciphertexts, _, partials = opened
    with pytest.raises(NotOpened) as raised:
        combine(key, ciphertexts, {1: partials[1], 2: partials[3], 3: partials[2]})
    assert raised.value.code == "not-opened"


def test_combine_with_unequal_counts_raises(opened):
    key, ciphertexts, _, partials = opened
    with pytest.raises(KeyMismatch, match="holder index 3 decrypted 3 ciphertexts instead of 4"):
        combine(key, ciphertexts, {1: partials[1], 2: partials[2], 3: partials[3][:-1]})


@pytest.mark.parametrize("index", [0, 6, -1])
def test_combine_with_an_index_that_was_not_dealt_raises(opened, index):
    key, ciphertexts, _, partials = opened
    with pytest.raises(KeyMismatch):
        combine(key, ciphertexts, {1: partials[1], 2: partials[2], index: partials[3]})


def test_combine_with_a_partial_decryption_that_is_no_unit_raises(opened):
    key, ciphertexts, plaintexts, partials = opened
    # Coefficients of both signs occur, so that a non-unit lands above and below the fraction bar.
    for number in (0, load_primes()[0], key.public_key.modulus, -1):
        for index in (1, 2, 3):
            bad = (number,) * len(plaintexts)
            with pytest.raises(KeyMismatch):
                combine(key, ciphertexts, {**{i: partials[i] for i in (1, 2, 3)}, index: bad})


def altered(partials: Partials, index: int, change: Callable[[int], int]) -> Partials:
    """Return everybody's partial decryptions, those of one holder changed."""
    return {**partials, index: tuple(change(value) for value in partials[index])}


def test_combine_with_any_partial_decryption_changed_in_any_place_raises(opened):
    key, ciphertexts, _, partials = opened
    modulus = key.public_key.modulus
    changes = [
        lambda value: value + 1,
        lambda value: value * 4 % modulus,
        lambda value: pow(value, 2, modulus),
        lambda value: pow(value, -1, modulus),
        lambda value: 1,
    ]
    for index in (1, 2, 3):
        for change in changes:
            for place in range(len(ciphertexts)):
                bad = list(partials[index])
                bad[place] = change(bad[place])
                with pytest.raises(NotOpened):
                    combine(key, ciphertexts, {**partials, index: tuple(bad)})


def test_combine_with_the_partial_decryptions_of_other_ciphertexts_raises(opened):
    key, ciphertexts, _, partials = opened
    for index in (1, 2, 3):
        with pytest.raises(NotOpened):
            combine(key, ciphertexts, {**partials, index: partials[index][::-1]})


def test_combine_with_negated_partial_decryptions_returns_the_plaintexts(opened):
    # −1 is the one element of small order that anybody knows: even powers are taken of every value.
    key, ciphertexts, plaintexts, partials = opened
    modulus = key.public_key.modulus
    for index in (1, 2, 3):
        assert combine(key, ciphertexts, altered(partials, index, lambda value: modulus - value)) == plaintexts


def test_combine_of_negated_ciphertexts_returns_the_plaintexts(opened):
    # −C has the root −u, e being odd; the partial decryptions are those of C.
    key, ciphertexts, plaintexts, partials = opened
    public_key = key.public_key
    negated = [public_key.check(public_key.ciphertext_modulus - c.value) for c in ciphertexts]
    assert combine(key, negated, partials) == plaintexts


def test_combine_with_the_share_of_another_key_raises(opened):
    key, ciphertexts, _, partials = opened
    # Of the same modulus and shape, from another dealing: another epoch's share.
    p, q = load_primes()
    other = _deal_insecure_for_tests(
        p, q, holders=5, decryption_threshold=3, random=SeededRandom("another epoch"), s=key.public_key.s
    )
    share = other.shares[0]
    exponent = 2 * (key.root_factor * share.value.reveal() + key.delta * key.root_offset)
    bad = tuple(pow(c.value, exponent, p * q) for c in ciphertexts)
    with pytest.raises(NotOpened):
        combine(key, ciphertexts, {**partials, 1: bad})


def test_combine_of_another_keys_ciphertext_raises():
    dealing, other = load_dealing(), load_encryptor(4, 3)
    foreign = other.encrypt(1, other.draw_nonce(SeededRandom(1)))
    with pytest.raises(KeyMismatch):
        combine(dealing.key, [foreign], dict.fromkeys(range(1, 5), (2,)))


def test_the_opened_root_is_that_of_the_encryption(opened):
    # The check of an opening in plain integers: u^e is C modulo N, and C·u^{−e} is a power of 1 + N.
    key, ciphertexts, plaintexts, partials = opened
    n, s = key.public_key.modulus, key.public_key.s
    fourfold = 4 * key.delta**2
    alpha = pow(fourfold, -1, n**s)
    beta = (1 - alpha * fourfold) // n**s
    powers = combine_powers(key, ciphertexts, {i: partials[i] for i in (1, 3, 4)})
    for power, ciphertext, plaintext in zip(powers, ciphertexts, plaintexts, strict=True):
        assert pow(power, n**s, n) == pow(ciphertext.value, fourfold, n)
        # Y = u^{4Δ²} and C = u^e give u itself.
        root = pow(power, alpha, n) * pow(ciphertext.value, beta, n) % n
        assert pow(root, n**s, n) == ciphertext.value % n
        opened_to = ciphertext.value * pow(root, -(n**s), n ** (s + 1)) % n ** (s + 1)
        assert opened_to == pow(1 + n, plaintext, n ** (s + 1))


@pytest.mark.parametrize("make", [make_dealing, make_generated], ids=["dealt", "generated"])
def test_opening_agrees_with_python_paillier_in_both_directions(make):
    dealing, random = make(5, 3), SeededRandom("phe")
    public_key, (p, q) = dealing.key.public_key, load_primes()
    theirs = phe.PaillierPublicKey(public_key.modulus)
    private = phe.PaillierPrivateKey(theirs, p, q)
    encryptor = Encryptor(public_key)
    for _ in range(3):
        plaintext = random.randbelow(public_key.modulus)
        # They draw the root u itself, a unit modulo N.
        foreign = public_key.check(theirs.raw_encrypt(plaintext, random.randbelow(public_key.modulus)))
        own = encryptor.encrypt(plaintext, encryptor.draw_nonce(random))
        assert private.raw_decrypt(own.value) == plaintext
        for indices in ((1, 2, 3), (2, 4, 5)):
            shares = [dealing.shares[index - 1] for index in indices]
            for ciphertext in (own, foreign):
                partials = {share.index: partial_decrypt(dealing.key, share, [ciphertext]) for share in shares}
                assert combine(dealing.key, [ciphertext], partials) == (plaintext,)


def test_combine_any_finds_the_set_that_opens(opened):
    key, ciphertexts, plaintexts, partials = opened
    for index in partials:
        spoilt = altered(partials, index, lambda value: value * 4 % key.public_key.modulus)
        assert combine_any(key, ciphertexts, spoilt) == plaintexts


def test_combine_any_of_sets_that_all_fail_raises(opened):
    key, ciphertexts, _, partials = opened
    spoilt = partials
    # Each by a factor of its own: errors on one polynomial through 0 would cancel.
    modulus = key.public_key.modulus
    for index, factor in ((1, 4), (3, 9), (5, 25)):
        spoilt = {**spoilt, index: tuple(value * factor % modulus for value in partials[index])}
    with pytest.raises(NotOpened, match="none of the sets of 3"):
        combine_any(key, ciphertexts, spoilt)


def test_combine_any_gives_up_after_a_bounded_number_of_sets(monkeypatch):
    tried = []
    monkeypatch.setattr(opening, "_opens", lambda key, one, partials: bool(tried.append(tuple(partials))))
    dealing, encryptor = make_dealing(20, 14), load_encryptor()
    ciphertext = dealing.key.public_key.check(encryptor.encrypt(1, encryptor.draw_nonce(SeededRandom(1))).value)
    with pytest.raises(NotOpened):
        combine_any(dealing.key, [ciphertext], dict.fromkeys(range(1, 21), (2,)))
    assert len(set(tried)) == len(tried) == opening.MAX_SETS
