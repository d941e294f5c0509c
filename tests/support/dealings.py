# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Dealt keys for tests, ready made (tests/support/keys): INSECURE, their shares are published with the source."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from gmpy2 import invert, powmod_base_list

from coterie_common.crypto.dealer import Dealing, _deal_insecure_for_tests
from coterie_common.crypto.paillier import Ciphertext, Encryptor, PublicKey
from coterie_common.crypto.threshold import KeyKind, KeyShare, ThresholdPublicKey
from coterie_common.errors import KeyFileError
from coterie_common.secret import Secret
from tests.support.seeded_random import SeededRandom

_KEYS = Path(__file__).parent / "keys"


@cache
def load_dealing(parties: int = 5, decryption_threshold: int = 4, key_bits: int = 512) -> Dealing:
    """Return a cached dealing with s = 1.

    At 512 bits: (3, 3), (4, 3), (5, 4), (10, 7), (12, 9); at 2048: (3, 3), (5, 4), (12, 9).
    """
    path = _KEYS / f"insecure-dealing-{key_bits}-{parties}-{decryption_threshold}.json"
    document = json.loads(path.read_text())
    entries = document["key"]
    key = ThresholdPublicKey(
        kind=KeyKind(entries["kind"]),
        public_key=PublicKey._insecure_for_tests(
            modulus=int(entries["modulus"], 16),
            s=entries["s"],
            generator=int(entries["generator"], 16),
            nonce_bits=entries["nonce_bits"],
        ),
        holders=entries["holders"],
        decryption_threshold=entries["decryption_threshold"],
        root_factor=int(entries["root_factor"], 16),
        root_offset=int(entries["root_offset"], 16),
        share_bits=entries["share_bits"],
        verification_base=int(entries["verification_base"], 16),
        verification_keys=tuple(int(value, 16) for value in entries["verification_keys"]),
    )
    shares = tuple(KeyShare(index, Secret(int(value, 16))) for index, value in enumerate(document["shares"], start=1))
    return Dealing(key, shares)


@cache
def load_encryptor(parties: int = 5, decryption_threshold: int = 4, key_bits: int = 512) -> Encryptor:
    """Return the encryptor of ``load_dealing`` with the same arguments; its tables are made once per test run."""
    return Encryptor(load_dealing(parties, decryption_threshold, key_bits).key.public_key)


@cache
def load_primes(key_bits: int = 512) -> tuple[int, int]:
    """Return the safe primes p, q under all dealings of that size."""
    document = json.loads((_KEYS / f"insecure-primes-{key_bits}.json").read_text())
    return int(document["p"], 16), int(document["q"], 16)


@cache
def make_dealing(parties: int = 5, decryption_threshold: int = 3, s: int = 1, key_bits: int = 512) -> Dealing:
    """Deal anew from the cached primes, reproducibly: any shape and any s, for the price of a few powers."""
    p, q = load_primes(key_bits)
    return _deal_insecure_for_tests(
        p,
        q,
        holders=parties,
        decryption_threshold=decryption_threshold,
        random=SeededRandom(f"made dealing {key_bits} {parties} {decryption_threshold} {s}"),
        s=s,
    )


def partials_by_factors(key: ThresholdPublicKey, share: KeyShare, ciphertexts: Sequence[Ciphertext]) -> tuple[int, ...]:
    """Return ``threshold.partial_decrypt`` of a dealt key in a fraction of its time, modulo the published p and q."""
    exponent, modulus = 2 * share.value.reveal(), key.public_key.modulus
    totals = [0] * len(ciphertexts)
    for prime in load_primes(key.public_key.key_bits):
        rest = modulus // prime
        unit = rest * invert(rest, prime)  # 1 modulo this prime, 0 modulo the other
        powers = powmod_base_list([c.value for c in ciphertexts], exponent % (prime - 1), prime)
        totals = [total + int(power * unit) for total, power in zip(totals, powers, strict=True)]
    return tuple(total % modulus for total in totals)


def other_keys(key: PublicKey) -> tuple[PublicKey, PublicKey, PublicKey]:
    """Return keys that differ from one with s = 1 in the modulus, in s and in the generator only."""
    modulus = key.modulus
    while True:
        modulus += 2
        try:
            other = PublicKey._insecure_for_tests(modulus, 1, key.generator, key.nonce_bits)
        except KeyFileError:  # most numbers have a small factor
            continue
        return (
            other,
            PublicKey._insecure_for_tests(key.modulus, 2, key.generator, key.nonce_bits),
            PublicKey._insecure_for_tests(key.modulus, 1, pow(key.generator, 3, key.modulus), key.nonce_bits),
        )
