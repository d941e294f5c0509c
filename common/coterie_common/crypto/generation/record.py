# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The key record that a generation ends with, and its trial: a ciphertext of known content that the holders open.

h = −y² and v = w² come from a hash of everything that was broadcast until N was opened, so nobody chose them. The trial
runs the product's own code over the record: check_record, partial decryptions, their proofs, opening.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from gmpy2 import gcd, mpz, powmod

from coterie_common.crypto.exponential import exponential
from coterie_common.crypto.generation.parameters import SLACK_BITS, GenerationParameters
from coterie_common.crypto.generation.root_exponent import RootExponents, committed_value, share_bits
from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.crypto.paillier import Ciphertext, PublicKey, full_nonce_bits
from coterie_common.crypto.proofs.partial_decryption import Proof, Statement, prove, verify
from coterie_common.crypto.threshold import KeyKind, KeyShare, ThresholdPublicKey, combine, partial_decrypt
from coterie_common.limits import KEY_BITS
from coterie_common.randomness import RandomSource


class Bases(NamedTuple):
    """What the record takes from the hash of all broadcasts until N was opened.

    Attributes:
        generator: h = −y² mod N.
        verification: v = w² mod N.
    """

    generator: int
    verification: int


def expand_bases(chain: bytes, modulus: int) -> Bases:
    """Return h and v for N.

    Args:
        chain: the digest of everything that was broadcast until N was opened.
        modulus: N.
    """
    y, w = (_expand_unit(chain, modulus, name) for name in ("generator", "verification-base"))
    return Bases(int(-y * y % modulus), int(w * w % modulus))


def _expand_unit(chain: bytes, modulus: int, name: str) -> mpz:
    size, attempt = (modulus.bit_length() + SLACK_BITS) // 8 + 1, 0
    while True:
        octets = tuple_hash(Label.GENERATION_BASES, chain, modulus, name, attempt, digest_bytes=size)
        value = mpz(int.from_bytes(octets, "big")) % modulus
        # With ±1 any share would pass for any other; no run will see it.
        if gcd(value, modulus) == 1 and value not in (1, modulus - 1):
            return value
        attempt += 1


def build_record(
    parameters: GenerationParameters,
    modulus: int,
    bases: Bases,
    exponents: RootExponents,
    commitments: Sequence[Sequence[int]],
) -> ThresholdPublicKey:
    """Return the key record.

    Args:
        parameters: of the generation.
        modulus: N.
        bases: h and v.
        exponents: (A, B).
        commitments: of every holder to the coefficients of its integer polynomial.

    Raises:
        KeyFileError: the numbers do not belong together.
    """
    # Parameters of another size exist in tests only.
    make = PublicKey if parameters.key_bits in KEY_BITS else PublicKey._insecure_for_tests
    public_key = make(modulus, parameters.s, bases.generator, full_nonce_bits(parameters.key_bits))
    keys = []
    for point in parameters.indices:
        key = mpz(1)
        for each in commitments:
            key = key * committed_value(each, point, modulus) % modulus
        keys.append(int(key))
    return ThresholdPublicKey(
        kind=KeyKind.GENERATED,
        public_key=public_key,
        holders=parameters.holders,
        decryption_threshold=parameters.decryption_threshold,
        root_factor=exponents.factor,
        root_offset=exponents.offset,
        share_bits=share_bits(parameters, modulus),
        verification_base=bases.verification,
        verification_keys=tuple(keys),
    )


class TrialOpening(NamedTuple):
    """One holder's part in opening the trial ciphertext."""

    partial: int
    proof: Proof


def open_trial(key: ThresholdPublicKey, session_id: bytes, share: KeyShare, random: RandomSource) -> TrialOpening:
    """Return a holder's partial decryption of the trial ciphertext, with its proof."""
    ciphertext, _ = _trial(key, session_id)
    partials = partial_decrypt(key, share, (ciphertext,))
    return TrialOpening(partials[0], prove(_statement(key, session_id, share.index, partials), share, random))


def verify_trial(key: ThresholdPublicKey, session_id: bytes, holder: int, opening: TrialOpening) -> None:
    """Check one holder's part.

    Raises:
        InvalidProof: it does not verify.
    """
    verify(_statement(key, session_id, holder, (opening.partial,)), opening.proof)


def opens_trial(key: ThresholdPublicKey, session_id: bytes, openings: Mapping[int, TrialOpening]) -> bool:
    """Return whether the verified parts of t holders open the trial ciphertext to what it holds.

    Raises:
        NotOpened: they open nothing.
    """
    ciphertext, plaintext = _trial(key, session_id)
    return combine(key, (ciphertext,), {i: (each.partial,) for i, each in openings.items()}) == (plaintext,)


def _trial(key: ThresholdPublicKey, session_id: bytes) -> tuple[Ciphertext, int]:
    """Return the trial ciphertext and its content, both from a hash of the record."""
    public_key = key.public_key
    size = public_key.ciphertext_bytes + public_key.modulus_bytes
    octets = tuple_hash(Label.GENERATION_TRIAL, session_id, key.digest, digest_bytes=size)
    plaintext = int.from_bytes(octets[: public_key.ciphertext_bytes], "big") % public_key.plaintext_modulus
    nonce = int.from_bytes(octets[public_key.ciphertext_bytes :], "big")
    mask = powmod(public_key.blinding_base, nonce, public_key.ciphertext_modulus)
    blinded = mask * exponential(plaintext, public_key.modulus, public_key.s) % public_key.ciphertext_modulus
    return public_key.check(int(blinded)), plaintext


def _statement(key: ThresholdPublicKey, session_id: bytes, holder: int, partials: tuple[int, ...]) -> Statement:
    return Statement(session_id, key.digest, holder, key, (_trial(key, session_id)[0],), partials)
