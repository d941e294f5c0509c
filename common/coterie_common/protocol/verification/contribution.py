# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Verifying one contribution: by the aggregator when it arrives, by every party before it opens a sum."""

from __future__ import annotations

from coterie_common.crypto.hashing import DIGEST_BYTES
from coterie_common.crypto.paillier import Ciphertext
from coterie_common.errors import MalformedMessage, NotInCohort, ParameterMismatch, PeerError
from coterie_common.protocol.messages import NOTHING_PADDED, Contribution, EncryptedReply, padded_digest
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.sealing import DirectSealing
from coterie_common.protocol.session import SessionFields


def verify_reply(
    reply: EncryptedReply, fields: SessionFields, roster: Roster, sealing: DirectSealing
) -> tuple[Ciphertext, ...]:
    """Check a whole reply at the aggregator and return its ciphertexts.

    Args:
        reply: as it came.
        fields: of the query that the aggregator sent.
        roster: in force.
        sealing: for the terms of the round.

    Raises:
        PeerError: one of the numbered checks fails; the sender is the culprit.
    """
    contribution = reply.contribution
    try:
        # 1. It answers this query.
        if reply.session_id != fields.session_id:
            raise ParameterMismatch("the reply answers another query")
        # 2. The sender was asked.
        if contribution.party_id not in fields.cohort:
            raise NotInCohort("the sender of the reply is not in the cohort")
        # 3. The padded part is what the contribution names, and there is none where the sealing is direct.
        if reply.padded or padded_digest(reply.padded) != contribution.padded_digest:
            raise MalformedMessage("the padded part of the reply is not what its contribution names")
        # 4. The contribution itself.
        verify_signature(contribution, reply.session_id, roster)
        return verify_sealing(contribution, reply.session_id, sealing)
    except PeerError as error:
        error.culprits = (contribution.party_id,)
        raise


def verify_signature(contribution: Contribution, session_id: bytes, roster: Roster) -> None:
    """Check a contribution's signature for a session.

    Raises:
        NotInCohort: the party is no member of the roster.
        MalformedMessage: the digest of the padded part has a wrong length.
        InvalidSignature: not signed by that party for this session.
    """
    if len(contribution.padded_digest) != DIGEST_BYTES:
        raise MalformedMessage("the digest of the padded part has a wrong length", culprits=(contribution.party_id,))
    member = roster.member(contribution.party_id)
    label, items = Contribution.signed_items(
        session_id, member.party_id, contribution.key_part.digest, contribution.padded_digest
    )
    try:
        member.verify_key.verify(contribution.signature, label, *items)
    except PeerError as error:
        error.culprits = (contribution.party_id,)
        raise


def verify_sealing(contribution: Contribution, session_id: bytes, sealing: DirectSealing) -> tuple[Ciphertext, ...]:
    """Check ciphertexts and proof of a contribution whose signature holds, and return the ciphertexts.

    Raises:
        MalformedMessage: wrong number or length of ciphertexts or proof.
        InvalidCiphertext: out of range or no unit.
        InvalidProof: the party does not know what it encrypted.
    """
    try:
        # A padded part beside a direct sealing would be signed for, but belong to no sum.
        if contribution.padded_digest != NOTHING_PADDED:
            raise MalformedMessage("a directly sealed contribution has a padded part")
        ciphertexts = sealing.check_ciphertexts(contribution.key_part)
        sealing.verify_knowledge(
            ciphertexts,
            contribution.key_part.proof,
            session_id,
            contribution.party_id,
            contribution.padded_digest,
        )
    except PeerError as error:
        error.culprits = (contribution.party_id,)
        raise
    return ciphertexts
