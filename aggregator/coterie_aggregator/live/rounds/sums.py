# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The beginning of a round's sum, and what its end releases: the same for every sealing. Pure, run on workers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from coterie_common.errors import MalformedMessage, StorageError
from coterie_common.learning.algorithm import Release
from coterie_common.privacy.count_encoding import unscaled
from coterie_common.protocol.padded_part import PaddedSum
from coterie_common.protocol.sealing.running_sum import RunningSum
from coterie_common.protocol.session import SessionFields


def start_sum(total: PaddedSum, fields: SessionFields, checkpoint: Iterable[bytes] | None) -> RunningSum:
    """Return the running sum of a round: with nobody in it, or as it was at a checkpoint.

    Args:
        total: the sum of no padded parts yet.
        fields: of the round's query.
        checkpoint: in pieces, if there is one.

    Raises:
        StorageError: the checkpoint is damaged.
    """
    if checkpoint is None:
        return RunningSum(total)
    try:
        return RunningSum.continued(total, checkpoint)
    except MalformedMessage as cause:
        raise StorageError(f"the sum of round {fields.round_number} is damaged: {cause.message}") from cause


def release_of(pieces: Iterable[NDArray[np.int64]], fields: SessionFields, contributors: int) -> Release:
    """Decode an opened sum, which comes in pieces."""
    terms = fields.terms
    released, start = np.empty(terms.encoding.length, np.float64), 0
    for opened in pieces:
        released[start : start + len(opened)] = unscaled(opened, terms.encoding.scale_bits)
        start += len(opened)
    return Release(
        values=released,
        contributors=contributors,
        noise_stddev=terms.noise.aggregate_stddev(contributors) / 2**terms.encoding.scale_bits,
    )
