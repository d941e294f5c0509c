# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie-party jobs``, ``approve``, ``refuse`` and ``ledger`` on a folder whose daemon may run or not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from coterie_common.clock import SystemClock
from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.errors import DataError
from coterie_common.files import make_private_folder
from coterie_common.host.database import open_database
from coterie_common.host.heartbeat import Heartbeat
from coterie_common.identifiers import JobId, PartyId
from coterie_common.learning.agreement import plan_job, propose_terms
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.messages import JobOutcome
from coterie_common.secret import Password
from coterie_party.cli import main
from coterie_party.home.home import PartyHome
from coterie_party.policy.booking import book, per_side
from coterie_party.policy.policy import DEFAULT_POLICY_TOML
from coterie_party.store import MIGRATIONS, AskedStep, PartyJob, PartyStore, StewardNotes
from tests.support.cheap_passwords import cheap_passwords
from tests.support.federation import make_federation
from tests.support.hostile import HOSTILE, assert_harmless
from tests.support.recorders import make_recorder
from tests.support.seeded_random import SeededRandom
from tests.support.small_jobs import statistics_spec, tree_spec

FOUNDER = "uktb-chq6-2ywh-lz5u-6rkd-x3fa-p7mn-q4ve"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    root = tmp_path / "party"
    folder = PartyHome(root)
    with cheap_passwords():
        folder.create(PartyId("party-1"), FOUNDER, None, password=Password(b"password"), random=SeededRandom("home"))
    (root / "policy.toml").write_text(DEFAULT_POLICY_TOML.replace("automatic = true", "automatic = false"))
    return root


@pytest.fixture
def store(home: Path) -> Iterator[PartyStore]:
    make_private_folder(home / "store")
    engine = open_database(f"sqlite:///{home}/store/party.db", MIGRATIONS)
    yield PartyStore(engine, FOUNDER, make_recorder(FOUNDER))
    engine.dispose()


@pytest.fixture
def coterie_party(home: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[str | int | None, str, str]]:
    def run(*arguments: object) -> tuple[str | int | None, str, str]:
        with pytest.raises(SystemExit) as ended:
            main([*map(str, arguments), "--home", str(home)])
        printed = capsys.readouterr()
        return ended.value.code, printed.out, printed.err

    return run


def propose(store: PartyStore, asked: JobSpec, decision: Decision, *, job_id: JobId, **changes: Any) -> None:
    """What the daemon stores of a proposal; returns what its rounds cost."""
    federation = make_federation()
    parameters = federation.parameters
    terms = propose_terms(plan_job(asked), parameters, federation.dealing.key.public_key.plaintext_bits)
    planned = plan_job(asked)
    reservations = book(planned.plan, planned.algorithm.records, terms.events, terms.spares)
    job = PartyJob(
        job_id=job_id,
        spec=asked.to_bytes(),
        terms=terms.to_bytes(),
        spec_digest=asked.digest,
        terms_digest=tuple_hash(Label.JOB_TERMS, terms.to_bytes()),
        decision=decision,
        code="",
        detail="",
        dataset="play",
        cost=per_side(reservations),
    )
    store.record_job(replace(job, **changes), reservations if decision is Decision.ACCEPTED else ())


def test_commands_before_any_daemon_ran_say_so(coterie_party):
    for command in ("jobs", "ledger"):
        status, _, error = coterie_party(command)
        assert status == 78
        assert "nothing was asked, and nothing spent [wrong-order]" in error


def test_jobs_and_ledger_of_a_party_that_was_never_asked(coterie_party, store):
    assert coterie_party("jobs") == (0, "No job was proposed to this party yet.\n", "")
    assert coterie_party("ledger") == (0, "Nothing is spent or reserved.\n", "")
    assert coterie_party("ledger", "play") == (0, "Nothing is spent or reserved of play.\n", "")
    assert json.loads(coterie_party("ledger", "--json")[1]) == []


def test_jobs_lists_what_is_asked_in_plain_words(coterie_party, store):
    propose(store, tree_spec(), Decision.ACCEPTED, job_id=JobId("tree-1"))
    propose(store, statistics_spec(), Decision.HELD, job_id=JobId("play-1"), detail="it waits for its steward")
    propose(
        store,
        statistics_spec(),
        Decision.REFUSED,
        job_id=JobId("play-2"),
        code="budget-exhausted",
        detail="asks too much",
    )
    status, printed, error = coterie_party("jobs")
    assert (status, error) == (0, "")
    tree, held, refused = printed.splitlines()[1:4]
    assert all(
        words in tree for words in ("tree-1", "decision_tree on play", "ε = 8, δ = 0.00001 per record", "accepted")
    )
    assert all(words in held for words in ("play-1", "statistics on play", "held", "it waits for its steward"))
    assert "asks too much [budget-exhausted]" in refused
    assert "coterie-party approve JOB" in printed


def test_jobs_shows_one_in_full_with_what_it_would_leave(coterie_party, store):
    propose(store, tree_spec(), Decision.HELD, job_id=JobId("tree-1"), detail="it waits")
    status, printed, _ = coterie_party("jobs", "tree-1")
    assert status == 0
    for words in (
        "decision_tree on play",
        "max_depth",
        "outlook, wind, temperature, play",
        "discrete-gaussian, distributed",
        "sums of at most",
        "a record changes",
        "budget for all jobs",
        "of 10 at δ = 0.0001",
        "% would be left",
        tree_spec().digest.hex(),
    ):
        assert words in printed
    shown = json.loads(coterie_party("jobs", "tree-1", "--json")[1])[0]
    assert shown["specification"] == json.loads(tree_spec().to_bytes())
    assert len(shown["rounds"]) == 2
    left = shown["budget"][0]["left"]
    assert 0 < left < 1
    # What it said would be left is what is left after it was accepted.
    propose(store, tree_spec(), Decision.ACCEPTED, job_id=JobId("tree-1"))
    after = json.loads(coterie_party("ledger", "play", "--json")[1])[0]["limits"][0]
    assert after["left"] == pytest.approx(left)
    assert (after["spent"], after["reserved"] > 0) == (0, True)


def ask(store: PartyStore, number: int, step: int, quorum: int | None) -> None:
    """What the daemon stores of an accepted query."""
    asked = AskedStep(step=step, spare_lines=range(3, 4), spare_rounds=1)
    told = {} if quorum is None else {"round_quorum": quorum}
    session = number.to_bytes(32, "big")
    store.accept_query(JobId("tree-1"), number, session, make_federation().parties, asked, told)


def test_jobs_shows_by_how_many_replies_the_noise_of_each_round_was_divided(coterie_party, store):
    propose(store, tree_spec(spare_rounds=1), Decision.ACCEPTED, job_id=JobId("tree-1"))
    assert not [line for line in coterie_party("jobs", "tree-1")[1].splitlines() if line.startswith("asked")]
    for number, step, quorum in ((1, 1, 5), (2, 1, 4), (3, 2, 4)):
        ask(store, number, step, quorum)
    printed = coterie_party("jobs", "tree-1")[1].splitlines()
    assert [line.split(maxsplit=1)[1] for line in printed if line.startswith("asked")] == [
        "round 1: 5 parties asked, noise divided for 5 replies or more",
        "round 2: step 1 again, in a spare round; 5 parties asked, noise divided for 4 replies or more",
        "round 3: 5 parties asked, noise divided for 4 replies or more",
    ]
    assert any(line.startswith("spare rounds") and "with them ε = " in line for line in printed)
    (shown,) = json.loads(coterie_party("jobs", "tree-1", "--json")[1])
    assert shown["asked"][1] == {"round": 2, "step": 1, "is_spare": True, "cohort": 5, "quorum": 4}
    assert json.loads(coterie_party("jobs", "--json")[1])[0]["asked"] == shown["asked"]


def test_rounds_that_are_asked_alike_are_shown_together(coterie_party, store):
    propose(store, tree_spec(), Decision.ACCEPTED, job_id=JobId("tree-1"))
    for number in (1, 2):
        # A record of an earlier version may not state the quorum.
        ask(store, number, number, None)
    printed = coterie_party("jobs", "tree-1")[1].splitlines()
    assert [line.split(maxsplit=1)[1] for line in printed if line.startswith("asked")] == [
        "rounds 1-2: 5 parties asked"
    ]


def test_jobs_of_an_unreadable_specification_is_shown_as_that(coterie_party, store):
    propose(store, tree_spec(), Decision.HELD, job_id=JobId("tree-1"), spec=b"{}", terms=b"[]")
    propose(
        store, tree_spec(), Decision.REFUSED, job_id=JobId("tree-2"), spec=b"{}", terms=b"[]", code="malformed-message"
    )
    printed = coterie_party("jobs")[1]
    # What was refused is not kept, whether it could be read or not.
    assert "cannot be read" in printed
    assert "not kept" in printed
    assert "malformed-message" in coterie_party("jobs", "tree-2")[1]


def test_jobs_and_ledger_with_a_policy_that_cannot_be_used_say_so_loudly(coterie_party, store, home):
    propose(store, tree_spec(), Decision.ACCEPTED, job_id=JobId("tree-1"))
    (home / "policy.toml").write_text("automatik = true")
    for command in ("jobs", "ledger"):
        status, printed, error = coterie_party(command)
        assert (status, "tree-1" in printed) == (0, True)
        assert error.startswith("warning: ")
        assert "automatik is not a known key" in error
        assert "goes on with the policy before" in error


def test_approve_and_refuse_note_the_stewards_word(coterie_party, store):
    propose(store, tree_spec(), Decision.HELD, job_id=JobId("tree-1"))
    status, printed, _ = coterie_party("approve", "tree-1")
    assert (status, "tree-1 is approved" in printed) == (0, True)
    assert store.ruling("tree-1").is_approved
    assert "held, approved" in coterie_party("jobs")[1]
    status, printed, _ = coterie_party("refuse", "tree-1", "--reason", "not\nnow")
    assert (status, "tree-1 is refused" in printed) == (0, True)
    assert (store.ruling("tree-1").is_approved, store.ruling("tree-1").reason) == (False, "not now")


def test_refuse_withdraws_from_an_accepted_job(coterie_party, store):
    propose(store, tree_spec(), Decision.ACCEPTED, job_id=JobId("tree-1"))
    status, printed, _ = coterie_party("refuse", "tree-1")
    assert (status, "gets no further answers" in printed) == (0, True)
    assert "withdrawn" in coterie_party("jobs")[1]


@pytest.mark.parametrize("command", ["approve", "refuse"])
def test_rulings_on_what_is_decided_or_unknown_fail_with_a_code(coterie_party, store, command):
    propose(store, tree_spec(), Decision.HELD, job_id=JobId("tree-1"))
    store.end_job("tree-1", JobOutcome.CANCELLED)
    status, _, error = coterie_party(command, "tree-1")
    assert (status, error) == (78, "error: job tree-1 is over: cancelled [already-decided]\n")
    status, _, error = coterie_party(command, "other-1")
    assert (status, error) == (78, "error: no job other-1 was proposed to this party [not-found]\n")
    assert coterie_party("jobs", "other-1")[2].endswith("[not-found]\n")


def test_ledger_as_table_json_and_drawing(coterie_party, store, home, tmp_path):
    propose(store, tree_spec(), Decision.ACCEPTED, job_id=JobId("tree-1"))
    store.accept_query("tree-1", 1, b"s" * 32, ("party-1",), AskedStep(step=1))
    store.end_job("tree-1", JobOutcome.COMPLETED)
    propose(store, statistics_spec(), Decision.ACCEPTED, job_id=JobId("play-1"))
    drawing = tmp_path / "ledger.svg"
    status, printed, error = coterie_party("ledger", "--plot", drawing)
    assert (status, error) == (0, "")
    assert "play, per record" in printed
    assert drawing.read_text().startswith("<svg ")
    (ledger,) = json.loads(coterie_party("ledger", "--json")[1])
    assert [(line["job_id"], line["round"], line["status"]) for line in ledger["lines"]] == [
        ("play-1", 1, "reserved"),
        ("tree-1", 1, "committed"),
        ("tree-1", 2, "released"),
    ]
    lifetime = ledger["limits"][0]
    assert f"{100 * lifetime['left']:.1f} %" in printed
    assert f"ε = {lifetime['limit_epsilon']} at δ = {lifetime['delta']}" in printed
    assert Fraction(lifetime["delta"]) == Fraction(1, 10_000)
    assert all(line["event"]["kind"] == "counts" for line in ledger["lines"])


def test_words_of_others_about_jobs_are_shown_harmlessly(store, coterie_party):
    for number, words in enumerate(HOSTILE.values()):
        words = words[:2_000].replace("\ud800", "")
        refused: dict[str, Any] = {"job_id": f"play-{number}", "code": "invalid-job", "detail": words}
        propose(store, statistics_spec(), Decision.REFUSED, **refused)
        propose(
            store, statistics_spec(), Decision.HELD, job_id=JobId(f"held-{number}"), detail=words, dataset=words[:60]
        )
    for command in (["jobs"], ["jobs", "play-0"], ["jobs", "--json"], ["ledger"]):
        status, out, err = coterie_party(*command)
        assert status == 0
        assert_harmless(out)
        assert_harmless(err)


@pytest.fixture
def notes(home: Path, store: PartyStore) -> Iterator[StewardNotes]:
    engine = open_database(f"sqlite:///{home}/store/party.db", MIGRATIONS)
    yield StewardNotes(engine, FOUNDER, SystemClock())
    engine.dispose()


def test_job_that_failed_on_the_party_s_own_data_says_file_row_and_column_to_the_steward(coterie_party, store, notes):
    refused = {"code": "data", "detail": "the party's own data"}
    propose(store, statistics_spec(), Decision.REFUSED, job_id=JobId("play-1"), **refused)
    notes.add("play-1", 0, DataError("play.csv: row 7, column 'wind': 'strnog'"))
    notes.add("play-1", 3, DataError("play.csv does not exist"))
    _, output, _ = coterie_party("jobs", "play-1")
    assert "the party's own data [data]" in output
    assert "for you alone  play.csv: row 7, column 'wind': 'strnog' [data]" in output
    assert "for you alone  round 3: play.csv does not exist [data]" in output
    _, output, _ = coterie_party("jobs", "play-1", "--json")
    assert [note["round"] for note in json.loads(output)[0]["notes"]] == [0, 3]


def test_health_prints_the_warnings_of_the_daemon_also_beside_a_broken_configuration(coterie_party, home):
    warnings: list[Any] = []
    heartbeat = Heartbeat(home, lambda: "", warnings=lambda: warnings)
    heartbeat.beat()
    assert coterie_party("health") == (0, "connected to the aggregator\n", "")
    warnings = ["the data set play: play.csv: row 7, column 'wind': 'strnog' [data]", "another"]
    heartbeat.beat()
    # The daemon goes on with what it read before; nobody restarts it for a slip of the pen.
    (home / "party.toml").write_text("id = ")
    expected = "".join(f"warning: {warning}\n" for warning in warnings)
    assert coterie_party("health") == (0, "connected to the aggregator\n", expected)


BINDING = """
[datasets.{name}]
path = "{name}.csv"
schemas = ["schema.toml"]
"""
SCHEMA = '[schema]\nmax_records = 9\n[[schema.columns]]\nname = "x"\nlower = 0\nupper = 9\n'


def test_data_check_says_what_fits_and_what_does_not_before_any_daemon_ran(coterie_party, home):
    (home / "schema.toml").write_text(SCHEMA)
    config = (home / "party.toml").read_text()
    status, output, _ = coterie_party("data", "check")
    assert (status, output) == (0, "party.toml binds no data sets yet.\n")
    (home / "party.toml").write_text(config + BINDING.format(name="good") + BINDING.format(name="bad"))
    (home / "good.csv").write_text("x\n1\n2.5\n")
    (home / "bad.csv").write_text("x\n1\n10\n")
    status, output, error = coterie_party("data", "check")
    assert status == 78
    assert "good, schema.toml: 2 records fit\n" in output
    assert "bad.csv: row 3, column 'x': '10'; 'x' holds a number from 0 to 9 [data]\n" in output
    assert "1 of 2 descriptions do not fit" in error
    assert coterie_party("data", "check", "good")[0] == 0
    status, _, error = coterie_party("data", "check", "wrong")
    assert status != 0
    assert "binds no data set wrong, only good, bad [not-found]" in error


def test_data_check_reads_a_file_as_its_binding_says(coterie_party, home):
    (home / "schema.toml").write_text(SCHEMA.replace('name = "x"', 'name = "größe"\nmissing = 0'))
    lines = 'separator = ";"\ndecimal = ","\nencoding = "windows-1252"\nmissing = ["NA", ""]\ntrim = true\n'
    with (home / "party.toml").open("a") as stream:
        stream.write(BINDING.format(name="export") + lines)
    (home / "export.csv").write_bytes("größe ;ort\n1,5;Köln\nNA;\n;x\n".encode("windows-1252"))
    assert coterie_party("data", "check")[:2] == (0, "export, schema.toml: 3 records fit\n")
