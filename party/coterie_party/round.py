# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The state machine of one round at a party, pure: ``step(state, event) → (state, effects)``.

It keeps the party's three promises, under one key (founder, job, round) and for ever:

- it answers one query: another session id is refused;
- it sends one reply: the same bytes again, or nothing, so noise is never drawn twice;
- it helps to open one transcript.

The caller makes every ``Persist…`` effect durable before it carries out the effects that follow it, and feeds results
of the ``Compute…`` and ``Verify…`` effects back as events. After a restart the persisted facts give the same state, and
the aggregator's repeated messages restart all unfinished work.

| phase | of the protocol |
|---|---|
| NEW | nothing is known of the round |
| ANSWERING | query accepted and budget reserved; the reply is being computed, nothing has left |
| ANSWERED | the reply is stored, so it may have left |
| OPENING | the transcript is recorded; the partial decryption is being computed |
| OPENED | the partial decryption is stored |
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

from coterie_common.errors import AlreadyAnswered, CoterieError
from coterie_common.protocol.messages import DecryptionRequest, PartialDecryption, Query, Reply
from coterie_common.protocol.verification.request import VerifiedRequest


class Phase(StrEnum):
    """The phase of the round."""

    NEW = "new"
    ANSWERING = "answering"
    ANSWERED = "answered"
    OPENING = "opening"
    OPENED = "opened"


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyRound:
    """A party's knowledge of one round; every field but ``phase`` is written once.

    Attributes:
        phase: see the module's table.
        session_id: of the query that was accepted or the transcript that was recorded.
        contribution_digest: of what was sent.
        transcript_digest: of what was, or is being, opened.
    """

    phase: Phase = Phase.NEW
    session_id: bytes | None = None
    contribution_digest: bytes | None = None
    transcript_digest: bytes | None = None


@dataclass(frozen=True, slots=True)
class QueryReceived:
    """A query that passed ``verify_query``."""

    query: Query


@dataclass(frozen=True, slots=True)
class ReplyComputed:
    """The sealed, proven, signed reply."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class RequestReceived:
    """A decryption request, not yet verified."""

    request: DecryptionRequest


@dataclass(frozen=True, slots=True)
class RequestVerified:
    """A decryption request that passed every check, with what this party multiplied itself."""

    request: DecryptionRequest
    verified: VerifiedRequest


@dataclass(frozen=True, slots=True)
class PartialComputed:
    """The signed partial decryption."""

    partial: PartialDecryption


@dataclass(frozen=True, slots=True)
class ComputationFailed:
    """Answering, verifying or decrypting raised; nothing has left. ``message``: what it was about, if known."""

    error: CoterieError
    message: Query | DecryptionRequest | None = None


Event = QueryReceived | ReplyComputed | RequestReceived | RequestVerified | PartialComputed | ComputationFailed


@dataclass(frozen=True, slots=True)
class PersistAcceptance:
    """Record the session id and commit the round's privacy cost, in one transaction."""

    query: Query


@dataclass(frozen=True, slots=True)
class ComputeReply:
    """Answer, add the noise share, encode, seal, prove, sign."""

    query: Query


@dataclass(frozen=True, slots=True)
class PersistReply:
    """Store the reply's bytes and digest, synced."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class SendReply:
    """Send the stored reply; refuse if its bytes were deleted, never compute it again."""


@dataclass(frozen=True, slots=True)
class VerifyRequest:
    """Run ``verify_request`` against the party's own records."""

    request: DecryptionRequest


@dataclass(frozen=True, slots=True)
class PersistTranscript:
    """Record the one transcript of this round, with what is needed to decrypt it after a restart."""

    request: DecryptionRequest
    verified: VerifiedRequest


@dataclass(frozen=True, slots=True)
class ComputePartial:
    """Decrypt the recorded transcript partially, prove, sign."""


@dataclass(frozen=True, slots=True)
class PersistPartial:
    """Store the partial decryption's bytes."""

    partial: PartialDecryption


@dataclass(frozen=True, slots=True)
class SendPartial:
    """Send the stored partial decryption."""


@dataclass(frozen=True, slots=True)
class Refuse:
    """Send the aggregator the error's code; show the steward the whole error."""

    error: CoterieError


Effect = (
    PersistAcceptance
    | ComputeReply
    | PersistReply
    | SendReply
    | VerifyRequest
    | PersistTranscript
    | ComputePartial
    | PersistPartial
    | SendPartial
    | Refuse
)


@dataclass(frozen=True, slots=True)
class Transition:
    """The new state, and the effects to carry out in this order."""

    state: PartyRound
    effects: tuple[Effect, ...] = ()


def step(state: PartyRound, event: Event) -> Transition:
    """Take one event. Never raises because of a peer's message: one that is not accepted leaves the state as it was."""
    return _HANDLERS[state.phase, type(event)](state, event)


def _first_query(state: PartyRound, event: QueryReceived) -> Transition:
    accepted = replace(state, phase=Phase.ANSWERING, session_id=event.query.fields.session_id)
    return Transition(accepted, (PersistAcceptance(event.query), ComputeReply(event.query)))


def _query_again(state: PartyRound, event: QueryReceived) -> Transition:
    if event.query.fields.session_id != state.session_id:
        return _refuse(state, "this party accepted another query for this job and round")
    if state.phase is Phase.ANSWERING:
        return Transition(state, (ComputeReply(event.query),))
    if state.contribution_digest is None:
        return _refuse(state, "this round was opened without this party, it does not answer any more")
    return Transition(state, (SendReply(),))


def _reply(state: PartyRound, event: ReplyComputed) -> Transition:
    if event.reply.session_id != state.session_id:
        return Transition(state)
    answered = replace(state, phase=Phase.ANSWERED, contribution_digest=event.reply.digest)
    return Transition(answered, (PersistReply(event.reply), SendReply()))


def _request(state: PartyRound, event: RequestReceived) -> Transition:
    if state.session_id is not None and event.request.fields.session_id != state.session_id:
        return _refuse(state, "the decryption request is for another query than the one this party accepted")
    return Transition(state, (VerifyRequest(event.request),))


def _request_again(state: PartyRound, event: RequestReceived) -> Transition:
    if event.request.transcript_digest != state.transcript_digest:
        return _refuse(state, "this party helps to open another transcript of this round, and only that one")
    return Transition(state, (SendPartial(),) if state.phase is Phase.OPENED else (ComputePartial(),))


def _verified(state: PartyRound, event: RequestVerified) -> Transition:
    # The state may have moved on while the request was being verified.
    if state.session_id not in (None, event.verified.session_id):
        return _refuse(state, "the decryption request is for another query than the one this party accepted")
    opening = replace(
        state,
        phase=Phase.OPENING,
        session_id=event.verified.session_id,
        transcript_digest=event.verified.transcript_digest,
    )
    return Transition(opening, (PersistTranscript(event.request, event.verified), ComputePartial()))


def _verified_again(state: PartyRound, event: RequestVerified) -> Transition:
    return _request_again(state, RequestReceived(event.request))


def _partial(state: PartyRound, event: PartialComputed) -> Transition:
    if event.partial.transcript_digest != state.transcript_digest:
        return Transition(state)
    return Transition(replace(state, phase=Phase.OPENED), (PersistPartial(event.partial), SendPartial()))


def _failed(state: PartyRound, event: ComputationFailed) -> Transition:
    return Transition(state, (Refuse(event.error),))


def _drop(state: PartyRound, event: Event) -> Transition:
    """Ignore the second result of work that was started twice."""
    return Transition(state)


def _refuse(state: PartyRound, why: str) -> Transition:
    return Transition(state, (Refuse(AlreadyAnswered(why)),))


_HANDLERS: dict[tuple[Phase, type[Any]], Callable[[PartyRound, Any], Transition]] = {
    (Phase.NEW, QueryReceived): _first_query,
    (Phase.NEW, ReplyComputed): _drop,
    (Phase.NEW, RequestReceived): _request,
    (Phase.NEW, RequestVerified): _verified,
    (Phase.NEW, PartialComputed): _drop,
    (Phase.ANSWERING, QueryReceived): _query_again,
    (Phase.ANSWERING, ReplyComputed): _reply,
    (Phase.ANSWERING, RequestReceived): _request,
    (Phase.ANSWERING, RequestVerified): _verified,
    (Phase.ANSWERING, PartialComputed): _drop,
    (Phase.ANSWERED, QueryReceived): _query_again,
    (Phase.ANSWERED, ReplyComputed): _drop,
    (Phase.ANSWERED, RequestReceived): _request,
    (Phase.ANSWERED, RequestVerified): _verified,
    (Phase.ANSWERED, PartialComputed): _drop,
    (Phase.OPENING, QueryReceived): _query_again,
    (Phase.OPENING, ReplyComputed): _drop,
    (Phase.OPENING, RequestReceived): _request_again,
    (Phase.OPENING, RequestVerified): _verified_again,
    (Phase.OPENING, PartialComputed): _partial,
    (Phase.OPENED, QueryReceived): _query_again,
    (Phase.OPENED, ReplyComputed): _drop,
    (Phase.OPENED, RequestReceived): _request_again,
    (Phase.OPENED, RequestVerified): _verified_again,
    (Phase.OPENED, PartialComputed): _drop,
    **{(phase, ComputationFailed): _failed for phase in Phase},
}
