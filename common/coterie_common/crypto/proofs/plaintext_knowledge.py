# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Proof that a party knows the plaintexts of its ciphertexts C_k = (1+N)^{M_k} · h_s^{α_k}.

Without it a party could submit another's ciphertext, inverted or mauled, and cancel or double it in the sum. One proof
covers all ciphertexts of a contribution and is bound to session, party and padded part.

A Schnorr proof made non-interactive, batched: A = (1+N)^u · h_s^w, challenges e_k, z = u + Σ e_k·M_k mod N^s,
y = w + Σ e_k·α_k over the integers. It holds if D = A · ∏ C_k^{e_k} · (1+N)^{−z} · h_s^{−y} has D² = 1.

- The challenges absorb parameters, statement and commitment; each ciphertext has its own challenge.
- y hides the nonces because w is longer by 256 bits and the number of ciphertexts: 128 bits are the challenge's, the
  rest is the statistical distance 2^-128.
- Soundness: two proofs with one commitment that differ in e_k only, by d, give C_k^{2d} = (1+N)^{2Δz} · h_s^{2Δy}.
  As 2d has an inverse modulo N^s, the plaintext of C_k is Δz/d, known to the prover. A prover that does not know it
  passes with probability 2^-128 per hash computed.
- Squares: modulo N^{s+1} the only elements of small order have order 2, ±1 and two more that cannot be found without
  factoring N; every other order has a prime factor of |N|/2 − 1 bits or more, N being a product of safe primes. D = −1
  is easily made, by proving with −A or by submitting −C_k where e_k is odd. It has no bearing on plaintexts: −C_k opens
  to what C_k opens to, its root being −u. But weights see it half of the time, so that two verifiers of a batch could
  disagree. Squared, it is 1 for each of them, alone and together.
- The primes of a generated key are not safe: other elements of small order may exist. That nobody finds one is an
  assumption of its own there; it concerns the agreement of verifiers, since 2d still has an inverse modulo N^s.

Source: Damgård, Jurik and Nielsen 2010, proof of plaintext knowledge; Fiat–Shamir with the whole statement; batch
verification: Bellare, Garay and Rabin, EUROCRYPT '98; its failure at small orders: Boyd and Pavlovski, ASIACRYPT 2000.
Deviation: several ciphertexts in one proof; the second response is an integer, since the order of h_s is unknown; the
equation is one of squares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NoReturn

from gmpy2 import mpz, powmod_base_list

from coterie_common.crypto.exponential import exponential
from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.crypto.multiexponentiation import product_of_powers
from coterie_common.crypto.paillier import PROOF_NONCE_BITS, Ciphertext, Encryptor, Nonce, PublicKey
from coterie_common.errors import InvalidProof, KeyMismatch, MalformedMessage, StateError
from coterie_common.limits import MAX_CIPHERTEXTS
from coterie_common.randomness import RandomSource

_CHALLENGE_BITS: Final = 128
_WEIGHT_BITS: Final = 128
"""A batch with a bad proof passes with probability 2^-128, regardless of the provers' computation."""


@dataclass(frozen=True, slots=True)
class Statement:
    """The statement of the proof, and its prover.

    Attributes:
        session_id: of the round.
        party_id: the prover.
        public_key: of all ciphertexts.
        padded_digest: digest of the padded part that goes with them.
        ciphertexts: C_1..C_K, 1 to ``limits.MAX_CIPHERTEXTS``.

    Raises:
        KeyMismatch: a ciphertext belongs to another key.
        StateError: no ciphertext or too many.
    """

    session_id: bytes
    party_id: str
    public_key: PublicKey
    padded_digest: bytes
    ciphertexts: tuple[Ciphertext, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= len(self.ciphertexts) <= MAX_CIPHERTEXTS:
            raise StateError(f"a proof covers 1 to {MAX_CIPHERTEXTS} ciphertexts, not {len(self.ciphertexts)}")
        for ciphertext in self.ciphertexts:
            self.public_key.require_own(ciphertext)

    @property
    def nonce_bits(self) -> int:
        """|w| = |α| + 256 + ⌈log2 K⌉."""
        return self.public_key.nonce_bits + PROOF_NONCE_BITS + (len(self.ciphertexts) - 1).bit_length()


@dataclass(frozen=True, slots=True, repr=False)
class Witness:
    """The prover's secrets; reveals none of them when printed.

    Attributes:
        plaintexts: M_1..M_K.
        nonces: α_1..α_K.
    """

    plaintexts: tuple[int, ...]
    nonces: tuple[Nonce, ...]

    def __repr__(self) -> str:
        return "Witness(<redacted>)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled or copied")


@dataclass(frozen=True, slots=True)
class Proof:
    """The proof.

    Attributes:
        commitment: A.
        plaintext_response: z, below N^s.
        nonce_response: y, at most one bit longer than w.
    """

    commitment: int = field(repr=False)
    plaintext_response: int = field(repr=False)
    nonce_response: int = field(repr=False)

    def to_bytes(self, key: PublicKey) -> bytes:
        """Return the one encoding: A, z, y, big-endian, each of a length that follows from the key."""
        numbers = (self.commitment, self.plaintext_response, self.nonce_response)
        return b"".join(number.to_bytes(size, "big") for number, size in zip(numbers, _sizes(key), strict=True))

    @classmethod
    def from_bytes(cls, key: PublicKey, data: bytes) -> Proof:
        """Parse the output of ``to_bytes``.

        Raises:
            MalformedMessage: another length.
        """
        sizes = _sizes(key)
        if len(data) != sum(sizes):
            raise MalformedMessage(f"a proof of plaintext knowledge has {len(data)} bytes instead of {sum(sizes)}")
        middle, last = sizes[0], sizes[0] + sizes[1]
        return cls(*(int.from_bytes(part, "big") for part in (data[:middle], data[middle:last], data[last:])))


def prove(statement: Statement, witness: Witness, encryptor: Encryptor, random: RandomSource) -> Proof:
    """Prove knowledge of the plaintexts.

    Raises:
        KeyMismatch: witness or encryptor do not belong to the statement.

    Security: the nonces u and w are drawn anew for every proof; two proofs with the same ones reveal the witness.
    """
    key = statement.public_key
    _require_own(statement, encryptor)
    if not len(witness.plaintexts) == len(witness.nonces) == len(statement.ciphertexts):
        raise KeyMismatch("a proof needs the plaintext and the nonce of every ciphertext")
    u = random.randbelow(key.plaintext_modulus)
    w = random.randbits(statement.nonce_bits)
    commitment = encryptor.masked(u, w)
    challenges = _challenges(statement, commitment)
    for challenge, plaintext, nonce in zip(challenges, witness.plaintexts, witness.nonces, strict=True):
        u += challenge * plaintext
        w += challenge * nonce.reveal()
    return Proof(commitment, u % key.plaintext_modulus, w)


def verify(statement: Statement, proof: Proof, encryptor: Encryptor) -> None:
    """Check a proof.

    Raises:
        InvalidProof: with the number of the failed check and the party as culprit.
        KeyMismatch: the encryptor belongs to another key.
    """
    _require_own(statement, encryptor)
    _check_ranges(statement, proof)
    # 4. The equation holds.
    if not _holds(statement, proof, encryptor):
        raise _invalid(statement, 4, "the equation does not hold")


def verify_together(claims: Sequence[tuple[Statement, Proof]], encryptor: Encryptor, random: RandomSource) -> None:
    """Check the proofs of many parties in one product of powers; one by one only to find the culprit.

    Accepts all proofs that ``verify`` accepts. A batch with at least one proof that it rejects passes with probability
    at most 2^-128 over the weights ρ_j: the product ∏ D_j^{2ρ_j} is tested, and of 2^128 values of one ρ_j at most one
    makes it 1 if D_j² ≠ 1, since the order of a square is 1 or has a prime factor above 2^128.

    Args:
        claims: statements and their proofs, of any sessions and parties, under one key.
        encryptor: for that key.
        random: source of the weights, which nobody who influences the claims may foresee.

    Raises:
        InvalidProof: as raised by ``verify``, for one of the claims that it refuses.
        KeyMismatch: the encryptor belongs to another key than a statement.
    """
    for statement, proof in claims:
        _require_own(statement, encryptor)
        _check_ranges(statement, proof)
    if len(claims) > 1 and _hold_together(claims, [random.randbits(_WEIGHT_BITS) for _ in claims]):
        return
    for statement, proof in claims:
        verify(statement, proof, encryptor)


def _check_ranges(statement: Statement, proof: Proof) -> None:
    key = statement.public_key
    # 1. The commitment is a unit in range.
    if not key.is_unit(proof.commitment):
        raise _invalid(statement, 1, "the commitment is out of range or no unit")
    # 2. The response for the plaintexts is a residue.
    if not 0 <= proof.plaintext_response < key.plaintext_modulus:
        raise _invalid(statement, 2, "the response for the plaintexts is out of range")
    # 3. The response for the nonces is no longer than an honest one can be.
    if not 0 <= proof.nonce_response < 1 << (statement.nonce_bits + 1):
        raise _invalid(statement, 3, "the response for the nonces is out of range")


def _holds(statement: Statement, proof: Proof, encryptor: Encryptor, challenge_bits: int = _CHALLENGE_BITS) -> bool:
    """Return true if D² = 1; tests of the soundness error shorten the challenges."""
    modulus = statement.public_key.ciphertext_modulus
    bases = [ciphertext.value for ciphertext in statement.ciphertexts]
    powers = product_of_powers(bases, _challenges(statement, proof.commitment, challenge_bits), modulus)
    left = mpz(proof.commitment) * powers
    right = mpz(encryptor.masked(proof.plaintext_response, proof.nonce_response))
    return bool((left * left - right * right) % modulus == 0)


def _hold_together(claims: Sequence[tuple[Statement, Proof]], weights: Sequence[int]) -> bool:
    """Return true if ∏ D_j^{2ρ_j} = 1; tests of the soundness error pass short weights."""
    key = claims[0][0].public_key
    bases: list[int] = []
    exponents: list[int] = []
    plaintext = nonce = 0
    for (statement, proof), weight in zip(claims, weights, strict=True):
        bases.append(proof.commitment)
        exponents.append(weight)
        bases += [ciphertext.value for ciphertext in statement.ciphertexts]
        exponents += [weight * challenge for challenge in _challenges(statement, proof.commitment)]
        plaintext += weight * proof.plaintext_response
        nonce += weight * proof.nonce_response
    modulus = key.ciphertext_modulus
    left = mpz(product_of_powers(bases, exponents, modulus))
    # Longer than the encryptor's tables reach, but only once for all.
    mask = powmod_base_list([key.blinding_base], nonce, modulus)[0]
    right = mask * exponential(plaintext, key.modulus, key.s)
    return bool((left * left - right * right) % modulus == 0)


def _challenges(statement: Statement, commitment: int, bits: int = _CHALLENGE_BITS) -> list[int]:
    size = _CHALLENGE_BITS // 8
    digest = tuple_hash(
        Label.PLAINTEXT_KNOWLEDGE,
        statement.session_id,
        statement.party_id,
        statement.public_key.digest,
        statement.padded_digest,
        [ciphertext.value for ciphertext in statement.ciphertexts],
        commitment,
        digest_bytes=size * len(statement.ciphertexts),
    )
    return [
        int.from_bytes(digest[start : start + size], "big") >> (_CHALLENGE_BITS - bits)
        for start in range(0, len(digest), size)
    ]


def _sizes(key: PublicKey) -> tuple[int, int, int]:
    plaintext_bits = key.plaintext_modulus.bit_length()
    # As long as for the most ciphertexts, so that the length reveals nothing and follows from the key alone.
    response_bits = key.nonce_bits + PROOF_NONCE_BITS + (MAX_CIPHERTEXTS - 1).bit_length() + 1
    return key.ciphertext_bytes, -(-plaintext_bits // 8), -(-response_bits // 8)


def _require_own(statement: Statement, encryptor: Encryptor) -> None:
    if encryptor.public_key != statement.public_key:
        raise KeyMismatch("the encryptor belongs to another key than the statement")


def _invalid(statement: Statement, check: int, detail: str) -> InvalidProof:
    return InvalidProof(f"proof of plaintext knowledge: {detail}", check=check, culprits=(statement.party_id,))
