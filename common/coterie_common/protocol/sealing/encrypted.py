# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Sealing under the threshold key: the part that every reply has is ciphertexts with a proof of plaintext knowledge.

Invariant: the number of ciphertexts follows from the terms; a key part with any other number is malformed.
"""

from __future__ import annotations

from collections.abc import Sequence

from coterie_common.crypto.packing import Packing
from coterie_common.crypto.paillier import Ciphertext, Encryptor, PublicKey
from coterie_common.crypto.proofs import plaintext_knowledge
from coterie_common.errors import MalformedMessage
from coterie_common.identifiers import PartyId
from coterie_common.protocol.encrypted_reply import Contribution, KeyPart
from coterie_common.protocol.sealing.sealing import Sealing
from coterie_common.randomness import RandomSource


class EncryptedSealing(Sealing[KeyPart, Sequence[int]]):
    """See the module; the sum opens to the plaintexts that enough parties decrypted together."""

    def __init__(self, packing: Packing, padded_length: int, encryptor: Encryptor) -> None:
        """Set the values that follow from the terms.

        Args:
            packing: of the encrypted values.
            padded_length: number of values of a padded part; 0 if there is none.
            encryptor: for the federation's key.
        """
        super().__init__(padded_length)
        self._packing = packing
        self._encryptor = encryptor
        self._key: PublicKey = encryptor.public_key

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
        return self._key.check_all(key_part.ciphertexts)

    def verify_knowledge(
        self, contribution: Contribution, ciphertexts: tuple[Ciphertext, ...], session_id: bytes
    ) -> None:
        """Check the proof of plaintext knowledge of a contribution.

        Args:
            contribution: as it came.
            ciphertexts: of its key part, checked.
            session_id: of the round.

        Raises:
            MalformedMessage: the proof has not the one possible length; its party is the culprit.
            InvalidProof: it does not verify for these ciphertexts, session, party and padded part; likewise.
        """
        statement, proof = self._claim(contribution, ciphertexts, session_id)
        plaintext_knowledge.verify(statement, proof, self._encryptor)

    def verify_knowledge_together(
        self,
        contributions: Sequence[Contribution],
        ciphertexts: Sequence[tuple[Ciphertext, ...]],
        session_id: bytes,
        random: RandomSource,
    ) -> None:
        """Check the proofs of many contributions to one session at the price of a few.

        Args:
            contributions: one of each party.
            ciphertexts: of the key part of each, checked.
            session_id: of the round.
            random: source of this verifier's weights; see ``plaintext_knowledge.verify_together``.

        Raises:
            MalformedMessage, InvalidProof: ``verify_knowledge`` refuses one of them; its party is the culprit.
        """
        claims = [self._claim(*each, session_id) for each in zip(contributions, ciphertexts, strict=True)]
        plaintext_knowledge.verify_together(claims, self._encryptor, random)

    def add(self, contributions: Sequence[tuple[Ciphertext, ...]]) -> tuple[Ciphertext, ...]:
        """Return the ciphertexts of the sum of at least one contribution."""
        return tuple(self._key.add(column) for column in zip(*contributions, strict=True))

    def _seal_plaintexts(
        self,
        plaintexts: tuple[int, ...],
        session_id: bytes,
        party_id: PartyId,
        padded_part_digest: bytes,
        random: RandomSource,
    ) -> KeyPart:
        """Encrypt plaintexts with fresh nonces and prove knowledge of them."""
        nonces = tuple(self._encryptor.draw_nonce(random) for _ in plaintexts)
        ciphertexts = tuple(map(self._encryptor.encrypt, plaintexts, nonces))
        proof = plaintext_knowledge.prove(
            self._statement(session_id, party_id, ciphertexts, padded_part_digest),
            plaintext_knowledge.Witness(plaintexts=plaintexts, nonces=nonces),
            self._encryptor,
            random,
        )
        return KeyPart(ciphertexts=tuple(c.to_bytes() for c in ciphertexts), proof=proof.to_bytes(self._key))

    def _claim(
        self, contribution: Contribution, ciphertexts: tuple[Ciphertext, ...], session_id: bytes
    ) -> tuple[plaintext_knowledge.Statement, plaintext_knowledge.Proof]:
        party_id = contribution.party_id
        try:
            proof = plaintext_knowledge.Proof.from_bytes(self._key, contribution.key_part.proof)
        except MalformedMessage as error:
            error.culprits = (party_id,)
            raise
        return self._statement(session_id, party_id, ciphertexts, contribution.padded_digest), proof

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
