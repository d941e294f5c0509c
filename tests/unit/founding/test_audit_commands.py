# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie-party audit`` and ``coterie audit compare``, on folders and files. They need members that have joined."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

import coterie.cli
import coterie_party.cli
import coterie_party.home.home
from coterie_common.audit.entry import Event, Kind, Owner
from coterie_common.audit.export import Export
from coterie_common.clock import SystemClock
from coterie_common.crypto.hashing import Label
from coterie_common.document import Document
from coterie_common.fingerprint import printed_fingerprint
from coterie_common.host.database import open_database
from coterie_party.store import MIGRATIONS, AuditLog, Recorder
from tests.support.audit_records import EVENTS, make_export
from tests.support.ceremony import PASSWORD, Ceremony
from tests.support.federation import FOUNDER, digest_of, make_federation
from tests.support.hostile import HOSTILE, assert_harmless

FEDERATION = make_federation()
ONE, TWO = FEDERATION.parties[:2]

PINNED = printed_fingerprint(FOUNDER)


def model_of(digest: bytes) -> Event:
    """A model as the aggregator delivered it."""
    signature = FEDERATION.aggregator_key.sign(Label.MODEL_DELIVERY, "job-1", digest)
    facts: dict[str, Document] = {"model_digest": digest.hex(), "bytes": 9, "aggregator_signature": signature.hex()}
    return Event(kind=Kind.MODEL, job_id="job-1", details=facts)


@dataclass
class Result:
    status: str | int | None
    out: str
    err: str


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Callable[..., Result]:
    def run(program: str, *arguments: Path | str) -> Result:
        main = {"coterie": coterie.cli.main, "coterie-party": coterie_party.cli.main}[program]
        with pytest.raises(SystemExit) as end:
            main([*map(str, arguments)])
        said = capsys.readouterr()
        return Result(end.value.code, said.out, said.err)

    return run


@pytest.fixture
def home(joined: Ceremony) -> Path:
    """The folder of a party that started twice and refused something."""
    party = joined.party(1)
    founder, keys = party.config().founder, party.unlock_keys(PASSWORD)
    recorder = Recorder(owner=Owner(founder, "p1"), key=keys.signing_key, clock=SystemClock())
    (party.root / "store").mkdir()
    engine = open_database(f"sqlite:///{party.root / 'store/party.db'}", MIGRATIONS)
    log = AuditLog(engine, founder, recorder)
    log.record_start({"version": "1", "roster_serial": 1})
    log.record_refusal("job-1", 2, {"code": "already-answered", "detail": "[bold]no[/bold]", "message": "Query"})
    log.record_start({"version": "1", "roster_serial": 1})
    engine.dispose()
    return party.root


def change(home: Path, statement: str) -> None:
    with closing(sqlite3.connect(home / "store/party.db")) as connection, connection:
        connection.execute(statement)


def test_record_of_a_folder_is_verified_shown_and_exported(run, home, tmp_path):
    verified = run("coterie-party", "audit", "verify", "--home", home)
    assert (verified.status, "The record of p1 is whole: 3 entries." in verified.out) == (0, True)

    shown = run("coterie-party", "audit", "show", "--home", home)
    assert shown.status == 0
    assert shown.out.count("The daemon started") == 2
    # Nothing in the record becomes markup of the terminal.
    assert "[bold]no[/bold]" in shown.out
    only = run("coterie-party", "audit", "show", "--home", home, "--job", "job-1")
    assert "The daemon started" not in only.out
    assert "already-answered" in only.out
    assert "no such entries" in run("coterie-party", "audit", "show", "--home", home, "--job", "job-9").out

    for name in ("record.html", "record.json"):
        assert run("coterie-party", "audit", "export", tmp_path / name, "--home", home).status == 0
        again = run("coterie-party", "audit", "verify", "--file", tmp_path / name, "--home", home)
        assert (again.status, "3 entries" in again.out) == (0, True)


@pytest.mark.parametrize("words", HOSTILE.values(), ids=HOSTILE)
def test_hostile_record_is_shown_compared_and_exported_harmlessly(run, files, tmp_path, words):
    # Another party exports it, and can write anything into it.
    words = words[:2_000].replace("\ud800", "")
    said = {"message": words, "code": words, "detail": words, "culprits": [words], "told": {words: words}}
    told = [
        Event(kind=Kind.REFUSAL, job_id=words[:64], details=said),
        Event(kind=Kind.DECISION, job_id=words[:64], details={"decision": words, "spec_digest": words}),
        Event(kind=Kind.QUERY, job_id=words[:64], round_number=1, details={"session_id": words, "cohort": [words]}),
        Event(kind=Kind.DECRYPTION, job_id=words[:64], round_number=1, details={"contributors": [words, words]}),
    ]
    mine = [replace(event, details={**event.details, "spec_digest": "1", "session_id": "2"}) for event in told]
    exports = make_export(FEDERATION, ONE, told), make_export(FEDERATION, TWO, mine)
    compared = run("coterie", "audit", "compare", *files(*exports), "--founder", PINNED)
    assert compared.status == 1
    assert "differs" in compared.out
    assert_harmless(compared.out)
    assert_harmless(compared.err)
    assert_harmless(run("coterie", "audit", "compare", *files(*exports), "--founder", PINNED, "--json").out, lines=1)


def test_hostile_refusals_in_the_own_record_are_shown_harmlessly(run, home):
    party = coterie_party.home.home.PartyHome(home)
    founder, keys = party.config().founder, party.unlock_keys(PASSWORD)
    recorder = Recorder(owner=Owner(founder, "p1"), key=keys.signing_key, clock=SystemClock())
    engine = open_database(f"sqlite:///{home / 'store/party.db'}", MIGRATIONS)
    for words in HOSTILE.values():
        words = words[:2_000].replace("\ud800", "")
        AuditLog(engine, founder, recorder).record_refusal(words[:64], 2, {"code": words, "detail": words, "told": {}})
    engine.dispose()
    said = run("coterie-party", "audit", "show", "--home", home)
    assert said.status == 0
    assert said.out.count("Refused a message") >= len(HOSTILE)
    assert_harmless(said.out)


def test_record_that_was_cut_off_is_found_with_an_earlier_head(run, home, tmp_path):
    exported = run("coterie-party", "audit", "export", tmp_path / "record.json", "--home", home)
    head = exported.out.split()[-1]
    change(home, "DELETE FROM audit WHERE sequence = 3")
    assert run("coterie-party", "audit", "verify", "--home", home).status == 0
    for earlier in (head, tmp_path / "record.json"):
        found = run("coterie-party", "audit", "verify", "--home", home, "--head", earlier)
        assert (found.status, "cut off: the record ends with entry 2" in found.out) == (1, True)


def test_altered_record_is_found(run, home):
    change(home, "UPDATE audit SET job_id = 'job-2' WHERE sequence = 2")
    found = run("coterie-party", "audit", "verify", "--home", home)
    assert (found.status, found.out) == (1, "entry 2: altered: its content does not have its hash\n")


def test_export_of_another_federation_is_not_believed(run, home, tmp_path):
    (tmp_path / "other.json").write_bytes(make_export(FEDERATION, ONE).to_bytes())
    refused = run("coterie-party", "audit", "verify", "--home", home, "--file", tmp_path / "other.json")
    assert (refused.status, "[identity-mismatch]" in refused.err) == (78, True)
    with_founder = (
        "--file",
        tmp_path / "other.json",
        "--founder",
        PINNED,
        "--home",
        tmp_path / "nowhere",
    )
    assert run("coterie-party", "audit", "verify", *with_founder).status == 0


def test_folder_without_a_record_says_which_step_is_missing(run, joined, tmp_path):
    for folder in (joined.party(2).root, tmp_path / "nowhere"):
        for command in (["verify"], ["show"], ["export", tmp_path / "record.json"]):
            refused = run("coterie-party", "audit", *command, "--home", folder)
            assert (refused.status, "[wrong-order]" in refused.err) == (78, True)
    assert not (joined.party(2).root / "store").exists()


def test_export_wants_a_form(run, home, tmp_path):
    refused = run("coterie-party", "audit", "export", tmp_path / "record.pdf", "--home", home)
    assert (refused.status, "[configuration]" in refused.err) == (78, True)


@pytest.fixture
def files(tmp_path: Path) -> Callable[..., list[Path]]:
    def files(*exports: Export) -> list[Path]:
        paths = [tmp_path / f"{number}.json" for number in range(len(exports))]
        for path, export in zip(paths, exports, strict=True):
            path.write_bytes(export.to_bytes())
        return paths

    return files


def test_compare_says_that_records_agree(run, files):
    model = model_of(digest_of("model"))
    paths = files(*(make_export(FEDERATION, party_id, [*EVENTS, model]) for party_id in (ONE, TWO)))
    compared = run("coterie", "audit", "compare", *paths, "--founder", PINNED)
    assert (compared.status, compared.err) == (0, "")
    assert compared.out == "2 parties, 1 job and 1 round compared: no difference\n"
    # Without a pinned founder it says which one was believed.
    assert PINNED in run("coterie", "audit", "compare", *paths).err


def test_compare_names_job_thing_and_parties(run, files):
    digests = [digest_of("model"), digest_of("other model")]
    paths = files(
        *(make_export(FEDERATION, p, [*EVENTS, model_of(d)]) for p, d in zip((ONE, TWO), digests, strict=True))
    )
    compared = run("coterie", "audit", "compare", *paths, "--founder", PINNED)
    assert compared.status == 1
    assert compared.out.splitlines() == [
        "job job-1: model differs",
        f"  party-1: {digests[0].hex()}; signed by the aggregator",
        f"  party-2: {digests[1].hex()}; signed by the aggregator",
        "  proven: the aggregator signed two of them",
        "2 parties, 1 job and 1 round compared: 1 difference",
    ]
    (difference,) = json.loads(run("coterie", "audit", "compare", *paths, "--founder", PINNED, "--json").out)
    assert [version["parties"] for version in difference["versions"]] == [["party-1"], ["party-2"]]


def test_compare_takes_no_record_that_is_not_whole(run, files):
    whole, altered = make_export(FEDERATION, ONE), make_export(FEDERATION, TWO)
    entries = (*altered.entries[:2], replace(altered.entries[2], job_id="job-2"), *altered.entries[3:])
    paths = files(whole, Export(party_id=TWO, signed_roster=altered.signed_roster, entries=entries))
    compared = run("coterie", "audit", "compare", *paths, "--founder", PINNED)
    assert (compared.status, compared.out) == (1, "")
    assert "record of party-2: entry 3: altered" in compared.err


def test_compare_wants_two_records_of_one_founder(run, files, home, tmp_path):
    (one,) = files(make_export(FEDERATION, ONE))
    assert run("coterie", "audit", "compare", one).status == 78
    run("coterie-party", "audit", "export", tmp_path / "mine.json", "--home", home)
    mixed = run("coterie", "audit", "compare", one, tmp_path / "mine.json")
    assert (mixed.status, "[identity-mismatch]" in mixed.err) == (78, True)
