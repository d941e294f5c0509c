# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A job's status in words: one line for logs and lists, some lines for a display, all of it for ``show``. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from coterie_common.host.listing import moment
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.progress import JobParty, JobState, JobStatus, RoundPhase

_MANY = 12
"""Up to this number of parties names are shown; beyond it, the number."""


def state_line(status: JobStatus) -> str:
    """Return a job's progress, such as ``running, round 2 of 3: 4 replied, waiting for 1 more``."""
    return ", ".join(part for part in (status.state.value, _activity(status), status.reason) if part)


def privacy_line(status: JobStatus) -> str:
    """Return the job's promise, such as ``ε = 1, δ = 0.00001 per record, distributed discrete-gaussian noise``."""
    privacy = status.privacy
    if privacy.placement == "none":
        return "no differential privacy"
    delta = "" if privacy.delta == "0" else f", δ = {privacy.delta}"
    return f"ε = {privacy.epsilon}{delta} per {privacy.unit}, {privacy.placement} {privacy.mechanism} noise"


def attendance_line(status: JobStatus) -> str:
    """Return the replies that the current round needs, which divide shared noise, and the spare rounds of the job."""
    needs = "noise divided for" if status.privacy.placement == "distributed" else "a round needs"
    asked = "" if status.round is None else f"{needs} {status.round.quorum} replies or more, "
    if status.is_complete:
        asked = f"sealed completely: a round needs everybody that it asks, and shows nobody who spoils it; {asked}"
    if not status.spare_rounds:
        return f"{asked}no spare rounds"
    return f"{asked}{status.spare_rounds_used} of {status.spare_rounds} spare rounds used"


def price_line(status: JobStatus) -> str:
    """Return what the spare rounds of the job add to its cost; empty if that is not known, or nothing."""
    if not status.steps_epsilon:
        return ""
    return f"ε = {status.privacy.epsilon} covers them, the steps alone cost {status.steps_epsilon}"


def elapsed(status: JobStatus, now: datetime) -> timedelta:
    """Return the job's duration, so far if it still runs, in whole seconds."""
    seconds = ((status.finished_at or now) - status.submitted_at).total_seconds()
    return timedelta(seconds=max(0, int(seconds)))


def party_lines(status: JobStatus) -> tuple[tuple[str, str], ...]:
    """Return per party, in the roster's order, its id and its activity in this job."""
    return tuple((party.party_id, _doing(party, status)) for party in status.parties)


def facts(status: JobStatus, now: datetime) -> tuple[tuple[str, str], ...]:
    """Return all that is known of a job, as names with values; those of the parties come last."""
    return (
        ("job", status.job_id),
        ("name", status.name),
        ("algorithm", f"{status.algorithm} on {status.dataset}"),
        ("privacy", privacy_line(status)),
        ("attendance", attendance_line(status)),
        *((("spare rounds", price),) if (price := price_line(status)) else ()),
        ("state", state_line(status)),
        ("submitted", f"{moment(status.submitted_at)} by {status.submitted_by}"),
        ("finished", moment(status.finished_at)),
        ("took" if status.finished_at else "so far", str(elapsed(status, now))),
        *(("party", f"{party_id}: {doing}") for party_id, doing in party_lines(status)),
    )


def _activity(status: JobStatus) -> str:
    if status.state is JobState.PROPOSED:
        accepted = sum(party.decision is Decision.ACCEPTED for party in status.parties)
        return f"{accepted} of {len(status.parties)} parties accepted{_waiting(status)}"
    if status.state is JobState.DELIVERING:
        receipts = sum(party.model_received for party in status.parties)
        return f"model received by {receipts} of {len(status.parties)} parties"
    if status.round is None:
        is_agreeing = status.state is JobState.RUNNING and status.is_complete
        return f"the parties agree on secrets{_waiting(status)}" if is_agreeing else ""
    again = f", asked again in round {status.round.number}" if status.spare_rounds_used else ""
    where = f"round {status.round.plan_step} of {status.rounds_planned}{again}"
    if status.state is not JobState.RUNNING:
        return where
    if status.round.phase is RoundPhase.COLLECTING:
        return f"{where}: {_who(status.round.contributed)} replied{_waiting(status)}"
    if status.round.phase is RoundPhase.DECRYPTING:
        return (
            f"{where}: {len(status.round.contributed)} replied, "
            f"{_who(status.round.decrypted)} helped to decrypt{_waiting(status)}"
        )
    return f"{where}: {status.round.phase.value}"


def _waiting(status: JobStatus) -> str:
    """Return the number of missing parties, the candidates, and the reason for each."""
    if not status.waiting_for:
        return ""
    named = [f"{party.party_id} {why}" for party in status.parties if (why := _why_missing(party, status))]
    more = f" and {len(named) - _MANY} others" if len(named) > _MANY else ""
    of = f": {', '.join(named[:_MANY])}{more}" if named else ""
    return f", waiting for {status.waiting_for} more{of}"


def _why_missing(party: JobParty, status: JobStatus) -> str:
    """Return why a party that a job waits for is not there yet; empty if the job does not wait for it."""
    if status.state is JobState.PROPOSED:
        if party.decision is Decision.HELD:
            return party.detail or "holds the job"
        if party.decision is not None:
            return ""
        return "has not answered" if party.connected else "is away"
    if status.round is None or party.decision is not Decision.ACCEPTED:
        return ""
    is_collecting = status.round.phase is RoundPhase.COLLECTING
    if party.party_id in (status.round.contributed if is_collecting else status.round.decrypted):
        return ""
    return (party.waiting or "is working") if party.connected else "is away"


def _who(ids: Iterable[str]) -> str:
    names = list(ids)
    if not names:
        return "nobody"
    return ", ".join(names) if len(names) <= _MANY else f"{len(names)} parties"


def _doing(party: JobParty, status: JobStatus) -> str:
    if party.model_received:
        return "has the model"
    if party.decision is not Decision.ACCEPTED:
        if party.decision is None:
            return "did not answer before the end" if status.state.is_final else "has not answered"
        return " ".join(part for part in (party.decision.value, party.detail, party.code and f"[{party.code}]") if part)
    if status.round is None or status.state is not JobState.RUNNING:
        return "accepted"
    done = ["replied"] if party.party_id in status.round.contributed else []
    done += ["helped to decrypt"] if party.party_id in status.round.decrypted else []
    return ", ".join(done) or "is asked"
