# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What a person gets wrong: one clear line with a code, an exit status, and nothing half done."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.support.nursery import nursery_toml
from tests.support.running import RunningFederation

VICTIM = "party-4"


def submit(running: RunningFederation, text: str, folder: Path) -> tuple[int, str]:
    path = folder / "job.toml"
    path.write_text(text)
    done = running.run("coterie", "jobs", "submit", path, "--watch", "--again", *running.operator)
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
def test_bad_data_is_refused_by_its_party_with_words_in_its_own_log_only(running, tmp_path, change, words):
    data = running.party_folder(VICTIM) / "nursery.csv"
    good = data.read_text()
    before = len(log_of(running, VICTIM))
    try:
        data.write_text("".join(line + "\n" for line in change(good.splitlines())))
        status, said = submit(running, nursery_toml(max_depth=1), tmp_path)
    finally:
        data.write_text(good)
    # The others are enough: the job completes without the party, and nobody but its steward learns why.
    assert status == 0, said
    logged = log_of(running, VICTIM)[before:]
    assert "code=data" in logged
    assert all(word in logged for word in words), logged
    assert "unheard-of" not in said
    shown = running.run("coterie-party", "jobs", "--json", "--home", "home", folder=running.party_folder(VICTIM)).stdout
    (note,) = json.loads(shown)[-1]["notes"]
    assert (note["round"], note["code"]) == (0, "data")
    assert all(word in note["detail"] for word in words), note


def test_bad_data_are_said_to_the_steward_before_any_job_and_without_a_restart(running):
    folder = running.party_folder(VICTIM)
    data = folder / "nursery.csv"
    good = data.read_text()

    def party_says(command: str = "health", *words: str) -> str:
        done = running.run("coterie-party", command, *words, "--home", "home", folder=folder)
        return f"{done.returncode} {done.stdout} {done.stderr}"

    running.wait_until(lambda: party_says() == "0 connected to the aggregator\n ", "a healthy party")
    try:
        data.write_text(good.replace("usual", "unusual", 1))
        running.wait_until(lambda: "'unusual'" in party_says(), "the party to see that its data do not fit")
        assert party_says().startswith("0 connected to the aggregator")
        assert party_says("data", "check").startswith("78 nursery, ")
    finally:
        data.write_text(good)
    running.wait_until(lambda: party_says() == "0 connected to the aggregator\n ", "the party to see that they fit")


def test_job_over_every_partys_limit_fails_with_the_numbers(running, tmp_path):
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
def test_job_that_cannot_be_run_is_refused_at_submission(running, tmp_path, old, new, code, word):
    before = len(running.operate("jobs", "list"))
    status, said = submit(running, nursery_toml(max_depth=1).replace(old, new), tmp_path)
    assert status != 0
    assert f"[{code}]" in said
    assert word in said
    assert len(running.operate("jobs", "list")) == before


def test_party_with_a_wrong_password_does_not_start(running, tmp_path):
    (tmp_path / "password").write_text("wrong\n")
    home = tmp_path / "home"
    shutil.copytree(running.party_folder("party-1") / "home", home, ignore=shutil.ignore_patterns("store", ".lock"))
    done = running.run("coterie-party", "run", "--home", home, "--password-file", tmp_path / "password")
    assert done.returncode == 78
    assert done.stderr.strip().count("\n") == 0, done.stderr
    assert "[key-file]" in done.stderr
    assert "password" in done.stderr


def test_second_daemon_on_the_same_folder_does_not_start(running):
    folder = running.party_folder("party-1")
    done = running.run("coterie-party", "run", "--home", "home", "--password-file", "password", folder=folder)
    assert done.returncode == 78
    assert "another coterie-party runs" in done.stderr


def test_party_with_a_broken_policy_does_not_start(running, tmp_path):
    home = tmp_path / "home"
    shutil.copytree(running.party_folder("party-1") / "home", home, ignore=shutil.ignore_patterns("store", ".lock"))
    (home / "policy.toml").write_text((home / "policy.toml").read_text() + "\nepsilon_per_jop = 1\n")
    done = running.run(
        "coterie-party", "run", "--home", home, "--password-file", running.party_folder("party-1") / "password"
    )
    assert done.returncode == 78
    assert "epsilon_per_jop" in done.stderr
