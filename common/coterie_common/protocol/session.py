# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The session id: one digest of everything that a round asks, so that a sum holds only replies to the same query."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from coterie_common.crypto.hashing import DIGEST_BYTES, Item, Label, long_hash, tuple_hash
from coterie_common.errors import MalformedMessage
from coterie_common.identifiers import JobId, PartyId
from coterie_common.limits import MAX_ROUND_NUMBER, MAX_ROUNDS
from coterie_common.protocol.terms import RoundTerms

PROTOCOL_VERSION: Final = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionFields:
    """The fields that the session id of one round covers.

    Attributes:
        roster_digest: digest of the roster in force.
        key_epoch: epoch of the threshold key.
        job_id: the job.
        spec_digest: digest of the job specification's canonical bytes.
        round_number: 1-based; unique within the job, and growing. One reply per job and round number, for ever.
        plan_step: 1-based step of the job's plan, which determines terms and price. A step whose round was abandoned is
            asked again under a new round number.
        body_digest: digest of the whole query body.
        cohort: sorted ids of the asked parties.
        round_quorum: m_r, minimum number of contributors of this round's release.
        terms: sealing, encoding and privacy terms.
        previous_transcript: transcript digest of this job's previously released round, or empty.
        acceptances: digest of all acceptances of the job, if the round is sealed completely; otherwise empty.
    """

    roster_digest: bytes
    key_epoch: int
    job_id: JobId
    spec_digest: bytes
    round_number: int
    plan_step: int
    body_digest: bytes
    cohort: tuple[PartyId, ...]
    round_quorum: int
    terms: RoundTerms
    previous_transcript: bytes
    acceptances: bytes = b""

    def __post_init__(self) -> None:
        for name in ("roster_digest", "spec_digest", "body_digest"):
            if len(getattr(self, name)) != DIGEST_BYTES:
                raise MalformedMessage(f"{name} of the query must have {DIGEST_BYTES} bytes")
        if len(self.previous_transcript) not in (0, DIGEST_BYTES):
            raise MalformedMessage(f"previous_transcript of the query must be empty or have {DIGEST_BYTES} bytes")
        if len(self.acceptances) != (DIGEST_BYTES if self.terms.sealing.is_complete else 0):
            raise MalformedMessage("a query has a digest of acceptances exactly if its round is sealed completely")
        if not 1 <= self.round_number <= MAX_ROUND_NUMBER:
            raise MalformedMessage(f"round number of the query must be 1 to {MAX_ROUND_NUMBER}")
        if not 1 <= self.plan_step <= min(self.round_number, MAX_ROUNDS):
            raise MalformedMessage(f"plan step of the query must be 1 to {MAX_ROUNDS}, and at most its round number")
        if list(self.cohort) != sorted(set(self.cohort)):
            raise MalformedMessage("cohort of the query must be sorted and without duplicates")
        if not 1 <= self.round_quorum <= len(self.cohort):
            raise MalformedMessage("round quorum of the query must be between 1 and the size of the cohort")
        if (self.plan_step == 1) != (not self.previous_transcript):
            raise MalformedMessage("only the first step of a job has no previous transcript")

    @property
    def session_id(self) -> bytes:
        """Return the 32-byte session id."""
        return session_id_of(
            protocol_version=PROTOCOL_VERSION,
            roster_digest=self.roster_digest,
            key_epoch=self.key_epoch,
            job_id=self.job_id,
            spec_digest=self.spec_digest,
            round_number=self.round_number,
            plan_step=self.plan_step,
            body_digest=self.body_digest,
            cohort=self.cohort,
            round_quorum=self.round_quorum,
            terms=self.terms.items(),
            previous_transcript=self.previous_transcript,
            acceptances=self.acceptances,
        )


def session_id_of(
    *,
    protocol_version: int,
    roster_digest: bytes,
    key_epoch: int,
    job_id: str,
    spec_digest: bytes,
    round_number: int,
    plan_step: int | None,
    body_digest: bytes,
    cohort: Sequence[str],
    round_quorum: int,
    terms: tuple[Item, ...],
    previous_transcript: bytes,
    acceptances: bytes = b"",
) -> bytes:
    """Return the session id of unchecked values: the fields of ``SessionFields``, with the terms as ``items()``.

    Without ``acceptances`` the tuple is one item shorter: the terms, which are in it too, say which it is.
    ``plan_step`` is ``None`` in protocol version 1 only, where the round number was the step.

    It only hashes, without any check of the fields: audit records are recomputed with it long after their round.
    """
    return tuple_hash(
        Label.SESSION,
        protocol_version,
        roster_digest,
        key_epoch,
        job_id,
        spec_digest,
        *((round_number,) if plan_step is None else (round_number, plan_step)),
        body_digest,
        tuple_hash(Label.LIST, cohort),
        round_quorum,
        terms,
        previous_transcript,
        *((acceptances,) if acceptances else ()),
    )


def body_digest(body: bytes) -> bytes:
    """Digest of a query body."""
    return long_hash(Label.QUERY_BODY, body)
