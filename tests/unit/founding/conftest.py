# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Each step of the ceremony makes or opens key files, so it is done once and its folders are copied.

In this folder all key files are locked at the lowest cost that is read.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.ceremony import Ceremony
from tests.support.cheap_passwords import cheap_passwords


@pytest.fixture(scope="module", autouse=True)
def _cheap_passwords() -> Iterator[None]:
    with cheap_passwords():
        yield


@pytest.fixture(scope="session")
def _founded_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ceremony = Ceremony(tmp_path_factory.mktemp("founded"))
    with cheap_passwords():
        ceremony.found()
    return ceremony.root


@pytest.fixture(scope="session")
def _admitted_folder(_founded_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("admitted") / "all"
    shutil.copytree(_founded_folder, root)
    ceremony = Ceremony(root)
    with cheap_passwords():
        ceremony.admit_everybody()
    return root


@pytest.fixture(scope="session")
def _joined_folder(_admitted_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("joined") / "all"
    shutil.copytree(_admitted_folder, root)
    ceremony = Ceremony(root)
    with cheap_passwords():
        ceremony.deal()
        ceremony.join_everybody()
    return root


@pytest.fixture
def founded(_founded_folder: Path, tmp_path: Path) -> Ceremony:
    """A federation is founded, nobody is admitted."""
    shutil.copytree(_founded_folder, tmp_path / "all")
    return Ceremony(tmp_path / "all")


@pytest.fixture
def admitted(_admitted_folder: Path, tmp_path: Path) -> Ceremony:
    """Everybody is admitted, no keys were dealt."""
    shutil.copytree(_admitted_folder, tmp_path / "all")
    return Ceremony(tmp_path / "all")


@pytest.fixture
def joined(_joined_folder: Path, tmp_path: Path) -> Ceremony:
    """Keys were dealt and everybody imported its bundle."""
    shutil.copytree(_joined_folder, tmp_path / "all", symlinks=True)
    return Ceremony(tmp_path / "all")
