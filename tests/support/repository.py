# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Where the parts of the repository lie, for the tests of the repository itself."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = {
    "coterie_common": ROOT / "common/coterie_common",
    "coterie": ROOT / "common/coterie",
    "coterie_aggregator": ROOT / "aggregator/coterie_aggregator",
    "coterie_party": ROOT / "party/coterie_party",
}
GENERATED = PACKAGES["coterie_common"] / "wire/pb"


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))


def package_files() -> Iterator[Path]:
    """Every file of the four packages that an installation must have."""
    for folder in PACKAGES.values():
        for path in sorted(folder.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


def sources(*folders: Path) -> Iterator[Path]:
    """Python files written by hand below the given folders; all four packages if none is given."""
    for folder in folders or tuple(PACKAGES.values()):
        for path in sorted(folder.rglob("*.py")):
            if not path.is_relative_to(GENERATED) or path.name == "__init__.py":
                yield path


def module_name(path: Path) -> str:
    """The dotted name under which a file of one of the packages is imported."""
    for name, folder in PACKAGES.items():
        if path.is_relative_to(folder):
            parts = path.relative_to(folder).with_suffix("").parts
            return ".".join((name, *(part for part in parts if part != "__init__")))
    raise ValueError(f"{path} lies in none of the packages")
