# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import asyncio
from pathlib import Path

from coterie_common.learning.model import Model
from coterie_common.protocol.progress import JobState
from tests.support.federation import make_federation
from tests.support.in_process import InProcessFederation
from tests.support.nursery import nursery_spec, write_nursery


def test_job_with_all_parties_delivers_the_same_model_to_everyone(tmp_path: Path) -> None:
    async def scenario() -> None:
        federation = make_federation()
        datasets = write_nursery(tmp_path, federation.parties)
        async with InProcessFederation(federation, tmp_path, datasets) as running:
            job_id = await running.submit(nursery_spec())
            status = await running.result(job_id)
            assert (status.state, status.reason) == (JobState.COMPLETED, "")
            assert all(party.model_received for party in status.parties)
            files = {(tmp_path / party_id / "models" / f"{job_id}.json").read_bytes() for party_id in running.parties}
            assert len(files) == 1
            model = Model.from_bytes(files.pop())
            assert model.lineage.contributors == (5, 5, 5)
            assert running.errors == []

    asyncio.run(scenario())
