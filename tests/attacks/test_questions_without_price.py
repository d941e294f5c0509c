# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A scientist asks about data by what a party refuses: how many records, which values. Refusals must not answer."""

from __future__ import annotations

from typing import Any

import pytest

from coterie_common.identifiers import PartyId
from coterie_common.protocol.acceptance import Decision, JobReply
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import Message
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation
from tests.support.small_jobs import SCHEMA, statistics_spec, write_play

VICTIM = PartyId("party-3")
RECORDS = 98
"""Of the victim: 96 and its index."""


def question(schema: dict[str, Any]) -> JobSpec:
    table: dict[str, Any] = {
        "name": "question",
        "algorithm": "statistics",
        "dataset": "play",
        "schema": schema,
        "privacy": {"epsilon": "1", "delta": "0.00001"},
    }
    return JobSpec.from_table(table)


def is_reply_of_the_victim(party_id: PartyId, message: Message) -> bool:
    return party_id == VICTIM and isinstance(message, JobReply)


def with_column(column: dict[str, Any]) -> dict[str, Any]:
    columns = [column if other["name"] == column["name"] else other for other in SCHEMA["columns"]]
    return {**SCHEMA, "columns": columns}


@pytest.mark.parametrize(
    ("true", "false"),
    [
        ({**SCHEMA, "max_records": RECORDS}, {**SCHEMA, "max_records": RECORDS - 1}),
        (
            with_column({"name": "temperature", "lower": 0, "upper": 41}),
            with_column({"name": "temperature", "lower": 0, "upper": 39}),
        ),
        (
            with_column({"name": "outlook", "levels": ["sunny", "rain", "clouds", "fog"]}),
            with_column({"name": "outlook", "levels": ["sunny", "rain"]}),
        ),
    ],
    ids=["number of records", "greatest value", "whether a level occurs"],
)
@asynchronous
async def test_party_says_the_same_to_a_schema_that_its_data_fit_and_to_one_that_they_do_not(tmp_path, true, false):
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        for number, schema in enumerate((true, false), start=1):
            job_id = await running.submit(question(schema))
            await running.result(job_id)
            # The job ends with the first refusal; the victim's own may come later.
            await running.saw(is_reply_of_the_victim, count=number)
        replies = [m for party_id, m in running.passed if isinstance(m, JobReply) and party_id == VICTIM]
        assert [reply.decision for reply in replies] == [Decision.REFUSED] * 2
        assert {(reply.code, reply.detail) for reply in replies} == {(replies[0].code, replies[0].detail)}
        assert replies[0].code == "consent-denied"


@asynchronous
async def test_party_still_accepts_what_its_steward_described(tmp_path):
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        job_id = await running.submit(statistics_spec())
        status = await running.result(job_id)
        assert {party.decision for party in status.parties} == {Decision.ACCEPTED}
