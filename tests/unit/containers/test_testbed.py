# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from coterie_lab.containers.testbed import unreadable


def test_unreadable_names_files_and_folders_that_others_may_not_read(tmp_path):
    tmp_path.chmod(0o755)
    for name, mode in (("open", 0o644), ("program", 0o755), ("closed", 0o640)):
        (tmp_path / name).touch()
        (tmp_path / name).chmod(mode)
    for name, mode in (("folder", 0o755), ("hidden", 0o751)):
        (tmp_path / name).mkdir()
        (tmp_path / name).chmod(mode)
    assert unreadable(tmp_path) == [tmp_path / "closed", tmp_path / "hidden"]
