# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The noise that real parties put into a sum: √(n/(n − c))·σ with all present, √(n/(m − c))·σ after a fallback.

Coordinators, stores and keys are real; the histogram has 1,390 cells that nobody has records in, so that what is
released there is noise. N cells of two jobs have a sum of squares over their variance that is χ² with N degrees of
freedom; the test is two-sided at α = 10⁻³.
"""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import chi2

from coterie_aggregator.machines.round_events import DeadlinePassed
from coterie_common.identifiers import PartyId
from coterie_common.learning.model import Model
from coterie_common.protocol.encrypted_reply import EncryptedReply
from coterie_common.protocol.messages import Message, Query
from coterie_common.protocol.progress import JobState
from coterie_common.protocol.session import SessionFields
from tests.support.asynchronous import asynchronous
from tests.support.deadlines import pass_deadline
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation
from tests.support.small_jobs import make_spec, write_wide

pytestmark = pytest.mark.slow
"""Four jobs of 1,501 values, sealed under pads."""

JOBS, EMPTY, ALPHA = 2, 110, 1e-3
LAST = PartyId("party-5")


def data_in(folder: Path, parties: tuple[PartyId, ...]) -> dict[PartyId, Path]:
    folder.mkdir()
    return write_wide(folder, parties)


async def noise_of(folder: Path, name: str, *, falls_back: bool) -> tuple[np.ndarray, SessionFields]:
    """Run a job and return the noise in what it released, in units of the guaranteed σ, with the query's fields."""
    federation = make_federation()
    datasets = data_in(folder, federation.parties)

    def lose(party_id: PartyId, message: Message) -> Message | None:
        is_lost = falls_back and party_id == LAST and isinstance(message, EncryptedReply) and message.round_number == 1
        return None if is_lost else message

    running = InProcessFederation(federation, folder, datasets, dataset_name="wide", intercept=lose)
    async with running:
        spec = make_spec("statistics", {"histograms": ["site"]}, dataset="wide", name=name, spare_rounds=2)
        job_id = await running.submit(spec)
        if falls_back:
            await running.status(job_id, lambda s: s.round is not None and len(s.round.contributed) == 4)
            pass_deadline(running, job_id, DeadlinePassed())
        status = await running.result(job_id)
        assert (status.state, status.reason) == (JobState.COMPLETED, "")
        model = Model.from_bytes(await running.aggregator.model(job_id))
        fields = [message.fields for _, message in running.passed if isinstance(message, Query)][-1]
    assert model.lineage.contributors == (5,)
    variance = fields.terms.noise.gaussian_variance
    assert variance is not None
    counts = np.array(model.body["histograms"]["site"]["counts"][EMPTY:], np.float64)
    return counts * 2.0**fields.terms.encoding.scale_bits / math.sqrt(variance), fields


@pytest.mark.parametrize(
    ("falls_back", "quorum", "ratio"),
    [(False, 5, math.sqrt(5 / 4)), (True, 4, math.sqrt(5 / 3))],
    ids=["all present", "after a fallback"],
)
@asynchronous
async def test_released_noise_is_as_wide_as_the_quorum_of_its_query_says(tmp_path, falls_back, quorum, ratio):
    noise = []
    for number in range(JOBS):
        values, fields = await noise_of(tmp_path / str(number), f"noise-{number}", falls_back=falls_back)
        assert fields.round_quorum == quorum
        noise.append(values)
    all_values = np.concatenate(noise)
    assert all_values.size >= 2000
    statistic = float(np.square(all_values / ratio).sum())
    low, high = (float(chi2.ppf(level, all_values.size)) for level in (ALPHA / 2, 1 - ALPHA / 2))
    assert low < statistic < high
