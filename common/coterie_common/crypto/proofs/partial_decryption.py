# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Proof that partial decryptions D_k = C_k^{2·(A·s_i + Δ·B)} were made with the share behind v_i = v^{s_i}.

One proof for all ciphertexts of a round, all of it modulo N: with weights ρ_k, X = ∏ C_k^{4A·ρ_k} and
Y = ∏ D_k^{2ρ_k}·C_k^{−4ΔB·ρ_k}, it shows that log_X Y = log_v v_i. Commitments a = X^r, b = v^r, challenge e, response
z = r + e·s_i over the integers; X^z = a·Y^e and v^z = b·v_i^e. It always comes with partial decryptions, and is looked
at only if they do not open.

- The witness is s_i itself, of ``share_bits``: r has 256 bits more, 128 for the challenge and 128 for hiding. A nonce
  sized for anything shorter leaks the share.
- Weights absorb the whole statement, the challenge also X, Y and the commitments.
- Squares: C_k^4 and D_k^2 are squares. A partial decryption may have the other sign; combining raises it to an even
  power.
- Soundness, for a dealt key: the order of a square has no prime factor below |N|/2 − 1 bits, N being a product of safe
  primes. Of values made with another exponent than s_i, one challenge in 2^128 can be answered, and one weight in 2^128
  hides one of them behind the others: a prover that computes q hashes passes with probability at most 2q·2^-128.
- For a generated key squares may have small orders: an element of order r in a value passes with probability 1/r. The
  sum then does not open, and nobody is named: other partial decryptions are tried (``threshold.combine_any``).

Source: Shoup, EUROCRYPT 2000, proof of correctness; batching with small exponents:
Bellare, Garay and Rabin, EUROCRYPT '98.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from gmpy2 import mpz, powmod, powmod_base_list

from coterie_common.crypto.hashing import Item, Label, challenge, tuple_hash
from coterie_common.crypto.multiexponentiation import product_of_powers
from coterie_common.crypto.paillier import PROOF_NONCE_BITS, Ciphertext
from coterie_common.crypto.threshold import KeyShare, ThresholdPublicKey
from coterie_common.errors import InvalidProof, KeyMismatch, MalformedMessage, StateError
from coterie_common.randomness import RandomSource

_CHALLENGE_BITS: Final = 128
_WEIGHT_BITS: Final = 128


@dataclass(frozen=True, slots=True)
class Statement:
    """The statement of the proof, and its round.

    Attributes:
        session_id: of the round.
        transcript_digest: of the contributions whose sum is opened.
        index: i, the holder's index.
        key: the threshold key.
        ciphertexts: C_1..C_K, at least one.
        partials: D_1..D_K as they came from the holder.

    Raises:
        KeyMismatch: a ciphertext belongs to another key, or the index to none.
        StateError: there is no ciphertext.
    """

    session_id: bytes
    transcript_digest: bytes
    index: int
    key: ThresholdPublicKey
    ciphertexts: tuple[Ciphertext, ...] = field(repr=False)
    partials: tuple[int, ...] = field(repr=False)

    def __post_init__(self) -> None:
        self.key.require_index(self.index)
        if not self.ciphertexts:
            raise StateError("a proof of partial decryption covers at least one ciphertext")
        for ciphertext in self.ciphertexts:
            self.key.public_key.require_own(ciphertext)

    @property
    def verification_key(self) -> int:
        """v_i."""
        return self.key.verification_keys[self.index - 1]

    def items(self) -> tuple[Item, ...]:
        """Return all items that weights and challenge absorb."""
        return (
            self.session_id,
            self.transcript_digest,
            self.index,
            self.key.digest,
            self.key.root_factor,
            self.key.root_offset,
            self.verification_key,
            [ciphertext.value for ciphertext in self.ciphertexts],
            self.partials,
        )


@dataclass(frozen=True, slots=True)
class Proof:
    """The proof.

    Attributes:
        commitment_x: a = X^r.
        commitment_v: b = v^r.
        response: z, at most one bit longer than r.
    """

    commitment_x: int = field(repr=False)
    commitment_v: int = field(repr=False)
    response: int = field(repr=False)

    def to_bytes(self, key: ThresholdPublicKey) -> bytes:
        """Return the one encoding: a, b, z, big-endian, each of a length that follows from the key."""
        numbers = (self.commitment_x, self.commitment_v, self.response)
        return b"".join(number.to_bytes(size, "big") for number, size in zip(numbers, _sizes(key), strict=True))

    @classmethod
    def from_bytes(cls, key: ThresholdPublicKey, data: bytes) -> Proof:
        """Parse the output of ``to_bytes``.

        Raises:
            MalformedMessage: another length.
        """
        sizes = _sizes(key)
        if len(data) != sum(sizes):
            raise MalformedMessage(f"a proof of partial decryption has {len(data)} bytes instead of {sum(sizes)}")
        middle, last = sizes[0], sizes[0] + sizes[1]
        return cls(*(int.from_bytes(part, "big") for part in (data[:middle], data[middle:last], data[last:])))


def prove(statement: Statement, share: KeyShare, random: RandomSource) -> Proof:
    """Prove that the partial decryptions were made with ``share``.

    Costs two powers as long as the share and 256 bits each, with the interpreter's lock released. For a generated key,
    powers with A and with Δ·B come on top, one each for all ciphertexts together.

    Raises:
        KeyMismatch: the share has another index, or the statement does not have one value per ciphertext.

    Security: r is drawn anew for every proof; two proofs with the same one reveal the share.
    """
    if share.index != statement.index or len(statement.partials) != len(statement.ciphertexts):
        raise KeyMismatch("the share or the partial decryptions do not belong to the statement")
    modulus = statement.key.public_key.modulus
    x, y = _batched(statement)
    r = random.randbits(nonce_bits(statement.key))
    a, b = (int(power) for power in powmod_base_list([x, statement.key.verification_base], r, modulus))
    e = _challenge(statement, x, y, a, b)
    return Proof(a, b, r + e * share.value.reveal())


def verify(statement: Statement, proof: Proof) -> None:
    """Check a proof.

    Raises:
        InvalidProof: with the number of the failed check; the culprit is the holder with the statement's index.
    """
    _verify(statement, proof, _CHALLENGE_BITS, _WEIGHT_BITS)


def _verify(statement: Statement, proof: Proof, challenge_bits: int, weight_bits: int) -> None:
    """Check a proof; tests of the soundness error shorten challenge and weights."""
    key = statement.key.public_key
    modulus = mpz(key.modulus)
    # 1. One value per ciphertext.
    if len(statement.partials) != len(statement.ciphertexts):
        raise _invalid(statement, 1, f"{len(statement.partials)} values for {len(statement.ciphertexts)} ciphertexts")
    # 2. Every value is a unit in range.
    if not all(map(key.is_unit_modulo_n, statement.partials)):
        raise _invalid(statement, 2, "a value is out of range or no unit")
    # 3. The commitments are units in range.
    if not (key.is_unit_modulo_n(proof.commitment_x) and key.is_unit_modulo_n(proof.commitment_v)):
        raise _invalid(statement, 3, "a commitment is out of range or no unit")
    # 4. The response is no longer than an honest one can be.
    if not 0 <= proof.response < 1 << (nonce_bits(statement.key) + 1):
        raise _invalid(statement, 4, "the response is out of range")
    x, y = _batched(statement, weight_bits)
    e = _challenge(statement, x, y, proof.commitment_x, proof.commitment_v, challenge_bits)
    bases = [x, statement.key.verification_base]
    x_power, v_power = powmod_base_list(bases, proof.response, modulus)
    # 5. The verification key has the logarithm that the response answers for.
    if v_power != proof.commitment_v * powmod(statement.verification_key, e, modulus) % modulus:
        raise _invalid(statement, 5, "the equation of the verification key does not hold")
    # 6. The partial decryptions have the same logarithm.
    if x_power != proof.commitment_x * powmod(y, e, modulus) % modulus:
        raise _invalid(statement, 6, "the equation of the partial decryptions does not hold")


def nonce_bits(key: ThresholdPublicKey) -> int:
    """Return |r|: 256 bits more than the longest share."""
    return key.share_bits + PROOF_NONCE_BITS


def _batched(statement: Statement, weight_bits: int = _WEIGHT_BITS) -> tuple[int, int]:
    modulus = statement.key.public_key.modulus
    weights = _weights(statement, weight_bits)
    c = product_of_powers([ciphertext.value % modulus for ciphertext in statement.ciphertexts], weights, modulus)
    d = product_of_powers(statement.partials, weights, modulus)
    key = statement.key
    x = powmod(c, 4 * key.root_factor, modulus)
    y = powmod(d, 2, modulus) * powmod(c, -4 * key.delta * key.root_offset, modulus) % modulus
    return int(x), int(y)


def _weights(statement: Statement, bits: int = _WEIGHT_BITS) -> list[int]:
    size = _WEIGHT_BITS // 8
    count = len(statement.ciphertexts)
    digest = tuple_hash(Label.PARTIAL_DECRYPTION_WEIGHT, *statement.items(), digest_bytes=size * count)
    return [int.from_bytes(digest[size * k : size * (k + 1)], "big") >> (_WEIGHT_BITS - bits) for k in range(count)]


def _challenge(statement: Statement, x: int, y: int, a: int, b: int, bits: int = _CHALLENGE_BITS) -> int:
    full = challenge(Label.PARTIAL_DECRYPTION_PROOF, *statement.items(), x, y, a, b, bits=_CHALLENGE_BITS)
    return full >> (_CHALLENGE_BITS - bits)


def _sizes(key: ThresholdPublicKey) -> tuple[int, int, int]:
    size = key.public_key.modulus_bytes
    return size, size, -(-(nonce_bits(key) + 1) // 8)


def _invalid(statement: Statement, check: int, detail: str) -> InvalidProof:
    return InvalidProof(f"proof of partial decryption by holder index {statement.index}: {detail}", check=check)
