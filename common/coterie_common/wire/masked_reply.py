# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Converter for replies under complete sealing and the lists of them."""

from __future__ import annotations

from coterie_common.limits import MASKED_PART_BYTES, MAX_COMPLETE_COHORT, MAX_ROUND_NUMBER
from coterie_common.protocol.masked_reply import MaskedPart, MaskedReply, ReplyList
from coterie_common.wire import strict
from coterie_common.wire.acceptance import check_ascending
from coterie_common.wire.pb import federation_pb2 as pb


def reply_list_to_wire(previous: ReplyList | None) -> pb.ReplyList | None:
    """Return the protocol buffer of a list of replies."""
    return None if previous is None else _list_to_wire(previous)


def _list_to_wire(listed: ReplyList) -> pb.ReplyList:
    replies = (pb.ListedReply(party_id=party_id, digest=digest) for party_id, digest in listed.replies)
    return pb.ReplyList(session_id=listed.session_id, replies=replies)


def reply_list_from_wire(message: pb.ReplyList) -> ReplyList:
    """Check and convert a list of replies; raises ``MalformedMessage``."""
    replies = tuple(
        (strict.party_id(each.party_id), strict.digest(each.digest, "digest of a reply"))
        for each in strict.several(message.replies, "replies", minimum=1, maximum=MAX_COMPLETE_COHORT)
    )
    check_ascending([party_id for party_id, _ in replies], "replies")
    return ReplyList(session_id=strict.digest(message.session_id, "session_id"), replies=replies)


def reply_list_to_bytes(listed: ReplyList) -> bytes:
    """Return the bytes of a list of replies, as the aggregator keeps them."""
    return pb.ReplyList.SerializeToString(_list_to_wire(listed))


def reply_list_from_bytes(data: bytes) -> ReplyList:
    """Parse a list of replies that was kept; raises ``MalformedMessage``."""
    return reply_list_from_wire(strict.parse(pb.ReplyList, data, "a list of replies"))


def masked_reply_to_wire(message: MaskedReply) -> pb.MaskedReply:
    """Return the protocol buffer of a masked reply."""
    return pb.MaskedReply(
        job_id=message.job_id,
        round_number=message.round_number,
        session_id=message.session_id,
        party_id=message.party_id,
        masked=message.masked.values,
        padded_digest=message.padded_digest,
        signature=message.signature,
    )


def masked_reply_from_wire(message: pb.MaskedReply) -> MaskedReply:
    """Check and convert a masked reply; raises ``MalformedMessage``."""
    return MaskedReply(
        job_id=strict.job_id(message.job_id),
        round_number=strict.number(message.round_number, "round_number", minimum=1, maximum=MAX_ROUND_NUMBER),
        session_id=strict.digest(message.session_id, "session_id"),
        party_id=strict.party_id(message.party_id),
        masked=MaskedPart(values=strict.octets(message.masked, "masked", minimum=1, maximum=MASKED_PART_BYTES)),
        padded_digest=strict.digest(message.padded_digest, "padded_digest"),
        signature=strict.signature(message.signature),
    )
