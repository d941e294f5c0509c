# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Algorithms with a bug: it costs their own job or one party's reply, never a daemon, and says nothing of the data."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import structlog
from structlog.testing import LogCapture

from coterie_common.errors import InvalidJob, MissingLibrary, StorageError
from coterie_common.identifiers import PartyId
from coterie_common.learning.agreement import plan_job, propose_terms
from coterie_common.learning.model import Model
from coterie_common.protocol.acceptance import Decision, JobReply
from coterie_common.protocol.messages import JobProposal, Rejection
from coterie_common.protocol.progress import JobState
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.malicious_aggregator import attacking
from tests.support.plugins import install_algorithm
from tests.support.small_jobs import make_spec, statistics_spec, write_play

MARKER = "a-patients-name"
POLICY = generous_policy(algorithms=("statistics", "faulty"))
SPEC = make_spec("faulty", {"histograms": ["play"]})


FAILURE = f"ValueError('{MARKER}')"


def install_faulty(
    monkeypatch: pytest.MonkeyPatch, folder: Path, method: str, condition: str = "True", failure: str = FAILURE
) -> None:
    install_algorithm(
        monkeypatch,
        folder,
        "faulty",
        f"""
import asyncio, concurrent.futures, threading
from coterie_common.learning.algorithms.statistics import Statistics

class Theirs(Statistics):
    name = "faulty"

    def {method}(self, *arguments):
        if {condition}:
            raise {failure}
        return super().{method}(*arguments)
""",
    )


@pytest.mark.parametrize(
    ("method", "failure"),
    [
        ("update", FAILURE),
        ("update", "StopIteration()"),
        ("finish", "SystemExit(3)"),
        ("state_to_document", "asyncio.CancelledError()"),
    ],
)
@asynchronous
async def test_bug_in_the_aggregators_half_fails_its_job_and_no_other(monkeypatch, tmp_path, method, failure):
    # A logger of its own: the module's may have been bound for good by a command that another test ran in this process.
    captured = LogCapture()
    monkeypatch.setattr("coterie_common.host.incidents.log", structlog.wrap_logger(None, processors=[captured]))
    install_faulty(monkeypatch, tmp_path, method, failure=failure)
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, policy=POLICY) as running:
        job_id = await running.submit(SPEC)
        status = await running.result(job_id)
        assert status.state is JobState.FAILED
        assert status.reason.startswith("internal error, incident ")
        assert MARKER not in status.reason
        incident = status.reason.split()[3]
        (entry,) = [entry for entry in captured.entries if entry["incident"] == incident]
        assert entry["kind"] == failure.partition("(")[0].rpartition(".")[2]
        assert (MARKER in entry["why"]) is (MARKER in failure)
        healthy = await running.submit(statistics_spec())
        assert (await running.result(healthy)).state is JobState.COMPLETED
        await running.restart_aggregator()
        assert [job.state for job in await running.aggregator.jobs()] == [JobState.FAILED, JobState.COMPLETED]


@asynchronous
async def test_bug_in_a_partys_half_costs_its_reply_and_says_nothing_of_the_data(monkeypatch, tmp_path):
    # The fifth party is the one with 100 records.
    install_faulty(monkeypatch, tmp_path, "answer", "arguments[1].rows == 100", f"StopIteration('{MARKER}')")
    federation = make_federation()
    five = PartyId("party-5")
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, policy=POLICY) as running:
        job_id = await running.submit(SPEC)
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        assert Model.from_bytes(running.model(five, job_id)).lineage.contributors == (4,)
        said = await running.saw(lambda party_id, message: party_id == five and isinstance(message, Rejection))
        assert isinstance(said, Rejection)
        assert said.code == "internal"
        assert re.fullmatch("internal error, incident [0-9a-f]{8} in the party's log", said.detail)
        assert not any(MARKER in repr(message) for _, message in running.passed)
        # The party lives, and answers the next job.
        healthy = await running.submit(statistics_spec())
        await running.result(healthy)
        assert Model.from_bytes(running.model(five, healthy)).lineage.contributors == (5,)


@asynchronous
async def test_bug_in_the_plan_at_the_parties_refuses_the_job_and_no_other(monkeypatch, tmp_path):
    # As if they had another version of the package than the aggregator.
    install_faulty(
        monkeypatch, tmp_path, "plan", "threading.current_thread().name.startswith('party')", "KeyboardInterrupt()"
    )
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, policy=POLICY) as running:
        status = await running.result(await running.submit(SPEC))
        assert status.state is JobState.FAILED
        refused = next(party for party in status.parties if party.decision is Decision.REFUSED)
        assert (refused.code, MARKER in refused.detail) == ("internal", False)
        healthy = await running.submit(statistics_spec())
        assert (await running.result(healthy)).state is JobState.COMPLETED


@asynchronous
async def test_bug_in_the_plan_at_the_aggregator_is_the_submitters_error(monkeypatch, tmp_path):
    install_faulty(monkeypatch, tmp_path, "plan")
    federation = make_federation(3, 3)
    running = InProcessFederation(federation, tmp_path, {}, absent=federation.parties)
    async with running:
        with pytest.raises(ValueError, match=MARKER):
            await running.submit(SPEC)
        assert await running.aggregator.jobs() == ()


@asynchronous
async def test_job_that_ended_does_not_keep_the_aggregator_down_when_its_algorithm_is_gone(monkeypatch, tmp_path):
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, policy=POLICY) as running:
        with monkeypatch.context() as installed:
            install_faulty(installed, tmp_path, "answer", "False")
            assert (await running.result(await running.submit(SPEC))).state is JobState.COMPLETED
        await running.restart_aggregator()
        assert [job.state for job in await running.aggregator.jobs()] == [JobState.COMPLETED]
        healthy = await running.submit(statistics_spec())
        assert (await running.result(healthy)).state is JobState.COMPLETED


@asynchronous
async def test_running_job_whose_algorithm_is_gone_keeps_the_aggregator_down(monkeypatch, tmp_path):
    federation = make_federation(3, 3)
    running = InProcessFederation(federation, tmp_path, {}, absent=federation.parties)
    async with running:
        with monkeypatch.context() as installed:
            install_faulty(installed, tmp_path, "answer", "False")
            await running.submit(SPEC)
        with pytest.raises(StorageError, match="cannot be understood"):
            await running.restart_aggregator()


@asynchronous
async def test_job_that_cannot_begin_at_the_aggregator_is_the_submitters_error_and_no_party_hears_of_it(
    monkeypatch, tmp_path
):
    install_faulty(monkeypatch, tmp_path, "initial_state")
    federation = make_federation(3, 3)
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets, policy=POLICY) as running:
        with pytest.raises(InvalidJob, match="cannot begin: ValueError") as caught:
            await running.submit(SPEC)
        assert MARKER not in caught.value.message
        assert not any(isinstance(message, JobProposal) for _, message in running.passed)


NETWORK = {"network": "network_of_theirs", "parameters": 9, "rounds": 2, "records": 490}


@asynchronous
async def test_network_that_a_host_lacks_is_refused_at_submission_and_at_proposal(tmp_path):
    spec = make_spec("network", NETWORK)
    policy = generous_policy(algorithms=("network",), networks=("network_of_theirs",))
    async with attacking(tmp_path, spec=make_spec("statistics", {}), policy=policy) as attacker:
        federation, planned = attacker.federation, plan_job(spec)
        plaintext_bits = federation.dealing.key.public_key.plaintext_bits
        terms = propose_terms(planned, federation.parameters, plaintext_bits)
        reply = await attacker.tell(attacker.proposal(spec=spec.to_bytes(), terms=terms.to_bytes()))
        assert isinstance(reply, JobReply)
        assert (reply.decision, reply.code) == (Decision.REFUSED, "missing-library")
        # PyTorch, where that is lacking, too.
        assert reply.detail.startswith("this host lacks ")
    async with InProcessFederation(make_federation(3, 3), tmp_path / "honest", {}) as running:
        with pytest.raises(MissingLibrary, match="this host lacks "):
            await running.submit(spec)
        assert not any(isinstance(message, JobProposal) for _, message in running.passed)
