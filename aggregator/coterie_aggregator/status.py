# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What people see of parties and of a live job."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from coterie_aggregator.job import Phase
from coterie_aggregator.live_job import LiveJob
from coterie_aggregator.store import StoredModel
from coterie_common.identifiers import PartyId
from coterie_common.protocol.messages import JobOutcome
from coterie_common.protocol.progress import (
    JobParty,
    JobState,
    JobStatus,
    ModelInfo,
    PartyStatus,
    Privacy,
    RoundPhase,
    RoundProgress,
)
from coterie_common.protocol.roster import Roster

_STATES = {Phase.PROPOSED: JobState.PROPOSED, Phase.RUNNING: JobState.RUNNING, Phase.DELIVERING: JobState.DELIVERING}
_OUTCOMES = {
    JobOutcome.COMPLETED: JobState.COMPLETED,
    JobOutcome.FAILED: JobState.FAILED,
    JobOutcome.CANCELLED: JobState.CANCELLED,
}


def party_statuses(
    roster: Roster, connected: Collection[PartyId], seen: Mapping[PartyId, datetime]
) -> tuple[PartyStatus, ...]:
    """Return every party of the roster, with who is connected and when each was last seen to come or go."""
    return tuple(
        PartyStatus(
            party_id=member.party_id,
            index=member.index,
            connected=member.party_id in connected,
            since=seen.get(member.party_id),
        )
        for member in roster.members
    )


def job_status(live: LiveJob) -> JobStatus:
    """Return where a job stands, in the words of the operator's API."""
    state, spec = live.state, live.submission.planned.spec
    progress = None
    if live.round:
        running = live.round.state
        progress = RoundProgress(
            number=live.round.query.fields.round_number,
            phase=RoundPhase(running.phase.value),
            contributed=running.contributors or running.verified_contributors,
            decrypted=running.verified_partials,
        )
    in_round = live.round.state.waiting_for if live.round and state.phase is Phase.RUNNING else 0
    return JobStatus(
        job_id=live.job_id,
        name=spec.name,
        algorithm=spec.algorithm,
        dataset=spec.dataset,
        state=_OUTCOMES[state.outcome] if state.outcome else _STATES[state.phase],
        reason=state.reason,
        waiting_for=state.waiting_for or in_round,
        rounds_planned=len(live.submission.terms.rounds),
        round=progress,
        privacy=_privacy(live),
        parties=tuple(
            JobParty(
                party_id=party_id,
                decision=reply.decision if (reply := state.replies.get(party_id)) else None,
                code=reply.code if reply else "",
                detail=reply.detail if reply else "",
                model_received=party_id in state.receipts,
            )
            for party_id in state.parameters.members
        ),
        submitted_by=live.submission.submitter,
        submitted_at=live.submission.submitted_at,
        finished_at=live.finished_at,
    )


def model_info(live: LiveJob, stored: StoredModel) -> ModelInfo:
    """Return what people see of a finished model."""
    spec = live.submission.planned.spec
    return ModelInfo(
        job_id=live.job_id,
        name=spec.name,
        algorithm=spec.algorithm,
        digest=stored.digest,
        size_bytes=stored.size_bytes,
        rounds=live.state.round_number,
        privacy=_privacy(live),
        finished_at=stored.stored_at,
    )


def _privacy(live: LiveJob) -> Privacy:
    goal = live.submission.planned.spec.privacy
    return Privacy(
        epsilon=goal.epsilon_text,
        delta=goal.delta_text,
        unit=goal.unit.value,
        mechanism=goal.mechanism.value,
        placement=goal.placement.value,
    )
