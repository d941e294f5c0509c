# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Sealing a vector: from the noised integers of one party to ciphertexts, their sum, and back.

``Sealing`` is the interface, with the part common to all sealings: the key part, which is ciphertexts with a proof of
plaintext knowledge. ``DirectSealing`` encrypts the whole vector; ``padded`` only the key of a pad.

Invariants:
- The number of ciphertexts follows from the terms; a key part with any other number is malformed.
- ``open`` of the sum equals the sum of the sealed vectors, except for the errors that a pad draws.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coterie_common.crypto.packing import Packing
from coterie_common.crypto.paillier import Ciphertext, Encryptor, PublicKey
from coterie_common.crypto.proofs import plaintext_knowledge
from coterie_common.errors import CapacityExceeded, MalformedMessage, StateError
from coterie_common.identifiers import PartyId
from coterie_common.limits import MAX_CIPHERTEXTS
from coterie_common.protocol.messages import NOTHING_PADDED, Contribution, KeyPart
from coterie_common.protocol.padded_part import VALUE_BYTES, PaddedSum
from coterie_common.protocol.terms import RoundTerms
from coterie_common.randomness import RandomSource


@dataclass(frozen=True, slots=True)
class SealedVector:
    """One party's sealed vector.

    Attributes:
        key_part: ciphertexts and proof.
        padded: the padded part; empty if sealed directly.
        padded_digest: its digest, which the proof in the key part names.
    """

    key_part: KeyPart
    padded: bytes
    padded_digest: bytes


class Sealing(ABC):
    """The sealing, adding and opening of the vectors of one round."""

    def __init__(self, packing: Packing, padded_length: int, encryptor: Encryptor) -> None:
        """Set the values that follow from the terms.

        Args:
            packing: of the encrypted values.
            padded_length: number of values of a padded part; 0 if there is none.
            encryptor: for the federation's key.
        """
        self._packing = packing
        self._padded_length = padded_length
        self._encryptor = encryptor
        self._key: PublicKey = encryptor.public_key

    def seal(
        self, values: NDArray[np.int64], session_id: bytes, party_id: PartyId, random: RandomSource
    ) -> SealedVector:
        """Seal a vector that is in memory as a whole; as ``seal_pieces``."""
        parts: list[bytes] = []
        key_part, digest = self.seal_pieces((values,), session_id, party_id, random, parts.append)
        return SealedVector(key_part, b"".join(parts), digest)

    @abstractmethod
    def seal_pieces(
        self,
        pieces: Iterable[NDArray[np.int64]],
        session_id: bytes,
        party_id: PartyId,
        random: RandomSource,
        write: Callable[[bytes], None],
    ) -> tuple[KeyPart, bytes]:
        """Seal a noised vector and prove knowledge of the plaintexts.

        Args:
            pieces: consecutive pieces of the vector, together Int64[length], encoded and noised, each value within the
                terms' contribution range; all pieces but the last a multiple of 2,048 values.
            session_id: the sealed vector can be added to others of this session only.
            party_id: the proof holds for this party only.
            random: source of nonces, keys and errors.
            write: takes the pieces of the padded part, in order; not called if there is none.

        Returns:
            The key part, and the digest of the padded part.

        Raises:
            PlaintextOutOfRange: the pieces are not one vector of the terms' length, or a value is outside its range.

        Privacy: the only place where a reply leaves plaintext form; all randomness is fresh for every call. The values
            must hold the whole noise share of the terms: it may be the only protection against an adversary that opens
                the sum of pads' keys.
        """

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

    def check_padded_digest(self, digest: bytes) -> None:
        """Raise ``MalformedMessage`` if a contribution has a padded part against the terms, or lacks a required one.

        A padded part beside a direct sealing would be signed, but belong to no sum.
        """
        if (digest == NOTHING_PADDED) != (self._padded_length == 0):
            raise MalformedMessage(
                "a contribution has a padded part" if self._padded_length == 0 else "a contribution has no padded part"
            )

    def check_padded(self, size: int) -> None:
        """Raise ``MalformedMessage`` unless ``size`` bytes is the length of a padded part under the terms."""
        if size != VALUE_BYTES * self._padded_length:
            raise MalformedMessage(f"a padded part has {size} bytes instead of {VALUE_BYTES * self._padded_length}")

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

    def new_padded_sum(self, session_id: bytes) -> PaddedSum:
        """Return the accumulator for the padded parts of a session; of no values if there are none."""
        return PaddedSum(session_id, self._padded_length)

    def open(
        self, plaintexts: Sequence[int], contributors: int, padded_sum: PaddedSum | None = None
    ) -> NDArray[np.int64]:
        """Return the sum of the sealed vectors as a whole, Int64[length]; as ``open_pieces``."""
        return np.concatenate(tuple(self.open_pieces(plaintexts, contributors, padded_sum)))

    @abstractmethod
    def open_pieces(
        self, plaintexts: Sequence[int], contributors: int, padded_sum: PaddedSum | None = None
    ) -> Iterator[NDArray[np.int64]]:
        """Return the sum of the sealed vectors; errors are raised before the first piece.

        Args:
            plaintexts: decrypted, of the added ciphertexts.
            contributors: number of added contributions.
            padded_sum: of the same contributions; not needed if vectors are sealed directly.

        Returns:
            Consecutive pieces of Int64[length].

        Raises:
            PlaintextOutOfRange: not the sum of that number of packed vectors.
            InvalidPadKey: the decrypted sum is not a sum of keys of pads: a contributor encrypted something else.
            StateError: the padded sum, the plaintexts or the contributors do not match the terms.
        """

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


class DirectSealing(Sealing):
    """Packed Damgård–Jurik under the terms of one round."""

    def __init__(self, terms: RoundTerms, parties: int, encryptor: Encryptor) -> None:
        """Raise ``CapacityExceeded`` if the terms do not fit the key."""
        super().__init__(direct_packing(terms, parties, encryptor.public_key), 0, encryptor)

    def seal_pieces(
        self,
        pieces: Iterable[NDArray[np.int64]],
        session_id: bytes,
        party_id: PartyId,
        random: RandomSource,
        write: Callable[[bytes], None],
    ) -> tuple[KeyPart, bytes]:
        """See ``Sealing``; there is no padded part."""
        plaintexts = self._packing.pack(np.concatenate(tuple(pieces)))
        return self._seal_plaintexts(plaintexts, session_id, party_id, NOTHING_PADDED, random), NOTHING_PADDED

    def open_pieces(
        self, plaintexts: Sequence[int], contributors: int, padded_sum: PaddedSum | None = None
    ) -> Iterator[NDArray[np.int64]]:
        """See ``Sealing``; the sum is exact, and one piece."""
        if padded_sum is not None and len(padded_sum.values):
            raise StateError("vectors that were sealed directly have no padded sum")
        return iter((self._packing.unpack(plaintexts, contributors),))


def direct_packing(terms: RoundTerms, parties: int, key: PublicKey) -> Packing:
    """Return the packing of one reply's vector into plaintexts of ``key``.

    Args:
        terms: of the round.
        parties: members of the roster, and maximum number of replies in one sum.
        key: the federation's public key.

    Raises:
        CapacityExceeded: the sum's range does not fit, or the vector needs too many ciphertexts; the message gives the
            numbers.
    """
    lower, upper = terms.encoding.contribution_range(terms.noise)
    packing = Packing(
        length=terms.encoding.length,
        lower=lower,
        upper=upper,
        max_contributors=parties,
        plaintext_bits=key.plaintext_bits,
    )
    if packing.plaintexts > MAX_CIPHERTEXTS:
        raise CapacityExceeded(
            f"a reply of {packing.length} values in slots of {packing.slot_bits} bits needs {packing.plaintexts} "
            f"ciphertexts, more than {MAX_CIPHERTEXTS}: ask for fewer values per round, such as fewer nodes or levels"
        )
    return packing
