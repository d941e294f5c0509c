# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Following a job to its end, across lost connections and restarts of the aggregator."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from coterie.client import Client
from coterie_common.errors import CoterieError, TransientError, Unavailable
from coterie_common.identifiers import JobId
from coterie_common.limits import BACKOFF_FIRST_SECONDS, MAX_BACKOFF_SECONDS
from coterie_common.protocol.progress import JobStatus

_FACTOR: Final = 2.0


def follow(
    client: Client,
    job_id: JobId,
    *,
    show: Callable[[JobStatus], None],
    lost: Callable[[CoterieError, float], None],
    sleep: Callable[[float], None] = time.sleep,
) -> JobStatus:
    """Watch a job until it is over.

    Args:
        client: of the aggregator.
        job_id: the job.
        show: called with every status.
        lost: called with the reason and the seconds until the next attempt whenever the connection breaks.
        sleep: waits some seconds.

    Returns:
        The final status.

    Raises:
        CoterieError: the job cannot be watched at all: any error of the first attempt, or a later refusal.
    """
    latest: JobStatus | None = None
    pause = BACKOFF_FIRST_SECONDS
    while True:
        try:
            for latest in client.watch(job_id):
                show(latest)
                pause = BACKOFF_FIRST_SECONDS
            if latest is not None and latest.state.is_final:
                return latest
            raise Unavailable("the aggregator ended the stream before the job was over")
        except TransientError as error:
            if latest is None:
                raise
            lost(error, pause)
        sleep(pause)
        pause = min(pause * _FACTOR, MAX_BACKOFF_SECONDS)
