# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import subprocess
import sys

import pytest

from coterie_common.errors import ConfigurationError
from coterie_common.host.folder_lock import locked

HOLDER = (
    "import sys, time; from pathlib import Path; from coterie_common.host.folder_lock import locked\n"
    "with locked(Path(sys.argv[1]), 'coterie-party'):\n    print('held', flush=True); time.sleep(60)"
)


def test_locked_by_another_process_raises_until_it_is_killed(tmp_path):
    with subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with (
            pytest.raises(ConfigurationError, match=f"another coterie-party runs on the folder {tmp_path}"),
            locked(tmp_path, "coterie-party"),
        ):
            pass
        holder.kill()
        holder.wait()
        with locked(tmp_path, "coterie-party"):
            assert (tmp_path / ".lock").stat().st_mode & 0o777 == 0o600


def test_locked_is_free_again_afterwards(tmp_path):
    with pytest.raises(ZeroDivisionError), locked(tmp_path, "coterie-party"):
        raise ZeroDivisionError
    with locked(tmp_path, "coterie-party"), pytest.raises(ConfigurationError), locked(tmp_path, "coterie-party"):
        pass


def test_locked_in_missing_folder_raises(tmp_path):
    with (
        pytest.raises(ConfigurationError, match="cannot lock the folder"),
        locked(tmp_path / "nowhere", "coterie-party"),
    ):
        pass
