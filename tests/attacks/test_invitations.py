# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Attacks on joining by invitation: a stolen token, and an aggregator that puts something else in the place of things.

The commands are real, and so is the enrolment port; each attack is one that people, or a check, keep from harm.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import coterie.cli
import coterie_party.cli
from coterie.founding.invitations import invite
from coterie.founding.register import load_register
from coterie_common.address import Address
from coterie_common.clock import SystemClock
from coterie_common.crypto.certificates import Role
from coterie_common.identifiers import MemberId
from coterie_common.membership.invitations.application import Application, request_digest
from coterie_common.membership.invitations.channel import DocumentKind
from coterie_common.membership.invitations.token import Token
from coterie_common.randomness import OsRandom
from coterie_common.rpc.enrolment.client import open_desk
from tests.support.ceremony import NOW, PASSWORD, Ceremony
from tests.support.cheap_passwords import cheap_passwords
from tests.support.desks import RunningDesk, running_desk
from tests.support.invitations import make_request

Run = Callable[..., tuple[int, str, str]]
PHRASE = re.compile(r"[a-z]+(?:-[a-z]+){3}$")


@pytest.fixture(scope="module", autouse=True)
def _cheap_passwords() -> Iterator[None]:
    with cheap_passwords():
        yield


@pytest.fixture(scope="module")
def _founded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    ceremony = Ceremony(tmp_path_factory.mktemp("founded") / "all")
    ceremony.found()
    return ceremony.root


@dataclass
class Scene:
    """A federation that is founded, its desk, and the token of the party p1 that a thief has read, too."""

    ceremony: Ceremony
    desk: RunningDesk
    token: Token
    run: Run

    def join(self, token: Token | None = None) -> tuple[int, str, str]:
        """The victim joins."""
        text = (token or self.token).reveal()
        return self.run(coterie_party.cli.main, "join", text, "--no-wait", "--home", self.home)

    def admit(self, *options: str) -> tuple[int, str, str]:
        """The founder admits whom it sees."""
        return self.run(coterie.cli.main, "admit", "--home", self.ceremony.federation.root, *options)

    @property
    def home(self) -> Path:
        return self.ceremony.root / "p1"


def tokens_of(ceremony: Ceremony, address: Address) -> list[Token]:
    return [
        invite(
            ceremony.federation,
            [MemberId(member)],
            role,
            address=address,
            lifetime=SystemClock().now() - NOW,
            renew=False,
            ask_password=lambda: PASSWORD,
            now=SystemClock().now(),
        )[0].token
        for member, role in (("p1", Role.PARTY), ("aggregator", Role.AGGREGATOR))
    ]


@pytest.fixture
def scene(
    _founded: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Scene]:
    for name in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(_founded, tmp_path / "all")
    password = tmp_path / "password"
    password.write_bytes(PASSWORD.reveal() + b"\n")
    password.chmod(0o600)

    def run(program: Callable[[list[str]], object], *arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as caught:
            program([*map(str, arguments), "--password-file", str(password)])
        output = capsys.readouterr()
        return int(str(caught.value.code)), output.out, output.err

    ceremony = Ceremony(tmp_path / "all")
    _, aggregator = tokens_of(ceremony, Address("localhost", 1))
    founder_key = aggregator.invitation.founder_key
    with running_desk(tmp_path / "desk", aggregator, founder_key=founder_key) as desk:
        desk.clock.date = SystemClock().now()
        token, _ = tokens_of(ceremony, desk.address)
        yield Scene(ceremony, desk, token, run)


def hand_in(desk: RunningDesk, token: Token, application: Application) -> dict[DocumentKind, bytes]:
    with open_desk(desk.address, token.invitation.founder_key, OsRandom()) as session:
        return session.hand_in(application, token)


def phrase_in(output: str) -> str:
    (line,) = (line for line in output.splitlines() if line.startswith("Phrase"))
    found = PHRASE.search(line)
    assert found is not None
    return found[0]


def test_stolen_token_used_first_shows_two_phrases_and_admits_nobody(scene):
    thief = Application.create(scene.token, make_request(Role.PARTY, "p1", "thief"))
    assert hand_in(scene.desk, scene.token, thief) == {}
    status, output, error = scene.join()
    assert (status, "[invitation-used]" in error) == (78, True)
    own = phrase_in(output)
    status, output, error = scene.admit("--yes")
    assert status == 0
    assert "it is in two hands" in error
    assert own in error
    register = load_register(scene.ceremony.federation)
    assert register.find("p1") is None
    # The owner reads out the phrase that only its own request has; the thief gets nothing.
    assert scene.admit("--expect-phrase", own.replace("-", " "))[0] == 0
    admission = load_register(scene.ceremony.federation).find("p1")
    assert admission.request != thief.request
    assert hand_in(scene.desk, scene.token, thief) == {}
    assert scene.join()[0] == 0


def test_stolen_token_without_comparing_phrases_admits_the_thief(scene):
    """What people prevent, and nothing else: --yes says that the phrases were compared, and nobody did."""
    thief = Application.create(scene.token, make_request(Role.PARTY, "p1", "thief"))
    hand_in(scene.desk, scene.token, thief)
    assert scene.admit("--yes")[0] == 0
    assert load_register(scene.ceremony.federation).find("p1").request == thief.request
    status, _, error = scene.join()
    assert (status, "[invitation-used]" in error) == (78, True)


def test_aggregator_that_substitutes_a_request_gets_nobody_admitted(scene):
    assert scene.join()[0] == 0
    (kept,) = scene.desk.desk.applications()
    forged = Application(
        invitation=kept.invitation,
        request=make_request(Role.PARTY, "p1", "aggregator's own"),
        signature=kept.signature,
    )
    scene.desk.desk._kept[1] = forged
    status, output, error = scene.admit("--yes")
    assert (status, "Left out: 1" in error, "p1" in output) == (0, True, False)
    assert load_register(scene.ceremony.federation).find("p1") is None


def test_aggregator_that_substitutes_a_bundle_or_certificate_is_found_out(scene, tmp_path):
    """It has bundles of a federation of its own, and those of other members."""
    assert scene.join()[0] == 0
    (kept,) = scene.desk.desk.applications()
    own = Ceremony(tmp_path / "own")
    own.found()
    own.admit_everybody()
    own.deal()
    digest = request_digest(kept.request)
    scene.desk.desk.publish(digest, DocumentKind.BUNDLE, own.bundle("p1").read_bytes())
    status, _, error = scene.join()
    assert (status, "[identity-mismatch]" in error) == (78, True)
    scene.desk.desk.publish(digest, DocumentKind.BUNDLE, b"nonsense")
    status, _, error = scene.join()
    assert (status, "[malformed-message]" in error) == (1, True)
    assert list(scene.home.glob("federations/*/membership.json")) == []


def test_token_of_another_federation_is_refused_before_anything_is_sent(scene, tmp_path):
    """A desk with the right address and another founder: an old token, or somebody between."""
    other = Ceremony(tmp_path / "other")
    other.found()
    token, _ = tokens_of(other, scene.desk.address)
    status, _, error = scene.join(token)
    assert (status, "[not-the-aggregator]" in error) == (78, True)
    assert scene.desk.desk.applications() == ()


def test_token_that_is_cut_is_refused_before_any_key_is_made(scene):
    status, _, error = scene.run(coterie_party.cli.main, "join", scene.token.reveal()[:-9], "--home", scene.home)
    assert (status, "[mistyped-token]" in error) == (78, True)
    assert not scene.home.exists()
