# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Code in the training process goes after what the party holds: keys, ledger, the daemon itself, a way out.

The same attempts, made by a process of the same user that is not confined, work: the confinement stops them.
"""

from __future__ import annotations

import ctypes
import json
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from coterie_common.clock import SystemClock
from coterie_common.errors import WrongOrderError
from coterie_party.cli.run import run as daemon
from coterie_party.training.confinement import Confinement
from coterie_party.training.process import TrainingLimits, probe_confinement
from tests.support import attempts
from tests.support.repository import ROOT

PR_GET_DUMPABLE, PR_SET_DUMPABLE = 3, 4
CONFINED = """
import json, sys
from pathlib import Path
from coterie_party.training.confinement import confine
home, code = Path(sys.argv[1]), json.loads(sys.argv[5])
confinement = confine(1 << 30, hidden=[home], code=[*map(Path, code)])
sys.path += code
import attempts
for name in attempts.reached(home, int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])):
    print(name)
print(f"[{confinement.missing}]")
"""
ALWAYS_POSSIBLE = {
    *(f"read {name}" for name in ("member.key", "password", "shares/1.key", "store/party.db", "data/records.csv")),
    *("list the folder", "list the keys", "read /etc/passwd", "make a key readable", "change its times"),
    *("truncate the database", "truncate it while it is opened", "write to the database", "replace the database"),
    *("delete the database", "make a file", "make a folder", "link to a file"),
    *("signal the daemon", "signal a thread of it", "have it signalled", "limit it"),
    *("open a socket", "open a socket by path", "start a process", "run a program"),
    *("send a datagram by path", "connect a pair to a socket by path", "make a pair of sockets", "watch files"),
    *("reach shared memory", "reach semaphores", "reach message queues"),
}
"""What any process of a user can do; whether it can trace others is up to the system."""


@pytest.fixture(scope="module")
def confinement() -> Confinement:
    """What this system gives a training process."""
    return probe_confinement(TrainingLimits(), SystemClock())


@pytest.fixture
def surroundings(tmp_path: Path) -> Iterator[list[str]]:
    """A party's folder, a process, and who listens where, as arguments of ``attempts``."""
    daemon = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.socket(socket.AF_UNIX) as by_path,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as datagrams,
    ):
        by_path.bind(str(tmp_path / "socket"))
        by_path.listen()
        datagrams.bind(str(tmp_path / "datagrams"))
        home = attempts.make_home(tmp_path)
        yield [str(home), str(daemon.pid), str(tmp_path / "socket"), str(server.getsockname()[1])]
    daemon.communicate(b"\n")
    assert daemon.returncode == 0  # nobody harmed it


def run(code: list[str], arguments: list[str], *more: str) -> list[str]:
    command = [sys.executable, "-P", "-s", *code, *arguments, *more]
    done = subprocess.run(command, capture_output=True, text=True, cwd="/", timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_code_that_is_confined_reaches_nothing_of_the_party(surroundings, confinement):
    if confinement.missing:
        pytest.skip(f"on this system a training process can {confinement.missing}")
    code = json.dumps([str(ROOT / "tests" / "support")])
    assert run(["-c", CONFINED], surroundings, code) == ["[]"]
    assert (Path(surroundings[0]) / "store" / "party.db").read_bytes() == b"secret"


def test_code_that_is_not_confined_reaches_everything(surroundings):
    worked = run([str(ROOT / "tests" / "support" / "attempts.py")], surroundings)
    assert set(worked) >= ALWAYS_POSSIBLE


def test_folder_of_a_party_among_the_folders_of_code_stays_hidden(surroundings, confinement):
    if confinement.missing:
        pytest.skip(f"on this system a training process can {confinement.missing}")
    home = Path(surroundings[0])
    (home / "attempts.py").write_text("secret")
    beside = home.parent / "networks"
    beside.mkdir()
    (beside / "attempts.py").write_text((ROOT / "tests" / "support" / "attempts.py").read_text())
    assert run(["-c", CONFINED], surroundings, json.dumps([str(home), str(beside)])) == ["[]"]
    # Names can be seen where a folder of code holds the party's folder, or nothing could be imported from it.
    around = run(["-c", CONFINED], surroundings, json.dumps([str(home.parent), str(beside)]))
    assert around == ["list the folder", "list the keys", "[]"]


def test_confinement_that_does_not_hide_the_keys_is_reported(surroundings, confinement):
    if confinement.missing:
        pytest.skip(f"on this system a training process can {confinement.missing}")
    home = Path(surroundings[0])
    # As if the kernel let this one file through.
    let_through = (
        "import coterie_party.training.confinement as module\nhide = module.hide_files\n"
        "module.hide_files = lambda visible, hidden: hide([*visible, Path(sys.argv[1], 'member.key')], [])\n"
    )
    code = CONFINED.replace("home, code =", let_through + "home, code =")
    shown = run(["-c", code], surroundings, json.dumps([str(ROOT / "tests" / "support")]))
    assert shown == ["read member.key", "[read and delete the party's files]"]
    assert (home / "member.key").read_bytes() == b"secret"


def test_daemon_forbids_tracing_before_it_reads_anything(tmp_path):
    prctl = ctypes.CDLL(None).prctl
    forbidden = []
    try:
        assert prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) == 0
        with pytest.raises(WrongOrderError):
            daemon(tmp_path / "nowhere", None, "text", False)
        forbidden.append(prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) == 0)
    finally:
        prctl(PR_SET_DUMPABLE, 1, 0, 0, 0)
    assert forbidden == [True]
