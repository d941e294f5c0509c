# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party without any records answers zeros with its noise share, and says nothing else than one with a record says."""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coterie_common.errors import TrainingFailed
from coterie_common.identifiers import JobId, PartyId
from coterie_common.learning.agreement import plan_job
from coterie_common.protocol.acceptance import JobReply
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import ModelReceipt, PartialDecryption, Query
from coterie_common.protocol.progress import JobState
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.noise import gaussian
from tests.support.oracle import sealed_vector
from tests.support.small_jobs import make_spec, play_dataset, statistics_spec, tree_spec, write_play

FEDERATION = make_federation(3, 3)
PARTY = FEDERATION.parties[0]
SAID = (JobReply, EncryptedReply, PartialDecryption, ModelReceipt)
POLICY = generous_policy(algorithms=("statistics", "decision_tree", "logistic_regression"))


def logistic_spec() -> JobSpec:
    config: dict[str, Any] = {"rounds": 1, "records": 200, "batch": 100, "clip_norm": Decimal(1), "held_out": True}
    return make_spec("logistic_regression", config | {"scaling": "statistics"})


def write(folder: Path, records: int) -> dict[PartyId, Path]:
    folder.mkdir()
    datasets = write_play(folder, FEDERATION.parties)
    lines = datasets[PARTY].read_text().splitlines(keepends=True)
    datasets[PARTY].write_text("".join(lines[: 1 + records]))
    return datasets


async def run(folder: Path, spec: JobSpec, records: int) -> InProcessFederation:
    """Run a job in which the first party has so many records, and return what passed."""
    datasets = write(folder, records)
    async with InProcessFederation(FEDERATION, folder, datasets, policy=POLICY, set_aside=Decimal("0.2")) as running:
        job_id: JobId = await running.submit(spec)
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        await running.settled()
        assert running.errors == []
    return running


def said(running: InProcessFederation) -> Counter[tuple[str, int]]:
    """Return what the party said: the kinds and sizes of its messages."""
    messages = [message for party_id, message in running.passed if party_id == PARTY and isinstance(message, SAID)]
    return Counter((type(message).__name__, len(running.wire(message))) for message in messages)


@pytest.mark.slow  # vectors are computed in processes apart
@pytest.mark.parametrize("make_spec_of", [statistics_spec, tree_spec, logistic_spec])
@asynchronous
async def test_party_without_records_says_what_one_with_a_record_says(tmp_path, make_spec_of):
    without, with_one = [await run(tmp_path / str(count), make_spec_of(), count) for count in (0, 1)]
    assert said(without) == said(with_one)
    assert {kind for kind, _ in said(without)} == {kind.__name__ for kind in SAID}
    queries = {m.fields.round_number: m.fields for _, m in without.passed if isinstance(m, Query)}
    replies = {
        m.round_number: m for party_id, m in without.passed if party_id == PARTY and isinstance(m, EncryptedReply)
    }
    assert replies.keys() == queries.keys()
    for number, fields in queries.items():
        noise = sealed_vector(FEDERATION, replies[number], fields)
        variance = gaussian(fields.terms.noise).variance
        assert variance is not None
        # zeros and a share of the noise, no more: beyond seven standard deviations is one value in 10^11
        assert np.abs(noise).max() < 7 * float(variance / fields.terms.noise.shares) ** 0.5
        assert noise.any()


NETWORKS = {"network": {"records": 200, "learning_rate": Decimal("0.1")}, "federated_averaging": {}}


@pytest.mark.parametrize("algorithm", NETWORKS)
@pytest.mark.parametrize("records", [0, 1])
def test_network_without_records_gives_zeros_and_fails_as_with_one(algorithm, records, monkeypatch):
    torch = pytest.importorskip("torch", reason="torch is not installed: pip install 'coterie[torch]'")
    from coterie_common.learning.network import flat

    unit = "record" if algorithm == "network" else "party"
    config = {"network": "mlp", "rounds": 1, "held_out": True, **NETWORKS[algorithm]}
    planned = plan_job(make_spec(algorithm, config, privacy={"unit": unit}))
    ask = planned.algorithm.next_ask(planned.algorithm.initial_state(planned.config, planned.schema))
    assert ask is not None
    vectors: Any = planned.algorithm
    dataset = play_dataset(records)
    rows = list(vectors.vectors(ask, dataset))
    assert sum(map(len, rows)) == (records if unit == "record" else 1)
    assert any(each.any() for each in rows) == bool(records)

    def failing(*_: object) -> None:
        raise TrainingFailed("whatever a network does instead of answering")

    monkeypatch.setattr(flat.FlatNetwork, "_call", failing)
    flat.load_network.cache_clear()
    monkeypatch.setattr(flat.FlatNetwork, "_check_output", lambda *_: None)
    with pytest.raises(TrainingFailed, match="instead of answering"):
        list(vectors.vectors(ask, dataset))
    flat.load_network.cache_clear()
    assert torch.get_num_threads() == 1
