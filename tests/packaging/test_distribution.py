# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What is handed to users: the wheel and the source distribution."""

from __future__ import annotations

import email
import shutil
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from pathlib import Path

import pytest

from tests.support.repository import GENERATED, PACKAGES, ROOT, package_files, pyproject

VERSION = pyproject()["project"]["version"]


def build(kind: str, source: Path, folder: Path) -> Path:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", kind, "-d", folder],
        cwd=source,
        check=True,
        capture_output=True,
        timeout=120,
    )
    (built,) = folder.iterdir()
    return built


def names_in(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("wheel", ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build("sdist", ROOT, tmp_path_factory.mktemp("sdist"))


@pytest.fixture
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return email.message_from_bytes(archive.read(f"coterie-{VERSION}.dist-info/METADATA"))


def test_wheel_contains_the_four_packages_and_nothing_else(wheel):
    expected = {
        (Path(folder.name) / path.relative_to(folder)).as_posix()
        for path in package_files()
        for folder in PACKAGES.values()
        if path.is_relative_to(folder)
    }
    information = f"coterie-{VERSION}.dist-info/"
    assert {name for name in names_in(wheel) if not name.startswith(information)} == expected


def test_wheel_contains_type_markers_generated_code_and_licence(wheel):
    names = names_in(wheel)
    assert {f"{package}/py.typed" for package in PACKAGES} <= names
    generated = {f"coterie_common/wire/pb/{path.name}" for path in GENERATED.glob("*_pb2*")}
    assert generated
    assert generated <= names
    assert f"coterie-{VERSION}.dist-info/licenses/LICENSE" in names


def test_wheel_contains_only_kinds_of_files_that_belong_in_it(wheel):
    allowed = {".py", ".pyi", ".typed", ".mako"}
    information = f"coterie-{VERSION}.dist-info/"
    odd = {
        name
        for name in names_in(wheel)
        if not name.startswith(information) and Path(name).suffix not in allowed and Path(name).name != "py.typed"
    }
    assert odd == set()


def test_wheel_metadata_names_python_licence_and_commands(wheel, metadata):
    assert metadata["Requires-Python"] == ">=3.11"
    assert metadata["License-Expression"] == "Apache-2.0"
    with zipfile.ZipFile(wheel) as archive:
        entries = archive.read(f"coterie-{VERSION}.dist-info/entry_points.txt").decode()
    for command in ("coterie", "coterie-aggregator", "coterie-party"):
        assert f"{command} = " in entries


def test_wheel_requires_nothing_of_development(metadata):
    required = [value for value in metadata.get_all("Requires-Dist", []) if "extra ==" not in value]
    assert not [value for value in required if value.startswith(("pytest", "mypy", "ruff", "grpcio-tools", "torch"))]


def test_sdist_contains_what_building_and_testing_need(sdist):
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {
        "pyproject.toml",
        "LICENSE",
        "README.md",
        "CHANGELOG.md",
        "scripts/test",
        "scripts/environment",
        "requirements/runtime.txt",
        "tests/conftest.py",
        "protos/coterie_common/wire/pb/types.proto",
    } <= names
    assert not [name for name in names if name.startswith((".venv", "dist/")) or "__pycache__" in name]


def test_sdist_builds_the_same_wheel(sdist, wheel, tmp_path):
    shutil.unpack_archive(sdist, tmp_path / "source")
    rebuilt = build("wheel", tmp_path / "source" / f"coterie-{VERSION}", tmp_path / "wheel")
    assert names_in(rebuilt) == names_in(wheel)
