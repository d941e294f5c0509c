# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The key record: everything public about a threshold key, of both kinds.

A dealt key was known to its dealer; a generated key was made by its holders together, so that nobody ever had it. One
formula opens both: they differ in the integers (A, B) and in lengths, all of which the record states.

Invariant: no type here could carry p, q or p'q'.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from math import factorial
from typing import Any, Final

from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.crypto.paillier import MAX_S, PublicKey, full_nonce_bits, short_nonce_bits
from coterie_common.errors import KeyFileError, KeyMismatch, MalformedMessage, OldKeyError
from coterie_common.fields import Fields
from coterie_common.limits import KEY_BITS, MAX_PARTIES

_ENTRIES: Final = (
    "kind",
    "modulus",
    "s",
    "generator",
    "nonce_bits",
    "holders",
    "decryption_threshold",
    "root_factor",
    "root_offset",
    "share_bits",
    "verification_base",
    "verification_keys",
)
_FORMER_ENTRIES: Final = frozenset(
    ("modulus", "s", "generator", "parties", "decryption_threshold", "verification_base", "verification_keys")
)
"""Of the records of protocol version 1, whose shares decrypt modulo N^{s+1}."""

_MAX_SHARE_EXCESS: Final = 4096
"""Bits by which a share may exceed the modulus. Shared over the integers by nine holders it exceeds it by some 500; by
200, with Δ of 1,246 bits and powers of the indices, by some 3,300."""

_MAX_OFFSET_EXCESS: Final = 512
"""Bits by which B may exceed N^{s+1}: it stays below γ = λφ + e·R, with 128 bits of λ and 256 of R to spare."""


class KeyKind(StrEnum):
    """How a threshold key came to be."""

    DEALT = "dealt"
    GENERATED = "generated"


@dataclass(frozen=True)
class ThresholdPublicKey:
    """The key record.

    Attributes:
        kind: dealt or generated.
        public_key: N, s, h and the length of encryption exponents.
        holders: k, the number of shares.
        decryption_threshold: t, the number of shares that decrypt, 1 to k.
        root_factor: A, below N^s; 1 for a dealt key.
        root_offset: B, of any sign; 0 for a dealt key.
        share_bits: every s_i is at least 0 and has at most this many bits.
        verification_base: v, a square modulo N.
        verification_keys: v_i = v^{s_i} mod N, in the order of the holder indices 1..k.

    Raises:
        KeyFileError: numbers that do not belong together or are out of range. Whether (A, B) and the v_i belong to N
            is ``check_record``'s to find.
    """

    kind: KeyKind
    public_key: PublicKey
    holders: int
    decryption_threshold: int
    root_factor: int = field(repr=False)
    root_offset: int = field(repr=False)
    share_bits: int
    verification_base: int = field(repr=False)
    verification_keys: tuple[int, ...] = field(repr=False)

    def __post_init__(self) -> None:
        if not 1 <= self.holders <= MAX_PARTIES or len(self.verification_keys) != self.holders:
            raise KeyFileError(
                f"the threshold key has {len(self.verification_keys)} verification keys for {self.holders} holders; "
                f"1 to {MAX_PARTIES} holders must have one each"
            )
        if not 1 <= self.decryption_threshold <= self.holders:
            raise KeyFileError(
                f"the threshold key's decryption threshold is {self.decryption_threshold} of {self.holders} holders"
            )
        self._check_kind()
        # With v = ±1 any share would pass for any other.
        trivial = self.verification_base in (1, self.public_key.modulus - 1)
        if trivial or not self.public_key.is_unit_modulo_n(self.verification_base):
            raise KeyFileError("the threshold key's verification base is out of range or no unit")
        for index, verification_key in enumerate(self.verification_keys, start=1):
            if not self.public_key.is_unit_modulo_n(verification_key):
                raise KeyFileError(f"the verification key of holder index {index} is out of range or no unit")

    def _check_kind(self) -> None:
        key, key_bits = self.public_key, self.public_key.key_bits
        if self.kind is KeyKind.DEALT:
            # Short exponents hide only where p and q are safe primes, which a dealer chooses.
            lengths, expected = (key.nonce_bits, self.share_bits), (short_nonce_bits(key_bits), key_bits - 2)
            if lengths != expected or (self.root_factor, self.root_offset) != (1, 0):
                raise KeyFileError("a dealt key must have A = 1, B = 0 and the lengths of a dealt key")
            return
        if key.nonce_bits != full_nonce_bits(key_bits):
            raise KeyFileError(
                f"encryption exponents of a generated key must have {full_nonce_bits(key_bits)} bits, "
                f"not {key.nonce_bits}"
            )
        if not 1 <= self.root_factor < key.plaintext_modulus:
            raise KeyFileError("the root factor A of the threshold key is not from 1 to N^s − 1")
        if self.root_offset.bit_length() > _offset_bits(key.key_bits, key.s):
            raise KeyFileError("the root offset B of the threshold key is out of range")
        if not key_bits <= self.share_bits <= key_bits + _MAX_SHARE_EXCESS:
            raise KeyFileError(
                f"shares of a generated key have {key_bits} to {key_bits + _MAX_SHARE_EXCESS} bits, not "
                f"{self.share_bits}"
            )

    @cached_property
    def delta(self) -> int:
        """Δ = k!, which makes the Lagrange coefficients integers."""
        return factorial(self.holders)

    @cached_property
    def _digest(self) -> bytes:
        return tuple_hash(
            Label.THRESHOLD_KEY,
            self.kind.value,
            self.public_key.digest,
            self.holders,
            self.decryption_threshold,
            self.root_factor,
            self.root_offset,
            self.share_bits,
            self.verification_base,
            self.verification_keys,
        )

    @property
    def digest(self) -> bytes:
        """Return the items that identify the record in every hash."""
        return self._digest

    def require_index(self, index: int) -> None:
        """Raise ``KeyMismatch`` unless there is a share with this index."""
        if not 1 <= index <= self.holders:
            raise KeyMismatch(f"holder index {index} is not among 1 to {self.holders}")

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value; numbers that are large are hexadecimal text of their full length."""
        key = self.public_key
        size = key.modulus_bytes
        return {
            "kind": self.kind.value,
            "modulus": key.modulus.to_bytes(size, "big").hex(),
            "s": key.s,
            "generator": key.generator.to_bytes(size, "big").hex(),
            "nonce_bits": key.nonce_bits,
            "holders": self.holders,
            "decryption_threshold": self.decryption_threshold,
            "root_factor": self.root_factor.to_bytes(size * key.s, "big").hex(),
            # In two's complement.
            "root_offset": self.root_offset.to_bytes(_offset_bytes(key.key_bits, key.s), "big", signed=True).hex(),
            "share_bits": self.share_bits,
            "verification_base": self.verification_base.to_bytes(size, "big").hex(),
            "verification_keys": [v.to_bytes(size, "big").hex() for v in self.verification_keys],
        }

    @classmethod
    def from_document(cls, document: Any) -> ThresholdPublicKey:
        """Parse the output of ``to_document``.

        Raises:
            OldKeyError: the record of a key that an earlier version dealt.
            KeyFileError: another structure, a number that is not in canonical form or out of range, a key size
                that is not allowed.
        """
        if isinstance(document, dict) and document.keys() == _FORMER_ENTRIES:
            raise OldKeyError("the threshold key")
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
        size, key_bits = len(modulus), 8 * len(modulus)
        public_key = PublicKey(
            modulus=int.from_bytes(modulus, "big"),
            s=fields.integer("s", minimum=1, maximum=MAX_S),
            generator=_number(fields, "generator", size),
            nonce_bits=fields.integer("nonce_bits", minimum=1, maximum=full_nonce_bits(max(KEY_BITS))),
        )
        offset = fields.octets("root_offset", minimum=0, maximum=_offset_bytes(max(KEY_BITS), MAX_S))
        if len(offset) != _offset_bytes(key_bits, public_key.s):
            raise KeyFileError("root_offset of the threshold key must have the length that follows from the modulus")
        keys = fields.items("verification_keys", maximum=MAX_PARTIES)
        return cls(
            kind=_kind(fields),
            public_key=public_key,
            holders=fields.integer("holders", minimum=1, maximum=MAX_PARTIES),
            decryption_threshold=fields.integer("decryption_threshold", minimum=1, maximum=MAX_PARTIES),
            root_factor=_number(fields, "root_factor", size * public_key.s),
            root_offset=int.from_bytes(offset, "big", signed=True),
            share_bits=fields.integer("share_bits", minimum=1, maximum=max(KEY_BITS) + _MAX_SHARE_EXCESS),
            verification_base=_number(fields, "verification_base", size),
            verification_keys=tuple(
                _number(Fields({"value": value}, "a verification key", ("value",)), "value", size) for value in keys
            ),
        )


def _kind(fields: Fields) -> KeyKind:
    try:
        return KeyKind(fields.text("kind", longest=16))
    except ValueError as cause:
        raise KeyFileError(f"kind of the threshold key must be one of {', '.join(KeyKind)}") from cause


def _number(fields: Fields, name: str, size: int) -> int:
    return int.from_bytes(fields.octets(name, minimum=size, maximum=size), "big")


def _offset_bits(key_bits: int, s: int) -> int:
    return key_bits * (s + 1) + _MAX_OFFSET_EXCESS


def _offset_bytes(key_bits: int, s: int) -> int:
    return _offset_bits(key_bits, s) // 8 + 1
