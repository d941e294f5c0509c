# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Two vectors under one pad give away their difference: the session id in its seed makes every round's pad another.

A party draws a new key for every reply; here its generator fails, and draws the same key twice.
"""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from coterie_common.crypto.pads.pad import OneTimePad
from tests.support.federation import digest_of
from tests.support.seeded_random import SeededRandom

LENGTH = 5000
FIRST = np.arange(LENGTH, dtype=np.int64) % 1000
SECOND = FIRST[::-1].copy()


def covered(values: NDArray[np.int64], session: str) -> NDArray[np.uint32]:
    """A vector under the pad of a session, as its owner sends it; its noise share is the pad's error."""
    pad = OneTimePad(digest_of(session), LENGTH, SeededRandom("a generator that repeats itself"), draw_error=False)
    return pad.cover(values)


@pytest.mark.parametrize(("other", "is_read"), [("round 1", True), ("round 2", False)], ids=["the same", "another"])
def test_difference_of_two_replies_is_read_only_if_both_were_sealed_in_one_session(other, is_read):
    difference = (covered(FIRST, "round 1") - covered(SECOND, other)).view(np.int32)
    assert np.array_equal(difference, FIRST - SECOND) is is_read
    if not is_read:
        # Uniform over 2^32 values: fewer than one in a hundred is as small as any true difference.
        assert np.mean(np.abs(difference.astype(np.int64)) < 1000) < 0.01
