# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A package of somebody else's that registers an algorithm, installed for one test."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest


def install_algorithm(monkeypatch: pytest.MonkeyPatch, folder: Path, name: str, source: str) -> None:
    """Install ``source`` as a module whose class ``Theirs`` is the algorithm ``name``."""
    package = folder / "packages" / name
    module, information = f"their_{name}", package / f"their_{name}-1.0.dist-info"
    information.mkdir(parents=True)
    (package / f"{module}.py").write_text(source)
    (information / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.0\n")
    (information / "entry_points.txt").write_text(f"[coterie.algorithms]\n{name} = {module}:Theirs\n")
    monkeypatch.syspath_prepend(package)
    # Another test may have installed another one under this name.
    monkeypatch.delitem(sys.modules, module, raising=False)
