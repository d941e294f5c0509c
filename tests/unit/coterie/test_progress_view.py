# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from rich.console import Console

from coterie.job_display import _LiveDisplay
from coterie.progress_view import attendance_line, elapsed, party_lines, privacy_line, state_line
from coterie_common.errors import Unavailable
from coterie_common.identifiers import PartyId
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.progress import JobParty, JobState, RoundPhase
from tests.support.handlers import job_status
from tests.support.message_strategies import job_statuses
from tests.support.present import present

RUNNING = job_status()
DECRYPTING = replace(
    RUNNING,
    round=replace(present(RUNNING.round), phase=RoundPhase.DECRYPTING, decrypted=(PartyId("beta"),)),
    waiting_for=2,
)


@pytest.mark.parametrize(
    ("status", "line"),
    [
        (job_status(JobState.PROPOSED, round=None), "proposed, 1 of 2 parties accepted, waiting for 1 more"),
        (RUNNING, "running, round 2 of 3: alpha, beta replied, waiting for 1 more"),
        (
            replace(RUNNING, waiting_for=0, round=replace(present(RUNNING.round), contributed=())),
            "running, round 2 of 3: nobody replied",
        ),
        (
            replace(
                RUNNING,
                round=replace(present(RUNNING.round), contributed=tuple(PartyId(str(number)) for number in range(20))),
            ),
            "running, round 2 of 3: 20 parties replied, waiting for 1 more: alpha is working",
        ),
        (DECRYPTING, "running, round 2 of 3: 2 replied, beta helped to decrypt, waiting for 2 more: alpha is working"),
        (job_status(JobState.DELIVERING), "delivering, model received by 0 of 2 parties"),
        (job_status(JobState.COMPLETED), "completed, round 2 of 3"),
        (job_status(JobState.FAILED, reason="too few parties"), "failed, round 2 of 3, too few parties"),
        (job_status(JobState.CANCELLED, round=None), "cancelled"),
        (
            replace(RUNNING, round=None, is_complete=True, waiting_for=2),
            "running, the parties agree on secrets, waiting for 2 more",
        ),
    ],
)
def test_state_line_says_where_the_job_stands(status, line):
    assert state_line(status) == line


def test_privacy_line_never_claims_what_is_not_promised():
    assert privacy_line(RUNNING) == "ε = 1, δ = 0.00001 per record, distributed discrete-gaussian noise"
    assert "δ" not in privacy_line(replace(RUNNING, privacy=replace(RUNNING.privacy, delta="0")))
    none = replace(RUNNING, privacy=replace(RUNNING.privacy, placement="none"))
    assert attendance_line(none).startswith("a round needs ")
    assert privacy_line(none) == "no differential privacy"


def test_party_lines_say_what_each_does():
    assert party_lines(RUNNING) == (
        ("alpha", "replied"),
        ("gamma", "refused 1 asked, 0.5 left [budget-exhausted]"),
    )
    accepted = replace(RUNNING.parties[0], party_id=PartyId("beta"))
    doing = dict(party_lines(replace(DECRYPTING, parties=(accepted, replace(accepted, party_id=PartyId("delta"))))))
    assert doing == {"beta": "replied, helped to decrypt", "delta": "is asked"}
    silent = replace(accepted, decision=None)
    done = replace(accepted, model_received=True)
    assert [words for _, words in party_lines(replace(RUNNING, parties=(silent, done)))] == [
        "has not answered",
        "has the model",
    ]
    assert party_lines(job_status(JobState.FAILED, parties=(silent,))) == (("beta", "did not answer before the end"),)


def test_elapsed_stops_when_the_job_is_over():
    now = RUNNING.submitted_at + timedelta(seconds=90.7)
    assert elapsed(RUNNING, now) == timedelta(seconds=90)
    assert elapsed(replace(RUNNING, finished_at=now), now + timedelta(hours=1)) == timedelta(seconds=90)
    assert elapsed(RUNNING, RUNNING.submitted_at - timedelta(seconds=5)) == timedelta(0)


@settings(max_examples=15)
@given(job_statuses)
def test_live_display_shows_any_status_as_it_is(status):
    display = _LiveDisplay()
    display.show(status)
    display.lost(Unavailable("gone"), 2.0)
    console = Console(width=4000, force_terminal=False)
    with console.capture() as capture:
        console.print(display.render())
    shown = capture.get()
    assert status.job_id in shown
    # Markup in what the aggregator says is not interpreted.
    assert status.algorithm in shown
    assert "connection lost, next attempt in 2 s: gone [unavailable]" in shown


def party(party_id: PartyId, **changes: Any) -> JobParty:
    return replace(RUNNING.parties[0], party_id=party_id, **changes)


def test_state_line_names_whom_a_proposal_waits_for_and_why():
    parties = (
        party(PartyId("a")),
        party(PartyId("b"), decision=Decision.HELD, detail="waits for its steward's word"),
        party(PartyId("c"), decision=None),
        party(PartyId("d"), decision=None, connected=False),
        party(PartyId("e"), decision=Decision.REFUSED, connected=False),
        party(PartyId("f"), decision=Decision.HELD, detail="waits for its hours: from 20:00", connected=False),
    )
    status = job_status(JobState.PROPOSED, round=None, parties=parties, waiting_for=3)
    assert state_line(status) == (
        "proposed, 1 of 6 parties accepted, waiting for 3 more: b waits for its steward's word, c has not answered, "
        "d is away, f waits for its hours: from 20:00"
    )


def test_state_line_names_whom_a_round_waits_for_and_why():
    parties = (
        party(PartyId("alpha")),
        party(PartyId("b"), waiting="waits for its hours: it answers from 20:00"),
        party(PartyId("c"), connected=False, waiting="said before it left"),
        party(PartyId("d")),
        party(PartyId("e"), decision=Decision.REFUSED, connected=False),
    )
    status = replace(RUNNING, parties=parties, waiting_for=2)
    assert state_line(status) == (
        "running, round 2 of 3: alpha, beta replied, waiting for 2 more: b waits for its hours: it answers from 20:00, "
        "c is away, d is working"
    )


def test_state_line_of_many_missing_parties_says_how_many_more():
    parties = tuple(party(PartyId(f"p{number}"), decision=None, connected=False) for number in range(20))
    line = state_line(job_status(JobState.PROPOSED, round=None, parties=parties, waiting_for=20))
    assert line.endswith("p11 is away and 8 others")
