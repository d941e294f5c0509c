# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Asking the same again until the noise averages out, or once with a party and once without: refused, or paid for."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2

from coterie_common.identifiers import JobId, PartyId
from coterie_common.learning.model import Model
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import AggregatorMessage, JobOutcome, Message, Rejection
from coterie_common.protocol.progress import JobState
from coterie_party.store import ReservationStatus
from tests.support.asynchronous import asynchronous
from tests.support.examples import load_job, nursery_schema
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation
from tests.support.malicious_aggregator import JOB, PARTIES, VICTIM, MaliciousAggregator, attacking
from tests.support.nursery import write_nursery

# What a malicious aggregator claims, so that its victim answers the round anew.


def lost(attacker: MaliciousAggregator) -> list[AggregatorMessage]:
    """It never got the reply."""
    return [attacker.query()]


def rejected(attacker: MaliciousAggregator) -> list[AggregatorMessage]:
    """The reply was no good."""
    return [Rejection(code="invalid-proof", detail="once more, please", job_id=JOB, round_number=1), attacker.query()]


def ended(attacker: MaliciousAggregator) -> list[AggregatorMessage]:
    """The round is over without a release, the job is cancelled: all of it begins again."""
    return [attacker.end(), attacker.proposal(), attacker.query()]


def completed(attacker: MaliciousAggregator) -> list[AggregatorMessage]:
    return [attacker.end(JobOutcome.COMPLETED), attacker.query()]


def smaller_cohort(attacker: MaliciousAggregator) -> list[AggregatorMessage]:
    """The round is asked anew, without a party that is said to have left."""
    return [attacker.query(attacker.fields(cohort=PARTIES[:4]))]


@pytest.mark.parametrize(
    ("claim", "code"),
    [
        (lost, None),
        (rejected, None),
        (ended, "stale-round"),
        (completed, "stale-round"),
        (smaller_cohort, "already-answered"),
    ],
)
@pytest.mark.parametrize("restarted", [False, True], ids=["running", "restarted"])
@asynchronous
async def test_noise_is_not_drawn_again_whatever_is_claimed(tmp_path, claim, code, restarted):
    async with attacking(tmp_path) as attacker:
        await attacker.accepted()
        first = await attacker.answered()
        if restarted:
            await attacker.running.kill(VICTIM)
            await attacker.running.start_party(VICTIM)
        *before, query = claim(attacker)
        for message in before:
            attacker.running.to_party(VICTIM, message)
        attacker.running.to_party(VICTIM, query)
        if code:
            await attacker.running.saw(lambda _, m: isinstance(m, Rejection) and m.code == code)
        else:
            again = await attacker.running.saw(lambda _, m: isinstance(m, EncryptedReply), count=2)
            assert again == first
        replies = [m for _, m in attacker.running.passed if isinstance(m, EncryptedReply)]
        assert {attacker.running.wire(m) for m in replies} == {attacker.running.wire(first)}
        # Asking for it cost nothing more.
        assert len(attacker.running.party_store(VICTIM).ledger("play")) == len(attacker.terms.rounds)


@asynchronous
async def test_noise_drawn_again_in_a_new_job_is_charged_again(tmp_path):
    async with attacking(tmp_path) as attacker:
        for job_id in (JOB, JobId("job-2")):
            await attacker.tell(attacker.proposal(job_id=job_id))
            await attacker.answered(attacker.fields(job_id=job_id))
        entries = attacker.running.party_store(VICTIM).ledger("play")
        charged = [entry.job_id for entry in entries if entry.status is ReservationStatus.COMMITTED]
        assert charged == [JOB, "job-2"]
        costs = {entry.job_id: entry.cost for entry in entries if entry.round_number == 1}
        assert costs[JOB] == costs[JobId("job-2")]


COLUMNS = tuple(nursery_schema().by_name)


def exact_counts(path: Path) -> list[int]:
    """A party's exact reply: how many records it has, and how many with each level of each column."""
    with path.open(newline="") as stream:
        records = list(csv.DictReader(stream))
    levels = [Counter(record[name] for record in records) for name in COLUMNS]
    cells = [nursery_schema().by_name[name].cell_names() for name in COLUMNS]
    return [len(records), *(found[cell] for found, names in zip(levels, cells, strict=True) for cell in names)]


@asynchronous
async def test_same_job_with_and_without_a_party_leaves_the_noise_of_both_and_is_charged_twice(tmp_path):
    federation = make_federation()
    is_repeated = False

    def without_the_victim(party_id: PartyId, message: Message) -> Message:
        if is_repeated and party_id == VICTIM and isinstance(message, EncryptedReply):
            # As if it had declined: the round goes on at once, and no deadline must pass that others could miss.
            return Rejection(code="data", detail="", job_id=message.job_id, round_number=message.round_number)
        return message

    datasets = write_nursery(tmp_path, federation.parties, rows=1000)
    schema = load_job("nursery-tree.toml")["schema"]
    spec = JobSpec.from_table(
        {
            "name": "twice",
            "algorithm": "statistics",
            "dataset": "nursery",
            "config": {"histograms": list(COLUMNS)},
            "schema": schema,
            "privacy": {"epsilon": "1", "delta": "0.00001"},
            "rounds": {
                "deadline_s": 30,
                "patience_s": 10,
                "timeout_s": 60,
                "proposal_deadline_s": 30,
                "spare_rounds": 0,
            },
        }
    )
    running = InProcessFederation(federation, tmp_path, datasets, dataset_name="nursery", intercept=without_the_victim)
    async with running:
        released, noise = [], 0.0
        for is_repeated in (False, True):
            job_id = await running.submit(spec)
            assert (await running.result(job_id)).state is JobState.COMPLETED
            model = Model.from_bytes(await running.aggregator.model(job_id))
            assert model.lineage.contributors == (4 if is_repeated else 5,)
            histograms = [model.body["histograms"][name]["counts"] for name in COLUMNS]
            released.append(np.array([model.body["count"], *(count for counts in histograms for count in counts)]))
            noise += model.body["noise_stddev"] ** 2
        left = released[0] - released[1] - np.array(exact_counts(datasets[VICTIM]))
        # What is left beside the victim's exact reply is the noise of both releases. Of so many normal values the mean
        # square lies outside these bounds with a probability of less than 2·10^-9.
        low, high = chi2.ppf(1e-9, len(left)) / len(left), chi2.isf(1e-9, len(left)) / len(left)
        assert low * noise < np.mean(left**2) < high * noise
        # That is more than either release promises alone, and the victim paid for both: also for the one that it is
        # not in, because it answered.
        entries = running.party_store(VICTIM).ledger("nursery")
        assert [entry.status for entry in entries] == [ReservationStatus.COMMITTED] * 2
        assert entries[0].cost == entries[1].cost
