# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The environment in which a benchmark's process finds this package and its keys, as this process found them."""

from __future__ import annotations

import os
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[4]


def environment(*folders: Path) -> dict[str, str]:
    """Return this process's environment, with ``folders`` and the folders of this package in front of its path."""
    paths = [*map(str, folders), str(_ROOT / "scripts"), str(_ROOT), os.environ.get("PYTHONPATH", "")]
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))}
