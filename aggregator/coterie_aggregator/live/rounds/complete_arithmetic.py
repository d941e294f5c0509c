# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator's arithmetic for one round that is sealed completely: verify the replies, add them up, open the sum.

Pure functions of their arguments, run on worker threads. There is no transcript to fix, and nothing to combine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from coterie_aggregator.live.rounds.sums import release_of, start_sum
from coterie_common.errors import MalformedMessage
from coterie_common.learning.algorithm import Release
from coterie_common.protocol.masked_reply import MaskedReply, ReplyList
from coterie_common.protocol.messages import Reply
from coterie_common.protocol.padded_part import PaddedFacts
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.sealing.complete import CompleteSealing
from coterie_common.protocol.sealing.running_sum import RunningSum
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.verification.masked_reply import verify_masked_reply


class CompleteArithmetic:
    """Everything that such a round computes, for one query."""

    def __init__(self, fields: SessionFields, roster: Roster, sealing: CompleteSealing) -> None:
        self._fields = fields
        self._session_id = fields.session_id
        self._roster = roster
        self._sealing = sealing

    def check_padded(self, size: int) -> None:
        """Raise ``MalformedMessage`` unless padded parts of this round are ``size`` bytes long."""
        self._sealing.check_padded(size)

    def verify_reply(self, reply: Reply, padded: PaddedFacts) -> None:
        """Check a reply and its padded part as received; raises ``PeerError`` with its sender as culprit."""
        if not isinstance(reply, MaskedReply):
            raise MalformedMessage(
                "an encrypted reply to a round that is sealed completely", culprits=(reply.party_id,)
            )
        verify_masked_reply(reply, padded, self._fields, self._roster, self._sealing)

    def start_sum(self, checkpoint: Iterable[bytes] | None) -> RunningSum:
        """Return the running sum of the round; as ``sums.start_sum``."""
        return start_sum(self._sealing.new_padded_sum(self._session_id), self._fields, checkpoint)

    def open_sum(self, replies: Sequence[MaskedReply], running: RunningSum) -> Release:
        """Add up the masked parts of the whole cohort, open the sum with them, and decode it.

        Args:
            replies: verified, of everybody in the cohort.
            running: the sum of their padded parts.

        Raises:
            InvalidPadKey, PlaintextOutOfRange: a contributor masked wrongly, or sealed values outside the agreed range.
        """
        total = self._sealing.add([reply.masked for reply in replies])
        opened = self._sealing.open_pieces(total, len(replies), running.total)
        return release_of(opened, self._fields, len(replies))

    def list_of(self, replies: Sequence[MaskedReply]) -> ReplyList:
        """Return the list of the replies in the sum, in the order of their parties' ids."""
        listed = sorted((reply.party_id, reply.digest) for reply in replies)
        return ReplyList(session_id=self._session_id, replies=tuple(listed))
