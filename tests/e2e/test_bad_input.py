# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What a person gets wrong: one clear line with a code, an exit status, and nothing half done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.support.nursery import nursery_toml
from tests.support.running import RunningFederation

VICTIM = "party-4"


def submit(running: RunningFederation, text: str, folder: Path) -> tuple[int, str]:
    path = folder / "job.toml"
    path.write_text(text)
    done = running.run("coterie", "jobs", "submit", path, "--watch", *running.operator)
    assert "Traceback" not in done.stderr + done.stdout
    return done.returncode, done.stderr + done.stdout


def log_of(running: RunningFederation, party: str) -> str:
    return (running.party_folder(party) / f"{party}.log").read_text()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(
            lambda lines: [lines[0], "unheard-of," + lines[1].partition(",")[2], *lines[2:]],
            ("row 2", "parents", "unheard-of"),
            id="unknown category",
        ),
        pytest.param(lambda lines: [line.partition(",")[2] for line in lines], ("parents",), id="missing column"),
        pytest.param(lambda lines: [], ("nursery.csv",), id="empty file"),
    ],
)
def test_bad_data_is_refused_by_its_party_with_words_in_its_own_log_only(
    running: RunningFederation, tmp_path: Path, change: object, words: tuple[str, ...]
) -> None:
    data = running.party_folder(VICTIM) / "nursery.csv"
    good = data.read_text()
    before = len(log_of(running, VICTIM))
    try:
        data.write_text("".join(line + "\n" for line in change(good.splitlines())))  # type: ignore[operator]
        status, said = submit(running, nursery_toml(max_depth=1), tmp_path)
    finally:
        data.write_text(good)
    # The others are enough: the job completes without the party, and nobody but its steward learns why.
    assert status == 0, said
    logged = log_of(running, VICTIM)[before:]
    assert "code=data" in logged
    assert all(word in logged for word in words), logged
    assert "unheard-of" not in said


def test_job_over_every_partys_limit_fails_with_the_numbers(running: RunningFederation, tmp_path: Path) -> None:
    text = nursery_toml(max_depth=1).replace("epsilon = 1.0", "epsilon = 3")
    status, said = submit(running, text, tmp_path)
    assert status != 0
    assert "budget-exhausted" in said
    assert "3" in said
    assert "2" in said


@pytest.mark.parametrize(
    ("old", "new", "code", "word"),
    [
        ("epsilon = 1.0", "epsilon = -1", "invalid-job", "epsilon"),
        ("max_depth = 1", "max_depth = 0", "invalid-job", "max_depth"),
        ('algorithm = "decision_tree"', 'algorithm = "magic"', "invalid-job", "magic"),
        ('placement = "distributed"', 'placement = "somewhere"', "invalid-job", "placement"),
        ("[rounds]", "[rounds]\nquorum = 2", "quorum-too-small", "2"),
        ("[rounds]", "[rounds]\nsurprise = 2", "invalid-job", "surprise"),
    ],
)
def test_job_that_cannot_be_run_is_refused_at_submission(
    running: RunningFederation, tmp_path: Path, old: str, new: str, code: str, word: str
) -> None:
    before = len(running.operate("jobs", "list"))
    status, said = submit(running, nursery_toml(max_depth=1).replace(old, new), tmp_path)
    assert status != 0
    assert f"[{code}]" in said
    assert word in said
    assert len(running.operate("jobs", "list")) == before


def test_party_with_a_wrong_password_does_not_start(running: RunningFederation, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("wrong\n")
    home = tmp_path / "home"
    shutil.copytree(running.party_folder("party-1") / "home", home, ignore=shutil.ignore_patterns("store", ".lock"))
    done = running.run("coterie-party", "run", "--home", home, "--password-file", tmp_path / "password")
    assert done.returncode == 78
    assert done.stderr.strip().count("\n") == 0, done.stderr
    assert "[key-file]" in done.stderr
    assert "password" in done.stderr


def test_second_daemon_on_the_same_folder_does_not_start(running: RunningFederation) -> None:
    folder = running.party_folder("party-1")
    done = running.run("coterie-party", "run", "--home", "home", "--password-file", "password", folder=folder)
    assert done.returncode == 78
    assert "another coterie-party runs" in done.stderr


def test_party_with_a_broken_policy_does_not_start(running: RunningFederation, tmp_path: Path) -> None:
    home = tmp_path / "home"
    shutil.copytree(running.party_folder("party-1") / "home", home, ignore=shutil.ignore_patterns("store", ".lock"))
    (home / "policy.toml").write_text((home / "policy.toml").read_text() + "\nepsilon_per_jop = 1\n")
    done = running.run(
        "coterie-party", "run", "--home", home, "--password-file", running.party_folder("party-1") / "password"
    )
    assert done.returncode == 78
    assert "epsilon_per_jop" in done.stderr
