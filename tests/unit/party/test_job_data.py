# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from coterie_common.clock import SystemClock
from coterie_common.errors import TrainingDied
from coterie_common.learning.agreement import plan_job, propose_terms
from coterie_party.live.job_data import JobData
from coterie_party.training.process import TrainingLimits
from tests.support.federation import make_federation
from tests.support.seeded_random import SeededRandom
from tests.support.small_jobs import make_spec, play_dataset


class Dying:
    """Stands in for a training process that dies in its first round only."""

    def __init__(self, failure: Exception) -> None:
        self.failure = failure
        self.batches: list[bytes] = []

    def vectors(self, ask: Any, records: Any, batch: Any, *, expected: int) -> Iterator[Any]:
        self.batches.append(batch.tobytes())
        if len(self.batches) == 1:
            raise self.failure
        yield np.zeros((expected, ask.length), np.float32)


@pytest.mark.parametrize(
    "failure", [TrainingDied("the training process ended: by signal 9"), MemoryError("by signal 9")]
)
def test_round_that_failed_fails_again_without_another_batch(failure):
    federation = make_federation()
    config = {"rounds": 2, "records": 490, "clip_norm": 1, "batch": 245}
    planned = plan_job(make_spec("logistic_regression", config))
    terms = propose_terms(planned, federation.parameters, federation.dealing.key.public_key.plaintext_bits)
    data = JobData(planned, {planned.algorithm.records: play_dataset(98)}, TrainingLimits(), SystemClock())
    process: Any = Dying(failure)
    data._process = process
    ask = planned.algorithm.next_ask(planned.algorithm.initial_state(planned.config, planned.schema))
    assert ask is not None
    encoding, random = terms.rounds[0].encoding, SeededRandom("batches")
    for _ in range(3):
        with pytest.raises(type(failure), match="by signal 9") as caught:
            list(data.exact(ask, encoding, random))
        assert getattr(caught.value, "code", "none") in ("training-died", "none")
    assert len(process.batches) == 1
    # Another round is another batch.
    assert sum(map(len, data.exact(replace(ask, round_number=2), encoding, random))) == ask.length
    assert len(set(process.batches)) == 2
