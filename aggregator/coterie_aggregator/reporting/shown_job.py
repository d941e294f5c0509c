# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The view of a job for people, running or long ended; all of it can be read from the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from coterie_aggregator.machines.job_machine import AggregatorJob
from coterie_aggregator.machines.round_state import AggregatorRound
from coterie_common.identifiers import JobId, MemberId, PartyId
from coterie_common.protocol.job_spec import JobSpec


@dataclass(frozen=True, slots=True)
class ShownRound:
    """The current or last round that asked anything: its 1-based number and where it stands."""

    number: int
    state: AggregatorRound


@dataclass(frozen=True, slots=True, kw_only=True)
class ShownJob:
    """One job.

    Attributes:
        job_id: the job.
        spec: as it was submitted.
        rounds_planned: maximum number of rounds.
        state: where it stands.
        round: the current or last round; ``None`` before the first was asked.
        waiting: why a party does not answer the current round yet, in its own words.
        submitter: id of the person who submitted it.
        submitted_at: with time zone.
        finished_at: with time zone; ``None`` while it runs.
        steps_epsilon: what its steps cost without spare rounds, as ``steps_epsilon`` of ``price``; empty until it is
            known.
    """

    job_id: JobId
    spec: JobSpec
    rounds_planned: int
    state: AggregatorJob
    round: ShownRound | None
    waiting: Mapping[PartyId, str] = field(default_factory=dict)
    submitter: MemberId
    submitted_at: datetime
    finished_at: datetime | None
    steps_epsilon: str = ""
