# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from coterie_common.errors import MissingLibrary
from coterie_common.learning.libraries import check_library, needing
from coterie_common.learning.network.architectures import check_network
from tests.support.repository import ROOT

ON_A_HOST_WITHOUT = """
from coterie_common.errors import MissingLibrary
from coterie_common.learning.algorithm import check_installed, get_algorithm
from coterie_common.learning.network.architectures import build
from coterie_common.learning.data.schema import parse_schema
columns = [{"name": "x", "lower": 0, "upper": 1}, {"name": "y", "levels": ["a", "b"]}]
schema = parse_schema({"label": "y", "max_records": 9, "columns": columns})
network = get_algorithm("network")
config = network.parse_config({"network": "mlp", "rounds": 2, "records": 9})
network.plan(config, schema)
for attempt in (
    lambda: check_installed(network, config),
    lambda: network.initial_state(config, schema),
    lambda: build("mlp", 1, 2),
):
    try:
        attempt()
    except MissingLibrary as error:
        print(error.message)
check_installed(get_algorithm("statistics"), None)
"""


def test_library_that_is_not_installed_raises_with_its_name():
    with pytest.raises(MissingLibrary, match="this host lacks no_such_library: docs") as caught:
        check_library("no_such_library")
    assert caught.value.code == "missing-library"


def test_library_is_found_in_a_folder_and_not_imported(tmp_path):
    (tmp_path / "library_of_theirs.py").write_text("raise SystemExit(9)\n")
    check_library("library_of_theirs", [tmp_path])
    assert "library_of_theirs" not in sys.modules
    with pytest.raises(MissingLibrary):
        check_library("library_of_theirs")


def test_import_that_fails_raises_what_is_missing():
    lacks = pytest.raises(MissingLibrary, match="lacks no_such_library, which the network 'x' needs")
    with lacks as caught, needing("no_such_library", "the network 'x'"):
        import no_such_library.part  # type: ignore[import-not-found]  # noqa: F401  # it is not there
    assert isinstance(caught.value.__cause__, ImportError)
    other = pytest.raises(MissingLibrary, match="cannot load the network 'x': No module named 'other_library'")
    with other, needing("no_such_library", "the network 'x'"):
        import other_library  # type: ignore[import-not-found]  # noqa: F401  # it is not there


def test_network_of_a_folder_of_code_is_installed_for_the_training_process_only(tmp_path):
    pytest.importorskip("torch")
    package = tmp_path / "theirs-1.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1\n")
    (package / "entry_points.txt").write_text("[coterie.networks]\nnetwork_of_theirs = no_such_module:make\n")
    check_network("network_of_theirs", [tmp_path])
    with pytest.raises(MissingLibrary, match="lacks the network 'network_of_theirs'"):
        check_network("network_of_theirs", [])


def test_host_without_pytorch_plans_and_says_what_it_lacks(tmp_path):
    # Every package that is installed here but PyTorch.
    for path in Path(sysconfig.get_paths()["purelib"]).iterdir():
        if not path.name.startswith(("torch", "functorch")) and path.suffix != ".pth":
            (tmp_path / path.name).symlink_to(path)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT / "common")])}
    done = subprocess.run(
        [sys.executable, "-P", "-s", "-S", "-c", ON_A_HOST_WITHOUT], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines() == [
        "this host lacks PyTorch: docs/deployment.md says how to install it",
        *["this host lacks PyTorch, which the network 'mlp' needs: docs/deployment.md says how to install it"] * 2,
    ]
