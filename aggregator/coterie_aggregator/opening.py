# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator's arithmetic on one round: verify what came, build the decryption request, open the sum.

Pure functions of their arguments, run on worker threads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from coterie_common.crypto import threshold
from coterie_common.crypto.identity import SigningKey
from coterie_common.crypto.paillier import Ciphertext, Encryptor
from coterie_common.crypto.threshold import ThresholdPublicKey
from coterie_common.learning.algorithm import Release
from coterie_common.protocol.messages import Contribution, DecryptionRequest, EncryptedReply, PartialDecryption
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.sealing import DirectSealing
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.transcript import transcript_digest
from coterie_common.protocol.verification.contribution import verify_reply
from coterie_common.protocol.verification.party_messages import verify_partial


@dataclass(frozen=True, slots=True)
class FixedTranscript:
    """The one transcript of a round.

    Attributes:
        request: signed, the same for every party.
        digest: of the transcript.
        total: ciphertexts of the sum.
    """

    request: DecryptionRequest
    digest: bytes
    total: tuple[Ciphertext, ...]


class RoundArithmetic:
    """Everything that a round computes, for one query."""

    def __init__(self, fields: SessionFields, roster: Roster, key: ThresholdPublicKey, encryptor: Encryptor) -> None:
        self._fields = fields
        self._session_id = fields.session_id
        self._roster = roster
        self._key = key
        self._sealing = DirectSealing(fields.terms, roster.parameters.parties, encryptor)

    def verify_reply(self, reply: EncryptedReply) -> None:
        """Check a reply; raises ``PeerError`` with its sender as culprit."""
        verify_reply(reply, self._fields, self._roster, self._sealing)

    def fix_transcript(self, contributions: Sequence[Contribution], signing_key: SigningKey) -> FixedTranscript:
        """Sum verified contributions, given in roster order, and sign the request to open the sum."""
        digest = transcript_digest(self._session_id, contributions)
        label, items = DecryptionRequest.signed_items(digest)
        request = DecryptionRequest(
            fields=self._fields, contributions=tuple(contributions), signature=signing_key.sign(label, *items)
        )
        total = self._sealing.add([self._sealing.check_ciphertexts(c.key_part) for c in contributions])
        return FixedTranscript(request, digest, total)

    def verify_partial(self, partial: PartialDecryption, transcript: FixedTranscript) -> None:
        """Check a partial decryption; raises ``PeerError`` with its sender as culprit."""
        verify_partial(partial, self._session_id, transcript.digest, transcript.total, self._key, self._roster)

    def open_sum(self, partials: Mapping[int, PartialDecryption], contributors: int) -> Release:
        """Combine verified partial decryptions, by party index, and decode the sum.

        Raises:
            InsufficientShares: fewer than the decryption threshold.
        """
        values = {
            index: [int.from_bytes(value, "big") for value in partial.values] for index, partial in partials.items()
        }
        summed = self._sealing.open(threshold.combine(self._key, values), contributors)
        terms = self._fields.terms
        return Release(
            values=terms.encoding.decode(summed),
            contributors=contributors,
            noise_stddev=terms.noise.aggregate_stddev(contributors) / 2**terms.encoding.scale_bits,
        )
