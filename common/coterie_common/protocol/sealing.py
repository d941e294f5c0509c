# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Sealing a vector: from the noised integers of one party to ciphertexts, their sum, and back.

This release seals directly: packed Damgård–Jurik ciphertexts with a proof of plaintext knowledge.

Invariants:
- The number of ciphertexts follows from the terms; a key part with any other number is malformed.
- ``open`` of the sum equals the sum of what was sealed, exactly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coterie_common.crypto.paillier import Ciphertext, Encryptor, PublicKey
from coterie_common.crypto.proofs import plaintext_knowledge
from coterie_common.errors import MalformedMessage
from coterie_common.identifiers import PartyId
from coterie_common.protocol.capacity import packing_for
from coterie_common.protocol.messages import NOTHING_PADDED, KeyPart
from coterie_common.protocol.terms import RoundTerms
from coterie_common.randomness import RandomSource


@dataclass(frozen=True, slots=True)
class SealedVector:
    """One party's sealed vector.

    Attributes:
        key_part: ciphertexts and proof.
        padded: the padded part; empty where sealed directly.
    """

    key_part: KeyPart
    padded: bytes


class DirectSealing:
    """Packed Damgård–Jurik under the terms of one round."""

    def __init__(self, terms: RoundTerms, parties: int, encryptor: Encryptor) -> None:
        """Raise ``CapacityExceeded`` where the terms do not fit the key."""
        self._encryptor = encryptor
        self._key: PublicKey = encryptor.public_key
        self._packing = packing_for(terms, parties, self._key)

    def seal(
        self, values: NDArray[np.int64], session_id: bytes, party_id: PartyId, random: RandomSource
    ) -> SealedVector:
        """Encrypt a noised vector and prove knowledge of its plaintexts.

        Args:
            values: Int64[length], encoded and noised, each within the terms' contribution range.
            session_id: the proof holds for this session only.
            party_id: the proof holds for this party only.
            random: source of the nonces.

        Raises:
            PlaintextOutOfRange: a value lies outside the contribution range.

        Privacy: the only place where a reply leaves plaintext form; nonces are fresh for every call.
        """
        plaintexts = self._packing.pack(values)
        nonces = tuple(self._encryptor.draw_nonce(random) for _ in plaintexts)
        ciphertexts = tuple(map(self._encryptor.encrypt, plaintexts, nonces))
        proof = plaintext_knowledge.prove(
            self._statement(session_id, party_id, ciphertexts, NOTHING_PADDED),
            plaintext_knowledge.Witness(plaintexts=plaintexts, nonces=nonces),
            self._encryptor,
            random,
        )
        key_part = KeyPart(ciphertexts=tuple(c.to_bytes() for c in ciphertexts), proof=proof.to_bytes(self._key))
        return SealedVector(key_part, b"")

    def check_ciphertexts(self, key_part: KeyPart) -> tuple[Ciphertext, ...]:
        """Upgrade the ciphertexts of a key part from outside.

        Raises:
            MalformedMessage: not exactly the number or length that the terms give.
            InvalidCiphertext: out of range or no unit.
        """
        if len(key_part.ciphertexts) != self._packing.plaintexts:
            raise MalformedMessage(
                f"a key part has {len(key_part.ciphertexts)} ciphertexts instead of {self._packing.plaintexts}"
            )
        return tuple(map(self._key.check, key_part.ciphertexts))

    def verify_knowledge(
        self,
        ciphertexts: tuple[Ciphertext, ...],
        proof: bytes,
        session_id: bytes,
        party_id: PartyId,
        padded_part_digest: bytes,
    ) -> None:
        """Check the proof of plaintext knowledge.

        Raises:
            MalformedMessage: the proof has not the one possible length.
            InvalidProof: it does not verify for these ciphertexts, session, party and padded part.
        """
        parsed = plaintext_knowledge.Proof.from_bytes(self._key, proof)
        statement = self._statement(session_id, party_id, ciphertexts, padded_part_digest)
        plaintext_knowledge.verify(statement, parsed, self._encryptor)

    def add(self, contributions: Sequence[tuple[Ciphertext, ...]]) -> tuple[Ciphertext, ...]:
        """Return the ciphertexts of the sum of at least one contribution."""
        return tuple(self._key.add(column) for column in zip(*contributions, strict=True))

    def open(self, plaintexts: Sequence[int], contributors: int) -> NDArray[np.int64]:
        """Unpack the decrypted sum of ``contributors`` vectors into Int64[length]."""
        return self._packing.unpack(plaintexts, contributors)

    def _statement(
        self, session_id: bytes, party_id: PartyId, ciphertexts: tuple[Ciphertext, ...], padded_part_digest: bytes
    ) -> plaintext_knowledge.Statement:
        return plaintext_knowledge.Statement(
            session_id=session_id,
            party_id=party_id,
            public_key=self._key,
            padded_digest=padded_part_digest,
            ciphertexts=ciphertexts,
        )
