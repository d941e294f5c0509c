# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import csv
import io
import json
import xml.etree.ElementTree as ElementTree

import pytest

from coterie_common.crypto.pads.pad import key_packing
from coterie_lab.benchmarks.peers import PeerFigures
from coterie_lab.benchmarks.plan import Plan, quick, whole
from coterie_lab.benchmarks.report import STEPS, markdown, plot
from coterie_lab.benchmarks.rows import METRICS, OPENING, opening_metric, to_csv, to_json
from coterie_lab.benchmarks.run import Outcome, run
from coterie_lab.benchmarks.workload import Workload

VALUES, PARTIES = (50, 5000), 3
PLAN = Plan(
    steps=tuple((values, PARTIES) for values in VALUES),
    memory=((VALUES[1], PARTIES),),
    opening=((PARTIES, 512),),
    repetitions=2,
    peers=False,
    key_bits=512,
)
ENTRIES = ["metric", "values", "parties", "figure", "unit"]


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A whole run with small vectors and a small key: some seconds, most of them in processes for the memory."""
    return run(PLAN, tmp_path_factory.mktemp("scratch"), lambda _: None)


@pytest.mark.slow
def test_run_has_every_metric_that_was_planned(outcome):
    found = {(result.row.metric, result.row.values) for result in outcome.results.all}
    assert found >= {(metric, values) for metric in (*STEPS, "upload") for values in VALUES}
    assert found >= {("peak_memory_party", VALUES[1]), ("peak_memory_aggregator", VALUES[1])}
    assert [result.row.metric for result in outcome.results.all].count("reference") == 1
    openings = {opening_metric(step, kind, 512) for step in OPENING for kind in ("dealt", "generated")}
    assert {metric for metric, _ in found} >= openings


@pytest.mark.slow
def test_json_has_rows_of_five_entries_with_known_metrics(outcome):
    rows = json.loads(to_json(outcome.results.all))
    assert len(rows) == len(outcome.results.all)
    for row in rows:
        assert list(row) == ENTRIES
        assert row["unit"] == METRICS[row["metric"]]
        assert row["figure"] > 0


@pytest.mark.slow
def test_upload_is_four_bytes_a_value_and_the_key_part(outcome):
    padded = outcome.results.figure("upload", VALUES[1], PARTIES)
    assert padded is not None
    key = Workload(VALUES[1], PARTIES, PLAN.key_bits).dealing.key.public_key
    ciphertexts = key_packing(PARTIES, key.plaintext_bits).plaintexts * key.ciphertext_bytes
    # The proof is shorter than four ciphertexts of 128 bytes.
    assert 4 * VALUES[1] + ciphertexts < padded * VALUES[1] < 4 * VALUES[1] + ciphertexts + 512


@pytest.mark.slow
def test_csv_has_the_same_rows_beside_multiples_of_the_reference(outcome):
    results = outcome.results
    lines = list(csv.DictReader(io.StringIO(to_csv(results.all, results.reference_ms))))
    assert [(line["metric"], float(line["figure"])) for line in lines] == [
        (result.row.metric, result.row.figure) for result in results.all
    ]
    assert {line["times_reference"] for line in lines if line["metric"] == "reference"} == {"1"}


@pytest.mark.slow
def test_tables_show_every_length_and_what_was_left_out(outcome):
    text = markdown(outcome.results, "Measured here.", [PeerFigures("other", 1.0, None, 2.0, 8.0)], [("phe", "absent")])
    assert "| 5,000 | " in text
    assert text.count("| generated, 2048 bits | 3 | ") == 1
    assert "| other | 1 |  | 2 | 8.0 |" in text
    assert "Not compared with phe: absent." in text


@pytest.mark.slow
def test_plot_is_well_formed_and_names_every_step(outcome):
    root = ElementTree.fromstring(plot(outcome.results))  # noqa: S314  # ours
    texts = {"".join(element.itertext()) for element in root.iter("{http://www.w3.org/2000/svg}text")}
    assert texts >= set(STEPS)


@pytest.mark.slow
def test_run_leaves_nothing_behind(tmp_path):
    run(Plan(steps=(), memory=PLAN.memory, repetitions=1, peers=False, key_bits=512), tmp_path, lambda _: None)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("plan", [quick(huge=False), whole(huge=False)])
def test_plans_hold_what_targets_are_set_for(plan):
    assert (1_000_000, 10) in plan.steps
    assert plan.peers


def test_huge_vectors_are_only_measured_piece_by_piece():
    assert max(values for values, _ in whole(huge=True).memory) == 10**8
    assert max(values for values, _ in whole(huge=True).steps) < 10**8
