# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A job is parsed and planned once at each side, and a contribution converted once wherever it has to be."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from coterie_aggregator.live import submission
from coterie_aggregator.store.spool import Spool
from coterie_common.identifiers import PartyId
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import DecryptionRequest, Message, Query
from coterie_common.protocol.progress import JobState
from coterie_common.protocol.terms import JobTerms
from coterie_common.wire import types
from coterie_party.live import accepted_jobs, proposals
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.small_jobs import statistics_spec, tree_spec, wide_spec, write_play, write_wide

WHO = PartyId("party-2")
POLICY = generous_policy(algorithms=("decision_tree", "statistics", "logistic_regression"), rounds_per_job=10_000)
ONE_EACH = Counter(
    {
        "spec": 4,  # the aggregator and three parties
        "plan": 4,
        "terms": 3,  # which the aggregator made itself
    }
)


def counted(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, count: Counter[str], key: str) -> None:
    """Count the calls of a function or static method."""
    real: Callable[..., Any] = getattr(owner, name)

    def counting(*arguments: Any, **options: Any) -> Any:
        count[key] += 1
        return real(*arguments, **options)

    monkeypatch.setattr(owner, name, counting)


@pytest.fixture
def understandings(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """What was parsed and planned, by kind."""
    count: Counter[str] = Counter()
    counted(monkeypatch, JobSpec, "from_bytes", count, "spec")
    counted(monkeypatch, JobTerms, "from_bytes", count, "terms")
    for module in (submission, proposals, accepted_jobs):
        counted(monkeypatch, module, "plan_job", count, "plan")
    return count


def play(folder: Path) -> InProcessFederation:
    federation = make_federation(3, 3)
    return InProcessFederation(federation, folder, write_play(folder, federation.parties), policy=POLICY)


def wide(folder: Path) -> InProcessFederation:
    federation = make_federation(3, 3)
    data = write_wide(folder, federation.parties)
    return InProcessFederation(federation, folder, data, dataset_name="wide", policy=POLICY)


@pytest.mark.parametrize(
    ("start", "spec"),
    [(play, statistics_spec()), (play, tree_spec()), (wide, wide_spec(4))],
    ids=["one round", "two rounds", "four rounds"],
)
@asynchronous
async def test_job_is_parsed_and_planned_once_at_each_side(tmp_path, start, spec, understandings):
    async with start(tmp_path) as running:
        assert (await running.result(await running.submit(spec))).state is JobState.COMPLETED
        await running.settled()
        assert understandings == ONE_EACH


@pytest.mark.slow  # calibrates and prices 5,000 rounds
@asynchronous
async def test_query_of_a_job_of_five_thousand_rounds_parses_nothing(tmp_path, understandings):
    def is_third(party_id: PartyId, message: Message) -> bool:
        return isinstance(message, Query) and message.fields.round_number == 3

    async with wide(tmp_path) as running:
        job_id = await running.submit(wide_spec(5000))
        await running.saw(is_third, count=3)
        assert understandings == ONE_EACH
        await running.cancel(job_id)


@asynchronous
async def test_job_is_understood_once_more_by_a_party_that_was_started_again(tmp_path, understandings):
    def asks_second(party_id: PartyId, message: Message) -> bool:
        return party_id == WHO and isinstance(message, Query) and message.fields.round_number == 2

    def lose(party_id: PartyId, message: Message) -> Message | None:
        return None if asks_second(party_id, message) else message

    async with wide(tmp_path) as running:
        running.intercept = lose
        job_id = await running.submit(wide_spec(4))
        await running.saw(asks_second)
        await running.settled()
        await running.kill(WHO)
        running.intercept = lambda party_id, message: message
        await running.start_party(WHO)
        assert (await running.result(job_id)).state is JobState.COMPLETED
        assert understandings == ONE_EACH + Counter(("spec", "plan", "terms"))


@asynchronous
async def test_contribution_is_converted_three_times_and_once_for_each_party_asked(tmp_path, monkeypatch):
    count: Counter[str] = Counter()
    counted(monkeypatch, types, "contribution_to_wire", count, "to bytes")
    counted(monkeypatch, types, "contribution_from_wire", count, "from bytes")
    counted(monkeypatch, Spool, "contribution", count, "from the spool")
    async with play(tmp_path) as running:
        assert (await running.result(await running.submit(statistics_spec()))).state is JobState.COMPLETED
        asked = sum(isinstance(message, DecryptionRequest) for _, message in running.passed)
        assert asked >= running.federation.roster.parameters.decryption_threshold
        shown = 3  # to the test, by the stream that stands in for the network
        # Each of three: its party writes it, the aggregator reads it and writes it into the request; whoever is asked
        # reads that.
        assert count == Counter({"to bytes": 3 + 3, "from bytes": 3 + 3 * asked + shown})
