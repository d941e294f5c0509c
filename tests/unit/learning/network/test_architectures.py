# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What can be said about networks without torch: a party plans jobs in a process that never loads it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from coterie_common.errors import ConfigurationError, InvalidJob, MissingLibrary
from coterie_common.learning.network.architectures import build, network_names
from coterie_common.learning.network.shapes import image_side, parameter_count


def test_built_in_networks_have_as_many_parameters_as_their_layers():
    assert parameter_count("mlp", 13, 2) == 13 * 64 + 64 + 64 * 2 + 2
    # 16 filters of 8 × 8, 32 of 4 × 4 × 16, then 512 → 32 → 10
    assert parameter_count("cnn", 784, 10) == 1040 + 8224 + 512 * 32 + 32 + 330
    assert parameter_count("theirs", 784, 10) is None


@pytest.mark.parametrize("inputs", [1, 144, 169, 783, 785])
def test_cnn_of_what_is_no_image_raises_invalid_job(inputs):
    with pytest.raises(InvalidJob, match="square images") as caught:
        parameter_count("cnn", inputs, 10)
    assert caught.value.code == "invalid-job"


def test_image_side_is_that_of_a_square():
    assert [image_side(side * side) for side in (14, 28, 32)] == [14, 28, 32]


def test_build_of_unknown_network_raises_missing_library_listing_the_known():
    assert {"cnn", "mlp"} <= set(network_names())
    with pytest.raises(MissingLibrary, match="'theirs'; installed are cnn, mlp"):
        build("theirs", 4, 2)


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    information = tmp_path / "their_networks-1.0.dist-info"
    information.mkdir()
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: their-networks\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(
        "[coterie.networks]\nabsent = no_such_package:make\nempty = json:no_such_function\n"
    )
    monkeypatch.syspath_prepend(tmp_path)


@pytest.mark.parametrize(
    ("name", "error", "code", "words"),
    [
        ("absent", MissingLibrary, "missing-library", "cannot load the network 'absent': No module named"),
        ("empty", ConfigurationError, "configuration", "cannot be loaded"),
    ],
)
def test_build_of_unusable_registration_raises(registered, name, error, code, words):
    assert name in network_names()
    with pytest.raises(error, match=words) as caught:
        build(name, 4, 2)
    assert caught.value.code == code


def test_planning_a_job_and_checking_its_ask_load_no_torch():
    program = (
        "import sys, numpy\n"
        "from coterie_common.learning.algorithm import Ask, get_algorithm\n"
        "from coterie_common.learning.data.schema import parse_schema\n"
        "network = get_algorithm('network')\n"
        "columns = [{'name': 'x', 'lower': 0, 'upper': 1}, {'name': 'y', 'levels': ['a', 'b']}]\n"
        "schema = parse_schema({'label': 'y', 'max_records': 9, 'columns': columns})\n"
        "config = network.parse_config({'network': 'theirs', 'parameters': 7, 'rounds': 2, 'records': 9})\n"
        "plan = network.plan(config, schema)\n"
        "body = {'length': 7, 'config': config.model_dump(mode='json'), 'parameters': numpy.zeros(7, 'float32')}\n"
        "network.check_ask(config, schema, Ask(1, body), plan)\n"
        "print(plan.rounds[0].length, 'torch' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert run.stdout.split() == ["7", "False"]
