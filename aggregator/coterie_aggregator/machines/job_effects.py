# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Effects of a job at the aggregator: the work that follows from its state (``job.outstanding``)."""

from __future__ import annotations

from dataclasses import dataclass

from coterie_aggregator.machines.job_events import (
    AgreementTimedOut,
    DeliveryPatiencePassed,
    ProposalDeadlinePassed,
    ProposalTimedOut,
)
from coterie_common.identifiers import PartyId


@dataclass(frozen=True, slots=True)
class SendProposal:
    """Send the proposal to this party, also again when it connects."""

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class SendAcceptances:
    """Send everybody's acceptances to this party, also again when it connects."""

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class RunRound:
    """Run this round with the job's cohort, or resume it."""

    round_number: int


@dataclass(frozen=True, slots=True)
class SendModel:
    """Send the model to this party, also again when it connects."""

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class SendJobEnd:
    """Notify this party that the job is over, also again when it connects."""

    party_id: PartyId


@dataclass(frozen=True, slots=True)
class KeepUnfinishedModel:
    """Make the model of the last released round, and store it."""


Timed = ProposalDeadlinePassed | ProposalTimedOut | AgreementTimedOut | DeliveryPatiencePassed


@dataclass(frozen=True, slots=True)
class Timer:
    """Deliver this event after the time given by the job; it lapses when no longer outstanding."""

    event: Timed


Effect = SendProposal | SendAcceptances | RunRound | SendModel | SendJobEnd | KeepUnfinishedModel | Timer
