# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Audit entries that belong to no stored act: starts and refusals.

Invariant: of everything that depends on the party's data, only what leaves the house anyway is in them: codes, digests,
sizes. The aggregator's messages are recorded in the form of ``coterie_common.audit.told``, as evidence against it.
"""

from __future__ import annotations

from typing import Final, assert_never

from coterie_common.audit.told import Details, told_briefly
from coterie_common.document import Document
from coterie_common.errors import ConfigurationError, CoterieError, PeerError
from coterie_common.identifiers import JobId
from coterie_common.protocol.acceptance import Acceptances, RelayedEncapsulations
from coterie_common.protocol.messages import (
    AggregatorMessage,
    DecryptionRequest,
    JobEnd,
    JobProposal,
    ModelDelivery,
    Query,
    Rejection,
    Welcome,
)
from coterie_common.protocol.reason import one_line
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.session import PROTOCOL_VERSION
from coterie_party import round as round_machine
from coterie_party.live.context import Context

_MAX_IDS: Final = 200
"""Maximum number of culprits that are listed one by one."""


def cause_of(event: round_machine.Event) -> Query | DecryptionRequest | None:
    """Return the message that an event of a round comes from, if there is one."""
    match event:
        case round_machine.QueryReceived(query):
            return query
        case round_machine.RequestReceived(request) | round_machine.RequestVerified(request, _):
            return request
        case round_machine.ComputationFailed(_, message):
            return message
        case round_machine.ReplyComputed() | round_machine.PartialComputed():
            return None
        case _:
            assert_never(event)


def subject(message: AggregatorMessage | None) -> tuple[JobId, int]:
    """Return the job and the round that a message is about: empty and 0 if none."""
    match message:
        case Query() | DecryptionRequest():
            return message.fields.job_id, message.fields.round_number
        case JobProposal() | Acceptances() | RelayedEncapsulations() | ModelDelivery() | JobEnd():
            return message.job_id, 0
        case Welcome() | Rejection() | None:
            return JobId(""), 0
        case _:
            assert_never(message)


async def record_start(context: Context, version: str) -> None:
    """Record that the daemon starts, and with which roster and policy."""
    details: Details = {
        "version": version,
        "protocol_version": PROTOCOL_VERSION,
        **_roster(context.roster),
        "datasets": sorted(context.datasets),
        "training_process_can": context.confinement.missing,
    }
    await context.on_writer(context.audit.record_start, details)


async def record_refusal(
    context: Context, error: CoterieError, message: AggregatorMessage | None, key: tuple[JobId, int] | None = None
) -> None:
    """Record a refusal before it is sent.

    Args:
        context: of the party.
        error: the reason; its words are left out if they may quote the party's own data, and noted for the steward.
        message: the refused message, if it could be read.
        key: job and round, if they are not the message's.
    """
    refusal: Details = {
        "code": error.code,
        "detail": one_line(error.public_message),
        "culprits": list(error.culprits[:_MAX_IDS]) if isinstance(error, PeerError) else [],
        "message": "" if message is None else message.stored_as,
        # Beside the loop: what is refused may hold a model, of which this is a digest.
        "told": {} if message is None else dict(await context.look(told_briefly, message)),
    }
    job_id, round_number = key or subject(message)
    if job_id and isinstance(error, ConfigurationError):
        await context.on_writer(context.notes.add, job_id, round_number, error)
    await context.on_writer(context.audit.record_refusal, job_id, round_number, refusal)


async def record_failure(context: Context, failure: Exception, message: AggregatorMessage) -> CoterieError:
    """Record that a message could not be handled, by the party's own fault or unforeseen; return the error to send."""
    (job_id, number), kind = subject(message), message.stored_as
    error: CoterieError = (
        failure
        if isinstance(failure, ConfigurationError)
        else context.incidents.take(failure, kind, job=job_id, round=number)
    )
    await record_refusal(context, error, message)
    return error


def _roster(roster: Roster) -> dict[str, Document]:
    return {"roster_digest": roster.digest.hex(), "roster_serial": roster.serial, "key_epoch": roster.key_epoch}
