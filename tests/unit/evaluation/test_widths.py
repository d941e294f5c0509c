# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The committed widths are the formula's, and what a spare round costs is what it takes from the other rounds."""

from __future__ import annotations

import math

import pytest

from coterie_common.protocol.parameters import choose_parameters
from coterie_lab.evaluation import widths
from coterie_lab.evaluation.csv_file import read_csv
from coterie_lab.evaluation.points import FULL, default_bound, few
from coterie_lab.evaluation.report import RESULTS

ROWS = read_csv(RESULTS / widths.FILE, widths.Width)


def test_widths_cover_every_model_and_bound_of_the_document():
    assert [(row.model, row.parties, row.corruption_bound) for row in ROWS] == [
        (name, parties, bound)
        for name, grid in FULL.items()
        for parties in widths.PARTIES
        for bound in (few(parties), default_bound(parties))
        if grid.has_few or bound == default_bound(parties)
    ]


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row.model} {row.parties} {row.corruption_bound}")
def test_widths_are_those_of_the_formula(row):
    parameters = choose_parameters(row.parties, corruption_bound=row.corruption_bound)
    n, m, c = row.parties, parameters.quorum, row.corruption_bound
    # A pad's shares may be widened to whole units: some thousandths.
    assert row.no_spare_rounds == pytest.approx(math.sqrt(n / (m - c)), rel=0.002)
    assert row.worst_case / row.all_present == pytest.approx(math.sqrt((n - c) / (m - c)), rel=0.002)
    reserve = row.worst_case / row.no_spare_rounds
    # Spare rounds at the price of the first one, of a plan whose later rounds may be dearer.
    assert 1 < reserve < math.sqrt(1 + row.spare_rounds)


@pytest.mark.parametrize("model", ["svm", "cnn"])
def test_reserve_of_equal_rounds_is_their_share_of_the_plan(model):
    for row in ROWS:
        if row.model == model:
            most = math.sqrt(1 + row.spare_rounds / row.rounds)
            assert 1 < row.worst_case / row.no_spare_rounds <= most * 1.001


@pytest.mark.slow  # calibrates the noise of several jobs
def test_widths_of_the_tree_are_computed_anew():
    for found, row in zip(widths.widths(["tree"]), ROWS, strict=False):
        assert (found.model, found.parties, found.corruption_bound) == (row.model, row.parties, row.corruption_bound)
        assert found.all_present == pytest.approx(row.all_present, rel=1e-4)
        assert found.worst_case == pytest.approx(row.worst_case, rel=1e-4)
