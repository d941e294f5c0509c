# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What the federated model is compared with, all on the same held-out rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from coterie_common.learning.agreement import PlannedJob
from coterie_common.learning.algorithm import Release
from coterie_common.learning.dataset import Dataset
from coterie_common.learning.model import Lineage, Model, load_predictor
from coterie_common.randomness import OsRandom
from demonstration.data import Row

_NOBODY = "0" * 64


def weighted_f1(source: Path | Model, held_out: list[Row], label: str) -> float:
    """Predict the held-out rows with a model, or the file of one, and return the weighted F1."""
    from sklearn.metrics import f1_score

    features = [{name: cell for name, cell in row.items() if name != label} for row in held_out]
    predicted = load_predictor(source).predict(features)
    return float(f1_score([row[label] for row in held_out], predicted, average="weighted", zero_division=0.0))


def without_privacy(job: PlannedJob, datasets: Sequence[Dataset]) -> Model:
    """Train on exact sums, without noise or encryption: what pooled data, or one party alone, would give."""
    algorithm, random = job.algorithm, OsRandom()
    state = algorithm.initial_state(job.config, job.schema)
    rounds = 0
    while (ask := algorithm.next_ask(state)) is not None:
        total = sum((algorithm.answer(ask, dataset, random) for dataset in datasets), np.zeros(ask.length, np.int64))
        state = algorithm.update(state, ask, Release(total.astype(np.float64), len(datasets), 0.0))
        rounds += 1
    lineage = Lineage(
        federation="none",
        job_id="without-privacy",
        job_spec_digest=job.spec.digest.hex(),
        roster_digest=_NOBODY,
        rounds=rounds,
        contributors=(len(datasets),) * rounds,
        epsilon="0",
        delta="0",
        unit="record",
        mechanism="discrete-gaussian",
        placement="none",
        transcript_digests=(_NOBODY,) * rounds,
    )
    return Model(
        name=job.spec.name, algorithm=algorithm.name, schema=job.schema, body=algorithm.finish(state), lineage=lineage
    )
