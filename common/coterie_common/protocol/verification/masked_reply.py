# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator's checks of a reply under complete sealing.

The checks, ``MASKED_REPLY_CHECKS``, cheap ones first:

1. answers this query
2. the sender was asked
3. the padded part is as long as the terms say, empty where there is none
4. the padded part is the one that the reply names
5. signed by its sender for this session
6. a masked part of the exact length; a padded part only if there is one

The sender is the culprit of any that fails, provably once check 5 has passed. That a mask is the right one nothing
shows: a wrong one spoils the sum.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from coterie_common.errors import MalformedMessage, NotInCohort, ParameterMismatch
from coterie_common.protocol.masked_reply import MaskedReply
from coterie_common.protocol.padded_part import PaddedFacts
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.sealing.complete import CompleteSealing
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.verification.check import Check, run_checks
from coterie_common.protocol.verification.contribution import blaming


@dataclass(frozen=True, slots=True, kw_only=True)
class MaskedReplyReceived:
    """A received reply, and the round that it is for.

    Attributes:
        reply: as it came.
        padded: of the padded part that came with it.
        fields: of the query that the aggregator sent.
        roster: in force.
        sealing: for the terms of the round.
    """

    reply: MaskedReply
    padded: PaddedFacts
    fields: SessionFields
    roster: Roster
    sealing: CompleteSealing


def verify_masked_reply(
    reply: MaskedReply, padded: PaddedFacts, fields: SessionFields, roster: Roster, sealing: CompleteSealing
) -> None:
    """Check a whole reply at the aggregator.

    Args:
        reply: as it came.
        padded: of the padded part that came with it.
        fields: of the query that the aggregator sent.
        roster: in force.
        sealing: for the terms of the round.

    Raises:
        PeerError: one of the numbered checks fails; the sender is the culprit.
    """
    received = MaskedReplyReceived(reply=reply, padded=padded, fields=fields, roster=roster, sealing=sealing)
    _verify_masked_reply(received, MASKED_REPLY_CHECKS)


def _verify_masked_reply(received: MaskedReplyReceived, checks: tuple[Check[MaskedReplyReceived], ...]) -> None:
    """Run ``checks`` only: private, so that nobody but a test of the checks themselves can leave one out."""
    with blaming(received.reply.party_id):
        run_checks(checks, received)


# Check 1.
def _session(v: MaskedReplyReceived) -> None:
    if v.reply.session_id != v.fields.session_id:
        raise ParameterMismatch("the reply answers another query")


# Check 2.
def _cohort(v: MaskedReplyReceived) -> None:
    if v.reply.party_id not in v.fields.cohort:
        raise NotInCohort("the sender of the reply is not in the cohort")


# Check 3.
def _padded_size(v: MaskedReplyReceived) -> None:
    v.sealing.check_padded(v.padded.size)


# Check 4.
def _padded_content(v: MaskedReplyReceived) -> None:
    if v.padded.digest != v.reply.padded_digest:
        raise MalformedMessage("the padded part of the reply is not what the reply names")


# Check 5.
def _signature(v: MaskedReplyReceived) -> None:
    v.reply.verify(v.roster.member(v.reply.party_id).verify_key)


# Check 6.
def _form(v: MaskedReplyReceived) -> None:
    v.sealing.check_padded_digest(v.reply.padded_digest)
    v.sealing.check_masked(v.reply.masked)


MASKED_REPLY_CHECKS: Final[tuple[Check[MaskedReplyReceived], ...]] = (
    Check(1, "answers this query", _session),
    Check(2, "the sender was asked", _cohort),
    Check(3, "the padded part is as long as the terms say, empty where there is none", _padded_size),
    Check(4, "the padded part is the one that the reply names", _padded_content),
    Check(5, "signed by its sender for this session", _signature),
    Check(6, "a masked part of the exact length; a padded part only if there is one", _form),
)
