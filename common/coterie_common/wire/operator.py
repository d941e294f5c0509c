# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Converter for ``operator.proto``: the reports to people on parties, jobs and models."""

from __future__ import annotations

from typing import Final

from coterie_common.identifiers import JobId
from coterie_common.limits import (
    JOB_SPEC_BYTES,
    MAX_PARTIES,
    MAX_ROUND_NUMBER,
    MAX_ROUNDS,
    MAX_SPARE_ROUNDS,
    MODEL_BYTES,
)
from coterie_common.protocol.progress import (
    JobParty,
    JobRequest,
    JobState,
    JobStatus,
    ModelInfo,
    PartyStatus,
    Privacy,
    RoundPhase,
    RoundProgress,
)
from coterie_common.wire import strict
from coterie_common.wire.acceptance import DECISIONS, DECISIONS_TO_WIRE
from coterie_common.wire.pb import operator_pb2 as pb
from coterie_common.wire.pb.federation_pb2 import DECISION_UNSPECIFIED

_STATES: Final = {
    pb.JOB_STATE_PROPOSED: JobState.PROPOSED,
    pb.JOB_STATE_RUNNING: JobState.RUNNING,
    pb.JOB_STATE_DELIVERING: JobState.DELIVERING,
    pb.JOB_STATE_COMPLETED: JobState.COMPLETED,
    pb.JOB_STATE_FAILED: JobState.FAILED,
    pb.JOB_STATE_CANCELLED: JobState.CANCELLED,
}
_STATES_TO_WIRE: Final = {member: value for value, member in _STATES.items()}

_PHASES: Final = {
    pb.ROUND_PHASE_COLLECTING: RoundPhase.COLLECTING,
    pb.ROUND_PHASE_DECRYPTING: RoundPhase.DECRYPTING,
    pb.ROUND_PHASE_RELEASED: RoundPhase.RELEASED,
    pb.ROUND_PHASE_ABORTED: RoundPhase.ABORTED,
    pb.ROUND_PHASE_ABANDONED: RoundPhase.ABANDONED,
}
_PHASES_TO_WIRE: Final = {member: value for value, member in _PHASES.items()}


def party_status_to_wire(status: PartyStatus) -> pb.PartyStatus:
    """Return the protocol buffer of a party's status."""
    return pb.PartyStatus(
        party_id=status.party_id,
        index=status.index,
        connected=status.connected,
        since_us=strict.microseconds(status.since),
    )


def party_status_from_wire(message: pb.PartyStatus) -> PartyStatus:
    """Check and convert; raises ``MalformedMessage``."""
    strict.check_known(message, "the party's status")
    return PartyStatus(
        party_id=strict.party_id(message.party_id),
        index=strict.number(message.index, "index", minimum=1, maximum=MAX_PARTIES),
        connected=message.connected,
        since=strict.optional_instant(message.since_us, "since_us"),
    )


def job_status_to_wire(status: JobStatus) -> pb.JobStatus:
    """Return the protocol buffer of a job's status."""
    return pb.JobStatus(
        job_id=status.job_id,
        name=status.name,
        algorithm=status.algorithm,
        dataset=status.dataset,
        state=_STATES_TO_WIRE[status.state],
        reason=status.reason,
        waiting_for=status.waiting_for,
        rounds_planned=status.rounds_planned,
        spare_rounds=status.spare_rounds,
        spare_rounds_used=status.spare_rounds_used,
        is_complete=status.is_complete,
        steps_epsilon=status.steps_epsilon,
        round=None if status.round is None else _round_to_wire(status.round),
        privacy=_privacy_to_wire(status.privacy),
        parties=[_job_party_to_wire(party) for party in status.parties],
        submitted_by=status.submitted_by,
        submitted_us=strict.microseconds(status.submitted_at),
        finished_us=strict.microseconds(status.finished_at),
    )


def job_status_from_wire(message: pb.JobStatus) -> JobStatus:
    """Check and convert; raises ``MalformedMessage``."""
    strict.check_known(message, "the job's status")
    return JobStatus(
        job_id=strict.job_id(message.job_id),
        name=strict.reason(message.name, "name"),
        algorithm=strict.reason(message.algorithm, "algorithm"),
        dataset=strict.reason(message.dataset, "dataset"),
        state=strict.enum(_STATES, message.state, "state"),
        reason=strict.reason(message.reason, "reason"),
        waiting_for=strict.number(message.waiting_for, "waiting_for", maximum=MAX_PARTIES),
        rounds_planned=strict.number(message.rounds_planned, "rounds_planned", maximum=MAX_ROUNDS),
        spare_rounds=strict.number(message.spare_rounds, "spare_rounds", maximum=MAX_SPARE_ROUNDS),
        spare_rounds_used=strict.number(message.spare_rounds_used, "spare_rounds_used", maximum=MAX_SPARE_ROUNDS),
        is_complete=message.is_complete,
        steps_epsilon=strict.reason(message.steps_epsilon, "steps_epsilon"),
        round=_round_from_wire(message.round) if message.HasField("round") else None,
        privacy=_privacy_from_wire(strict.part(message, "privacy")),
        parties=tuple(
            _job_party_from_wire(party) for party in strict.several(message.parties, "parties", maximum=MAX_PARTIES)
        ),
        submitted_by=strict.member_id(message.submitted_by, "submitted_by"),
        submitted_at=strict.instant(message.submitted_us, "submitted_us"),
        finished_at=strict.optional_instant(message.finished_us, "finished_us"),
    )


def model_info_to_wire(info: ModelInfo) -> pb.ModelInfo:
    """Return the protocol buffer of the known facts of a model."""
    return pb.ModelInfo(
        job_id=info.job_id,
        name=info.name,
        algorithm=info.algorithm,
        digest=info.digest,
        size_bytes=info.size_bytes,
        rounds=info.rounds,
        rounds_planned=info.rounds_planned,
        state=_STATES_TO_WIRE[info.state],
        privacy=_privacy_to_wire(info.privacy),
        finished_us=strict.microseconds(info.finished_at),
    )


def model_info_from_wire(message: pb.ModelInfo) -> ModelInfo:
    """Check and convert; raises ``MalformedMessage``."""
    strict.check_known(message, "the model's entry")
    return ModelInfo(
        job_id=strict.job_id(message.job_id),
        name=strict.reason(message.name, "name"),
        algorithm=strict.reason(message.algorithm, "algorithm"),
        digest=strict.digest(message.digest, "digest"),
        size_bytes=strict.number(message.size_bytes, "size_bytes", minimum=1, maximum=MODEL_BYTES),
        rounds=strict.number(message.rounds, "rounds", maximum=MAX_ROUNDS),
        rounds_planned=strict.number(message.rounds_planned, "rounds_planned", maximum=MAX_ROUNDS),
        state=strict.enum(_STATES, message.state, "state"),
        privacy=_privacy_from_wire(strict.part(message, "privacy")),
        finished_at=strict.instant(message.finished_us, "finished_us"),
    )


def submission_from_wire(message: pb.SubmitJobRequest) -> JobRequest:
    """Check and convert; the specification is not parsed yet; raises ``MalformedMessage``."""
    strict.check_known(message, "the request")
    spec = strict.octets(message.spec, "spec", minimum=1, maximum=JOB_SPEC_BYTES)
    return JobRequest(spec=spec, despite_noise=message.despite_noise, again=message.again)


def job_id_from_wire(
    message: pb.WatchJobRequest | pb.CancelJobRequest | pb.FetchModelRequest | pb.SubmitJobResponse,
) -> JobId:
    """Return the job that a request or answer names; raises ``MalformedMessage``."""
    strict.check_known(message, "the call")
    return strict.job_id(message.job_id)


def _round_to_wire(progress: RoundProgress) -> pb.RoundProgress:
    return pb.RoundProgress(
        number=progress.number,
        phase=_PHASES_TO_WIRE[progress.phase],
        plan_step=progress.plan_step,
        quorum=progress.quorum,
        contributed=progress.contributed,
        decrypted=progress.decrypted,
    )


def _round_from_wire(message: pb.RoundProgress) -> RoundProgress:
    return RoundProgress(
        number=strict.number(message.number, "number", minimum=1, maximum=MAX_ROUND_NUMBER),
        phase=strict.enum(_PHASES, message.phase, "phase"),
        plan_step=strict.number(message.plan_step, "plan_step", minimum=1, maximum=MAX_ROUNDS),
        quorum=strict.number(message.quorum, "quorum", minimum=1, maximum=MAX_PARTIES),
        contributed=strict.party_ids(message.contributed, "contributed"),
        decrypted=strict.party_ids(message.decrypted, "decrypted"),
    )


def _privacy_to_wire(privacy: Privacy) -> pb.Privacy:
    return pb.Privacy(
        epsilon=privacy.epsilon,
        delta=privacy.delta,
        unit=privacy.unit,
        mechanism=privacy.mechanism,
        placement=privacy.placement,
    )


def _privacy_from_wire(message: pb.Privacy) -> Privacy:
    return Privacy(
        epsilon=strict.reason(message.epsilon, "epsilon"),
        delta=strict.reason(message.delta, "delta"),
        unit=strict.reason(message.unit, "unit"),
        mechanism=strict.reason(message.mechanism, "mechanism"),
        placement=strict.reason(message.placement, "placement"),
    )


def _job_party_to_wire(party: JobParty) -> pb.JobParty:
    return pb.JobParty(
        party_id=party.party_id,
        decision=DECISION_UNSPECIFIED if party.decision is None else DECISIONS_TO_WIRE[party.decision],
        code=party.code,
        detail=party.detail,
        model_received=party.model_received,
        connected=party.connected,
        waiting=party.waiting,
    )


def _job_party_from_wire(message: pb.JobParty) -> JobParty:
    answered = message.decision != DECISION_UNSPECIFIED
    return JobParty(
        party_id=strict.party_id(message.party_id),
        decision=strict.enum(DECISIONS, message.decision, "decision") if answered else None,
        code=strict.code(message.code, optional=True),
        detail=strict.reason(message.detail, "detail"),
        model_received=message.model_received,
        connected=message.connected,
        waiting=strict.reason(message.waiting, "waiting"),
    )
