# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""``coterie-aggregator init`` with the token of an invitation, and what refuses it."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable

import pytest

from coterie_aggregator.cli import main
from coterie_aggregator.enrolment.desk_files import DeskFiles
from coterie_aggregator.home.home import AggregatorHome
from coterie_aggregator.reception import Reception
from coterie_common.address import Address
from coterie_common.clock import SystemClock
from coterie_common.crypto.certificates import Role
from coterie_common.fingerprint import printed_fingerprint
from coterie_common.host.folder_lock import locked
from coterie_common.membership.founder_pin import pinned_founder
from coterie_common.membership.invitations.token import Token
from coterie_common.protocol.roster import founder_fingerprint
from tests.support.invitations import FOUNDER, STRANGER, WEEK, make_token

Run = Callable[..., tuple[int, str, str]]
FINGERPRINT = founder_fingerprint(FOUNDER.verify_key)


def fresh(role: Role = Role.AGGREGATOR, member: str = "hub", **changed: object) -> Token:
    values: dict[str, object] = {"expires": SystemClock().now() + WEEK, "address": Address("hub.example", 9444)}
    return make_token(role, member, **(values | changed))  # type: ignore[arg-type]  # as the test says


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def call(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            main(list(map(str, arguments)))
        output = capsys.readouterr()
        return int(str(caught.value.code)), output.out, output.err

    return call


def test_init_by_token_takes_everything_from_it(run, tmp_path, monkeypatch):
    home, token = AggregatorHome(tmp_path / "aggregator"), fresh()
    monkeypatch.setattr(sys, "stdin", io.StringIO(token.reveal() + "\n"))
    status, output, _ = run("init", "-", "--home", home.root)
    assert (status, printed_fingerprint(FINGERPRINT) in output) == (0, True)
    assert token.reveal() not in output
    config = home.config()
    assert (config.id, config.enrolment.port) == ("hub", 9444)
    assert pinned_founder(home.root) == FINGERPRINT
    assert home.token().reveal() == token.reveal()
    assert home.token_path.stat().st_mode & 0o077 == 0
    ((_, application),) = DeskFiles(home.desk).applications()
    assert application.request.applicant.names == ("hub.example",)
    # Again, and later with another token of the same founder: the keys stay.
    renewed = fresh(secret=b"r" * 16)
    for again in (token, renewed):
        status, output, _ = run("init", again.reveal(), "--home", home.root)
        assert (status, "its keys are kept" in output) == (0, True)
        ((_, kept), *_) = DeskFiles(home.desk).applications()
        assert kept.request == application.request
    assert home.token().reveal() == renewed.reveal()


def test_init_by_token_that_does_not_fit_makes_nothing(run, tmp_path):
    home = tmp_path / "aggregator"
    other = printed_fingerprint(founder_fingerprint(STRANGER.verify_key))
    for words, said in (
        ((fresh(Role.PARTY, "p1").reveal(),), "use it with 'coterie-party join'"),
        ((fresh(Role.SCIENTIST, "anna").reveal(),), "use it with 'coterie join'"),
        ((fresh().reveal()[:-1],), "[mistyped-token]"),
        ((fresh().reveal(), "--founder", other), "not of --founder"),
        ((fresh().reveal(), "--id", "other"), "not for --id"),
        ((), "--name, or give a token"),
    ):
        status, _, error = run("init", *words, "--home", home)
        assert (status, said in error) == (78, True), error
        assert not home.exists()


def test_folder_of_another_founder_refuses_a_token(run, tmp_path):
    home = tmp_path / "aggregator"
    assert run("init", "--name", "hub.example", "--id", "hub", "--home", home)[0] == 0
    status, _, error = run("init", fresh().reveal(), "--home", home)
    assert (status, "without pinning this founder" in error) == (78, True)
    assert not AggregatorHome(home).token_path.exists()


def test_init_beside_a_running_serve_touches_nothing(run, tmp_path):
    home, token = AggregatorHome(tmp_path / "aggregator"), fresh()
    assert run("init", token.reveal(), "--home", home.root)[0] == 0
    draft = home.desk / "applications" / ".00000002.json.draft"  # which the server is about to rename
    draft.write_bytes(b"half")
    with locked(home.root, "coterie-aggregator"):
        for again in (token, fresh(secret=b"r" * 16)):
            status, _, error = run("init", again.reveal(), "--home", home.root)
            assert (status, "stop it first" in error) == (78, True), error
    assert draft.read_bytes() == b"half"
    assert home.token().reveal() == token.reveal()
    assert len(list(DeskFiles(home.desk).applications())) == 1


class DeskOfOne:
    """A desk with one document for everybody."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    def documents(self, request: bytes) -> dict[str, bytes]:
        return {"bundle": self._content}


@pytest.mark.parametrize("content", [b"", b"nonsense", b"{}"])
def test_published_bundle_that_cannot_be_used_changes_nothing(content, tmp_path):
    home = AggregatorHome(tmp_path)
    reception = Reception(home, DeskOfOne(content), bytes(32))  # type: ignore[arg-type]  # it reads documents only
    assert reception.take_bundle() is None
    assert not home.is_member
