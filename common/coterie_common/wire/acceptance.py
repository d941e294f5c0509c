# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Converter for the messages by which parties take a job and agree on secrets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from coterie_common.crypto.masks.ephemeral import CIPHERTEXT_BYTES, PUBLIC_BYTES
from coterie_common.errors import MalformedMessage
from coterie_common.limits import MAX_COMPLETE_COHORT
from coterie_common.protocol.acceptance import (
    Acceptances,
    Decision,
    Encapsulation,
    Encapsulations,
    JobReply,
    RelayedEncapsulations,
)
from coterie_common.wire import strict
from coterie_common.wire.pb import federation_pb2 as pb

DECISIONS: Final = {
    pb.DECISION_ACCEPTED: Decision.ACCEPTED,
    pb.DECISION_HELD: Decision.HELD,
    pb.DECISION_REFUSED: Decision.REFUSED,
}
DECISIONS_TO_WIRE: Final = {member: value for value, member in DECISIONS.items()}


def job_reply_to_wire(message: JobReply) -> pb.JobReply:
    """Return the protocol buffer of a reply to a proposal."""
    return pb.JobReply(
        job_id=message.job_id,
        party_id=message.party_id,
        spec_digest=message.spec_digest,
        terms_digest=message.terms_digest,
        decision=DECISIONS_TO_WIRE[message.decision],
        code=message.code,
        detail=message.detail,
        signature=message.signature,
        ephemeral_key=message.ephemeral_key,
    )


def job_reply_from_wire(message: pb.JobReply) -> JobReply:
    """Check and convert a reply to a proposal; raises ``MalformedMessage``."""
    decision = strict.enum(DECISIONS, message.decision, "decision")
    return JobReply(
        job_id=strict.job_id(message.job_id),
        party_id=strict.party_id(message.party_id),
        spec_digest=strict.digest(message.spec_digest, "spec_digest"),
        terms_digest=strict.digest(message.terms_digest, "terms_digest"),
        decision=decision,
        code=strict.code(message.code, optional=decision is not Decision.REFUSED),
        detail=strict.reason(message.detail, "detail"),
        signature=strict.signature(message.signature),
        ephemeral_key=_ephemeral_key(message.ephemeral_key, decision),
    )


def _ephemeral_key(value: bytes, decision: Decision) -> bytes:
    minimum = PUBLIC_BYTES if value else 0
    maximum = PUBLIC_BYTES if decision is Decision.ACCEPTED else 0
    return strict.octets(value, "ephemeral_key", minimum=minimum, maximum=maximum)


def acceptances_to_wire(message: Acceptances) -> pb.Acceptances:
    """Return the protocol buffer of acceptances."""
    return pb.Acceptances(
        job_id=message.job_id, replies=map(job_reply_to_wire, message.replies), signature=message.signature
    )


def acceptances_from_wire(message: pb.Acceptances) -> Acceptances:
    """Check and convert acceptances; raises ``MalformedMessage``."""
    replies = tuple(
        job_reply_from_wire(reply)
        for reply in strict.several(message.replies, "replies", minimum=1, maximum=MAX_COMPLETE_COHORT)
    )
    check_ascending([reply.party_id for reply in replies], "replies")
    return Acceptances(
        job_id=strict.job_id(message.job_id), replies=replies, signature=strict.signature(message.signature)
    )


def _encapsulation_to_wire(message: Encapsulation) -> pb.Encapsulation:
    sender_acceptance, recipient_acceptance = message.acceptances
    return pb.Encapsulation(
        job_id=message.job_id,
        sender=message.sender,
        recipient=message.recipient,
        sender_acceptance=sender_acceptance,
        recipient_acceptance=recipient_acceptance,
        ciphertext=message.ciphertext,
        signature=message.signature,
    )


def _encapsulation_from_wire(message: pb.Encapsulation) -> Encapsulation:
    return Encapsulation(
        job_id=strict.job_id(message.job_id),
        sender=strict.party_id(message.sender, "sender"),
        recipient=strict.party_id(message.recipient, "recipient"),
        acceptances=(
            strict.digest(message.sender_acceptance, "sender_acceptance"),
            strict.digest(message.recipient_acceptance, "recipient_acceptance"),
        ),
        ciphertext=strict.octets(message.ciphertext, "ciphertext", minimum=CIPHERTEXT_BYTES, maximum=CIPHERTEXT_BYTES),
        signature=strict.signature(message.signature),
    )


def _several_encapsulations(messages: Iterable[pb.Encapsulation]) -> tuple[Encapsulation, ...]:
    several = strict.several(messages, "encapsulations", maximum=MAX_COMPLETE_COHORT - 1)
    return tuple(map(_encapsulation_from_wire, several))


def encapsulations_to_wire(message: Encapsulations) -> pb.Encapsulations:
    """Return the protocol buffer of a party's encapsulations."""
    return pb.Encapsulations(
        job_id=message.job_id,
        party_id=message.party_id,
        encapsulations=map(_encapsulation_to_wire, message.encapsulations),
    )


def encapsulations_from_wire(message: pb.Encapsulations) -> Encapsulations:
    """Check and convert a party's encapsulations; raises ``MalformedMessage``."""
    encapsulations = _several_encapsulations(message.encapsulations)
    check_ascending([each.recipient for each in encapsulations], "encapsulations")
    return Encapsulations(
        job_id=strict.job_id(message.job_id),
        party_id=strict.party_id(message.party_id),
        encapsulations=encapsulations,
    )


def relayed_to_wire(message: RelayedEncapsulations) -> pb.RelayedEncapsulations:
    """Return the protocol buffer of relayed encapsulations."""
    return pb.RelayedEncapsulations(
        job_id=message.job_id, encapsulations=map(_encapsulation_to_wire, message.encapsulations)
    )


def relayed_from_wire(message: pb.RelayedEncapsulations) -> RelayedEncapsulations:
    """Check and convert relayed encapsulations; raises ``MalformedMessage``."""
    encapsulations = _several_encapsulations(message.encapsulations)
    check_ascending([each.sender for each in encapsulations], "encapsulations")
    return RelayedEncapsulations(job_id=strict.job_id(message.job_id), encapsulations=encapsulations)


def check_ascending(ids: Sequence[str], what: str) -> None:
    """Raise ``MalformedMessage`` unless ids of parties are in their order, none twice."""
    if list(ids) != sorted(set(ids)):
        raise MalformedMessage(f"{what} must be in the order of their parties' ids, none twice")
