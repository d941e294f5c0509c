# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""scripts/testbed, and the testbed that it leaves with --keep. One federation serves all tests, in their order."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from coterie_common.fingerprint import printed_fingerprint
from coterie_lab.containers.checks import DAEMONS, PARTIES, check
from coterie_lab.containers.docker import IMAGE, Project, run
from coterie_lab.containers.testbed import PROJECT, ContainerTestbed
from tests.support.engine import container_engine
from tests.support.repository import ROOT

# An image is built and a federation founded, several times with all its parties stopped and started.
pytestmark = [pytest.mark.compose, pytest.mark.slow, pytest.mark.timeout(1800)]

SCRIPT = ROOT / "scripts/testbed"
CONFIGURATION = 78


def call_script(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([SCRIPT, *map(str, arguments)], capture_output=True, text=True, check=False, timeout=1500)


def in_container(*command: str, mounts: tuple[str, ...] = (), environment: tuple[str, ...] = ()) -> tuple[int, str]:
    """Run a command in a container of its own; returns its status and what it said on both streams."""
    options = [f"--volume={mount}" for mount in mounts] + [f"--env={entry}" for entry in environment]
    done = subprocess.run(
        ["docker", "run", "--rm", "--network=none", *options, IMAGE, *command],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module", autouse=True)
def _engine() -> Iterator[None]:
    with container_engine():
        ContainerTestbed(print).build()
        yield


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Project, str, Path]]:
    """A testbed that has trained a model with a party in trouble and was kept: project, output, folder of the model."""
    out = tmp_path_factory.mktemp("model")
    done = call_script("--faults", "--keep", "--out", out)
    try:
        assert done.returncode == 0, done.stdout + done.stderr
        yield Project(PROJECT), done.stdout, out
    finally:
        down = call_script("--down")
        assert down.returncode == 0, down.stdout
        assert Project(PROJECT).left() == []


@pytest.fixture
def project(kept: tuple[Project, str, Path]) -> Project:
    return kept[0]


@pytest.mark.usefixtures("interruptible")
def test_testbed_interrupted_while_it_founds_leaves_nothing():
    with subprocess.Popen([SCRIPT], stdout=subprocess.PIPE, text=True, start_new_session=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "founding a federation" in line:
                break
        for _ in range(600):
            if Project(PROJECT).containers():
                break
        assert Project(PROJECT).containers()
        process.send_signal(signal.SIGINT)
        said = process.stdout.read()
    assert process.returncode == 130, said
    assert "removed: no container, network or volume is left" in said
    assert Project(PROJECT).left() == []


def test_testbed_with_faults_trains_a_model_that_says_who_was_missing(kept):
    _, said, out = kept
    for fault in ("pausing party-4", "unplugging party-4", "killing party-4", "party-4 is back"):
        assert fault in said
    (model,) = out.glob("nursery-tree-*.json")
    contributors = json.loads(model.read_text())["lineage"]["contributors"]
    assert len(contributors) == 3
    assert min(contributors) == 3


def test_testbed_while_another_is_kept_says_so_and_leaves_it_alone(project):
    done = call_script()
    assert done.returncode == 1
    assert "a testbed is there already" in done.stdout
    assert "scripts/testbed --down removes it" in done.stdout
    assert all(project.state(service)["Running"] for service in DAEMONS)


def test_daemon_on_a_folder_in_use_says_so(project):
    for service, command, mounts in (
        ("party-1", "coterie-party run", ("party-1:/var/lib/coterie", "party-1-password:/etc/coterie:ro")),
        ("aggregator", "coterie-aggregator serve", ("aggregator:/var/lib/coterie",)),
    ):
        status, said = in_container(*command.split(), mounts=tuple(f"{PROJECT}_{mount}" for mount in mounts))
        assert status == CONFIGURATION
        assert f"another {command.split()[0]} runs on the folder /var/lib/coterie: stop it first" in said
        assert project.state(service)["Running"]


def test_join_without_the_founder_or_its_bundle_says_what_is_missing():
    mounts = (f"{ROOT}/docker/ceremony:/ceremony:ro", f"{ROOT}/examples:/examples:ro")
    environment = ("WAIT_SECONDS=1", "COTERIE_AGGREGATOR=aggregator:8443")
    joining = "sh /ceremony/party.sh party-9 1 4"
    status, said = in_container("sh", "-c", joining, mounts=mounts, environment=environment)
    assert status == 1
    assert "error: founder is not in the exchange after 1 s; it comes from founding: see its log" in said

    fingerprint = printed_fingerprint("-".join(["abcd"] * 8))
    announced = f"echo {fingerprint} > /exchange/founder; {joining}"
    status, said = in_container("sh", "-c", announced, mounts=mounts, environment=environment)
    assert status == 1
    assert "error: party-9.bundle is not in the exchange after 1 s; it comes from founding" in said


def test_party_started_before_its_bundle_says_which_step_is_missing():
    status, said = in_container("coterie-party", "run")
    assert status == CONFIGURATION
    assert "run 'coterie-party init ID --founder FINGERPRINT' first [wrong-order]" in said
    initialised = (
        "umask 077; echo secret > /etc/coterie/password; export P=--password-file=/etc/coterie/password; "
        f"coterie-party init party-9 --founder {printed_fingerprint('-'.join(['abcd'] * 8))} $P && coterie-party run $P"
    )
    status, said = in_container("sh", "-c", initialised)
    assert status == CONFIGURATION
    assert "coterie-party keys import BUNDLE" in said
    assert said.rstrip().endswith("[wrong-order]")


def test_party_with_a_wrong_password_says_so_and_starts_again_with_the_right_one(project):
    volume = (f"{project.volume('party-2-password')}:/etc/coterie",)
    run("docker", "stop", project.container("party-2"))
    assert in_container("sh", "-c", "cd /etc/coterie; cp -p password kept; echo x > password", mounts=volume)[0] == 0
    run("docker", "start", project.container("party-2"))
    run("docker", "wait", project.container("party-2"))
    assert project.state("party-2")["ExitCode"] == CONFIGURATION
    (line,) = project.logs("party-2", 1)
    assert "wrong password" in line
    assert line.endswith("[key-file]")

    assert in_container("sh", "-c", "mv /etc/coterie/kept /etc/coterie/password", mounts=volume)[0] == 0
    run("docker", "start", project.container("party-2"))
    ContainerTestbed(print).recover()


def test_check_with_a_share_in_the_exchange_or_a_foreign_mount_names_it(project):
    assert check(project) == []
    reveal = (
        "import sys; sys.path.insert(0, '/checks'); from pathlib import Path; "
        "from coterie_lab.containers.examine import share_of; "
        "Path('/volumes/exchange/leak').write_text(f'share: {share_of(Path(\"/volumes\"), \"party-3\")}')"
    )
    shorts = ("party-3", "party-3-password", "exchange")
    mounts = (*(f"{project.volume(short)}:/volumes/{short}" for short in shorts), f"{ROOT}/scripts:/checks:ro")
    status, said = in_container("python3", "-c", reveal, mounts=mounts)
    assert status == 0, said
    nosy = run(
        "docker",
        "create",
        "--label",
        f"com.docker.compose.project={PROJECT}",
        "--label",
        "com.docker.compose.service=nosy",
        f"--volume={project.volume('party-1')}:/theirs",
        IMAGE,
    ).strip()
    try:
        faults = check(project)
    finally:
        run("docker", "rm", nosy)
        in_container("rm", "/exchange/leak", mounts=(f"{project.volume('exchange')}:/exchange",))
    assert "nosy mounts the volume party-1, which is not its own" in faults
    assert "nosy can write to its root file system" in faults
    assert "nosy keeps capabilities" in faults
    assert "the exchange holds what does not belong there: leak" in faults
    assert "the share of party-3 lies in clear in exchange/leak" in faults
    assert check(project) == []


def test_testbed_stopped_and_started_goes_on_with_the_same_federation(project, tmp_path):
    def federation() -> dict[str, str]:
        return {
            party: project.execute(
                party, "sh", "-c", "cat federations/*/membership.json federations/*/shares/*.key | sha256sum"
            )
            for party in PARTIES
        }

    before = federation()
    said: list[str] = []
    again = ContainerTestbed(said.append)
    again.stop()
    assert not any(project.state(service)["Running"] for service in DAEMONS)
    again.up()
    assert any("was founded before; nothing changed" in line for line in said)
    assert federation() == before
    trained = again.train(tmp_path, with_faults=False)
    assert trained.contributors == [4, 4, 4]
    # It goes on where it was: the job of before is still known.
    jobs = json.loads(project.execute("operator", "coterie", "jobs", "list", "--json"))
    assert [job["state"] for job in jobs] == ["completed", "completed"]
