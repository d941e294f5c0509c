# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Converter for ``types.proto``: frames, and the common parts of several messages."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from coterie_common import document
from coterie_common.errors import MalformedMessage, RefusedError
from coterie_common.limits import (
    CIPHERTEXT_BYTES,
    FRAME_BYTES,
    MAX_CIPHERTEXTS,
    MAX_PARTIES,
    MAX_ROUND_NUMBER,
    PROOF_BYTES,
    ROUND_TERMS_BYTES,
)
from coterie_common.protocol.encrypted_reply import Contribution, KeyPart
from coterie_common.protocol.messages import Rejection
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.terms import RoundTerms
from coterie_common.wire import strict
from coterie_common.wire.pb import types_pb2 as pb

_MAX_UINT32 = 2**32 - 1


@dataclass(frozen=True, slots=True)
class Announcement:
    """The announcement of a transfer in its first frame.

    Attributes:
        length: of the transfer in bytes.
        digest: of the transfer.
        is_content: it is not a message, but the content of the one before it.
    """

    length: int
    digest: bytes
    is_content: bool = False


@dataclass(frozen=True, slots=True)
class Frame:
    """One piece of a transfer."""

    announcement: Announcement | None
    chunk: bytes


def frame_to_wire(frame: Frame) -> pb.Frame:
    """Return the protocol buffer of a frame."""
    if frame.announcement is None:
        return pb.Frame(chunk=frame.chunk)
    announced = pb.Announcement(
        length=frame.announcement.length,
        digest=frame.announcement.digest,
        is_content=frame.announcement.is_content,
    )
    return pb.Frame(announcement=announced, chunk=frame.chunk)


def frame_from_bytes(data: bytes) -> pb.Frame:
    """Return the protocol buffer of a frame's bytes; raises ``MalformedMessage``."""
    return strict.parse_any(pb.Frame.FromString, data, "a frame")


def frame_from_wire(message: pb.Frame) -> Frame:
    """Check and convert a frame; raises ``MalformedMessage``."""
    strict.check_known(message, "a frame")
    announcement = None
    if message.HasField("announcement"):
        announced = message.announcement
        digest = strict.digest(announced.digest, "digest of the announcement")
        announcement = Announcement(announced.length, digest, announced.is_content)
    return Frame(announcement, strict.octets(message.chunk, "chunk of the frame", minimum=1, maximum=FRAME_BYTES))


def fields_to_wire(fields: SessionFields) -> pb.SessionFields:
    """Return the protocol buffer of session fields."""
    return pb.SessionFields(
        roster_digest=fields.roster_digest,
        key_epoch=fields.key_epoch,
        job_id=fields.job_id,
        spec_digest=fields.spec_digest,
        round_number=fields.round_number,
        plan_step=fields.plan_step,
        body_digest=fields.body_digest,
        cohort=fields.cohort,
        round_quorum=fields.round_quorum,
        terms=document.encode(fields.terms.to_document()),
        previous_transcript=fields.previous_transcript,
        acceptances=fields.acceptances,
    )


def fields_from_wire(message: pb.SessionFields) -> SessionFields:
    """Check and convert session fields; raises ``MalformedMessage``."""
    document_of_terms = document.decode(message.terms, "the round's terms", maximum=ROUND_TERMS_BYTES)
    try:
        terms = RoundTerms.from_document(document_of_terms)
    except RefusedError as cause:
        raise MalformedMessage("the round's terms are such as no round can have") from cause
    return SessionFields(
        roster_digest=message.roster_digest,
        key_epoch=strict.number(message.key_epoch, "key_epoch", minimum=1, maximum=_MAX_UINT32),
        job_id=strict.job_id(message.job_id),
        spec_digest=message.spec_digest,
        round_number=message.round_number,
        plan_step=message.plan_step,
        body_digest=message.body_digest,
        cohort=strict.party_ids(message.cohort, "cohort"),
        round_quorum=message.round_quorum,
        terms=terms,
        previous_transcript=message.previous_transcript,
        acceptances=message.acceptances,
    )


def contribution_to_wire(contribution: Contribution) -> pb.Contribution:
    """Return the protocol buffer of a contribution."""
    key_part = pb.KeyPart(ciphertexts=contribution.key_part.ciphertexts, proof=contribution.key_part.proof)
    return pb.Contribution(
        party_id=contribution.party_id,
        key_part=key_part,
        padded_digest=contribution.padded_digest,
        signature=contribution.signature,
    )


def contribution_from_wire(message: pb.Contribution) -> Contribution:
    """Check and convert a contribution; raises ``MalformedMessage``.

    The lengths of ciphertexts and proof are bounded here; the key determines their exact values.
    """
    key_part: pb.KeyPart = strict.part(message, "key_part")
    return Contribution(
        party_id=strict.party_id(message.party_id),
        key_part=KeyPart(
            ciphertexts=ciphertexts_from_wire(key_part.ciphertexts, "ciphertexts"),
            proof=strict.octets(key_part.proof, "proof of plaintext knowledge", minimum=1, maximum=PROOF_BYTES),
        ),
        padded_digest=strict.digest(message.padded_digest, "padded_digest"),
        signature=strict.signature(message.signature),
    )


def contributions_from_wire(messages: Iterable[pb.Contribution]) -> tuple[Contribution, ...]:
    """Check and convert the contributions of one round, no party twice; raises ``MalformedMessage``."""
    contributions = tuple(
        contribution_from_wire(message)
        for message in strict.several(messages, "contributions", minimum=1, maximum=MAX_PARTIES)
    )
    if len({contribution.party_id for contribution in contributions}) != len(contributions):
        raise MalformedMessage("contributions name a party twice")
    return contributions


def ciphertexts_from_wire(values: Iterable[bytes], field: str) -> tuple[bytes, ...]:
    """Check the number and size of ciphertexts or partial decryptions; raises ``MalformedMessage``."""
    return tuple(
        strict.octets(value, f"one of the {field}", minimum=1, maximum=CIPHERTEXT_BYTES)
        for value in strict.several(values, field, minimum=1, maximum=MAX_CIPHERTEXTS)
    )


def rejection_to_wire(rejection: Rejection) -> pb.Rejection:
    """Return the protocol buffer of a rejection."""
    return pb.Rejection(
        code=rejection.code,
        detail=rejection.detail,
        job_id=rejection.job_id,
        round_number=rejection.round_number,
    )


def rejection_from_wire(message: pb.Rejection) -> Rejection:
    """Check and convert a rejection; raises ``MalformedMessage``."""
    return Rejection(
        code=strict.code(message.code),
        detail=strict.reason(message.detail, "detail"),
        job_id=strict.job_id(message.job_id) if message.job_id else "",
        round_number=strict.number(message.round_number, "round_number", maximum=MAX_ROUND_NUMBER),
    )
