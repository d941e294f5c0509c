# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The status of parties, jobs and models as shown to people."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

from coterie_aggregator.machines.job_machine import AggregatorJob, Phase, released_rounds
from coterie_aggregator.reporting.shown_job import ShownJob
from coterie_aggregator.store import StoredModel
from coterie_common.identifiers import PartyId
from coterie_common.protocol.job_spec import JobSpec
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

_STATES = {
    Phase.PROPOSED: JobState.PROPOSED,
    Phase.AGREEING: JobState.RUNNING,
    Phase.RUNNING: JobState.RUNNING,
    Phase.DELIVERING: JobState.DELIVERING,
}
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


def job_status(shown: ShownJob, connected: Collection[PartyId]) -> JobStatus:
    """Return the status of a job, in the words of the operator's API; ``connected`` are the connected parties."""
    state, spec = shown.state, shown.spec
    progress = None
    if shown.round:
        running = shown.round.state
        progress = RoundProgress(
            number=shown.round.number,
            phase=RoundPhase(running.phase.value),
            plan_step=state.plan_step,
            quorum=running.parameters.round_quorum,
            contributed=running.contributors or running.verified_contributors,
            decrypted=running.verified_partials,
        )
    in_round = shown.round.state.waiting_for if shown.round and state.phase is Phase.RUNNING else 0
    return JobStatus(
        job_id=shown.job_id,
        name=spec.name,
        algorithm=spec.algorithm,
        dataset=spec.dataset,
        state=_state(state),
        reason=state.reason,
        waiting_for=state.waiting_for or in_round,
        rounds_planned=shown.rounds_planned,
        spare_rounds=state.parameters.spares.rounds,
        spare_rounds_used=len(state.repeated),
        is_complete=spec.is_complete,
        steps_epsilon=shown.steps_epsilon,
        round=progress,
        privacy=_privacy(spec),
        parties=tuple(
            JobParty(
                party_id=party_id,
                decision=reply.decision if (reply := state.replies.get(party_id)) else None,
                code=reply.code if reply else "",
                detail=reply.detail if reply else "",
                model_received=party_id in state.receipts,
                connected=party_id in connected,
                waiting=shown.waiting.get(party_id, "") if state.phase is Phase.RUNNING else "",
            )
            for party_id in state.parameters.members
        ),
        submitted_by=shown.submitter,
        submitted_at=shown.submitted_at,
        finished_at=shown.finished_at,
    )


def model_info(shown: ShownJob, stored: StoredModel) -> ModelInfo:
    """Return the view of a finished model for people."""
    spec = shown.spec
    return ModelInfo(
        job_id=shown.job_id,
        name=spec.name,
        algorithm=spec.algorithm,
        digest=stored.digest,
        size_bytes=stored.size_bytes,
        rounds=released_rounds(shown.state),
        rounds_planned=shown.rounds_planned,
        state=_state(shown.state),
        privacy=_privacy(spec),
        finished_at=stored.stored_at,
    )


def _state(state: AggregatorJob) -> JobState:
    return _OUTCOMES[state.outcome] if state.outcome else _STATES[state.phase]


def _privacy(spec: JobSpec) -> Privacy:
    goal = spec.privacy
    return Privacy(
        epsilon=goal.epsilon_text,
        delta=goal.delta_text,
        unit=goal.unit.value,
        mechanism=goal.mechanism.value,
        placement=goal.placement.value,
    )
