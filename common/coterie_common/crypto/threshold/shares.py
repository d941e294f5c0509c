# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""One holder's key share, and its part in opening a ciphertext.

A partial decryption comes with a proof (``proofs.partial_decryption``), which is looked at only where the sum does not
open: a root is checked by itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from gmpy2 import powmod_base_list

from coterie_common.crypto.paillier import Ciphertext
from coterie_common.crypto.threshold.key import ThresholdPublicKey
from coterie_common.errors import KeyFileError
from coterie_common.secret import Secret

_INDEX_BYTES: Final = 2


@dataclass(frozen=True, eq=False)
class KeyShare:
    """One holder's share of the key.

    Attributes:
        index: the holder's index, from 1.
        value: s_i, at least 0, of at most ``share_bits``.

    Security: ``decryption_threshold`` of them open every ciphertext ever made under the key.
    """

    index: int
    value: Secret[int]

    def to_bytes(self, key: ThresholdPublicKey) -> bytes:
        """Return the share itself, unprotected, for a key file or for sealing: index (2 bytes), value."""
        return self.index.to_bytes(_INDEX_BYTES, "big") + self.value.reveal().to_bytes(_value_bytes(key), "big")

    @classmethod
    def from_bytes(cls, key: ThresholdPublicKey, data: bytes) -> KeyShare:
        """Parse the output of ``to_bytes``, and check it.

        Raises:
            KeyFileError: another length, or not a share of this key.
        """
        expected = _INDEX_BYTES + _value_bytes(key)
        if len(data) != expected:
            raise KeyFileError(f"a key share of this key has {expected} bytes, not {len(data)}")
        share = cls(int.from_bytes(data[:_INDEX_BYTES], "big"), Secret(int.from_bytes(data[_INDEX_BYTES:], "big")))
        check_share(key, share)
        return share


def check_share(key: ThresholdPublicKey, share: KeyShare) -> None:
    """Check a share against its verification key, at the cost of one partial decryption.

    Raises:
        KeyFileError: it is not a share of this key under this index, or it is longer than the record says: proofs
            would be too short to hide it.
    """
    if not 1 <= share.index <= key.holders:
        raise KeyFileError(f"the key share has index {share.index}, the key's holders have 1 to {key.holders}")
    value, modulus = share.value.reveal(), key.public_key.modulus
    matches = (
        value >= 0
        and value.bit_length() <= key.share_bits
        and powmod_base_list([key.verification_base], value, modulus)[0] == key.verification_keys[share.index - 1]
    )
    if not matches:
        raise KeyFileError(f"the key share of index {share.index} does not match its verification key")


def partial_decrypt(key: ThresholdPublicKey, share: KeyShare, ciphertexts: Sequence[Ciphertext]) -> tuple[int, ...]:
    """Return ``D = C^{2·(A·s_i + Δ·B)} mod N`` for each ciphertext C, with the interpreter's lock released.

    A·s_i and Δ·B are about as long as each other, so that the public part costs a holder nothing; combining would take
    a power with B for every ciphertext.

    Args:
        key: the threshold key.
        share: of that key (``check_share``).
        ciphertexts: sums whose transcript this party has verified and recorded.

    Raises:
        KeyMismatch: a ciphertext belongs to another key, or the share's index to none.

    Source: Shoup, EUROCRYPT 2000, signature share; here for the exponent N^s.
    Deviation: 2·s_i instead of 2Δ·s_i, because f(0) holds Δ already; (A, B), which make it a share of 1/e.
    Security: not constant time. Anyone who can have arbitrary ciphertexts decrypted can read any reply: call it only
        for sums that the protocol lets this party open.
    """
    key.require_index(share.index)
    for ciphertext in ciphertexts:
        key.public_key.require_own(ciphertext)
    modulus = key.public_key.modulus
    exponent = 2 * (key.root_factor * share.value.reveal() + key.delta * key.root_offset)
    return tuple(map(int, powmod_base_list([c.value % modulus for c in ciphertexts], exponent, modulus)))


def _value_bytes(key: ThresholdPublicKey) -> int:
    return -(-key.share_bits // 8)
