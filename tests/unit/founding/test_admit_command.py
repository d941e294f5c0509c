# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie admit`` has fingerprints compared before anybody is admitted; ``members`` and ``expel`` as typed."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from coterie.cli import main
from coterie.founding.register import load_register
from coterie_common.crypto.certificates import Role
from coterie_common.fingerprint import printed_fingerprint
from tests.support.ceremony import PASSWORD, Ceremony, make_party_request

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run ``coterie`` in the folder of a ceremony, with the password at hand."""
    password = tmp_path / "password"
    password.write_bytes(PASSWORD.reveal() + b"\n")
    password.chmod(0o600)

    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(list(map(str, arguments)))
        output = capsys.readouterr()
        return int(str(caught.value.code)), output.out, output.err

    return call


def options(ceremony: Ceremony) -> tuple[object, ...]:
    return ("--home", ceremony.federation.root, "--password-file", ceremony.root.parent / "password")


def parties(ceremony: Ceremony) -> list[str]:
    return [entry.id for entry in load_register(ceremony.federation).with_role(Role.PARTY)]


def write_requests(folder: Path, *ids: str) -> dict[Path, str]:
    """Write requests of parties; return the fingerprint that each applicant sees."""
    requests = {folder / f"{name}.request": make_party_request(name, name) for name in ids}
    for path, request in requests.items():
        path.write_bytes(request.to_bytes())
    return {path: printed_fingerprint(request.fingerprint) for path, request in requests.items()}


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def answer(monkeypatch: pytest.MonkeyPatch, line: str) -> None:
    """Sit at a terminal and answer the next question."""
    monkeypatch.setattr(sys, "stdin", Terminal(f"{line}\n"))


def test_show_admits_nobody(founded, run, tmp_path):
    seen = write_requests(tmp_path, "a", "b")
    status, out, _ = run("admit", "--show", *seen, "--home", founded.federation.root)
    assert status == 0
    assert re.findall(r"^(\w) asks to be admitted as party; request (\S+)$", out, re.M) == list(
        zip("ab", seen.values(), strict=True)
    )
    assert parties(founded) == []


def test_expected_fingerprints_admit_in_any_order_and_spelling(founded, run, tmp_path):
    seen = write_requests(tmp_path, "a", "b")
    expected = [("--expect", text.upper().replace("-", " ")) for text in reversed(seen.values())]
    flat = [word for pair in expected for word in pair]
    assert run("admit", *seen, "--role", "party", *flat, *options(founded))[0] == 0
    assert parties(founded) == ["a", "b"]


@pytest.mark.parametrize("case", ["another", "mistyped", "one of two", "one too many"])
def test_unexpected_fingerprint_admits_nobody(founded, run, tmp_path, case):
    seen = write_requests(tmp_path, "a", "b")
    one, two = seen.values()
    (other,) = write_requests(tmp_path, "stranger").values()
    expected, words = {
        "another": ([one, other], "the request of b has the fingerprint"),
        "mistyped": ([one, two[:-1] + ("a" if two[-1] != "a" else "b")], "is mistyped"),
        "one of two": ([one], "which --expect does not name"),
        "one too many": ([one, two, other], "no request has the fingerprint"),
    }[case]
    flat = [word for text in expected for word in ("--expect", text)]
    status, _, err = run("admit", *seen, "--role", "party", *flat, *options(founded))
    assert (status, parties(founded)) == (78, [])
    assert words in err


def test_terminal_is_shown_the_fingerprint_and_asked_first(founded, run, tmp_path, monkeypatch):
    ((path, fingerprint),) = write_requests(tmp_path, "a").items()
    answer(monkeypatch, "n")
    status, out, _ = run("admit", path, "--role", "party", *options(founded))
    assert (status, parties(founded)) == (1, [])
    assert fingerprint in out
    answer(monkeypatch, "y")
    assert run("admit", path, "--role", "party", *options(founded))[0] == 0
    assert parties(founded) == ["a"]
    # Once admitted there is nothing to compare.
    answer(monkeypatch, "n")
    assert run("admit", path, "--role", "party", *options(founded))[0] == 0


def test_without_terminal_and_without_a_word_nobody_is_admitted(founded, run, tmp_path):
    (path,) = write_requests(tmp_path, "a")
    status, _, err = run("admit", path, "--role", "party", *options(founded))
    assert (status, parties(founded)) == (78, [])
    assert "--expect FINGERPRINT" in err
    assert run("admit", path, "--role", "party", "--yes", *options(founded))[0] == 0


def test_admission_is_undone(admitted, run):
    home = ("--home", admitted.federation.root)
    status, out, _ = run("admit", "--undo", "p2", *home)
    assert (status, out) == (0, "The admission of the party p2 is undone; its id and its place are free.\n")
    assert [line.split()[1] for line in run("members", *home)[1].splitlines()[1:3]] == ["p1", "p3"]


def test_expel_explains_what_the_smaller_federation_promises(admitted, run, tmp_path):
    home = ("--home", admitted.federation.root)
    assert "3 to 200 parties, not 2" in run("expel", "p1", "--yes", *home)[2]
    assert "needs its aggregator" in run("expel", "aggregator", "--yes", *home)[2]
    assert parties(admitted) == ["p1", "p2", "p3"]
    assert "nobody with the id p9" in run("expel", "p9", *home)[2]
