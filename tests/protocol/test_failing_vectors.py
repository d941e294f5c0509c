# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Vectors that cannot be used cost their party the round, with a code that says why; the others go on without it."""

from __future__ import annotations

import os

import pytest

from coterie_common.identifiers import PartyId
from coterie_common.learning.model import Model
from coterie_common.protocol.messages import PaddedPart, Rejection
from coterie_common.protocol.progress import JobState
from tests.support.asynchronous import asynchronous
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation, generous_policy
from tests.support.plugins import install_algorithm
from tests.support.small_jobs import wide_spec, write_wide

FIVE = PartyId("party-5")
MARKER = "a-patients-name"
SPOIL = {
    "a number less": ("rows = rows[:, 1:]", "wrong-vector-shape"),
    "a vector more": ("rows = np.concatenate([rows, rows[:1]])", "wrong-vector-shape"),
    "an error": (f"raise ValueError('{MARKER}')", "training-failed"),
    "a crash": ("os._exit(3)", "training-died"),
}


@pytest.mark.slow  # a process per party imports numpy
@pytest.mark.parametrize("what", SPOIL)
@asynchronous
async def test_party_whose_vectors_cannot_be_used_is_left_out_and_says_why(monkeypatch, tmp_path, what):
    spoil, code = SPOIL[what]
    # The fifth party is the one with 100 records.
    install_algorithm(
        monkeypatch,
        tmp_path,
        "spoiled",
        f"""
import os
import numpy as np
from coterie_common.learning.algorithms.linear import LogisticRegression

class Theirs(LogisticRegression):
    name = "spoiled"

    def vectors(self, ask, dataset):
        for rows in super().vectors(ask, dataset):
            rows = np.array(rows)
            if dataset.rows == 100:
                {spoil}
            yield rows
""",
    )
    # The process that computes vectors finds it there.
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path / 'packages' / 'spoiled'}:{os.environ.get('PYTHONPATH', '')}")
    federation = make_federation()
    datasets = write_wide(tmp_path, federation.parties)
    policy = generous_policy(algorithms=("spoiled",))
    async with InProcessFederation(federation, tmp_path, datasets, dataset_name="wide", policy=policy) as running:
        job_id = await running.submit(wide_spec(2, algorithm="spoiled"))
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        assert Model.from_bytes(running.model(FIVE, job_id)).lineage.contributors == (4, 4)
        rejections = {(party_id, m.code) for party_id, m in running.passed if isinstance(m, Rejection)}
        assert rejections == {(FIVE, code)}
        assert not any(MARKER in m.detail for _, m in running.passed if isinstance(m, Rejection))
        assert FIVE not in {m.party_id for _, m in running.passed if isinstance(m, PaddedPart)}
