# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from math import factorial, gcd

import pytest

from coterie_common.crypto.generation import root_exponent as root
from coterie_common.crypto.generation.record import (
    build_record,
    expand_bases,
    open_trial,
    opens_trial,
    verify_trial,
)
from coterie_common.crypto.generation.sharing import integer_share_bound, share
from coterie_common.crypto.paillier import Encryptor, PublicKey
from coterie_common.crypto.threshold import KeyKind, KeyShare, check_record, check_share, combine, partial_decrypt
from coterie_common.errors import InvalidProof, KeyFileError
from coterie_common.secret import Secret
from tests.support.joint_modulus import SESSION, SharedModulus, make_modulus
from tests.support.seeded_random import SeededRandom


class Inverted:
    """Shares of a root exponent that all holders make in one place."""

    def __init__(self, shared: SharedModulus, seed: str = "inverted") -> None:
        random, parameters, n = SeededRandom(seed), shared.parameters, shared.modulus
        self.shared = shared
        self.bases = expand_bases(b"chain", n)
        self.secrets = [root.draw_secret(parameters, n, random) for _ in parameters.indices]
        self.commitments = [root.commit(each, self.bases.verification, n) for each in self.secrets]
        self.shares = {j: int(sum(each.at(j) for each in self.secrets)) for j in parameters.indices}
        self.multiples = [root.draw_multiple(parameters, n, random) for _ in parameters.indices]
        ring = root.gamma_modulus(parameters, n)
        drawn = [
            (
                share(multiple, parameters.degree, ring, random),
                share(root.totient_share(i, n, own), parameters.degree, ring, random),
                share(0, parameters.holders - 1, ring, random),
            )
            for i, own, multiple in zip(parameters.indices, shared.shares, self.multiples, strict=True)
        ]
        values = {
            j: root.gamma_share(
                parameters,
                n,
                [root.GammaValues(*(int(each.at(j, ring)) for each in three)) for three in drawn],
                self.shares[j],
                ring,
            )
            for j in parameters.indices
        }
        self.gamma = root.open_gamma(parameters, values, ring)
        self.exponents = root.root_exponents(parameters, n, self.gamma)
        self.key = build_record(parameters, n, self.bases, self.exponents, self.commitments)

    def key_shares(self) -> list[KeyShare]:
        return [KeyShare(j, Secret(value)) for j, value in self.shares.items()]


SHAPES = [(3, 2, 1), (4, 3, 1), (5, 3, 2), (9, 9, 1)]


@pytest.fixture(scope="module", params=SHAPES, ids=str)
def inverted(request: pytest.FixtureRequest) -> Inverted:
    holders, threshold, s = request.param
    return Inverted(make_modulus(holders, threshold, s=s))


def test_gamma_is_the_sum_by_plain_integers(inverted):
    (p, q), parameters = inverted.shared.factors, inverted.shared.parameters
    e, delta = inverted.shared.modulus**parameters.s, factorial(parameters.holders)
    secret = sum(int(each.reveal()[0]) for each in inverted.secrets) // delta
    assert inverted.gamma == sum(inverted.multiples) * (p - 1) * (q - 1) + e * secret
    assert inverted.gamma <= root.max_gamma(parameters, inverted.shared.modulus)
    a, b = inverted.exponents
    assert a * inverted.gamma + b * e == 1
    # A·R + B is 1/e modulo the order of the squares.
    order = (p - 1) * (q - 1) // 4
    assert (a * secret + b) * e % order == 1


def test_field_is_wide_enough_and_no_wider(inverted):
    parameters, n = inverted.shared.parameters, inverted.shared.modulus
    largest = root.max_gamma(parameters, n)
    e, k = n**parameters.s, parameters.holders
    assert largest >= k * (root.multiple_bound(parameters, n) - 1) * n + e * k * (2 ** (n.bit_length() + 256) - 1)
    ring = root.gamma_modulus(parameters, n)
    assert 4 * largest < ring < 8 * largest
    # What is inverted is a unit, though nobody looked for a prime.
    assert gcd(ring, delta := factorial(k)) == 1
    assert ring - 4 * largest <= delta


def test_commitments_bind_shares_and_gamma(inverted):
    parameters, n, v = inverted.shared.parameters, inverted.shared.modulus, inverted.bases.verification
    for author, commitments in zip(inverted.secrets, inverted.commitments, strict=True):
        for j in parameters.indices:
            value = int(author.at(j))
            assert root.is_in_size(parameters, n, j, value)
            assert root.matches(value, j, commitments, v, n)
            assert not root.matches(value + 1, j, commitments, v, n)
    constants = [each[0] for each in inverted.commitments]
    assert root.is_committed(parameters, n, inverted.gamma, constants, v)
    assert not root.is_committed(parameters, n, inverted.gamma + 1, constants, v)
    e = n**parameters.s
    assert not root.is_committed(parameters, n, inverted.gamma + e, constants, v)


def test_share_beyond_its_size_is_recognised(inverted):
    parameters, n = inverted.shared.parameters, inverted.shared.modulus
    for j in parameters.indices:
        bound = integer_share_bound(256 + 256, parameters.holders, parameters.decryption_threshold, j)
        assert root.is_in_size(parameters, n, j, bound - 1)
        assert not root.is_in_size(parameters, n, j, bound)
        assert not root.is_in_size(parameters, n, j, -1)


def test_record_passes_the_public_check_and_its_shares_open(inverted):
    key = inverted.key
    check_record(key)
    assert key.kind is KeyKind.GENERATED
    shares = inverted.key_shares()
    for each in shares:
        check_share(key, each)
    random = SeededRandom("opens")
    encryptor = Encryptor(key.public_key)
    ciphertext = encryptor.encrypt(123456789, encryptor.draw_nonce(random))
    t = key.decryption_threshold
    for chosen in (shares[:t], shares[-t:]):
        partials = {each.index: partial_decrypt(key, each, [ciphertext]) for each in chosen}
        assert combine(key, [ciphertext], partials) == (123456789,)


def test_trial_is_opened_with_proofs(inverted):
    key, random = inverted.key, SeededRandom("trial")
    openings = {each.index: open_trial(key, SESSION, each, random) for each in inverted.key_shares()}
    for holder, opening in openings.items():
        verify_trial(key, SESSION, holder, opening)
    assert opens_trial(key, SESSION, openings)
    other = openings[2]._replace(partial=openings[1].partial)
    with pytest.raises(InvalidProof):
        verify_trial(key, SESSION, 2, other)


def test_record_with_another_gamma_fails_the_public_check():
    inverted = Inverted(make_modulus())
    parameters, n = inverted.shared.parameters, inverted.shared.modulus
    exponents = root.root_exponents(parameters, n, inverted.gamma + 2)
    key = build_record(parameters, n, inverted.bases, exponents, inverted.commitments)
    with pytest.raises(KeyFileError):
        check_record(key)


def test_bases_come_from_the_hash_of_what_was_broadcast():
    n = make_modulus().modulus
    bases = expand_bases(b"chain", n)
    assert expand_bases(b"another", n) != bases
    p, q = make_modulus().factors
    for prime in (p, q):
        assert pow(bases.verification, (prime - 1) // 2, prime) == 1
        assert pow(-bases.generator, (prime - 1) // 2, prime) == 1


def test_small_sizes_are_refused_by_the_key_itself():
    shared = make_modulus()
    with pytest.raises(KeyFileError):
        PublicKey(shared.modulus, 1, expand_bases(b"chain", shared.modulus).generator, 384)
