# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Who sent a message: the party whose certificate opened the stream, and no other.

Invariant: behind this check a message's own party id is that of its sender; nothing else compares the two.
"""

from __future__ import annotations

from typing import assert_never

from coterie_common.errors import IdentityMismatch, UnexpectedMessage
from coterie_common.identifiers import PartyId
from coterie_common.protocol.acceptance import Encapsulations, JobReply
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.masked_reply import MaskedReply
from coterie_common.protocol.messages import Hello, ModelReceipt, PaddedPart, PartialDecryption, PartyMessage, Rejection


def check_sender(party_id: PartyId, message: PartyMessage) -> None:
    """Check the party id that a message names, whichever way its kind names it.

    Args:
        party_id: of the certificate that opened the stream.
        message: that came on it, after the first Hello.

    Raises:
        UnexpectedMessage: a second Hello.
        IdentityMismatch: another party's id; the sender is the culprit.
    """
    match message:
        case Hello():
            raise UnexpectedMessage("Hello comes only once")
        case EncryptedReply():
            named = message.contribution.party_id
        case JobReply() | Encapsulations() | MaskedReply() | PaddedPart() | PartialDecryption() | ModelReceipt():
            named = message.party_id
        case Rejection():
            return
        case _:
            assert_never(message)
    if named != party_id:
        raise IdentityMismatch(f"{party_id} sent a message under another party's id", culprits=(party_id,))
