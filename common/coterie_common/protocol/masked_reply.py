# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A reply under complete sealing, and the list of the replies in a sum that opened."""

from __future__ import annotations

from dataclasses import dataclass

from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.signed import Signed, SignedItems


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedPart:
    """The masked part of a reply under complete sealing: little-endian numbers of 64 or 32 bits, as the terms say."""

    values: bytes

    @property
    def digest(self) -> bytes:
        """Digest of the masked numbers."""
        return tuple_hash(Label.MASKED_PART, self.values)


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedReply(Signed):
    """Party → aggregator: a reply under complete sealing; if vectors are padded, its padded part precedes it.

    It has no key part, and no decryption request can hold it.
    """

    job_id: JobId
    round_number: int
    session_id: bytes
    party_id: PartyId
    masked: MaskedPart
    padded_digest: bytes

    @property
    def signed_items(self) -> SignedItems:
        """Label and items under the party's signature."""
        return Label.MASKED_REPLY, (self.session_id, self.party_id, self.masked.digest, self.padded_digest)

    @property
    def digest(self) -> bytes:
        """Digest under which a party remembers its reply, and under which the list of the round names it."""
        return tuple_hash(Label.MASKED_REPLY_DIGEST, *self.signed_items[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplyList:
    """The replies in the sum of a round that was sealed completely; its digest stands in for a transcript.

    Attributes:
        session_id: of that round.
        replies: (party id, digest of its reply), in the order of their ids.
    """

    session_id: bytes
    replies: tuple[tuple[PartyId, bytes], ...]

    @property
    def digest(self) -> bytes:
        """Digest of the list, which the next query names as the previous transcript."""
        return tuple_hash(Label.REPLY_LIST, self.session_id, *self.replies)
