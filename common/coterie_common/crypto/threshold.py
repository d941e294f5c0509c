# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Decryption by any ``decryption_threshold`` parties together: key shares, partial decryptions, combining.

The shares are Shamir shares s_i = f(i) of a d with d ≡ 1 mod N^s and d ≡ 0 mod p'q'. A party gives
``c_i = C^{2Δ·s_i}`` with Δ = n!; the product of the ``c_i^{2λ_i}`` over t parties is ``(1+N)^{4Δ²·M}``.

- Nobody holds d, and no type here could carry p, q or p'q'.
- A partial decryption is trusted only with its proof (``proofs.partial_decryption``); ``combine`` does not check.

Source: Damgård and Jurik, PKC 2001, threshold variant; Shoup, "Practical threshold signatures", EUROCRYPT 2000.
Deviation: verification keys are v^{s_i}, not v^{Δ·s_i}, so that s_i itself is the witness of the proofs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import factorial
from typing import Any, Final

from gmpy2 import invert, mpz, powmod_base_list

from coterie_common.crypto.exponential import logarithm
from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.crypto.paillier import MAX_S, Ciphertext, PublicKey
from coterie_common.errors import InsufficientShares, KeyFileError, KeyMismatch, MalformedMessage
from coterie_common.fields import Fields
from coterie_common.limits import KEY_BITS, MAX_PARTIES
from coterie_common.secret import Secret

_INDEX_BYTES: Final = 2
_ENTRIES: Final = (
    "modulus",
    "s",
    "generator",
    "parties",
    "decryption_threshold",
    "verification_base",
    "verification_keys",
)


@dataclass(frozen=True)
class ThresholdPublicKey:
    """The public half of a dealt key.

    Attributes:
        public_key: for encryption.
        parties: n, the number of dealt shares.
        decryption_threshold: t, the number of shares that decrypt, 1 to n.
        verification_base: v, a square modulo N^{s+1}.
        verification_keys: v_i = v^{s_i}, in the order of the indices 1..n.

    Raises:
        KeyFileError: numbers that do not belong together or are out of range.
    """

    public_key: PublicKey
    parties: int
    decryption_threshold: int
    verification_base: int = field(repr=False)
    verification_keys: tuple[int, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.parties <= MAX_PARTIES or len(self.verification_keys) != self.parties:
            raise KeyFileError(
                f"the threshold key has {len(self.verification_keys)} verification keys for {self.parties} parties; "
                f"1 to {MAX_PARTIES} parties must have one each"
            )
        if not 1 <= self.decryption_threshold <= self.parties:
            raise KeyFileError(
                f"the threshold key's decryption threshold is {self.decryption_threshold} of {self.parties} parties"
            )
        # With v = ±1 any share would pass for any other.
        trivial = self.verification_base in (1, self.public_key.ciphertext_modulus - 1)
        if trivial or not self.public_key.is_unit(self.verification_base):
            raise KeyFileError("the threshold key's verification base is out of range or no unit")
        for index, verification_key in enumerate(self.verification_keys, start=1):
            if not self.public_key.is_unit(verification_key):
                raise KeyFileError(f"the verification key of party index {index} is out of range or no unit")

    @cached_property
    def delta(self) -> int:
        """Δ = n!, which makes the Lagrange coefficients integers."""
        return factorial(self.parties)

    @cached_property
    def _digest(self) -> bytes:
        return tuple_hash(
            Label.THRESHOLD_KEY,
            self.public_key.digest,
            self.parties,
            self.decryption_threshold,
            self.verification_base,
            self.verification_keys,
        )

    @property
    def digest(self) -> bytes:
        """Return the items that identify the key, its parties and verification keys in every hash."""
        return self._digest

    def require_index(self, index: int) -> None:
        """Raise ``KeyMismatch`` unless a share with this index was dealt."""
        if not 1 <= index <= self.parties:
            raise KeyMismatch(f"party index {index} is not among 1 to {self.parties}")

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value; numbers that are large are hexadecimal text of their full length."""
        key = self.public_key
        return {
            "modulus": key.modulus.to_bytes(key.key_bits // 8, "big").hex(),
            "s": key.s,
            "generator": key.generator.to_bytes(key.key_bits // 8, "big").hex(),
            "parties": self.parties,
            "decryption_threshold": self.decryption_threshold,
            "verification_base": self.verification_base.to_bytes(key.ciphertext_bytes, "big").hex(),
            "verification_keys": [v.to_bytes(key.ciphertext_bytes, "big").hex() for v in self.verification_keys],
        }

    @classmethod
    def from_document(cls, document: Any) -> ThresholdPublicKey:
        """Parse the output of ``to_document``.

        Raises:
            KeyFileError: another structure, a number that is not in canonical form or out of range, a key size
                that is not allowed.
        """
        try:
            return cls._from_fields(document)
        except MalformedMessage as cause:
            raise KeyFileError(cause.message) from cause

    @classmethod
    def _from_fields(cls, document: Any) -> ThresholdPublicKey:
        fields = Fields(document, "the threshold key", _ENTRIES)
        modulus = fields.octets("modulus", minimum=min(KEY_BITS) // 8, maximum=max(KEY_BITS) // 8)
        if not modulus[0]:
            raise KeyFileError("modulus of the threshold key must be written without zeros in front")
        public_key = PublicKey(
            modulus=int.from_bytes(modulus, "big"),
            s=fields.integer("s", minimum=1, maximum=MAX_S),
            generator=int.from_bytes(fields.octets("generator", minimum=len(modulus), maximum=len(modulus)), "big"),
        )
        size = public_key.ciphertext_bytes
        keys = fields.items("verification_keys", maximum=MAX_PARTIES)
        return cls(
            public_key=public_key,
            parties=fields.integer("parties", minimum=1, maximum=MAX_PARTIES),
            decryption_threshold=fields.integer("decryption_threshold", minimum=1, maximum=MAX_PARTIES),
            verification_base=int.from_bytes(fields.octets("verification_base", minimum=size, maximum=size), "big"),
            verification_keys=tuple(
                int.from_bytes(
                    Fields({"value": value}, "a verification key", ("value",)).octets(
                        "value", minimum=size, maximum=size
                    ),
                    "big",
                )
                for value in keys
            ),
        )


@dataclass(frozen=True, eq=False)
class KeyShare:
    """One party's share of the key.

    Attributes:
        index: the party's index, from 1.
        value: s_i, below N^s·p'q'.

    Security: ``decryption_threshold`` of them open every ciphertext ever made under the key.
    """

    index: int
    value: Secret[int]

    def to_bytes(self, key: ThresholdPublicKey) -> bytes:
        """Return the share itself, unprotected, for a key file or for sealing: index (2 bytes), value."""
        return self.index.to_bytes(_INDEX_BYTES, "big") + self.value.reveal().to_bytes(
            key.public_key.ciphertext_bytes, "big"
        )

    @classmethod
    def from_bytes(cls, key: ThresholdPublicKey, data: bytes) -> KeyShare:
        """Parse the output of ``to_bytes``, and check it.

        Raises:
            KeyFileError: another length, or not a share of this key.
        """
        expected = _INDEX_BYTES + key.public_key.ciphertext_bytes
        if len(data) != expected:
            raise KeyFileError(f"a key share of this key has {expected} bytes, not {len(data)}")
        share = cls(int.from_bytes(data[:_INDEX_BYTES], "big"), Secret(int.from_bytes(data[_INDEX_BYTES:], "big")))
        check_share(key, share)
        return share


def check_share(key: ThresholdPublicKey, share: KeyShare) -> None:
    """Check a share against its verification key, at the cost of one partial decryption.

    Raises:
        KeyFileError: it is not a share of this key under this index.
    """
    modulus = key.public_key.ciphertext_modulus
    if not 1 <= share.index <= key.parties:
        raise KeyFileError(f"the key share has index {share.index}, the key was dealt to 1 to {key.parties}")
    value = share.value.reveal()
    matches = (
        0 <= value < modulus
        and powmod_base_list([key.verification_base], value, modulus)[0] == key.verification_keys[share.index - 1]
    )
    if not matches:
        raise KeyFileError(f"the key share of index {share.index} does not match its verification key")


def partial_decrypt(key: ThresholdPublicKey, share: KeyShare, ciphertexts: Sequence[Ciphertext]) -> tuple[int, ...]:
    """Return ``C^{2Δ·s_i} mod N^{s+1}`` for each ciphertext C, with the interpreter's lock released.

    Args:
        key: the threshold key.
        share: of that key (``check_share``).
        ciphertexts: sums whose transcript this party has verified and recorded.

    Raises:
        KeyMismatch: a ciphertext belongs to another key, or the share's index to none.

    Source: Damgård–Jurik, PKC 2001, threshold variant, share decryption.
    Security: not constant time. Anyone who can have arbitrary ciphertexts decrypted can read any reply: call it only
        for sums that the protocol lets this party open.
    """
    key.require_index(share.index)
    for ciphertext in ciphertexts:
        key.public_key.require_own(ciphertext)
    exponent = 2 * key.delta * share.value.reveal()
    values = [ciphertext.value for ciphertext in ciphertexts]
    return tuple(map(int, powmod_base_list(values, exponent, key.public_key.ciphertext_modulus)))


def combine(key: ThresholdPublicKey, partials: Mapping[int, Sequence[int]]) -> tuple[int, ...]:
    """Recover the plaintexts from enough partial decryptions.

    Args:
        key: the threshold key.
        partials: party index → its partial decryptions of the same ciphertexts in the same order, each verified with
            its proof. Of more than ``decryption_threshold`` the lowest indices are used.

    Returns:
        The plaintexts in ``[0, N**s)``.

    Raises:
        InsufficientShares: fewer than ``decryption_threshold`` parties.
        KeyMismatch: an index that the key does not have, unequal numbers of partial decryptions, or values that are
            no partial decryptions of one ciphertext.

    Source: Damgård–Jurik, PKC 2001, threshold variant, share combining.
    Deviation: λ_i is Δ·∏ j/(j − i) over j ≠ i; the formula as printed in some papers repeats i.
    """
    t = key.decryption_threshold
    if len(partials) < t:
        raise InsufficientShares(f"{len(partials)} partial decryptions are not enough: {t} are needed")
    indices = sorted(partials)[:t]
    count = len(partials[indices[0]])
    for index in indices:
        key.require_index(index)
        if len(partials[index]) != count:
            raise KeyMismatch(f"party index {index} decrypted {len(partials[index])} ciphertexts, others {count}")
    modulus = mpz(key.public_key.ciphertext_modulus)
    above, below = [mpz(1)] * count, [mpz(1)] * count
    for index, coefficient in _lagrange_coefficients(key.delta, indices).items():
        side = above if coefficient > 0 else below
        powers = powmod_base_list(list(partials[index]), 2 * abs(coefficient), modulus)
        side[:] = [product * power % modulus for product, power in zip(side, powers, strict=True)]
    return tuple(_open(key, above[k], below[k]) for k in range(count))


def _lagrange_coefficients(delta: int, indices: Sequence[int]) -> dict[int, int]:
    """Return index i → Δ·∏ j/(j − i) over the other indices j: interpolation at 0 times Δ, in integers."""
    coefficients = {}
    for i in indices:
        numerator, denominator = delta, 1
        for j in indices:
            if j != i:
                numerator *= j
                denominator *= j - i
        coefficients[i] = numerator // denominator
    return coefficients


def _open(key: ThresholdPublicKey, above: mpz, below: mpz) -> int:
    public_key = key.public_key
    try:
        value = int(above * invert(below, public_key.ciphertext_modulus) % public_key.ciphertext_modulus)
    except ZeroDivisionError as cause:
        raise KeyMismatch("a partial decryption shares a factor with the modulus") from cause
    scaled = logarithm(value, public_key.modulus, public_key.s)
    space = public_key.plaintext_modulus
    return int(scaled * invert(4 * key.delta**2, space) % space)
