# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from datetime import UTC, datetime, timedelta

import pytest

from coterie_aggregator.live.timing import remaining_s

SINCE = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("passed_s", "remaining"), [(0, 60), (0.5, 59.5), (59, 1), (60, 0), (61, 0), (10**7, 0), (-1, 60), (-(10**7), 60)]
)
def test_remaining_counts_from_the_beginning_and_is_never_more_than_the_period(passed_s, remaining):
    assert remaining_s(60, SINCE, SINCE + timedelta(seconds=passed_s)) == pytest.approx(remaining)
