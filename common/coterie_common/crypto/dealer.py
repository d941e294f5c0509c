# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The trusted dealer: makes a threshold key and discards its secrets.

While ``deal`` runs, its process knows the whole key. The primes, p'q', d and the polynomial are local variables of
functions here; nothing that carries them is returned, stored or logged. CPython cannot overwrite their memory: run the
dealer in a separate process that ends afterwards.

Source: Damgård and Jurik, PKC 2001, threshold variant, key generation.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from gmpy2 import gcd, invert, mpz, powmod, powmod_exp_list

from coterie_common.crypto.paillier import PublicKey
from coterie_common.crypto.primes import safe_prime_pair
from coterie_common.crypto.threshold import KeyShare, ThresholdPublicKey
from coterie_common.errors import ConfigurationError
from coterie_common.limits import KEY_BITS, MAX_PARTIES, MIN_PARTIES
from coterie_common.randomness import RandomSource
from coterie_common.secret import Secret


@dataclass(frozen=True, eq=False)
class Dealing:
    """A dealt key.

    Attributes:
        key: public.
        shares: one per party, in the order of their indices; together they are the secret key.
    """

    key: ThresholdPublicKey
    shares: tuple[KeyShare, ...]


def deal(*, key_bits: int, parties: int, decryption_threshold: int, random: RandomSource, s: int = 1) -> Dealing:
    """Make a threshold key and its shares.

    Takes about 1.5 s at 2048 bits, 4 s at 3072 and 17 s at 4096 on two cores, with a wide spread.

    Args:
        key_bits: length of the modulus, one of ``limits.KEY_BITS``.
        parties: n, ``limits.MIN_PARTIES`` to ``limits.MAX_PARTIES``.
        decryption_threshold: t, 1 to n.
        random: source of everything.
        s: plaintexts are integers modulo N^s.

    Raises:
        ConfigurationError: an argument is out of its range.

    Security: see the module; the caller must deliver each share to its party alone and keep none.
    """
    if key_bits not in KEY_BITS:
        raise ConfigurationError(
            f"a key of {key_bits} bits is not allowed; choose from {', '.join(map(str, KEY_BITS))}"
        )
    _check_parties(parties, decryption_threshold)
    p, q = safe_prime_pair(key_bits // 2, random)
    return _deal(p, q, parties, decryption_threshold, random, s, PublicKey)


def _deal_insecure_for_tests(
    p: int, q: int, *, parties: int, decryption_threshold: int, random: RandomSource, s: int = 1
) -> Dealing:
    """Deal with known primes of any size. Tests only: no command and no configuration calls this."""
    _check_parties(parties, decryption_threshold)
    return _deal(p, q, parties, decryption_threshold, random, s, PublicKey._insecure_for_tests)


def _check_parties(parties: int, decryption_threshold: int) -> None:
    if not MIN_PARTIES <= parties <= MAX_PARTIES:
        raise ConfigurationError(f"a key is dealt to {MIN_PARTIES} to {MAX_PARTIES} parties, not {parties}")
    if not 1 <= decryption_threshold <= parties:
        raise ConfigurationError(f"the decryption threshold must be 1 to {parties}, not {decryption_threshold}")


def _deal(
    p: int,
    q: int,
    parties: int,
    decryption_threshold: int,
    random: RandomSource,
    s: int,
    make_public_key: Callable[[int, int, int], PublicKey],
) -> Dealing:
    modulus = p * q
    y = _draw_unit(modulus, modulus, random)
    public_key = make_public_key(modulus, s, -y * y % modulus)
    shares = _share(p, q, public_key.plaintext_modulus, parties, decryption_threshold, random)
    base = int(powmod(_draw_unit(public_key.ciphertext_modulus, modulus, random), 2, public_key.ciphertext_modulus))
    key = ThresholdPublicKey(
        public_key=public_key,
        parties=parties,
        decryption_threshold=decryption_threshold,
        verification_base=base,
        verification_keys=tuple(map(int, powmod_exp_list(base, shares, public_key.ciphertext_modulus))),
    )
    return Dealing(key, tuple(KeyShare(index, Secret(share)) for index, share in enumerate(shares, start=1)))


def _share(p: int, q: int, space: int, parties: int, decryption_threshold: int, random: RandomSource) -> list[int]:
    """Return f(1), …, f(n) modulo N^s·p'q' for a random f of degree t − 1 with f(0) = d."""
    order = mpz((p // 2) * (q // 2))
    d = order * invert(order, space)
    group = space * order
    coefficients = [d] + [mpz(random.randbelow(int(group))) for _ in range(decryption_threshold - 1)]
    shares = []
    for index in range(1, parties + 1):
        value = mpz(0)
        for coefficient in reversed(coefficients):
            value = (value * index + coefficient) % group
        shares.append(int(value))
    return shares


def _draw_unit(bound: int, modulus: int, random: RandomSource) -> int:
    while True:
        value = random.randbelow(bound)
        if gcd(value, modulus) == 1:
            return value
