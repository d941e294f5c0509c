# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Step 1 of the argument in docs/pad.md, carried out with small keys of both kinds.

A reduction knows neither the factors of N nor, in one place, the plaintext; what it computes must nevertheless be what
an honest run shows.
"""

from collections.abc import Sequence
from dataclasses import replace
from fractions import Fraction
from math import gcd, prod

import pytest

from coterie_common.crypto.dealer import Dealing
from coterie_common.crypto.paillier import Ciphertext, Encryptor, PublicKey
from coterie_common.crypto.threshold import combine, partial_decrypt
from tests.support.dealings import load_primes, make_dealing
from tests.support.generated_keys import make_generated
from tests.support.seeded_random import SeededRandom

MAKERS = [
    pytest.param((make, s), id=f"{name}-{s}")
    for name, make in (("dealt", make_dealing), ("generated", make_generated))
    for s in (1, 2)
]


@pytest.fixture(params=MAKERS)
def dealing(request: pytest.FixtureRequest) -> Dealing:
    """A key whose h = −y² has y = y₀^Δ, as the argument takes it; the shares do not depend on h."""
    make, s = request.param
    made: Dealing = make(5, 3, s=s)
    n = made.key.public_key.modulus
    generator = -pow(y_root(n), 2 * made.key.delta, n) % n
    return replace(made, key=replace(made.key, public_key=with_generator(made.key.public_key, generator)))


def with_generator(public_key: PublicKey, generator: int) -> PublicKey:
    return type(public_key)._insecure_for_tests(public_key.modulus, public_key.s, generator, public_key.nonce_bits)


def y_root(n: int) -> int:
    return SeededRandom("y").randbelow(n)


def opened(dealing: Dealing, ciphertext: Ciphertext, indices: Sequence[int] = (1, 2, 3)) -> int:
    shares = [dealing.shares[index - 1] for index in indices]
    return combine(
        dealing.key, [ciphertext], {share.index: partial_decrypt(dealing.key, share, [ciphertext]) for share in shares}
    )[0]


@pytest.mark.parametrize("challenged", [0, 17], ids=["zero", "the key"])
def test_pair_opens_to_its_sum_whatever_the_challenger_encrypted(dealing, challenged):
    public_key, random = dealing.key.public_key, SeededRandom("pair")
    encryptor, modulus, e = Encryptor(public_key), public_key.ciphertext_modulus, public_key.plaintext_modulus
    first_key, second_key = 17, 4711
    first = encryptor.encrypt(challenged, encryptor.draw_nonce(random))
    gamma = encryptor.draw_nonce(random).reveal()
    # The reduction uses the challenge as it is, and knows the root of the product only.
    both = encryptor.masked(first_key + second_key, gamma)
    second = public_key.check(both * pow(first.value, -1, modulus) % modulus)
    total = public_key.add([first, second])
    assert opened(dealing, total) == first_key + second_key
    n = public_key.modulus
    assert total.value % n == pow(public_key.generator, gamma * e, n)
    assert opened(dealing, second) == first_key + second_key - challenged


@pytest.mark.parametrize("sign", [1, -1])
def test_root_of_a_corrupted_contribution_is_extracted_with_its_sign(dealing, sign):
    public_key, random = dealing.key.public_key, SeededRandom("extraction")
    n, e = public_key.modulus, public_key.plaintext_modulus
    alpha = random.randbits(public_key.nonce_bits)
    root = sign * pow(public_key.generator, alpha, n) % n
    residue = pow(root, e, n)  # C modulo N
    # Two transcripts with one commitment: challenges differ by d, responses by y.
    d = random.randbits(128) | 1
    y = d * alpha
    assert pow(root, 2 * d, n) == pow(public_key.generator, 2 * y, n)
    # Shamir's trick, from what the transcripts and the ciphertext show.
    assert gcd(2 * d, e) == 1
    a = pow(2 * d, -1, e)
    b = (1 - a * 2 * d) // e
    assert pow(public_key.generator, 2 * y * a, n) * pow(residue, b, n) % n == root


@pytest.mark.parametrize("colluders", [(1, 2), (2, 5), (3, 4)], ids=str)
def test_partial_decryptions_of_honest_holders_follow_from_the_root_and_the_colluders_shares(dealing, colluders):
    key, random = dealing.key, SeededRandom("simulation")
    n, e, delta = key.public_key.modulus, key.public_key.plaintext_modulus, key.delta
    encryptor = Encryptor(key.public_key)
    gamma = encryptor.draw_nonce(random).reveal()
    ciphertext = key.public_key.check(encryptor.masked(4711, gamma))
    # Known: U = h^γ, and a Δ-th root of U², because h² = y₀^{4Δ}.
    root, rooted = pow(key.public_key.generator, gamma, n), pow(y_root(n), 4 * gamma, n)
    assert pow(rooted, delta, n) == pow(root, 2, n)
    x_rooted = pow(rooted, e * key.root_factor, n)  # Δ-th root of X²
    at_zero = pow(root * pow(ciphertext.value, -key.root_offset, n), 2, n)  # X^{2R}
    points = (0, *colluders)
    for share in dealing.shares:
        if share.index not in colluders:
            weights = {j: int(delta * prod(Fraction(share.index - m, j - m) for m in points if m != j)) for j in points}
            made = pow(at_zero, weights[0], n) * pow(ciphertext.value, 2 * delta * key.root_offset, n) % n
            for j in colluders:
                made = made * pow(x_rooted, weights[j] * dealing.shares[j - 1].value.reveal(), n) % n
            assert (made,) == partial_decrypt(key, share, [ciphertext])


def test_root_commits_to_one_plaintext(dealing):
    # An opening cannot be made up: with another plaintext's root the check fails, for there is only one root.
    public_key, random = dealing.key.public_key, SeededRandom("commitment")
    encryptor = Encryptor(public_key)
    one, other = (encryptor.encrypt(m, encryptor.draw_nonce(random)) for m in (1, 2))
    n, e, modulus = public_key.modulus, public_key.plaintext_modulus, public_key.ciphertext_modulus
    for ciphertext, root_of in ((one, one), (one, other)):
        root = pow(root_of.value, pow(e, -1, exponent_of_the_units()), n)
        fits = ciphertext.value * pow(root, -e, modulus) % modulus % n == 1
        assert fits is (ciphertext is root_of)


def exponent_of_the_units() -> int:
    p, q = load_primes()
    return (p - 1) * (q - 1) // 2
