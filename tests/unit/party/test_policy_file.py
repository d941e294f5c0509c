# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from coterie_common.errors import ConfigurationError
from coterie_party.policy.file import PolicyFile
from coterie_party.policy.policy import DEFAULT_POLICY_TOML


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(DEFAULT_POLICY_TOML)
    return path


def edit(path: Path, old: str, new: str) -> None:
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new, 1))


def test_policy_file_that_cannot_be_used_at_the_start_raises(path):
    edit(path, "automatic = true", "automatic = maybe")
    with pytest.raises(ConfigurationError, match="is not valid TOML"):
        PolicyFile(path)


def test_current_is_what_the_file_says_now(path):
    policies = PolicyFile(path)
    assert policies.current().automatic
    edit(path, "automatic = true", "automatic = false")
    with capture_logs() as logs:
        assert not policies.current().automatic
        assert not policies.current().automatic
    assert [line["event"] for line in logs] == ["policy changed"]


def test_current_of_a_file_changed_within_the_same_moment_and_of_the_same_length_is_seen(path):
    policies, times = PolicyFile(path), path.stat()
    edit(path, "epsilon_per_job = 1.0", "epsilon_per_job = 0.5")
    import os

    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert float(policies.current().epsilon_per_job) == 0.5


@pytest.mark.parametrize("broken", ["automatik = true\n", "[", None], ids=["unknown key", "no TOML", "missing"])
def test_current_keeps_the_policy_before_while_the_file_cannot_be_used_and_says_so_once(path, broken):
    policies, before = PolicyFile(path), path.read_text()
    if broken is None:
        path.unlink()
    else:
        path.write_text(broken + before)
    with capture_logs() as logs:
        assert policies.current() == policies.current()
        assert policies.current().automatic
    assert [(line["log_level"], line["code"]) for line in logs] == [("error", "configuration")]
    assert "stays in force" in logs[0]["event"]
    assert policies.warning() == f"{logs[0]['why']}; the policy before stays in force"
    path.write_text(before.replace("automatic = true", "automatic = false"))
    assert policies.warning() == ""
    assert not policies.current().automatic


def test_current_says_every_new_mistake(path):
    policies = PolicyFile(path)
    with capture_logs() as logs:
        for mistake in ("one", "two", "two"):
            path.write_text(f"{mistake} = 1\n{DEFAULT_POLICY_TOML}")
            policies.current()
    assert [line["why"].split(": ")[1] for line in logs] == ["one is not a known key", "two is not a known key"]
