# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The reference page holds what the code says, and all of it."""

from __future__ import annotations

import subprocess
import sys

import reference_page
from coterie_common.host.error_advice import ADVICE
from coterie_common.rpc.status import STATUS
from tests.support.repository import ROOT


def test_reference_page_is_what_the_code_says():
    command = [sys.executable, str(ROOT / "scripts/reference_page.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_error_has_an_advice_and_a_row():
    page = (ROOT / "docs/reference.md").read_text("utf-8")
    assert set(STATUS) == set(ADVICE)
    assert set(STATUS) <= reference_page.errors()
    for kind in STATUS:
        assert page.count(f"\n| `{kind.code}` | ") == 1
        assert kind.__doc__


def test_every_row_has_a_meaning():
    rows = [line for line in (ROOT / "docs/reference.md").read_text("utf-8").splitlines() if line.startswith("| ")]
    assert len(rows) > 150
    assert not [row for row in rows if row.split(" | ")[-1].strip(" |") == ""]
