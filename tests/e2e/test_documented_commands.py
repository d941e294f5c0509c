# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Every command in README.md, docs/ and the job files is run as written there, by people at terminals, or named.

Five hospitals found a federation as the pages tell them to, expel one, and go to work with real daemons. What the pages
leave to the reader is in ``PLACEHOLDERS``, what no test can run in ``NOT_RUN``: both in tests/support/documented.py.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from coterie_common.files import write_atomically
from coterie_lab.local_federation.data import NURSERY, read_rows, split, write_rows
from coterie_lab.local_federation.ports import LOOPBACK
from tests.support.documented import NOT_RUN, block_after, documented
from tests.support.heart import write_hospitals
from tests.support.readers import Readers
from tests.support.repository import ROOT

EXPELLED = "hospital-4"
PARTIES = [f"hospital-{number}" for number in range(1, 6)]
STAYING = [party for party in PARTIES if party != EXPELLED]
STEWARDS = STAYING[:3]
"""As many as the four that stay need for a round."""


@pytest.fixture
def people(tmp_path: Path) -> Iterator[Readers]:
    readers = Readers(tmp_path, PARTIES, documented())
    try:
        yield readers
    finally:
        readers.end()


@pytest.mark.slow  # founding a federation, and seven jobs of real daemons
@pytest.mark.skipif(
    "COTERIE_DOCUMENTED" not in os.environ, reason="takes two minutes of two cores: set COTERIE_DOCUMENTED=1 to run it"
)
def test_commands_do_what_the_pages_say_in_their_order(people):
    make_keys_and_admit(people)
    deal_and_expel(people)
    bind_and_start(people)
    train_and_predict(people)
    evaluate(people)
    rule_on_jobs(people)
    look_at_the_ledger(people)
    submit_and_cancel(people)
    show_the_record(people)
    jobs = begin_on_hospitals(people)
    welcome_a_scientist(people)
    people.step("simulation.md", ".venv/bin/coterie simulate", "founder")
    submit_without_data(people)
    for job in jobs:
        finish(people, job)
    left = {page: commands for page, commands in people.left.items() if commands}
    assert left == {}, "commands that nobody runs: run them here, or say in NOT_RUN why that cannot be"


def make_keys_and_admit(people: Readers) -> None:
    explained = people.step("README.md", "coterie found", "founder")
    pinned = re.search(r"which every party pins: (\S+)", explained)
    assert pinned is not None
    people.fingerprint = pinned[1]
    people.step("README.md", "coterie-aggregator init", "host")
    people.step("README.md", "coterie-party init", *PARTIES[:-1])
    people.step("deployment.md", "coterie found", "founder", early=True)
    people.step("deployment.md", "coterie-aggregator init", "host")
    people.step("deployment.md", "coterie-party init", PARTIES[-1])
    for party in PARTIES:
        people.carry(people.at(party, f"party/{party}.request"), "founder")
    people.carry(people.at("host", "aggregator/aggregator.request"), "founder")
    # Before the five are in: there is no place for a sixth.
    people.typed("anna", "coterie-party init hosptial-3 --founder {fingerprint} --aggregator localhost:{port}")
    people.carry(people.at("anna", "party/hosptial-3.request"), "founder")
    people.typed("founder", "coterie admit hosptial-3.request --role party")
    people.step("founding.md", "coterie admit --undo", "founder", early=True)
    people.step("founding.md", "coterie admit --show", "founder")
    admitted = people.step("founding.md", "coterie admit hospital-1.request", "founder")
    assert all(f"{party} is admitted" in admitted for party in PARTIES)
    people.step("founding.md", "coterie admit aggregator.request", "founder")
    # Every command may be repeated: it says what was done before and changes nothing.
    people.step("README.md", "coterie admit hospital-*", "founder")
    people.step("deployment.md", "coterie admit hospital-1.request", "founder")
    people.step("deployment.md", "coterie admit aggregator.request", "founder")
    assert "hospital-5" in people.step("founding.md", "coterie members", "founder")


def deal_and_expel(people: Readers) -> None:
    people.step("README.md", "coterie keys deal", "founder")
    people.step("deployment.md", "coterie keys deal", "founder")
    hand_out(people, PARTIES)
    people.step("README.md", "coterie-aggregator keys import", "host")
    config = people.at("host", "aggregator/aggregator.toml")
    config.write_text(f'{config.read_text()}\nlisten = "{LOOPBACK}:{people.port}"\n')
    serve(people, "README.md")
    people.end("host")
    people.step("README.md", "coterie-party keys import", "hospital-1")
    people.step("deployment.md", "coterie-aggregator keys import", "host")
    people.step("deployment.md", "coterie-party keys import", "hospital-1")
    # The next epoch, without one of them. Who imports no key before is asked whether the ledger is empty.
    people.step("founding.md", f"coterie expel {EXPELLED}", "founder", early=True)
    people.step("founding.md", "coterie keys deal --new-epoch", "founder")
    hand_out(people, STAYING)
    people.typed("host", "coterie-aggregator keys import aggregator.bundle")
    people.together(*((party, f"coterie-party keys import {party}.bundle") for party in STAYING))


def hand_out(people: Readers, parties: Sequence[str]) -> None:
    bundles = people.at("founder", "federation/bundles")
    people.carry(bundles / "aggregator.bundle", "host")
    for party in parties:
        people.carry(bundles / f"{party}.bundle", party)


def serve(people: Readers, page: str) -> None:
    def listens() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex((LOOPBACK, people.port)) == 0

    people.started(page, "coterie-aggregator serve", "host")
    people.wait_until(listens, "the aggregator to serve")


def bind_and_start(people: Readers) -> None:
    for party, rows in zip(STAYING, split(read_rows(NURSERY), len(STAYING)).parties, strict=True):
        people.at(party, "party/data").mkdir()
        write_rows(people.at(party, "party/data/nursery.csv"), rows)
        people.at(party, "binding.toml").write_text(block_after("README.md", "The steward's `binding.toml`"))
    people.step("README.md", "cp examples/jobs", *STAYING)
    people.step("README.md", "cat binding.toml", *STAYING)
    serve(people, "operating.md")
    people.started("README.md", "coterie-party run", *STAYING[:2])
    people.started("operating.md", "coterie-party run", *STAYING[2:])
    for party in STAYING:
        people.wait_for("host", f"party connected.*{party}")
    people.step("README.md", "export", "founder")
    # The daemon writes down every few seconds how it is.
    people.wait_until(lambda: people.succeeds("hospital-1", "coterie-party health"), "the party to be connected")
    seen = people.at_once(
        ("deployment.md", "coterie-aggregator health", "host"),
        ("deployment.md", "coterie-party health", "hospital-1"),
        ("deployment.md", "coterie parties", "founder"),
        ("operating.md", "coterie-party data check", "hospital-1"),
        ("operating.md", "coterie-party data check nursery", "hospital-1"),
    )
    assert ("serving" in seen, "connected to the aggregator" in seen, "2,592 records fit" in seen) == (True,) * 3


def train_and_predict(people: Readers) -> None:
    submitted = people.step("README.md", "coterie jobs submit", "founder")
    people.job = job_of(submitted)
    assert "completed, round 3 of 3" in submitted
    people.step("README.md", "coterie models fetch", "founder")
    write_rows(people.at("founder", "new-records.csv"), read_rows(NURSERY)[:20])
    assert "of 20 right" in people.step("README.md", "coterie predict", "founder")
    script = block_after("README.md", "From Python, a model is").replace("nursery-tree-1a2b3c4d", people.job)
    people.at("founder", "predict.py").write_text(script)
    people.typed("founder", "python predict.py")


def job_of(text: str) -> str:
    found = re.search(r"^[a-z-]+-[0-9a-f]{8}$", text, re.M)
    assert found is not None, text
    return found[0]


def finish(people: Readers, job: str) -> None:
    assert "completed, round" in people.typed("founder", f"coterie jobs watch {job}")


def evaluate(people: Readers) -> None:
    for file in (ROOT / "examples/jobs").glob("*.toml"):
        people.carry(file, "founder")
    page = "nursery-evaluation.toml"
    people.step(page, "coterie models fetch", "founder")
    finish(people, job_of(people.step(page, "coterie jobs submit", "founder")))


def accept_automatically(people: Readers, automatic: bool) -> None:
    for party in STEWARDS:
        policy = people.at(party, "party/policy.toml")
        text = re.sub(r"(?m)^automatic = \w+", f"automatic = {str(automatic).lower()}", policy.read_text())
        write_atomically(policy, text.encode())


def rule_on_jobs(people: Readers) -> None:
    page, trained = "operating.md", people.job
    accept_automatically(people, False)
    # The same specification again: the question is answered with yes.
    people.job = job_of(people.step("nursery-tree.toml", "coterie jobs submit", "founder"))
    people.wait_for("hospital-1", f"job proposed.*held.*{people.job}")
    asked = people.at_once((page, "coterie-party jobs", "hospital-1"), (page, "coterie-party jobs", "hospital-1"))
    assert "Held jobs wait" in asked
    assert "would be left" in asked
    people.step(page, "coterie-party approve", "hospital-1")
    people.wait_for("hospital-1", f"job decided.*accepted.*{people.job}")
    people.step(page, "coterie-party refuse", "hospital-1")
    accept_automatically(people, True)
    finish(people, people.job)
    people.wait_for("hospital-1", "steward withdrew from the job")
    people.job = trained


def look_at_the_ledger(people: Readers) -> None:
    page = "operating.md"
    people.at_once(*[(page, "coterie-party ledger", "hospital-1")] * 3)
    assert "<svg" in people.at("hospital-1", "nursery.svg").read_text()
    people.step(page, "coterie-party ledger export", "hospital-1")
    assert "changes nothing" in people.step(page, "coterie-party ledger import", "hospital-1")


def submit_and_cancel(people: Readers) -> None:
    page, trained = "operating.md", people.job
    shown = people.at_once(
        (page, "coterie parties", "founder"),
        (page, "coterie jobs list", "founder"),
        (page, "coterie jobs show", "founder"),
    )
    assert "completed" in shown
    accept_automatically(people, False)
    people.job = job_of(people.typed("founder", "coterie jobs submit nursery-tree.toml"))
    people.started(page, "coterie jobs watch", "founder")
    people.step(page, "coterie jobs cancel", "founder")
    people.wait_for("founder", "cancelled")
    people.end("founder")
    accept_automatically(people, True)
    people.job = trained
    looked = people.at_once(
        (page, "coterie budget", "founder"),
        (page, "coterie models list", "founder"),
        (page, "coterie models show", "founder"),
    )
    assert "nursery" in looked
    assert "predicts" in looked
    assert trained in looked


def show_the_record(people: Readers) -> None:
    page, steward = "audit.md", "hospital-1"
    shown = people.at_once((page, "coterie-party audit show", steward), (page, "coterie-party audit show", steward))
    assert shown.count("Received the model") >= 2
    people.step(page, "coterie-party audit export record.html", steward)
    people.step(page, "coterie-party audit export record.json", *STEWARDS)
    for party in STEWARDS:
        people.carry(people.at(party, "record.json"), steward, f"{party}.json")
    people.carry(people.at(steward, "record.json"), steward, "record-of-last-year.json")
    verified = people.at_once(*[(page, "coterie-party audit verify", steward)] * 3)
    assert verified.count(f"The record of {steward} is whole") == 3
    assert "no difference" in people.step(page, "coterie audit compare", steward)


def begin_on_hospitals(people: Readers) -> list[str]:
    """Bind other data and edit the policy while the daemons run; the fourth party has no such data, and refuses."""
    names = ("heart-logistic", "heart-svm")
    schemas = [f"{name}.toml" for name in names]
    binding = f'\n[datasets.heart]\npath = "data/heart.csv"\nschemas = {schemas}\nset_aside = 0.25\n'
    files = list(write_hospitals(people.folder).values())
    for party, file in zip(STEWARDS, files[: len(STEWARDS)], strict=True):
        home = people.at(party, "party")
        shutil.copy(file, home / "data/heart.csv")
        for schema in schemas:
            shutil.copy(ROOT / "examples/jobs" / schema, home)
        policy = (home / "policy.toml").read_text()
        policy = policy.replace('"statistics"]', '"statistics", "logistic_regression", "linear_svm"]')
        policy = policy.replace("epsilon_per_job = 1.0", "epsilon_per_job = 4.0")
        # The system that runs the tests may not confine anything.
        policy = policy.replace('confinement = "required"', 'confinement = "preferred"')
        write_atomically(home / "policy.toml", policy.encode())
        write_atomically(home / "party.toml", ((home / "party.toml").read_text() + binding).encode())
    for party in STEWARDS:
        people.wait_for(party, "data fit +dataset=heart")
    return [job_of(people.step(f"{name}.toml", "coterie jobs submit", "founder")) for name in names]


def welcome_a_scientist(people: Readers) -> None:
    page = "founding.md"
    people.step(page, "coterie credential init", "anna")
    people.carry(people.at("anna", "credential/anna.request"), "founder")
    people.step(page, "coterie admit anna.request", "founder")
    people.carry(people.at("founder", "federation/credentials/anna.credential"), "anna")
    people.step(page, "coterie credential import", "anna")
    assert "nursery-tree" in people.typed("anna", "coterie jobs list")


def submit_without_data(people: Readers) -> None:
    """The images are on no test machine: the job is taken, and no party has such data."""
    page = "mnist-cnn.toml"
    if importlib.util.find_spec("torch") is None:
        people.left[page].remove(f"coterie jobs submit {page}")  # a host without PyTorch takes no such job
        return
    people.job = job_of(people.step(page, "coterie jobs submit", "founder"))
    people.wait_for("hospital-1", f"job proposed.*refused.*{people.job}")


def test_new_command_has_to_be_run_or_named(tmp_path):
    commands = [("README.md", "coterie parties"), ("new.md", "coterie jobs list"), ("new.md", "docker ps")]
    people = Readers(tmp_path, [], commands)
    assert people.left == {"README.md": ["coterie parties"], "new.md": ["coterie jobs list"]}
    with pytest.raises(AssertionError, match=r"new\.md has no further command"):
        people.step("new.md", "coterie jobs watch", "founder")


def test_command_out_of_order_is_not_run(tmp_path):
    people = Readers(tmp_path, [], [("README.md", "coterie keys deal"), ("README.md", "coterie found")])
    with pytest.raises(AssertionError, match="'coterie keys deal' comes before 'coterie found'"):
        people.step("README.md", "coterie found", "founder")


def test_every_reason_is_about_a_command_that_a_page_has():
    assert set(NOT_RUN) <= {command.split()[0] for _, command in documented()}
