# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The locks: complete for every supported Python, consistent with pyproject.toml, nothing of one machine in them."""

from __future__ import annotations

import re
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.repository import ROOT, pyproject

LOCKS = ("runtime", "build", "dev", "torch")
PYTHONS = ("3.11", "3.12", "3.13")
PROJECT = pyproject()["project"]


def text(lock: str) -> str:
    return (ROOT / f"requirements/{lock}.txt").read_text("utf-8")


def pins(lock: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text(lock), flags=re.MULTILINE))


def lines(name: str) -> list[str]:
    """The requirements in a file that a person wrote."""
    return [line for line in (ROOT / "requirements" / name).read_text("utf-8").splitlines() if line and line[0] != "#"]


def requirements(*lists: list[str]) -> list[Requirement]:
    return [Requirement(line) for requirement_list in lists for line in requirement_list]


@pytest.mark.parametrize(
    ("lock", "required"),
    [
        ("runtime", requirements(PROJECT["dependencies"])),
        ("build", requirements(pyproject()["build-system"]["requires"])),
        ("dev", requirements(PROJECT["dependencies"], PROJECT["optional-dependencies"]["dev"])),
        ("torch", requirements(lines("torch.in"))),
    ],
    ids=LOCKS,
)
def test_lock_satisfies_what_pyproject_requires(lock, required):
    locked = pins(lock)
    for requirement in required:
        assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), requirement


@pytest.mark.parametrize("lock", ["runtime", "build"])
def test_lock_of_development_has_the_same_versions(lock):
    development = pins("dev")
    assert {name: development.get(name) for name in pins(lock)} == pins(lock)


def test_what_pytorch_needs_fits_the_versions_of_every_other_lock():
    needed = pins("torch")
    for lock in ("runtime", "build", "dev", "evaluation"):
        versions = pins(lock)
        assert {name: versions.get(name, needed[name]) for name in needed} == needed
    # PyTorch itself is in none: which build fits depends on the machine.
    assert not [lock for lock in (*LOCKS, "evaluation") if "torch" in pins(lock)]


def test_what_pytorch_needs_is_what_it_says_itself():
    pytest.importorskip("torch")
    said = [line for line in metadata.distribution("torch").requires or [] if "extra ==" not in line]
    assert sorted(map(str, map(Requirement, said))) == sorted(map(str, requirements(lines("torch.in"))))
    assert metadata.version("torch").partition("+")[0] in (ROOT / "scripts" / "torch").read_text("utf-8")


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("lock", LOCKS)
def test_lock_holds_every_requirement_of_its_packages_on_each_python(lock, python):
    if lock == "torch":
        pytest.importorskip("torch")
    locked = pins(lock)
    # ``environment`` of a marker overrides what the running interpreter would answer.
    environment = {"python_version": python, "python_full_version": f"{python}.0", "extra": ""}
    for name in locked:
        for line in metadata.distribution(name).requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate(environment):
                found = locked.get(canonicalize_name(requirement.name))
                assert found is not None, f"{name} needs {line} on Python {python}"
                assert requirement.specifier.contains(found, prereleases=True), f"{name} needs {line}, locked {found}"


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_names_no_host_and_no_path_of_a_machine(lock):
    assert "://" not in text(lock)
    assert not re.search(r"^\s*-[^-]|^\s*--(?!hash=)", text(lock), flags=re.MULTILINE)
    assert set(re.findall(r"\S*/\S*", text(lock))) <= {
        f"requirements/{name}" for name in ("runtime.txt", "build.txt", "dev.txt", "constraints.in", "torch.in")
    }


@pytest.mark.parametrize("lock", LOCKS)
def test_lock_has_hashes_for_every_package(lock):
    blocks = re.split(r"^(?=[a-z0-9-]+==)", text(lock), flags=re.MULTILINE)[1:]
    assert len(blocks) == len(pins(lock))
    assert all("--hash=sha256:" in block for block in blocks)


def test_runtime_lock_is_lean():
    locked = pins("runtime")
    assert not {"torch", "pandas", "pytest", "mypy", "ruff", "setuptools", "pip", "grpcio-tools"} & locked.keys()
    assert not [name for name in locked if name.startswith("nvidia")]
