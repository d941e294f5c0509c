# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import json

import pytest

VICTIM = "party-5"


@pytest.mark.parametrize(
    ("table", "contributors"),
    [
        pytest.param("acceptances", (4, 4), id="before its reply"),
        pytest.param("replies", (5, 4), id="after its reply"),
        pytest.param("transcripts", (5, 4), id="after the transcript record"),
        pytest.param("partials", (5, 4), id="after its partial decryption"),
    ],
)
def test_job_with_a_party_killed_completes_and_the_party_takes_part_again(running, table, contributors):
    # Others help to open a sum, and the job ends, without the party after a moment instead of the usual ten seconds.
    job_id = running.submit(deadline_s=2, patience_s=2)
    running.kill_once(VICTIM, lambda: running.rows(VICTIM, table, job_id) > 0, f"{VICTIM} to store {table}")
    answered = running.rows(VICTIM, "replies", job_id)

    status = running.finish(job_id)
    assert status["state"] == "completed", status
    running.wait_until(running.model_of("party-1", job_id).exists, "the model at party-1")
    lineage = json.loads(running.model_of("party-1", job_id).read_text())["lineage"]
    # Killed a moment after its record the victim may, or may not, have got its message out.
    assert all(minimum <= seen <= 5 for minimum, seen in zip((4, 4), lineage["contributors"], strict=True))
    # The others can open the first sum without the victim, whose second reply may then be stored before its partial
    # decryption of the first.
    if answered < 2:
        assert lineage["contributors"][1] == contributors[1]

    running.start_party(VICTIM)
    running.wait_until(running.model_of(VICTIM, job_id).exists, f"the model at {VICTIM}")
    following = running.submit()
    assert running.finish(following)["state"] == "completed"
    lineage = json.loads(running.model_of(VICTIM, following).read_text())["lineage"]
    assert lineage["contributors"] == [5, 5]


def test_job_with_the_aggregator_killed_goes_on_where_it_was(running):
    job_id = running.submit()
    running.poll(lambda: running.rows("party-1", "transcripts", job_id) > 0, "the first round to be opened")
    running.daemons.kill("aggregator")
    running.start_aggregator()
    status = running.finish(job_id)
    assert status["state"] == "completed", status
    for party in running.parties:
        running.wait_until(running.model_of(party, job_id).exists, f"the model at {party}")
