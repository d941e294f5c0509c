# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The model of a job that failed or was cancelled: that of its last released round, marked as unfinished.

It contains only what was released, so it costs nothing that the ledgers have not counted.
"""

from __future__ import annotations

from typing import Literal

import structlog

from coterie_aggregator.live.context import Context
from coterie_aggregator.live.rounds.round_start import latest_progress
from coterie_aggregator.live.submission import Submission
from coterie_common.errors import StorageError
from coterie_common.protocol.messages import JobOutcome

log = structlog.get_logger(__name__)


async def unfinished_model(context: Context, submission: Submission, outcome: JobOutcome | None) -> bytes | None:
    """Return the file of the model; ``None`` where the algorithm makes none of so few rounds.

    Raises:
        StorageError: the store cannot be read.
    """
    progress = await latest_progress(context, submission)
    transcripts = await context.on_writer(context.store.transcripts, submission.job_id)

    def make() -> bytes:
        ended: Literal["cancelled", "failed"] = "cancelled" if outcome is JobOutcome.CANCELLED else "failed"
        return submission.model(progress, transcripts, context.roster, unfinished=ended).to_bytes()

    try:
        return await context.compute(make)
    except StorageError:
        raise
    except Exception as failure:  # noqa: BLE001  # a supervisor: an algorithm need not foresee that it is stopped early
        log.info("no unfinished model", job=submission.job_id, why=type(failure).__name__)
        return None
