# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The trusted dealer: makes a threshold key and discards its secrets.

While ``deal`` runs, its process knows the whole key. The primes, p'q', R = e^{-1} mod p'q' and the polynomial are local
variables of functions here; nothing that carries them is returned, stored or logged. CPython cannot overwrite their
memory: run the dealer in a separate process that ends afterwards.

Source: Shoup, "Practical threshold signatures", EUROCRYPT 2000, dealing; here for the public exponent e = N^s.
Deviation: f(0) is Δ·R instead of R, the form that also shares over the integers have.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import factorial

from gmpy2 import gcd, invert, mpz, powmod, powmod_exp_list

from coterie_common.crypto.paillier import PublicKey, short_nonce_bits
from coterie_common.crypto.primes import safe_prime_pair
from coterie_common.crypto.threshold import KeyKind, KeyShare, ThresholdPublicKey
from coterie_common.errors import ConfigurationError
from coterie_common.limits import KEY_BITS, MAX_PARTIES, MIN_PARTIES
from coterie_common.randomness import RandomSource
from coterie_common.secret import Secret


@dataclass(frozen=True, eq=False)
class Dealing:
    """A dealt key.

    Attributes:
        key: public.
        shares: one per holder, in the order of their indices; together they are the secret key.
    """

    key: ThresholdPublicKey
    shares: tuple[KeyShare, ...]


def deal(*, key_bits: int, holders: int, decryption_threshold: int, random: RandomSource, s: int = 1) -> Dealing:
    """Make a threshold key and its shares.

    Takes about 1.5 s at 2048 bits, 4 s at 3072 and 17 s at 4096 on two cores, with a wide spread.

    Args:
        key_bits: length of the modulus, one of ``limits.KEY_BITS``.
        holders: k, ``limits.MIN_PARTIES`` to ``limits.MAX_PARTIES``.
        decryption_threshold: t, 1 to k.
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
    _check_holders(holders, decryption_threshold)
    p, q = safe_prime_pair(key_bits // 2, random)
    return _deal(p, q, holders, decryption_threshold, random, s, PublicKey)


def _deal_insecure_for_tests(
    p: int, q: int, *, holders: int, decryption_threshold: int, random: RandomSource, s: int = 1
) -> Dealing:
    """Deal with known primes of any size. Tests only: no command and no configuration calls this."""
    _check_holders(holders, decryption_threshold)
    return _deal(p, q, holders, decryption_threshold, random, s, PublicKey._insecure_for_tests)


def _check_holders(holders: int, decryption_threshold: int) -> None:
    if not MIN_PARTIES <= holders <= MAX_PARTIES:
        raise ConfigurationError(f"a key is dealt to {MIN_PARTIES} to {MAX_PARTIES} parties, not {holders}")
    if not 1 <= decryption_threshold <= holders:
        raise ConfigurationError(f"the decryption threshold must be 1 to {holders}, not {decryption_threshold}")


def _deal(
    p: int,
    q: int,
    holders: int,
    decryption_threshold: int,
    random: RandomSource,
    s: int,
    make_public_key: Callable[[int, int, int, int], PublicKey],
) -> Dealing:
    modulus = p * q
    y = _draw_unit(modulus, random)
    public_key = make_public_key(modulus, s, -y * y % modulus, short_nonce_bits(modulus.bit_length()))
    shares = _share(p, q, public_key.plaintext_modulus, holders, decryption_threshold, random)
    base = int(powmod(_draw_unit(modulus, random), 2, modulus))
    key = ThresholdPublicKey(
        kind=KeyKind.DEALT,
        public_key=public_key,
        holders=holders,
        decryption_threshold=decryption_threshold,
        root_factor=1,
        root_offset=0,
        share_bits=public_key.key_bits - 2,
        verification_base=base,
        verification_keys=tuple(map(int, powmod_exp_list(base, shares, modulus))),
    )
    return Dealing(key, tuple(KeyShare(index, Secret(share)) for index, share in enumerate(shares, start=1)))


def _share(p: int, q: int, e: int, holders: int, decryption_threshold: int, random: RandomSource) -> list[int]:
    """Return f(1), …, f(k) modulo p'q' for a random f of degree t − 1 with f(0) = Δ·e^{-1}."""
    order = mpz((p // 2) * (q // 2))
    secret = factorial(holders) * invert(e, order) % order
    coefficients = [secret] + [mpz(random.randbelow(int(order))) for _ in range(decryption_threshold - 1)]
    shares = []
    for index in range(1, holders + 1):
        value = mpz(0)
        for coefficient in reversed(coefficients):
            value = (value * index + coefficient) % order
        shares.append(int(value))
    return shares


def _draw_unit(modulus: int, random: RandomSource) -> int:
    while True:
        value = random.randbelow(modulus)
        if gcd(value, modulus) == 1:
            return value
