# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A container engine for tests: the one that answers, or one that scripts/testbed-engine starts for them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.support.repository import ROOT

ENGINE = ROOT / "scripts/testbed-engine"
UNAVAILABLE = 69
STOP_SECONDS = 120

_TELL = "import json, os, sys; print(json.dumps(dict(os.environ)), flush=True); sys.stdin.read()"


@contextmanager
def container_engine() -> Iterator[None]:
    """Set the environment so that ``docker`` finds an engine; skip, visibly, where there is none and none can start."""
    if _answers():
        yield
        return
    with subprocess.Popen(
        [ENGINE, sys.executable, "-c", _TELL],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as engine:
        assert engine.stdin is not None
        assert engine.stdout is not None
        assert engine.stderr is not None
        told = engine.stdout.readline()
        if not told:
            said = engine.stderr.read().strip()
            assert engine.wait() == UNAVAILABLE, said
            pytest.skip(said.splitlines()[-1])
        before = os.environ.copy()
        os.environ.update(json.loads(told))
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
            engine.stdin.close()
            engine.wait(STOP_SECONDS)


def _answers() -> bool:
    try:
        return subprocess.run(["docker", "info"], capture_output=True, check=False, timeout=60).returncode == 0
    except FileNotFoundError:
        return False
