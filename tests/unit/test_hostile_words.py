# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Words of others on every way to a person: what commands say, tables, displays, JSON, logs, pages and drawings."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import pytest

from coterie import job_display
from coterie_common.audit.entry import Event, Kind
from coterie_common.audit.page import read_record, render
from coterie_common.errors import DataError, InvalidJob
from coterie_common.host.console import Program, say, say_data, say_json
from coterie_common.host.listing import print_json, print_table
from coterie_common.host.telemetry import LogFormat
from coterie_common.protocol.acceptance import Decision
from coterie_common.protocol.progress import JobParty, JobState, JobStatus
from coterie_common.shown import LINE_CHARACTERS
from coterie_party.steward.ledger_plot import draw
from coterie_party.steward.ledger_report import LedgerReport
from tests.support.audit_records import make_export
from tests.support.federation import make_federation
from tests.support.handlers import job_status
from tests.support.hostile import HOSTILE, assert_harmless

EACH = pytest.mark.parametrize("words", HOSTILE.values(), ids=HOSTILE)
BOUND = 3 * LINE_CHARACTERS
FEDERATION = make_federation()


@EACH
def test_what_a_command_says_is_harmless(words, capsys):
    say(f"the reason: {words}")
    say(words, err=True)
    out, err = capsys.readouterr()
    for said in (out, err):
        assert_harmless(said)
        assert len(said) <= BOUND


@EACH
def test_errors_of_a_command_are_one_harmless_line(words, capsys):
    program = Program("tool", "A tool.")

    @program.app.command()
    def data() -> None:
        raise DataError(f"the file holds {words}")

    @program.app.command()
    def foreign() -> None:
        raise ValueError(words)

    for command in ("data", "foreign"):
        with pytest.raises(SystemExit):
            program([command])
        assert_harmless(capsys.readouterr().err, lines=1)
        with pytest.raises(SystemExit):
            program(["--debug", command])
        assert_harmless(capsys.readouterr().err)


@EACH
def test_tables_show_words_and_take_nothing_as_markup(words, capsys):
    print_table(("what", words[:40]), [("a", words), (words, "b")], empty="")
    out = capsys.readouterr().out
    assert_harmless(out)
    assert len(out) <= 8 * BOUND
    if words == HOSTILE["markup"]:
        assert words in out


@dataclass(frozen=True)
class Row:
    words: str


@EACH
def test_json_is_whole_and_harmless(words, capsys):
    print_json([Row(words)])
    say_json({words: [words]})
    out = capsys.readouterr().out
    assert_harmless(out, lines=2)
    first, second = out.splitlines()
    assert json.loads(first) == [{"words": words}]
    assert json.loads(second) == {words: [words]}


def test_data_are_exact_in_a_pipe_and_harmless_on_a_terminal(capsys, monkeypatch):
    table = "a,b\r\n\x1b[31m,ü\n".encode()
    say_data(table)
    assert capsys.readouterr().out.encode() == table
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    say_data(table)
    assert_harmless(capsys.readouterr().out, lines=2)


def status(words: str) -> JobStatus:
    party = JobParty(
        party_id=FEDERATION.parties[0],
        decision=Decision.REFUSED,
        code="data",
        detail=words,
        model_received=False,
        connected=True,
    )
    return job_status(JobState.FAILED, reason=words, job_id=words, parties=(party,))


@EACH
def test_progress_of_a_job_is_harmless(words, capsys):
    lines = job_display._Lines()
    lines.show(status(words))
    lines.lost(InvalidJob(words), 1.0)
    said = capsys.readouterr()
    assert_harmless(said.out)
    assert_harmless(said.err)
    from rich.console import Console

    live = job_display._LiveDisplay()
    live.show(status(words))
    live.lost(InvalidJob(words), 1.0)
    console = Console(highlight=False, width=200, force_terminal=False)
    with console.capture() as captured:
        console.print(live.render())
    assert_harmless(captured.get())


@EACH
def test_page_of_a_record_is_harmless(words):
    # A record is a document: half a character cannot be in it.
    words = words[:10_000].replace("\ud800", "")
    facts = {"code": "data", "detail": words, "message": "Query", "told": {words: words}, "culprits": [words]}
    export = make_export(
        FEDERATION, FEDERATION.parties[0], [Event(kind=Kind.REFUSAL, job_id=words[:64], details=facts)]
    )
    page = render(export)
    visible = page.decode().partition('<script type="application/json"')[0]
    assert_harmless(visible)
    assert "<script" not in visible
    assert "<b>" not in visible
    assert read_record(page) == export


@EACH
def test_drawing_of_a_ledger_is_harmless(words):
    report = LedgerReport(dataset=words, unit=words, delta=Decimal("1e-5"), limits=(), jobs=(), entries=())
    drawn = draw([report])
    assert_harmless(drawn)
    assert "<script>" not in drawn


LOGS = """
import logging, sys, structlog
from coterie_common.host.telemetry import LogFormat, configure_logging
from tests.support.hostile import HOSTILE

configure_logging(LogFormat(sys.argv[1]))
log = structlog.get_logger("test")
for words in HOSTILE.values():
    log.warning("rejected", detail=words, culprits=(words, words), error=ValueError(words), **{"job": words})
    log.warning(words)
    logging.getLogger("library").warning("%s", words)
    try:
        raise KeyError(words) from ValueError(words)
    except KeyError:
        log.exception("unforeseen failure", incident="1234")
        logging.getLogger("library").exception("failed")
"""


@pytest.fixture(scope="module", params=LogFormat)
def logged(request: pytest.FixtureRequest) -> tuple[LogFormat, str]:
    command = [sys.executable, "-c", LOGS, request.param.value]
    root = Path(__file__).resolve().parents[2]
    ended = subprocess.run(command, capture_output=True, cwd=root, check=True, env={"PYTHONPATH": str(root)})  # our own
    return request.param, ended.stderr.decode()


def test_log_lines_are_harmless_and_no_word_begins_one(logged):
    form, text = logged
    assert_harmless(text)
    assert max(map(len, text.splitlines())) <= 10 * BOUND
    ours = [line for line in text.splitlines() if not line.startswith(" ") and line]
    if form is LogFormat.TEXT:
        starts = ("2", "WARNING library", "ERROR library")
        assert all(line.startswith(starts) for line in ours), [line[:80] for line in ours]
        # Per text two lines of warnings, one of an exception, and two of a library.
        assert len(ours) == 5 * len(HOSTILE)
        assert text.count("job accepted") >= 1
        assert not any("job accepted" in line and line.startswith("2026-11-30 12:00:00") for line in ours)


def test_logs_as_json_are_one_value_a_line(logged):
    form, text = logged
    if form is LogFormat.JSON:
        values = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        assert len(values) == 3 * len(HOSTILE)
