# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A reply whose key part is encrypted under the threshold key, and the contribution that others see of it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.crypto.identity import SigningKey, VerifyKey
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.signed import SignedItems


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyPart:
    """The Paillier part of a sealed vector: ciphertexts, fixed length each, and the proof of plaintext knowledge."""

    ciphertexts: tuple[bytes, ...]
    proof: bytes

    @property
    def digest(self) -> bytes:
        """Digest of ciphertexts and proof."""
        return tuple_hash(Label.KEY_PART, self.ciphertexts, self.proof)


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """The public part of one party's reply: its key part, the digest of its padded part, its signature.

    The signature covers the id of the session too, which is named once for all contributions of a round.
    """

    party_id: PartyId
    key_part: KeyPart
    padded_digest: bytes
    signature: bytes

    @property
    def digest(self) -> bytes:
        """Digest under which a party remembers its contribution."""
        return self.digest_of(self.party_id, self.key_part.digest, self.padded_digest, self.signature)

    @staticmethod
    def digest_of(party_id: str, key_part_digest: bytes, padded_part_digest: bytes, signature: bytes) -> bytes:
        """Return the digest of a contribution of which only digests and signature are known."""
        return tuple_hash(Label.CONTRIBUTION, party_id, key_part_digest, padded_part_digest, signature)

    @staticmethod
    def signed_items(
        session_id: bytes, party_id: str, key_part_digest: bytes, padded_part_digest: bytes
    ) -> SignedItems:
        """Return label and items under the party's signature, of a contribution of which only digests are known."""
        return Label.CONTRIBUTION, (session_id, party_id, key_part_digest, padded_part_digest)

    def signed_by(self, key: SigningKey, session_id: bytes) -> Contribution:
        """Return the same contribution with this key's signature for a session."""
        label, items = self.signed_items(session_id, self.party_id, self.key_part.digest, self.padded_digest)
        return replace(self, signature=key.sign(label, *items))

    def verify(self, key: VerifyKey, session_id: bytes) -> None:
        """Check the signature.

        Raises:
            InvalidSignature: not made by this key over exactly this contribution for this session.
        """
        label, items = self.signed_items(session_id, self.party_id, self.key_part.digest, self.padded_digest)
        key.verify(self.signature, label, *items)


@dataclass(frozen=True, slots=True, kw_only=True)
class EncryptedReply:
    """Party → aggregator: a contribution; if vectors are padded, its padded part precedes it."""

    job_id: JobId
    round_number: int
    session_id: bytes
    contribution: Contribution

    @property
    def party_id(self) -> PartyId:
        """The party that contributes."""
        return self.contribution.party_id

    @property
    def padded_digest(self) -> bytes:
        """Digest of the padded part that precedes the reply."""
        return self.contribution.padded_digest

    @property
    def digest(self) -> bytes:
        """Digest under which a party remembers its reply."""
        return self.contribution.digest
