# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Converter for ``federation.proto``: one transfer's bytes to one message of the protocol, and back.

A parsed message is well formed: known fields only, with valid identifiers, sizes and enum values.
``protocol.verification`` checks its signatures and proofs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any, Final, cast

from coterie_common.errors import MalformedMessage
from coterie_common.limits import (
    FRAME_BYTES,
    JOB_SPEC_BYTES,
    JOB_TERMS_BYTES,
    MAX_ROUND_NUMBER,
    MODEL_BYTES,
    PADDED_PART_BYTES,
    PROOF_BYTES,
    QUERY_BODY_BYTES,
)
from coterie_common.protocol.acceptance import (
    Acceptances,
    Encapsulations,
    JobReply,
    RelayedEncapsulations,
)
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.masked_reply import MaskedReply
from coterie_common.protocol.messages import (
    AggregatorMessage,
    DecryptionRequest,
    Hello,
    JobEnd,
    JobOutcome,
    JobProposal,
    Message,
    ModelDelivery,
    ModelReceipt,
    PaddedPart,
    PartialDecryption,
    PartyMessage,
    Query,
    Rejection,
    Welcome,
)
from coterie_common.wire import bulk, strict, types
from coterie_common.wire.acceptance import (
    acceptances_from_wire,
    acceptances_to_wire,
    encapsulations_from_wire,
    encapsulations_to_wire,
    job_reply_from_wire,
    job_reply_to_wire,
    relayed_from_wire,
    relayed_to_wire,
)
from coterie_common.wire.masked_reply import (
    masked_reply_from_wire,
    masked_reply_to_wire,
    reply_list_from_wire,
    reply_list_to_wire,
)
from coterie_common.wire.pb import federation_pb2 as pb
from coterie_common.wire.strict import Octets

_MAX_UINT32 = 2**32 - 1

_LONG_BYTES: Final = FRAME_BYTES
"""Minimum size of a field for which avoiding a copy pays."""

_PLACEHOLDER: Final = b"\0"

_OUTCOMES: Final = {
    pb.JOB_OUTCOME_COMPLETED: JobOutcome.COMPLETED,
    pb.JOB_OUTCOME_FAILED: JobOutcome.FAILED,
    pb.JOB_OUTCOME_CANCELLED: JobOutcome.CANCELLED,
}
_OUTCOMES_TO_WIRE: Final = {member: value for value, member in _OUTCOMES.items()}


def party_message_to_wire(message: PartyMessage) -> bytes:
    """Return the bytes of one transfer from a party."""
    return _to_wire(pb.PartyEnvelope, message)


def party_message_from_wire(data: Octets) -> PartyMessage:
    """Parse one transfer from a party; raises ``MalformedMessage``."""
    return cast(PartyMessage, _from_wire(pb.PartyEnvelope, data))


def aggregator_message_to_wire(message: AggregatorMessage) -> bytes:
    """Return the bytes of one transfer from the aggregator; a model in it is copied once."""
    if isinstance(message, Query) and len(message.body) >= _LONG_BYTES:
        fields = pb.Query(fields=types.fields_to_wire(message.fields))
        rest = pb.Query(signature=message.signature, previous=reply_list_to_wire(message.previous))
        return _enclose("query", fields, message.body, rest)
    if isinstance(message, ModelDelivery) and len(message.model) >= _LONG_BYTES:
        signature = pb.ModelDelivery(signature=message.signature)
        return _enclose("model_delivery", pb.ModelDelivery(job_id=message.job_id), message.model, signature)
    return _to_wire(pb.AggregatorEnvelope, message)


def aggregator_message_from_wire(data: Octets) -> AggregatorMessage:
    """Parse one transfer from the aggregator; raises ``MalformedMessage``. A model in it is copied once."""
    taken = bulk.take_out(data, _LONG_NUMBERS, minimum=_LONG_BYTES)
    if taken is None:
        return cast(AggregatorMessage, _from_wire(pb.AggregatorEnvelope, data))
    parsed = strict.parse(pb.AggregatorEnvelope, taken.rest, "the message")
    name = parsed.WhichOneof("message") or ""
    long, maximum = _LONG[name]
    content, message = strict.octets(taken.field, long, maximum=maximum), getattr(parsed, name)
    if getattr(message, long):
        raise MalformedMessage("the message has repeated fields")
    setattr(message, long, _PLACEHOLDER)
    converted: Any = _CONVERTERS[name][1](message)
    return cast(AggregatorMessage, replace(converted, **{long: content}))


def is_former_query(data: Octets) -> bool:
    """Return true for a query of protocol version 1, which stated no step of the plan; ``data`` may be anything."""
    try:
        parsed = strict.parse(pb.AggregatorEnvelope, data, "the message")
    except MalformedMessage:
        return False
    return parsed.WhichOneof("message") == "query" and parsed.query.fields.plan_step == 0


def _enclose(
    name: str, before: pb.Query | pb.ModelDelivery, content: bytes, after: pb.Query | pb.ModelDelivery
) -> bytes:
    number = _NUMBERS[name]
    return bulk.enclose(number, before.SerializeToString(), _LONG_NUMBERS[number], content, after.SerializeToString())


def _to_wire(envelope: type[pb.PartyEnvelope] | type[pb.AggregatorEnvelope], message: Message) -> bytes:
    field = _FIELDS[type(message)]
    content = _CONVERTERS[field][0](message)
    return envelope(**{field: content}).SerializeToString()


def _from_wire(envelope: type[pb.PartyEnvelope] | type[pb.AggregatorEnvelope], data: Octets) -> Message:
    parsed = strict.parse(envelope, data, "the message")
    field = parsed.WhichOneof("message")
    if field is None:
        raise MalformedMessage("the message is empty or of an unknown kind")
    converted: Message = _CONVERTERS[field][1](getattr(parsed, field))
    return converted


def _same_names(kind: Callable[..., Any]) -> Callable[[Any], Any]:
    """Return the conversion of a message whose fields have the same names and types on the wire."""
    return lambda message: kind(**{each.name: getattr(message, each.name) for each in fields(message)})


def _hello_from_wire(message: pb.Hello) -> Hello:
    return Hello(
        protocol_version=strict.number(message.protocol_version, "protocol_version", minimum=1, maximum=_MAX_UINT32),
        party_id=strict.party_id(message.party_id),
        roster_serial=strict.number(message.roster_serial, "roster_serial", minimum=1, maximum=_MAX_UINT32),
        roster_digest=strict.digest(message.roster_digest, "roster_digest"),
    )


def _welcome_from_wire(message: pb.Welcome) -> Welcome:
    return Welcome(
        protocol_version=strict.number(message.protocol_version, "protocol_version", minimum=1, maximum=_MAX_UINT32),
        roster_serial=strict.number(message.roster_serial, "roster_serial", minimum=1, maximum=_MAX_UINT32),
        roster_digest=strict.digest(message.roster_digest, "roster_digest"),
    )


def _job_proposal_from_wire(message: pb.JobProposal) -> JobProposal:
    return JobProposal(
        job_id=strict.job_id(message.job_id),
        roster_digest=strict.digest(message.roster_digest, "roster_digest"),
        spec=strict.octets(message.spec, "spec", minimum=1, maximum=JOB_SPEC_BYTES),
        terms=strict.octets(message.terms, "terms", minimum=1, maximum=JOB_TERMS_BYTES),
        signature=strict.signature(message.signature),
    )


def _query_to_wire(message: Query) -> pb.Query:
    return pb.Query(
        fields=types.fields_to_wire(message.fields),
        body=message.body,
        signature=message.signature,
        previous=reply_list_to_wire(message.previous),
    )


def _query_from_wire(message: pb.Query) -> Query:
    return Query(
        fields=types.fields_from_wire(strict.part(message, "fields")),
        body=strict.octets(message.body, "body", minimum=1, maximum=QUERY_BODY_BYTES),
        signature=strict.signature(message.signature),
        previous=reply_list_from_wire(message.previous) if message.HasField("previous") else None,
    )


def _encrypted_reply_to_wire(message: EncryptedReply) -> pb.EncryptedReply:
    return pb.EncryptedReply(
        job_id=message.job_id,
        round_number=message.round_number,
        session_id=message.session_id,
        contribution=types.contribution_to_wire(message.contribution),
    )


def _encrypted_reply_from_wire(message: pb.EncryptedReply) -> EncryptedReply:
    return EncryptedReply(
        job_id=strict.job_id(message.job_id),
        round_number=strict.number(message.round_number, "round_number", minimum=1, maximum=MAX_ROUND_NUMBER),
        session_id=strict.digest(message.session_id, "session_id"),
        contribution=types.contribution_from_wire(strict.part(message, "contribution")),
    )


def _padded_part_from_wire(message: pb.PaddedPart) -> PaddedPart:
    return PaddedPart(
        job_id=strict.job_id(message.job_id),
        round_number=strict.number(message.round_number, "round_number", minimum=1, maximum=MAX_ROUND_NUMBER),
        session_id=strict.digest(message.session_id, "session_id"),
        party_id=strict.party_id(message.party_id),
        size=strict.number(message.size, "size", minimum=1, maximum=PADDED_PART_BYTES),
    )


def _decryption_request_to_wire(message: DecryptionRequest) -> pb.DecryptionRequest:
    return pb.DecryptionRequest(
        fields=types.fields_to_wire(message.fields),
        contributions=[types.contribution_to_wire(contribution) for contribution in message.contributions],
        signature=message.signature,
    )


def _decryption_request_from_wire(message: pb.DecryptionRequest) -> DecryptionRequest:
    return DecryptionRequest(
        fields=types.fields_from_wire(strict.part(message, "fields")),
        contributions=types.contributions_from_wire(message.contributions),
        signature=strict.signature(message.signature),
    )


def _partial_decryption_from_wire(message: pb.PartialDecryption) -> PartialDecryption:
    return PartialDecryption(
        job_id=strict.job_id(message.job_id),
        round_number=strict.number(message.round_number, "round_number", minimum=1, maximum=MAX_ROUND_NUMBER),
        session_id=strict.digest(message.session_id, "session_id"),
        transcript_digest=strict.digest(message.transcript_digest, "transcript_digest"),
        party_id=strict.party_id(message.party_id),
        values=types.ciphertexts_from_wire(message.values, "values"),
        proof=strict.octets(message.proof, "proof of correct decryption", minimum=1, maximum=PROOF_BYTES),
        signature=strict.signature(message.signature),
        transcript_signature=strict.signature(message.transcript_signature, "transcript_signature"),
    )


def _model_delivery_from_wire(message: pb.ModelDelivery) -> ModelDelivery:
    return ModelDelivery(
        job_id=strict.job_id(message.job_id),
        model=strict.octets(message.model, "model", minimum=1, maximum=MODEL_BYTES),
        signature=strict.signature(message.signature),
    )


def _model_receipt_from_wire(message: pb.ModelReceipt) -> ModelReceipt:
    return ModelReceipt(
        job_id=strict.job_id(message.job_id),
        party_id=strict.party_id(message.party_id),
        model_digest=strict.digest(message.model_digest, "model_digest"),
        signature=strict.signature(message.signature),
    )


def _job_end_to_wire(message: JobEnd) -> pb.JobEnd:
    return pb.JobEnd(
        job_id=message.job_id,
        outcome=_OUTCOMES_TO_WIRE[message.outcome],
        reason=message.reason,
        signature=message.signature,
    )


def _job_end_from_wire(message: pb.JobEnd) -> JobEnd:
    return JobEnd(
        job_id=strict.job_id(message.job_id),
        outcome=strict.enum(_OUTCOMES, message.outcome, "outcome"),
        reason=strict.reason(message.reason, "reason"),
        signature=strict.signature(message.signature),
    )


# What differs per message is only its pair of functions; the field names are those of the two envelopes.
_CONVERTERS: Final[dict[str, tuple[Callable[[Any], Any], Callable[[Any], Message]]]] = {
    "hello": (_same_names(pb.Hello), _hello_from_wire),
    "welcome": (_same_names(pb.Welcome), _welcome_from_wire),
    "job_proposal": (_same_names(pb.JobProposal), _job_proposal_from_wire),
    "job_reply": (job_reply_to_wire, job_reply_from_wire),
    "acceptances": (acceptances_to_wire, acceptances_from_wire),
    "encapsulations": (encapsulations_to_wire, encapsulations_from_wire),
    "relayed_encapsulations": (relayed_to_wire, relayed_from_wire),
    "query": (_query_to_wire, _query_from_wire),
    "padded_part": (_same_names(pb.PaddedPart), _padded_part_from_wire),
    "encrypted_reply": (_encrypted_reply_to_wire, _encrypted_reply_from_wire),
    "masked_reply": (masked_reply_to_wire, masked_reply_from_wire),
    "decryption_request": (_decryption_request_to_wire, _decryption_request_from_wire),
    "partial_decryption": (_same_names(pb.PartialDecryption), _partial_decryption_from_wire),
    "model_delivery": (_same_names(pb.ModelDelivery), _model_delivery_from_wire),
    "model_receipt": (_same_names(pb.ModelReceipt), _model_receipt_from_wire),
    "job_end": (_job_end_to_wire, _job_end_from_wire),
    "rejection": (types.rejection_to_wire, types.rejection_from_wire),
}

_LONG: Final = {"query": ("body", QUERY_BODY_BYTES), "model_delivery": ("model", MODEL_BYTES)}
"""The one field of a message that may hold a model, and its limit."""

_NUMBERS: Final = {name: pb.AggregatorEnvelope.DESCRIPTOR.fields_by_name[name].number for name in _LONG}
_LONG_NUMBERS: Final = {
    _NUMBERS["query"]: pb.Query.DESCRIPTOR.fields_by_name["body"].number,
    _NUMBERS["model_delivery"]: pb.ModelDelivery.DESCRIPTOR.fields_by_name["model"].number,
}

_FIELDS: Final[dict[type[Message], str]] = {
    Hello: "hello",
    Welcome: "welcome",
    JobProposal: "job_proposal",
    JobReply: "job_reply",
    Acceptances: "acceptances",
    Encapsulations: "encapsulations",
    RelayedEncapsulations: "relayed_encapsulations",
    Query: "query",
    PaddedPart: "padded_part",
    EncryptedReply: "encrypted_reply",
    MaskedReply: "masked_reply",
    DecryptionRequest: "decryption_request",
    PartialDecryption: "partial_decryption",
    ModelDelivery: "model_delivery",
    ModelReceipt: "model_receipt",
    JobEnd: "job_end",
    Rejection: "rejection",
}
