# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A record's vector follows from its record and the ask, to the bit: in whatever batch, with however many threads.

The libraries that compute with matrices take the number of threads when they are loaded: each runs in a process of its
own. ``tests/support/row_independence.py`` says what is compared.
"""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from coterie_common.host.one_thread import SETTINGS
from tests.support.repository import ROOT

# slow, all of them: a process each, which loads SciPy or torch
pytestmark = pytest.mark.slow


@pytest.mark.parametrize("threads", [1, 2, 16])
@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_rows_do_not_depend_on_other_records(kind, threads):
    if kind != "linear":
        pytest.importorskip("torch", reason="torch is not installed: pip install 'coterie[torch]'")
    assert compared(kind, threads) > 10_000


def test_rows_of_a_convolutional_network_do_not_depend_on_other_records():
    pytest.importorskip("torch", reason="torch is not installed: pip install 'coterie[torch]'")
    assert compared("cnn", 16) > 1000


def compared(kind: str, threads: int) -> int:
    environment = {**os.environ, **{name: str(threads) for name in SETTINGS if name.endswith("THREADS")}}
    command = [sys.executable, "-W", "ignore", "-m", "tests.support.row_independence", kind]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return int(done.stdout)
