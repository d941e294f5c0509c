# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The rounds of ``scripts/bench``: real daemons, every sealing and none in turn."""

from __future__ import annotations

import pytest

from coterie_lab.benchmarks.plan import Plan
from coterie_lab.benchmarks.run import run


@pytest.mark.slow
def test_rounds_of_real_daemons_are_measured_sealed_and_unsealed(tmp_path):
    """Founding a federation and starting its four daemons take half a minute."""
    plan = Plan(
        steps=(),
        memory=(),
        repetitions=1,
        rounds=(3000, 6000),
        round_parties=3,
        rounds_each=1,
        jobs_each=1,
        peers=False,
    )
    rows = [
        result.row for result in run(plan, tmp_path, lambda _: None).results.all if result.row.metric != "reference"
    ]
    metrics = ("round_sealed", "round_complete", "round_plain")
    expected = [(metric, values) for values in plan.rounds for metric in metrics]
    assert [(row.metric, row.values) for row in rows] == expected
    assert all(row.figure > 0 and row.parties == 3 for row in rows)
