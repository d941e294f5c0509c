# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Verifying contributions: one by the aggregator when it arrives, all by every party before it opens their sum.

The checks of a reply, ``REPLY_CHECKS``, cheap ones first:

1. answers this query
2. the sender was asked
3. the padded part is as long as the terms say, empty where sealed directly
4. the padded part is the one that the contribution names
5. signed by its sender for this session
6. the exact number of ciphertexts, each in range and a unit; a padded part only if there is one
7. the sender knows what it encrypted

The sender is the culprit of any that fails, provably from check 5 on: what the later ones look at bears its signature.
Of everybody's contributions to a sum a party repeats checks 5 to 7, as checks 10 to 12 of ``request``.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from coterie_common.crypto.hashing import DIGEST_BYTES
from coterie_common.crypto.paillier import Ciphertext
from coterie_common.errors import MalformedMessage, NotInCohort, ParameterMismatch, PeerError
from coterie_common.identifiers import PartyId
from coterie_common.protocol.encrypted_reply import Contribution, EncryptedReply
from coterie_common.protocol.padded_part import PaddedFacts
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.sealing.encrypted import EncryptedSealing
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.verification.check import Check, run_checks


@dataclass(slots=True, kw_only=True)
class ReplyReceived:
    """A received reply, and the round that it is for.

    Attributes:
        reply: as it came.
        padded: of the padded part that came with it.
        fields: of the query that the aggregator sent.
        roster: in force.
        sealing: for the terms of the round.
        ciphertexts: of its key part, once their form was checked.
    """

    reply: EncryptedReply
    padded: PaddedFacts
    fields: SessionFields
    roster: Roster
    sealing: EncryptedSealing
    ciphertexts: tuple[Ciphertext, ...] = ()


def verify_reply(
    reply: EncryptedReply,
    padded: PaddedFacts,
    fields: SessionFields,
    roster: Roster,
    sealing: EncryptedSealing,
) -> tuple[Ciphertext, ...]:
    """Check a whole reply at the aggregator and return its ciphertexts.

    Args:
        reply: as it came.
        padded: of the padded part that came with it.
        fields: of the query that the aggregator sent.
        roster: in force.
        sealing: for the terms of the round.

    Raises:
        PeerError: one of the numbered checks fails; the sender is the culprit.
    """
    received = ReplyReceived(reply=reply, padded=padded, fields=fields, roster=roster, sealing=sealing)
    return _verify_reply(received, REPLY_CHECKS)


def _verify_reply(received: ReplyReceived, checks: tuple[Check[ReplyReceived], ...]) -> tuple[Ciphertext, ...]:
    """Run ``checks`` only: private, so that nobody but a test of the checks themselves can leave one out."""
    with blaming(received.reply.contribution.party_id):
        run_checks(checks, received)
    return received.ciphertexts


def verify_signature(contribution: Contribution, session_id: bytes, roster: Roster) -> None:
    """Check a contribution's signature for a session.

    Raises:
        NotInCohort: the party is not a member of the roster.
        MalformedMessage: the digest of the padded part has a wrong length.
        InvalidSignature: not signed by that party for this session.

    No error names a culprit: content that a party did not sign is a claim of its sender, which may be the aggregator.
    """
    if len(contribution.padded_digest) != DIGEST_BYTES:
        raise MalformedMessage("the digest of the padded part has a wrong length")
    contribution.verify(roster.member(contribution.party_id).verify_key, session_id)


def check_form(contribution: Contribution, sealing: EncryptedSealing) -> tuple[Ciphertext, ...]:
    """Check the form of a contribution whose signature holds, and return its ciphertexts.

    Raises:
        MalformedMessage: wrong number or length of ciphertexts, or a padded part although the terms have none.
        InvalidCiphertext: out of range or no unit.
    """
    with blaming(contribution.party_id):
        sealing.check_padded_digest(contribution.padded_digest)
        return sealing.check_ciphertexts(contribution.key_part)


@contextmanager
def blaming(party_id: PartyId) -> Iterator[None]:
    """Name the sender of the content checked inside as the culprit of every ``PeerError``."""
    try:
        yield
    except PeerError as error:
        error.culprits = (party_id,)
        raise


# Check 1.
def _session(v: ReplyReceived) -> None:
    if v.reply.session_id != v.fields.session_id:
        raise ParameterMismatch("the reply answers another query")


# Check 2.
def _cohort(v: ReplyReceived) -> None:
    if v.reply.contribution.party_id not in v.fields.cohort:
        raise NotInCohort("the sender of the reply is not in the cohort")


# Check 3.
def _padded_size(v: ReplyReceived) -> None:
    v.sealing.check_padded(v.padded.size)


# Check 4.
def _padded_content(v: ReplyReceived) -> None:
    if v.padded.digest != v.reply.contribution.padded_digest:
        raise MalformedMessage("the padded part of the reply is not what its contribution names")


# Check 5.
def _signature(v: ReplyReceived) -> None:
    verify_signature(v.reply.contribution, v.reply.session_id, v.roster)


# Check 6.
def _form(v: ReplyReceived) -> None:
    v.ciphertexts = check_form(v.reply.contribution, v.sealing)


# Check 7.
def _knowledge(v: ReplyReceived) -> None:
    v.sealing.verify_knowledge(v.reply.contribution, v.ciphertexts, v.reply.session_id)


REPLY_CHECKS: Final[tuple[Check[ReplyReceived], ...]] = (
    Check(1, "answers this query", _session),
    Check(2, "the sender was asked", _cohort),
    Check(3, "the padded part is as long as the terms say, empty where sealed directly", _padded_size),
    Check(4, "the padded part is the one that the contribution names", _padded_content),
    Check(5, "signed by its sender for this session", _signature),
    Check(6, "the exact number of ciphertexts, each in range and a unit; a padded part only if there is one", _form),
    Check(7, "the sender knows what it encrypted", _knowledge),
)
