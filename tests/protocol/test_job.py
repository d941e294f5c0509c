# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Whole jobs without trouble: what is opened is the sum of what was sealed, and everybody gets the same model."""

from __future__ import annotations

import asyncio
from collections import Counter
from decimal import Decimal

import pytest

from coterie_common.learning.model import Model
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import DecryptionRequest, JobProposal, ModelDelivery, Query
from coterie_common.protocol.progress import JobState
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.nursery import nursery_spec, write_nursery
from tests.support.oracle import sum_of_replies
from tests.support.small_jobs import make_spec, rows_of, statistics_spec, tree_spec, write_play


@asynchronous
async def test_job_with_all_parties_delivers_the_same_model_to_everyone(tmp_path):
    federation = make_federation()
    datasets = write_nursery(tmp_path, federation.parties, rows=600)
    async with InProcessFederation(federation, tmp_path, datasets, dataset_name="nursery") as running:
        job_id = await running.submit(nursery_spec())
        status = await running.result(job_id)
        assert (status.state, status.reason, status.waiting_for) == (JobState.COMPLETED, "", 0)
        assert all(party.model_received for party in status.parties)
        assert all(party.decision is Decision.ACCEPTED for party in status.parties)
        files = {running.model(party_id, job_id) for party_id in running.parties}
        assert files == {await running.aggregator.model(job_id)}
        model = Model.from_bytes(files.pop())
        assert set(model.lineage.contributors) == {5}
        assert running.errors == []
        # Models may be large: the parties share one delivery, and one query a round.
        sent = [message for _, message in running.passed if isinstance(message, ModelDelivery)]
        assert len(sent) == 5
        assert len({id(message) for message in sent}) == 1
        queries = {id(message): message for _, message in running.passed if isinstance(message, Query)}
        assert len(queries) == len({query.fields.session_id for query in queries.values()})


@pytest.mark.parametrize(("parties", "decryption_threshold"), [(3, 3), (4, 3), (12, 9)])
@asynchronous
async def test_job_in_a_federation_of_another_size_completes(tmp_path, parties, decryption_threshold):
    federation = make_federation(parties, decryption_threshold)
    datasets = write_play(tmp_path, federation.parties, count=48)
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        job_id = await running.submit(tree_spec())
        assert (await running.result(job_id)).state is JobState.COMPLETED
        models = {running.model(party_id, job_id) for party_id in federation.parties}
        assert len(models) == 1
        assert Model.from_bytes(models.pop()).lineage.contributors == (parties, parties)


@asynchronous
async def test_opened_sum_is_the_exact_sum_of_what_the_parties_sealed(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        job_id = await running.submit(make_spec("statistics", {"histograms": ["outlook", "play"]}))
        await running.result(job_id)
        body = Model.from_bytes(await running.aggregator.model(job_id)).body
        released = [body["count"], *body["histograms"]["outlook"]["counts"], *body["histograms"]["play"]["counts"]]
        assert released == sum_of_replies(federation, running.passed, 1)


@asynchronous
async def test_statistics_without_noise_are_those_of_all_records_together(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    spec = statistics_spec(privacy={"placement": "none"})
    policy = generous_policy(jobs_without_noise=(spec.digest.hex(),))
    async with InProcessFederation(federation, tmp_path, datasets, policy=policy) as running:
        job_id = await running.submit(spec)
        await running.result(job_id)
        model = Model.from_bytes(running.model(federation.parties[0], job_id))
    rows = [row for index in range(5) for row in rows_of(index)]
    outlook, play = (Counter(row[name] for row in rows) for name in ("outlook", "play"))
    assert model.body["count"] == len(rows)
    assert (model.lineage.epsilon, model.lineage.delta, model.lineage.placement) == ("0", "0", "none")
    assert model.body["histograms"]["outlook"]["counts"] == [outlook[name] for name in ("sunny", "rain", "clouds")]
    assert model.body["histograms"]["play"]["counts"] == [play["no"], play["yes"]]
    mean = sum(row["temperature"] for row in rows) / len(rows)
    assert model.body["means"]["temperature"]["value"] == pytest.approx(mean, abs=1e-3)


@asynchronous
async def test_tree_finds_what_decides(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        job_id = await running.submit(tree_spec())
        await running.result(job_id)
        body = Model.from_bytes(running.model(federation.parties[0], job_id)).body
    assert body["tree"][:2] == ["outlook", "wind"]


@asynchronous
async def test_second_round_continues_from_the_release_of_the_first(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        job_id = await running.submit(tree_spec())
        await running.result(job_id)
        queries = {m.fields.round_number: m for _, m in running.passed if isinstance(m, Query)}
        lineage = Model.from_bytes(running.model(federation.parties[0], job_id)).lineage
        assert sorted(queries) == [1, 2]
        assert queries[2].fields.previous_transcript.hex() == lineage.transcript_digests[0]
        assert queries[1].fields.cohort == queries[2].fields.cohort == tuple(sorted(federation.parties))


@asynchronous
async def test_evaluation_counts_the_records_that_were_set_aside(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    running = InProcessFederation(federation, tmp_path, datasets, set_aside=Decimal("0.25"))
    async with running:
        tree = await running.submit(tree_spec())
        await running.result(tree)
        model = Model.from_bytes(running.model(federation.parties[0], tree))
        job_id = await running.submit(make_spec("evaluation", {"model": model.to_document()}, name="evaluation"))
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        body = Model.from_bytes(running.model(federation.parties[0], job_id)).body
    everything = sum(len(rows_of(index)) for index in range(5))
    # each record by a fair coin of its own: 490 of them, standard deviation below 10
    assert 0.25 * everything - 50 < body["records"] < 0.25 * everything + 50
    assert body["accuracy"] > 0.8
    assert body["model"] == model.digest.hex()


@asynchronous
async def test_two_jobs_at_once_both_complete(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        jobs = [await running.submit(spec) for spec in (tree_spec(), statistics_spec(name="counts"))]
        statuses = await asyncio.gather(*map(running.result, jobs))
        assert [status.state for status in statuses] == [JobState.COMPLETED] * 2
        assert [status.name for status in await running.aggregator.jobs()] == ["play", "counts"]
        assert [model.job_id for model in await running.aggregator.models()] == jobs
        assert running.errors == []


@asynchronous
async def test_job_asks_for_as_few_partial_decryptions_as_needed_and_one_spare(tmp_path):
    federation = make_federation(12, 9)
    datasets = write_play(tmp_path, federation.parties, count=12)
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        await running.result(await running.submit(statistics_spec()))
        asked = [party_id for party_id, m in running.passed if isinstance(m, DecryptionRequest)]
        assert asked == sorted(set(asked), key=asked.index)
        assert len(asked) == 10


@asynchronous
async def test_nothing_that_a_party_says_repeats_what_depends_on_its_data(tmp_path):
    # Two runs over the same data: proposals and decisions are alike, the replies share no ciphertext.
    federation = make_federation(3, 3)
    replies: list[set[bytes]] = []
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        datasets = write_play(folder, federation.parties)
        async with InProcessFederation(federation, folder, datasets) as running:
            await running.result(await running.submit(statistics_spec()))
            said = [m for _, m in running.passed if isinstance(m, EncryptedReply)]
            replies.append({c for reply in said for c in reply.contribution.key_part.ciphertexts})
    assert not replies[0] & replies[1]


@asynchronous
async def test_job_is_proposed_to_every_party_once(tmp_path):
    federation = make_federation()
    datasets = write_play(tmp_path, federation.parties)
    async with InProcessFederation(federation, tmp_path, datasets) as running:
        await running.result(await running.submit(statistics_spec()))
        proposed = [party_id for party_id, m in running.passed if isinstance(m, JobProposal)]
        assert sorted(proposed) == sorted(federation.parties)
