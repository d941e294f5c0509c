# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What goes into the audit record: messages of the aggregator and refusals, as details of entries.

Invariants:
- Nothing that depends on the party's data is in any of it but what leaves the house anyway: codes, digests, sizes.
- The aggregator's signature goes in with what it covers, so that a record can be held against its author.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.document import Document
from coterie_common.errors import CoterieError, PeerError, RefusedError
from coterie_common.protocol.messages import (
    AggregatorMessage,
    DecryptionRequest,
    JobEnd,
    JobProposal,
    ModelDelivery,
    Query,
)
from coterie_common.protocol.reason import one_line
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.session import PROTOCOL_VERSION, SessionFields
from coterie_common.protocol.transcript import transcript_digest
from coterie_party import round as round_machine
from coterie_party.context import Context

Details = Mapping[str, Document]
NOTHING_TOLD: Final[Details] = MappingProxyType({})

_IDS_MOST: Final = 200
"""Ids of a list that are written down one by one; nobody can make an entry longer with messages of invented parties."""


def told(message: AggregatorMessage) -> Details:
    """Return what a message of the aggregator says, as digests, and its signature."""
    match message:
        case JobProposal():
            said: dict[str, Document] = {
                "spec_digest": message.spec_digest.hex(),
                "terms_digest": message.terms_digest.hex(),
                "roster_digest": message.roster_digest.hex(),
            }
        case Query():
            said = _asked(message.fields)
        case DecryptionRequest():
            session_id = message.fields.session_id
            said = _asked(message.fields) | {
                "transcript_digest": transcript_digest(session_id, message.contributions).hex(),
                "contributors": [c.party_id for c in message.contributions[:_IDS_MOST]],
            }
        case ModelDelivery():
            said = {"model_digest": message.model_digest.hex(), "bytes": len(message.model)}
        case JobEnd():
            said = {"outcome": message.outcome.value, "reason": one_line(message.reason)}
        case _:
            return NOTHING_TOLD
    return said | {"aggregator_signature": message.signature.hex()}


def _asked(fields: SessionFields) -> dict[str, Document]:
    """Return what the session id of a round covers, so that two that differ show in what."""
    return {
        "session_id": fields.session_id.hex(),
        "roster_digest": fields.roster_digest.hex(),
        "key_epoch": fields.key_epoch,
        "spec_digest": fields.spec_digest.hex(),
        "body_digest": fields.body_digest.hex(),
        "round_terms_digest": tuple_hash(Label.AUDIT_ROUND_TERMS, *fields.terms.items()).hex(),
        "cohort": list(fields.cohort[:_IDS_MOST]),
        "round_quorum": fields.round_quorum,
        "previous_transcript": fields.previous_transcript.hex(),
    }


def cause_of(event: round_machine.Event) -> Query | DecryptionRequest | None:
    """Return the message that an event of a round comes from, if there is one."""
    match event:
        case round_machine.QueryReceived(query):
            return query
        case round_machine.RequestReceived(request) | round_machine.RequestVerified(request, _):
            return request
        case round_machine.ComputationFailed(_, message):
            return message
        case _:
            return None


def subject(message: AggregatorMessage | None) -> tuple[str, int]:
    """Return the job and the round that a message is about: empty and 0 if none."""
    match message:
        case Query() | DecryptionRequest():
            return message.fields.job_id, message.fields.round_number
        case JobProposal() | ModelDelivery() | JobEnd():
            return message.job_id, 0
        case _:
            return "", 0


async def record_start(context: Context, version: str) -> None:
    """Record that the daemon starts, and with which roster and policy."""
    details: Details = {
        "version": version,
        "protocol_version": PROTOCOL_VERSION,
        **_roster(context.roster),
        "datasets": sorted(context.datasets),
    }
    await context.write(context.audit.record_start, details)


async def record_refusal(
    context: Context, error: CoterieError, message: AggregatorMessage | None, key: tuple[str, int] | None = None
) -> None:
    """Record a refusal, before anybody hears of it.

    Args:
        context: of the party.
        error: the reason; its words are left out where they may quote the party's own data.
        message: what is refused, if it could be read.
        key: job and round, where they are not the message's.
    """
    is_told = isinstance(error, (PeerError, RefusedError))
    refusal: Details = {
        "code": error.code,
        "detail": one_line(error.message) if is_told else "",
        "culprits": list(error.culprits[:_IDS_MOST]) if isinstance(error, PeerError) else [],
        "message": "" if message is None else type(message).__name__,
        "told": dict(told(message)) if message is not None else {},
    }
    await context.write(context.audit.record_refusal, *(key or subject(message)), refusal)


def _roster(roster: Roster) -> dict[str, Document]:
    return {"roster_digest": roster.digest().hex(), "roster_serial": roster.serial, "key_epoch": roster.key_epoch}
