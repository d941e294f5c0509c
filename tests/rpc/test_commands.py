# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The commands of ``coterie`` that talk to an aggregator, against a real server with recorders behind it."""

from __future__ import annotations

import asyncio
import io
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import pytest
from structlog.testing import capture_logs

from coterie.cli import main
from coterie_common.crypto.certificates import Role
from coterie_common.crypto.identity import SigningKey
from coterie_common.errors import InvalidJob
from coterie_common.membership.credential import IssuedCredential
from coterie_common.membership.founder_pin import pin_founder
from coterie_common.membership.key_files import write_tls_key
from coterie_common.protocol.job_spec import JobSpec
from coterie_common.protocol.progress import JobState, JobStatus
from coterie_common.protocol.roster import founder_fingerprint
from coterie_common.randomness import OsRandom
from tests.support.handlers import SECONDS, Aggregator, RecordingOperatorHandler, job_status
from tests.support.models import make_model
from tests.support.tls import Federation

JOB = """
name = "nursery"
algorithm = "decision_tree"
dataset = "nursery"

[config]
depth = 3

[privacy]
epsilon = 1.0
delta = 1e-5

[schema]
label = "class"
"""


Outcome = tuple[str | int | None, str, str, RecordingOperatorHandler]
Prepare = Callable[[RecordingOperatorHandler], None]


class RunCommand(Protocol):
    def __call__(self, *arguments: str, prepare: Prepare | None = None) -> Outcome: ...


@pytest.fixture(scope="module")
def credential(federation: Federation, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("credential")
    founder = SigningKey.generate(OsRandom())
    tls = federation.certificates.issue(Role.OPERATOR, "olga")
    write_tls_key(folder / "key.pem", tls.key)
    pin_founder(folder, founder_fingerprint(founder.verify_key))
    issued = IssuedCredential.create(tls.certificate, tls.authority, None, founder)
    (folder / "credential.json").write_bytes(issued.to_bytes())
    return folder


@pytest.fixture
def run(federation: Federation, credential: Path, capsys: pytest.CaptureFixture[str]) -> RunCommand:
    """Run one command against a server; return exit status, standard output, standard error and the handler."""

    def run_command(*arguments: str, prepare: Prepare | None = None) -> Outcome:
        async def scenario() -> tuple[str | int | None, RecordingOperatorHandler]:
            aggregator = Aggregator(federation)
            if prepare is not None:
                prepare(aggregator.operator_handler)

            def command(port: int) -> str | int | None:
                options = ["--aggregator", f"localhost:{port}", "--credential", str(credential)]
                with pytest.raises(SystemExit) as caught:
                    main([*arguments, *options])
                return caught.value.code

            async with aggregator.running() as server:
                return await asyncio.to_thread(command, server.port), aggregator.operator_handler

        # The server's log would be in the command's output.
        with capture_logs():
            status, handler = asyncio.run(scenario())
        output = capsys.readouterr()
        return status, output.out, output.err, handler

    return run_command


def with_statuses(*statuses: JobStatus) -> Prepare:
    return lambda handler: setattr(handler, "statuses", list(statuses))


def test_parties_lists_who_is_connected(run):
    status, out, _, _ = run("parties")
    assert status == 0
    assert [line.split()[:3] for line in out.splitlines()[1:]] == [["1", "alpha", "connected"], ["2", "beta", "away"]]


def test_budget_adds_up_what_jobs_promised_and_says_that_it_decides_nothing(run):
    status, out, _, _ = run("budget")
    assert status == 0
    assert "ε ≤ 1 at δ ≤ 0.00001" in out
    assert "Informative only" in out
    (use,) = json.loads(run("budget", "--json")[1])
    assert (use["dataset"], use["completed"], use["epsilon"]) == ("nursery", 1, "1")


def test_lists_are_json_for_programs(run):
    assert [entry["connected"] for entry in json.loads(run("parties", "--json")[1])] == [True, False]
    (job,) = json.loads(run("jobs", "list", "--json")[1])
    assert (job["state"], job["submitted_at"]) == ("completed", "2026-05-01T12:00:00+00:00")
    (model,) = json.loads(run("models", "list", "--json")[1])
    assert model["digest"] == "00" * 32


def test_empty_lists_say_so(run):
    assert run("jobs", "list", prepare=with_statuses())[1] == "There are no jobs yet.\n"


def test_jobs_and_models_are_listed(run):
    _, out, _, _ = run("jobs", "list")
    assert "nursery-1" in out
    assert "completed, round 2 of 3" in out
    assert "ε = 1" in run("models", "list")[1]


def test_job_is_shown_with_its_promise_its_parties_and_its_submitter(run):
    status, out, _, _ = run("jobs", "show", "nursery-1", prepare=with_statuses(job_status()))
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    facts = {name: value for name, value in lines if name != "party"}
    assert status == 0
    assert facts["algorithm"] == "decision_tree on nursery"
    assert facts["privacy"].startswith("ε = 1, δ = 0.00001 per record")
    assert facts["attendance"] == "noise divided for 3 replies or more, 0 of 1 spare rounds used"
    assert "spare" not in facts
    assert facts["state"].startswith("running, round 2 of 3")
    assert facts["submitted"].endswith("by olga")
    assert [value for name, value in lines if name == "party"] == [
        "alpha: replied",
        "gamma: refused 1 asked, 0.5 left [budget-exhausted]",
    ]
    (job,) = json.loads(run("jobs", "show", "nursery-1", "--json", prepare=with_statuses(job_status()))[1])
    assert (job["job_id"], job["state"]) == ("nursery-1", "running")


def test_job_is_shown_with_what_its_spare_rounds_cost(run):
    _, out, _, _ = run("jobs", "show", "nursery-1", prepare=with_statuses(job_status(steps_epsilon="0.812")))
    assert "spare rounds  ε = 1 covers them, the steps alone cost 0.812" in [line.strip() for line in out.splitlines()]


def test_model_is_shown_with_what_it_predicts_and_where_it_comes_from(run):
    def prepare(handler: RecordingOperatorHandler) -> None:
        handler.file = make_model().to_bytes()

    status, out, _, _ = run("models", "show", "tennis-1", prepare=prepare)
    facts = dict(line.split(maxsplit=1) for line in out.splitlines())
    assert status == 0
    assert (facts["predicts"], facts["from"]) == ("play", "outlook, humidity")
    assert facts["privacy"] == "ε = 1, δ = 0.00001 per record, distributed discrete-gaussian noise"
    assert (facts["rounds"], facts["parties"]) == ("2 rounds", "5 in each round")
    assert facts["digest"] == make_model().digest.hex()
    assert json.loads(run("models", "show", "tennis-1", "--json", prepare=prepare)[1])["from"] == "outlook, humidity"


def test_submit_sends_the_canonical_specification_and_prints_the_id(run, tmp_path):
    path = tmp_path / "job.toml"
    path.write_text(JOB)
    status, out, _, handler = run("jobs", "submit", str(path))
    assert (status, out) == (0, "nursery-1\n")
    ((_, spec, submitter),) = handler.calls
    assert JobSpec.from_bytes(spec).name == "nursery"
    assert submitter == "coterie://trees/operator/olga"


def test_submit_with_watch_shows_every_change_in_plain_lines(run, tmp_path):
    path = tmp_path / "job.toml"
    path.write_text(JOB)
    status, out, _, _ = run("jobs", "submit", str(path), "--watch")
    assert status == 0
    assert out.splitlines()[:5] == [
        "nursery-1",
        "nursery-1: ε = 1, δ = 0.00001 per record, distributed discrete-gaussian noise",
        "nursery-1: proposed, 1 of 2 parties accepted, waiting for 1 more",
        "nursery-1: running, round 2 of 3: alpha, beta replied, waiting for 1 more",
        "nursery-1: completed, round 2 of 3",
    ]
    assert "  gamma: refused 1 asked, 0.5 left [budget-exhausted]" in out.splitlines()


@pytest.mark.parametrize("final", [JobState.FAILED, JobState.CANCELLED])
def test_watch_of_a_job_that_does_not_complete_fails(run, final):
    status, out, _, _ = run("jobs", "watch", "nursery-1", prepare=with_statuses(job_status(final, reason="no luck")))
    assert status == 1
    assert f"{final.value}, round 2 of 3, no luck" in out


def test_fetch_writes_the_model_and_says_what_it_promises(run, tmp_path):
    model = make_model().to_bytes()
    path = tmp_path / "tennis.json"
    status, out, _, _ = run(
        "models", "fetch", "tennis-1", "--out", str(path), prepare=lambda handler: setattr(handler, "file", model)
    )
    assert (status, out) == (0, f"{path}: ε = 1, δ = 0.00001 per record, 2 rounds\n")
    assert path.read_bytes() == model


def test_fetch_of_what_is_no_model_leaves_the_file_as_it_was(run, tmp_path):
    path = tmp_path / "tennis.json"
    path.write_text("before")
    status, _, err, _ = run("models", "fetch", "tennis-1", "--out", str(path))
    assert (status, path.read_text()) == (1, "before")
    assert "[malformed-message]" in err


def test_cancel_reaches_the_handler_and_reports_what_became_of_the_job(run):
    status, out, _, handler = run("jobs", "cancel", "nursery-1")
    assert status == 0
    assert handler.calls[0] == ("cancel", "nursery-1", "coterie://trees/operator/olga")
    assert out.startswith("nursery-1 is being cancelled; ")


@pytest.mark.parametrize(
    ("arguments", "status", "words"),
    [
        (("jobs", "watch", "other"), 78, "error: there is no job other [not-found]"),
        (("jobs", "watch", "Not An Id"), 78, "[configuration]"),
        (("jobs", "submit", "/nowhere/job.toml"), 78, "does not exist [configuration]"),
    ],
)
def test_error_is_one_line_with_its_code(run, arguments, status, words):
    code, out, err, _ = run(*arguments)
    assert (code, out) == (status, "")
    assert err.startswith("error: ")
    assert err.count("\n") == 1
    assert words in err


def test_refused_job_is_one_line_with_its_code(run, tmp_path):
    path = tmp_path / "job.toml"
    path.write_text(JOB)
    failure = InvalidJob("job specification: there is no algorithm of this name")
    code, _, err, _ = run("jobs", "submit", str(path), prepare=lambda handler: setattr(handler, "failure", failure))
    assert (code, err) == (78, "error: job specification: there is no algorithm of this name [invalid-job]\n")


def test_misspelt_key_of_a_job_is_refused_before_anything_is_sent(run, tmp_path):
    path = tmp_path / "job.toml"
    path.write_text(JOB.replace("epsilon", "epsilom"))
    code, _, err, handler = run("jobs", "submit", str(path))
    assert code == 78
    assert "epsilom is not a known key" in err
    assert handler.calls == []


def test_folder_without_credential_says_what_to_do(federation, tmp_path, capsys):
    with pytest.raises(SystemExit) as caught:
        main(["parties", "--aggregator", "localhost:1", "--credential", str(tmp_path)])
    assert caught.value.code == 78
    assert "coterie credential init" in capsys.readouterr().err


@pytest.mark.usefixtures("interruptible")
def test_interrupted_watch_leaves_the_job_running_and_says_so(federation, credential):
    async def scenario() -> None:
        aggregator = Aggregator(federation)
        aggregator.operator_handler.statuses = [job_status()]
        async with aggregator.running() as server:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-c",
                "from coterie.cli import main; main()",
                *("jobs", "watch", "nursery-1"),
                env=os.environ
                | {"COTERIE_AGGREGATOR": f"localhost:{server.port}", "COTERIE_CREDENTIAL": str(credential)}
                | {"PYTHONUNBUFFERED": "1"},
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            async with asyncio.timeout(SECONDS):
                assert b"discrete-gaussian" in await process.stdout.readline()
                assert b"running" in await process.stdout.readline()
                process.send_signal(signal.SIGINT)
                _, err = await process.communicate()
            assert process.returncode == 130
            assert err == b"The job goes on; 'coterie jobs watch nursery-1' shows it again.\n"
            assert aggregator.operator_handler.calls == [("watch", "nursery-1")]

    asyncio.run(scenario())


def test_credential_remembers_the_aggregator_that_answered(federation, credential, tmp_path, capsys):
    folder = tmp_path / "credential"
    shutil.copytree(credential, folder, ignore=shutil.ignore_patterns("aggregator"))
    statuses: list[str | int | None] = []

    def command(*options: str) -> None:
        with pytest.raises(SystemExit) as caught:
            main(["parties", "--credential", str(folder), *options])
        statuses.append(caught.value.code)

    async def scenario() -> None:
        async with Aggregator(federation).running() as server:
            await asyncio.to_thread(command)
            await asyncio.to_thread(command, "--aggregator", f"localhost:{server.port}")
            await asyncio.to_thread(command)

    with capture_logs():
        asyncio.run(scenario())
    assert statuses == [78, 0, 0]
    output = capsys.readouterr()
    assert "name it once with --aggregator HOST:PORT" in output.err
    assert output.out.count("alpha") == 2


def test_aggregator_that_did_not_answer_is_not_remembered(credential, tmp_path, capsys):
    folder = tmp_path / "credential"
    shutil.copytree(credential, folder, ignore=shutil.ignore_patterns("aggregator"))
    before = sorted(path.name for path in folder.iterdir())
    with pytest.raises(SystemExit):
        main(["parties", "--credential", str(folder), "--aggregator", "localhost:1"])
    assert "[unavailable]" in capsys.readouterr().err
    assert sorted(path.name for path in folder.iterdir()) == before


def test_submit_of_an_evaluation_embeds_the_model_beside_the_job_file(run, tmp_path):
    model = make_model()
    (tmp_path / "tennis.json").write_bytes(model.to_bytes())
    path = tmp_path / "job.toml"
    config = 'algorithm = "evaluation"\ndataset = "tennis"\n\n[config]\nmodel = "tennis.json"\n'
    path.write_text(f'name = "check"\n{config}{JOB[JOB.index("[privacy]") :]}')
    status, _, _, handler = run("jobs", "submit", str(path))
    assert status == 0
    ((_, spec, _),) = handler.calls
    assert JobSpec.from_bytes(spec).config == {"model": model.to_document()}


def test_submit_of_an_evaluation_without_its_model_says_which_file_is_missing(run, tmp_path):
    path = tmp_path / "job.toml"
    config = 'algorithm = "evaluation"\ndataset = "tennis"\n\n[config]\nmodel = "nowhere.json"\n'
    path.write_text(f'name = "check"\n{config}{JOB[JOB.index("[privacy]") :]}')
    status, _, err, handler = run("jobs", "submit", str(path))
    assert (status, handler.calls) == (78, [])
    assert "nowhere.json does not exist [configuration]" in err


def test_fetched_model_is_called_as_its_format_says(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = make_model().to_bytes()
    status, out, _, _ = run("models", "fetch", "tennis-1", prepare=lambda handler: setattr(handler, "file", model))
    assert (status, out.partition(":")[0]) == (0, "tennis-1.json")
    assert (tmp_path / "tennis-1.json").read_bytes() == model


def test_fetched_model_goes_to_standard_output_alone_when_asked(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = make_model().to_bytes()
    status, out, err, _ = run(
        "models", "fetch", "tennis-1", "--out", "-", prepare=lambda handler: setattr(handler, "file", model)
    )
    assert (status, out.encode(), err.partition(":")[0]) == (0, model, "tennis-1")
    assert list(tmp_path.iterdir()) == []


def test_same_job_again_asks_first_and_needs_a_word_without_a_terminal(run, tmp_path, monkeypatch):
    path = tmp_path / "job.toml"
    path.write_text(JOB)

    def submitted(handler: RecordingOperatorHandler) -> None:
        handler.was_submitted = True

    status, _, err, handler = run("jobs", "submit", str(path), prepare=submitted)
    assert (status, len(handler.calls), "[already-submitted]" in err) == (78, 1, True)
    status, out, _, _ = run("jobs", "submit", str(path), "--again", prepare=submitted)
    assert (status, out) == (0, "nursery-1\n")

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    for answer, outcome in (("n", (1, 1)), ("y", (0, 2))):
        monkeypatch.setattr(sys, "stdin", Terminal(f"{answer}\n"))
        status, _, err, handler = run("jobs", "submit", str(path), prepare=submitted)
        assert (status, len(handler.calls)) == outcome
        assert "very same specification" in err


def test_unfinished_model_is_marked_in_its_name_and_in_words(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    model = make_model()
    lineage = model.lineage.model_copy(update={"unfinished": "cancelled", "rounds_planned": 9})
    data = replace(model, lineage=lineage).to_bytes()
    status, out, _, _ = run("models", "fetch", "tennis-1", prepare=lambda handler: setattr(handler, "file", data))
    assert (status, out.startswith("tennis-1.unfinished.json: ")) == (0, True)
    assert out.endswith("2 of 9 rounds, cancelled: unfinished\n")
