# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

import coterie.cli
import coterie_aggregator.cli
import coterie_party.cli
from coterie_common.fingerprint import printed_fingerprint
from coterie_common.secret import Password
from coterie_party.home.home import PartyHome, load_party_home
from tests.support.present import present

PROGRAMS = {
    "coterie": coterie.cli.main,
    "coterie-aggregator": coterie_aggregator.cli.main,
    "coterie-party": coterie_party.cli.main,
}


@dataclass
class Result:
    status: str | int | None
    out: str
    err: str


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[[str], Result]:
    """Runs a command line in a folder that holds the password files ``password`` and ``wrong``."""
    monkeypatch.chdir(tmp_path)
    for name, content in (("password", "correct horse\n"), ("wrong", "battery staple\n")):
        Path(name).write_text(content)
        Path(name).chmod(0o600)

    def call(line: str) -> Result:
        program, *arguments = line.split()
        with pytest.raises(SystemExit) as caught:
            PROGRAMS[program](arguments)
        output = capsys.readouterr()
        return Result(caught.value.code, output.out, output.err)

    return call


def assert_one_line(result: Result, status: int, *words: str) -> None:
    assert result.status == status, result
    assert result.err.count("\n") == 1
    assert result.err.startswith("error: ")
    for word in words:
        assert word in result.err


@pytest.mark.slow  # a real 2048-bit key
def test_commands_from_founding_to_joined_members(run):
    founded = run("coterie found hospitals --parties 3 --key-bits 2048 --password-file password")
    assert founded.status == 0
    assert "Up to 1 of 3 parties may collude" in founded.out
    fingerprint = present(re.search(r"pins: (\S+)", founded.out))[1]

    assert_one_line(run("coterie keys deal"), 78, "3 of 3 parties", "the aggregator", "[wrong-order]")

    for party in ("p1", "p2", "p3"):
        made = run(f"coterie-party init {party} --founder {fingerprint} --home {party} --password-file password")
        assert made.status == 0
    assert run("coterie-aggregator init --name localhost --name 127.0.0.1").status == 0

    assert_one_line(
        run("coterie-party keys import federation/bundles/p1.bundle --home p1"), 78, "does not exist", "[configuration]"
    )
    requests = "p1/p1.request p2/p2.request p3/p3.request"
    assert_one_line(run(f"coterie admit {requests} --role party --password-file password"), 78, "--expect", "--yes")
    shown = re.findall(r"request (\S+)", run(f"coterie admit --show {requests}").out)
    assert_one_line(run("coterie keys deal"), 78, "3 of 3 parties")
    expected = " ".join(f"--expect {each}" for each in shown)
    admitted = run(f"coterie admit {requests} --role party --password-file password {expected}")
    assert admitted.status == 0
    assert "p3 is admitted as party with index 3" in admitted.out
    request = present(re.search(r"its fingerprint is (\S+)", made.out))[1]
    assert request in admitted.out
    assert (
        run("coterie admit aggregator/aggregator.request --role aggregator --yes --password-file password").status == 0
    )
    again = run("coterie admit p2/p2.request --role party")
    assert (again.status, "was admitted before" in again.out) == (0, True)

    assert_one_line(run("coterie keys deal --password-file wrong"), 78, "wrong password", "[key-file]")
    dealt = run("coterie keys deal --password-file password")
    assert (dealt.status, "The keys of epoch 1 are dealt" in dealt.out) == (0, True)
    again = run("coterie keys deal")
    assert (again.status, "--new-epoch" in again.out) == (0, True)

    for party in ("p1", "p2", "p3"):
        line = f"coterie-party keys import federation/bundles/{party}.bundle --home {party} --password-file password"
        assert run(line).status == 0
    assert_one_line(run("coterie-party keys import federation/bundles/p1.bundle --home p2"), 78, "[identity-mismatch]")
    joined = run("coterie-aggregator keys import federation/bundles/aggregator.bundle")
    assert (joined.status, fingerprint in joined.out) == (0, True)

    membership = load_party_home(Path("p2"), Password(b"correct horse"), now=datetime.now(UTC))
    assert (membership.share.index, membership.key.public_key.key_bits) == (2, 2048)


def test_commands_for_a_further_scientist(run):
    assert run("coterie found test --parties 3 --password-file password").status == 0
    made = run("coterie credential init anna")
    assert (made.status, "credential/anna.request" in made.out) == (0, True)
    assert run("coterie admit credential/anna.request --role scientist --yes --password-file password").status == 0
    imported = run("coterie credential import federation/credentials/anna.credential")
    assert (imported.status, "scientist anna of test" in imported.out) == (0, True)


def test_party_commands_take_the_password_from_the_configuration(run):
    pinned = printed_fingerprint("-".join(["aaaa"] * 8))
    assert run(f"coterie-party init p1 --founder {pinned} --password-file password").status == 0
    config = Path("party/party.toml")
    config.write_text(config.read_text().replace('# password_file = "password"', 'password_file = "../password"'))
    home = PartyHome(Path("party"))
    assert home.password_file(None).resolve() == Path("password").resolve()
    assert home.password_file(Path("wrong")) == Path("wrong")
    again = run(f"coterie-party init p1 --founder {pinned.upper()}")
    assert (again.status, "nothing changed" in again.out) == (0, True)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("coterie found Test --parties 5 --password-file password", "federation name 'Test'"),
        ("coterie found test --parties 2 --password-file password", "3 to 200 parties"),
        ("coterie found test --parties 5 --corruption-bound 4 --password-file password", "corruption bound"),
        ("coterie found test --parties 5 --decryption-threshold 3 --password-file password", "malicious aggregator"),
        ("coterie found test --parties 5 --aggregator-trust full --password-file password", "--aggregator-trust"),
        ("coterie found test --parties 5 --key-bits 1024 --password-file password", "2048, 3072, 4096 bits"),
        ("coterie found test --parties 5 --password-file missing", "does not exist"),
        ("coterie admit p1.request --role king", "--role must be one of"),
        ("coterie admit p1.request --role party", "coterie found"),
        ("coterie keys deal", "coterie found"),
        ("coterie credential init anna --role party", "operator or scientist"),
        ("coterie credential import file", "coterie credential init"),
        ("coterie admit", "name the request files"),
        ("coterie admit p1.request --undo p1", "no request files"),
        ("coterie admit --undo p1", "coterie found"),
        ("coterie members", "coterie found"),
        ("coterie expel p1", "coterie found"),
        ("coterie-party init p1 --founder short", "a fingerprint has 8 groups"),
        ("coterie-party init p1 --founder e5pu-zugb-pj5z-cl7u-mcvg-bw3j-ipq7-n34t-k", "is mistyped"),
        ("coterie-aggregator init --name hub --founder e5pu-zugb-pj5z-cl7u-mcvg-bw3j-ipq7-n34t-k", "is mistyped"),
        ("coterie credential init anna --founder e5pu-zugb-pj5z-cl7u-mcvg-bw3j-ipq7-n34t-k", "is mistyped"),
        ("coterie-party init P1 --founder aaaa", "id 'P1'"),
        ("coterie-party keys import p1.bundle", "coterie-party init"),
        ("coterie-aggregator init --name no_host", "neither a host name nor an IP address"),
        ("coterie-aggregator keys import aggregator.bundle", "coterie-aggregator init"),
    ],
)
def test_command_that_cannot_work_says_so_in_one_line_and_leaves_nothing(run, line, words):
    before = set(Path().rglob("*"))
    assert_one_line(run(line), 78, words)
    assert set(Path().rglob("*")) == before
