# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator's arithmetic for one round: verify the replies, build the decryption request, open the sum.

Pure functions of their arguments, run on worker threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from coterie_aggregator.live.rounds.sums import release_of, start_sum
from coterie_common.crypto.identity import SigningKey
from coterie_common.crypto.paillier import Ciphertext
from coterie_common.crypto.threshold import ThresholdPublicKey
from coterie_common.errors import MalformedMessage
from coterie_common.learning.algorithm import Release
from coterie_common.protocol.encrypted_reply import Contribution, EncryptedReply
from coterie_common.protocol.messages import DecryptionRequest, PartialDecryption, Reply
from coterie_common.protocol.padded_part import PaddedFacts
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.sealing.encrypted import EncryptedSealing
from coterie_common.protocol.sealing.running_sum import RunningSum
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.verification.contribution import verify_reply
from coterie_common.protocol.verification.opening import open_total
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

    def __init__(
        self, fields: SessionFields, roster: Roster, key: ThresholdPublicKey, sealing: EncryptedSealing
    ) -> None:
        self._fields = fields
        self._session_id = fields.session_id
        self._roster = roster
        self._key = key
        self._sealing = sealing

    def check_padded(self, size: int) -> None:
        """Raise ``MalformedMessage`` unless padded parts of this round are ``size`` bytes long."""
        self._sealing.check_padded(size)

    def verify_reply(self, reply: Reply, padded: PaddedFacts) -> None:
        """Check a reply and its padded part as received; raises ``PeerError`` with its sender as culprit."""
        if not isinstance(reply, EncryptedReply):
            raise MalformedMessage("a masked reply to a round under the threshold key", culprits=(reply.party_id,))
        verify_reply(reply, padded, self._fields, self._roster, self._sealing)

    def fix_transcript(self, contributions: Sequence[Contribution], signing_key: SigningKey) -> FixedTranscript:
        """Sum verified contributions, given in roster order, and sign the request to open the sum."""
        request = DecryptionRequest(
            fields=self._fields, contributions=tuple(contributions), signature=UNSIGNED
        ).signed_by(signing_key)
        total = self._sealing.add([self._sealing.check_ciphertexts(c.key_part) for c in contributions])
        return FixedTranscript(request, request.transcript_digest, total)

    def verify_partial(self, partial: PartialDecryption, transcript: FixedTranscript) -> None:
        """Check a partial decryption but its proof; raises ``PeerError`` with its sender as culprit."""
        verify_partial(partial, self._session_id, transcript.digest, transcript.total, self._key, self._roster)

    def start_sum(self, checkpoint: Iterable[bytes] | None) -> RunningSum:
        """Return the running sum of the round: with nobody in it, or as it was at a checkpoint.

        Raises:
            StorageError: the checkpoint is damaged.
        """
        return start_sum(self._sealing.new_padded_sum(self._session_id), self._fields, checkpoint)

    def open(self, partials: Sequence[PartialDecryption], transcript: FixedTranscript) -> tuple[int, ...]:
        """Combine partial decryptions that passed ``verify_partial`` into the plaintexts of the sum's ciphertexts.

        Args:
            partials: each of another party.
            transcript: fixed, whose sum they open.

        Raises:
            InvalidProof: the sum does not open, and these partial decryptions are wrong: names all their senders.
            NotOpened: the sum does not open with any set of them, although all proofs hold.
            InsufficientShares: fewer than the decryption threshold.
        """
        return open_total(partials, self._session_id, transcript.digest, transcript.total, self._key, self._roster)

    def open_sum(self, plaintexts: Sequence[int], running: RunningSum) -> Release:
        """Open the running sum with its plaintexts, and decode it.

        Args:
            plaintexts: from ``open``.
            running: the sum of exactly the contributors of the transcript. No more than it and one release are in
                memory at a time.

        Raises:
            InvalidPadKey: a contributor encrypted no key of a pad.
            PlaintextOutOfRange: a contributor sealed values outside the agreed range.
        """
        contributors = len(running.members)
        opened = self._sealing.open_pieces(plaintexts, contributors, running.total)
        return release_of(opened, self._fields, contributors)
