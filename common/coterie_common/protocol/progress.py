# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator's reports to people on parties, jobs and models: plain values for lists and live progress.

Nothing here is signed or trusted by a party; exact numbers are text, as in the job specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from coterie_common.identifiers import JobId, MemberId, PartyId
from coterie_common.protocol.acceptance import Decision


class JobState(StrEnum):
    """The state of a job."""

    PROPOSED = "proposed"
    RUNNING = "running"
    DELIVERING = "delivering"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def is_final(self) -> bool:
        """True once the state is final."""
        return self in (JobState.COMPLETED, JobState.FAILED, JobState.CANCELLED)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """The submission of a person.

    Attributes:
        spec: canonical bytes of the job specification, not parsed yet.
        despite_noise: true if the person accepts that the job's noise may drown its result.
        again: true if the person knows that a job with the same specification was submitted before.
    """

    spec: bytes
    despite_noise: bool = False
    again: bool = False


class RoundPhase(StrEnum):
    """The phase of a round."""

    COLLECTING = "collecting"
    DECRYPTING = "decrypting"
    RELEASED = "released"
    ABANDONED = "abandoned"
    ABORTED = "aborted"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundProgress:
    """The current or last round of a job.

    Attributes:
        number: 1-based; abandoned rounds keep theirs.
        phase: of the round.
        plan_step: step of the plan that it asks, 1-based.
        quorum: m_r, the replies that it needs, by which their noise is divided.
        contributed: parties whose verified reply arrived.
        decrypted: parties whose verified partial decryption arrived.
    """

    number: int
    phase: RoundPhase
    plan_step: int
    quorum: int
    contributed: tuple[PartyId, ...]
    decrypted: tuple[PartyId, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Privacy:
    """The privacy promise of a job, as in its specification: ε and δ as exact decimal text."""

    epsilon: str
    delta: str
    unit: str
    mechanism: str
    placement: str


@dataclass(frozen=True, slots=True, kw_only=True)
class JobParty:
    """One party's part in a job.

    Attributes:
        party_id: of the party.
        decision: its answer to the proposal; ``None`` before it answered.
        code: error code of a refusal, or empty.
        detail: its text for people, or empty.
        model_received: it confirmed that the model is on its disk.
        connected: its stream is open.
        waiting: its reason for not yet answering the current round, or empty.
    """

    party_id: PartyId
    decision: Decision | None
    code: str
    detail: str
    model_received: bool
    connected: bool
    waiting: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobStatus:
    """One job.

    Attributes:
        job_id: the job.
        name: from its specification; the model is named after it.
        algorithm: its name.
        dataset: name of its data set.
        state: of the job.
        reason: of its failure or cancellation, or empty.
        waiting_for: parties that must still accept, reply or decrypt before it can go on; 0 when there are enough.
        rounds_planned: number of steps of its plan.
        spare_rounds: maximum number of rounds in which steps are asked again.
        spare_rounds_used: number of rounds that were abandoned.
        is_complete: whether its rounds are sealed completely.
        steps_epsilon: ε of its steps if no spare round is used, as text; ``privacy`` covers the spare rounds. Empty for
            a job without noise or without spare rounds, and in the first seconds of an aggregator that was restarted.
        round: the current or last round; ``None`` before the first.
        privacy: its promise.
        parties: in roster order.
        submitted_by: id of the operator or scientist.
        submitted_at: with time zone.
        finished_at: with time zone; ``None`` while it runs.
    """

    job_id: JobId
    name: str
    algorithm: str
    dataset: str
    state: JobState
    reason: str
    waiting_for: int
    rounds_planned: int
    spare_rounds: int
    spare_rounds_used: int
    round: RoundProgress | None
    privacy: Privacy
    parties: tuple[JobParty, ...]
    submitted_by: MemberId
    submitted_at: datetime
    finished_at: datetime | None
    is_complete: bool = False
    steps_epsilon: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PartyStatus:
    """One party as the aggregator sees it.

    Attributes:
        party_id: of the party.
        index: index of its key share.
        connected: its stream is open.
        since: start of its connection, or end of the last one; ``None`` if it never connected.
    """

    party_id: PartyId
    index: int
    connected: bool
    since: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelInfo:
    """One finished model that the aggregator keeps.

    Attributes:
        job_id: the job that made it.
        name: the job's name.
        algorithm: its name.
        digest: of the model's file, as signed in its delivery.
        size_bytes: of the file.
        rounds: that were released.
        rounds_planned: maximum number of rounds of the job.
        state: of the job; failed or cancelled: the model is unfinished, that of the last released round.
        privacy: the promise of its job.
        finished_at: time of its completion, with time zone.
    """

    job_id: JobId
    name: str
    algorithm: str
    digest: bytes
    size_bytes: int
    rounds: int
    rounds_planned: int
    state: JobState
    privacy: Privacy
    finished_at: datetime
