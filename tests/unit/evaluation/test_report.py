# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What docs/evaluation.md shows is what the committed numbers say, and the numbers keep what the document promises."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest

from coterie.simulation.method import Method
from coterie_common.protocol.parameters import choose_parameters
from coterie_lab.evaluation.attacks.campaign import read_breaches
from coterie_lab.evaluation.attacks.eavesdropping import Leak, View
from coterie_lab.evaluation.csv_file import read_csv
from coterie_lab.evaluation.daemons import RealRun
from coterie_lab.evaluation.defaults import FULL as TRIED
from coterie_lab.evaluation.defaults import default_of
from coterie_lab.evaluation.defaults_report import FILE, TrialRow
from coterie_lab.evaluation.figures import INK, Stroke
from coterie_lab.evaluation.noise import read_ledger
from coterie_lab.evaluation.points import FULL, Point, Sweep, default_bound
from coterie_lab.evaluation.report import DOCUMENT, RESULTS, lines_of, rows_of, simulated, tables, with_tables
from coterie_lab.evaluation.rows import half_width

TREE = FULL["tree"]
ROWS = rows_of(TREE)


def weighted_f1(method: Method, parties: int, bound: int = 1, epsilon: str = TREE.epsilon) -> float:
    return ROWS[Point.of("tree", method, parties, epsilon, bound, TREE.seeds)].f1_weighted


def test_tables_of_the_document_are_those_of_the_committed_numbers():
    document = DOCUMENT.read_text()
    assert document == with_tables(document, tables())


def test_table_of_numbers_that_are_not_there_raises_key_error():
    with pytest.raises(KeyError):
        with_tables("<!-- table: nothing -->\n<!-- end of table -->", {})


def luminance(colour: str) -> float:
    """Relative, as WCAG 2.2 defines it."""
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("page", ["#ffffff", "#0d1117"])
def test_text_of_figures_can_be_read_on_white_and_on_near_black(page):
    darker, lighter = sorted((luminance(INK), luminance(page)))
    assert (lighter + 0.05) / (darker + 0.05) > 4


def test_figures_of_the_document_are_there_in_the_colour_of_text():
    names = re.findall(r"\]\(evaluation/([a-z-]+\.svg)\)", DOCUMENT.read_text())
    assert names
    for name in names:
        text = (RESULTS / name).read_text()
        assert INK in text
        assert "<metadata>" not in text


@pytest.mark.parametrize("name", FULL)
def test_figures_show_both_ways_to_divide_the_noise_in_one_colour_and_nothing_else_in_theirs(name):
    grid, rows = FULL[name], rows_of(FULL[name])
    for sweep in Sweep:
        lines = list(lines_of(grid, rows, sweep))
        ours = [line for line in lines if line.label.startswith("this system")]
        for whole, quorum in zip(ours[::2], ours[1::2], strict=True):
            assert (whole.stroke, quorum.stroke) == (Stroke.SOLID, Stroke.DASHED)
            assert whole.style == quorum.style
            assert (whole.label, quorum.label) == (
                whole.label.removesuffix("all present") + "all present",
                whole.label.removesuffix("all present") + "no spare rounds",
            )
        others = {line.style for line in lines} - {line.style for line in ours}
        assert len(others) == len(lines) - len(ours)


def test_tree_of_fifty_parties_is_as_close_to_the_curator_as_promised():
    curator = weighted_f1(Method.CURATOR, 50)
    for way in (Method.DISTRIBUTED, Method.WORST_CASE):
        few, many = (weighted_f1(way, 50, bound) for bound in (4, default_bound(50)))
        assert few > curator - 0.03
        assert many > curator - 0.06
        assert weighted_f1(Method.LOCAL, 50) < few - 0.10


@pytest.mark.parametrize(("name", "fewest"), [("svm", 3), ("cnn", 10)])
def test_other_models_show_the_same_picture(name, fewest):
    grid, rows = FULL[name], rows_of(FULL[name])

    def at(method: Method, parties: int) -> float:
        bound = default_bound(parties)
        return rows[Point.of(name, method, parties, grid.epsilon, bound, grid.seeds_with(parties))].f1_weighted

    lost = {method: at(method, fewest) - at(method, 50) for method in (Method.WORST_CASE, Method.CURATOR, Method.LOCAL)}
    assert abs(lost[Method.CURATOR]) < 0.01
    assert lost[Method.WORST_CASE] < lost[Method.LOCAL] / 2
    assert at(Method.CURATOR, 50) - 0.03 < at(Method.WORST_CASE, 50)
    assert at(Method.LOCAL, 50) < at(Method.WORST_CASE, 50) - 0.03


@pytest.mark.parametrize("name", FULL)
def test_only_runs_with_all_present_are_missing_and_none_of_the_tree(name):
    grid = FULL[name]
    missing = set(grid.all_points()) - rows_of(grid).keys()
    assert {point.method for point in missing} <= ({Method.DISTRIBUTED} if name != "tree" else set())


@pytest.mark.parametrize("bound", TREE.bounds)
def test_tree_with_all_present_is_better_only_where_it_has_less_noise(bound):
    n = TREE.bound_parties
    quorum = choose_parameters(n, corruption_bound=bound).quorum
    rows = [
        ROWS[Point.of("tree", method, n, TREE.epsilon, bound, TREE.seeds)]
        for method in (Method.DISTRIBUTED, Method.WORST_CASE)
    ]
    # The reserve costs 21 % of noise, which dividing by all makes up for where many parties are not counted on.
    is_narrower = 1.21**2 / (n - bound) < 1 / (quorum - bound)
    better = rows[0].f1_weighted - rows[1].f1_weighted
    certain = rows[0].half_width + rows[1].half_width
    assert better > -certain if is_narrower else better < certain


def test_local_noise_falls_with_the_parties_and_this_system_does_not():
    local = [weighted_f1(Method.LOCAL, n) for n in TREE.parties]
    assert local == sorted(local, reverse=True)
    for way in (Method.DISTRIBUTED, Method.WORST_CASE):
        distributed = [weighted_f1(way, n, max(1, n // 12)) for n in TREE.parties]
        assert max(distributed) - min(distributed) < 0.02


def test_measured_noise_is_within_two_per_cent_of_the_formula():
    ledger = read_ledger(RESULTS / "noise.csv")
    assert {found.setting.method for found in ledger} == {Method.DISTRIBUTED, Method.LOCAL, Method.CURATOR}
    for found in ledger:
        assert found.measured == pytest.approx(found.predicted, rel=0.02)
        assert found.low < found.measured < found.high


def test_models_of_real_daemons_are_as_good_as_simulated_ones():
    runs = read_csv(RESULTS / "daemons.csv", RealRun)
    assert {run.model for run in runs} == FULL.keys()
    for run in runs:
        row = simulated(run)
        assert abs(run.f1_weighted - row.f1_weighted) < 4 * row.std


def test_attacks_succeed_without_noise_and_prove_no_more_than_was_promised():
    breaches = {(found.epsilon, found.attack): found for found in read_breaches(RESULTS)}
    assert breaches[None, "loss"].auc >= 0.6
    assert breaches[None, "shadow"].auc >= 0.6
    assert breaches[None, "releases"].auc > 0.99
    for (epsilon, _), found in breaches.items():
        if epsilon is not None:
            assert found.bound <= float(epsilon)
    assert breaches["1", "releases"].auc < 0.6


def test_plain_replies_leak_what_released_sums_do_not():
    leaks = {(leak.attack, leak.records, leak.view): leak.success for leak in read_csv(RESULTS / "leaks.csv", Leak)}
    assert leaks["gradient inversion", 1, View.PLAIN] > 0.99
    # a random direction of 100 dimensions has 0.08
    assert leaks["gradient inversion", 1, View.RELEASED] < 0.1
    assert leaks["property inference", 100, View.PLAIN] > 0.95
    assert leaks["property inference", 100, View.RELEASED] < 0.6


def test_values_tried_are_those_of_the_document_and_the_default_is_the_products():
    rows = read_csv(RESULTS / FILE, TrialRow)
    assert [(row.model, row.entry, row.value, row.parties, row.epsilon, row.seeds) for row in rows] == [
        (tried.model, variation.entry, value, parties, float(epsilon), tried.seeds)
        for tried in TRIED
        for variation in tried.variations
        for value in variation.values
        for parties, epsilon in tried.settings
    ]
    for row in rows:
        assert row.is_default == (Fraction(row.value) == Fraction(default_of(row.model, row.entry)))


def test_no_other_value_is_clearly_better_wherever_it_was_tried():
    rows = read_csv(RESULTS / FILE, TrialRow)
    for tried in {(row.model, row.entry, row.value) for row in rows if not row.is_default and row.seeds > 1}:
        found = [row for row in rows if (row.model, row.entry, row.value) == tried]
        assert any(row.difference <= half_width(row.difference_std, row.seeds) for row in found), tried
