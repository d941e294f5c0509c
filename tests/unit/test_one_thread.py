# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.support.repository import ROOT

# What ``coterie-party run`` does before anything else, and what its modules load then.
PROGRAM = """
import json, sys
import coterie_party.cli, coterie_party.cli.run
is_early = "numpy" not in sys.modules
from coterie_common.host.one_thread import keep_to_one_thread
keep_to_one_thread()
import coterie_party.app
from threadpoolctl import threadpool_info
print(json.dumps([is_early, [each["num_threads"] for each in threadpool_info()]]))
"""


@pytest.mark.slow  # a process that loads the daemon's modules
def test_daemon_has_its_libraries_use_one_thread_before_they_are_loaded():
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "4", "OMP_NUM_THREADS": "4"}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=environment, capture_output=True, text=True, check=True
    )
    is_early, threads = json.loads(done.stdout)
    assert is_early
    assert threads
    assert set(threads) == {1}
