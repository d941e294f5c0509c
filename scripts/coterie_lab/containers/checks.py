# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Checks that the running containers and volumes keep the promises of docker/compose.yaml.

Each check returns one sentence per fault, and none if all is well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from coterie_lab.containers.docker import IMAGE, ROOT, Project, run

PARTIES = tuple(f"party-{number}" for number in range(1, 5))
DAEMONS = ("aggregator", *PARTIES)
USER = "10001"

OWNERS = {
    "founder": {"founding"},
    "founder-password": {"founding"},
    "aggregator": {"join-aggregator", "aggregator"},
    "operator": {"join-operator", "operator"},
    **{party: {f"join-{party}", party} for party in PARTIES},
    **{f"{party}-password": {f"join-{party}", party} for party in PARTIES},
    "exchange": {"founding", "join-aggregator", "join-operator", *(f"join-{party}" for party in PARTIES)},
}
"""The services that may mount each volume."""

IN_EXCHANGE = {
    "founder",
    *(f"{name}.request" for name in ("aggregator", "operator-1", *PARTIES)),
    *(f"{name}.bundle" for name in DAEMONS),
    "operator-1.credential",
}
"""The founder's fingerprint, requests, bundles, and the certificate of the operator: nothing of it is secret."""


def check(project: Project) -> list[str]:
    """Every check; call while the daemons run."""
    containers = project.inspect()
    return [
        *(fault for container in containers for fault in container_faults(container)),
        *mount_faults(containers, project.name),
        *_process_faults(project),
        *_network_faults(project),
        *_image_faults(),
        *volume_faults(_examination(project)),
    ]


def container_faults(container: Mapping[str, Any]) -> Iterator[str]:
    """Check the settings with which the engine runs a container."""
    name, host = _service(container), container["HostConfig"]
    if container["Config"]["User"].partition(":")[0] != USER:
        yield f"{name} runs as {container['Config']['User'] or 'root'!r}, not as user {USER}"
    if not host["ReadonlyRootfs"]:
        yield f"{name} can write to its root file system"
    if [capability.upper() for capability in host["CapDrop"] or ()] != ["ALL"] or host["CapAdd"] or host["Privileged"]:
        yield f"{name} keeps capabilities"
    if not any(option.startswith("no-new-privileges") for option in host["SecurityOpt"] or ()):
        yield f"{name} may gain privileges"
    for limit in ("Memory", "NanoCpus", "PidsLimit"):
        if not host[limit] or host[limit] < 0:
            yield f"{name} has no limit on {limit}"
    if host["PortBindings"] or host["NetworkMode"] == "host" or host["PidMode"] or host["IpcMode"] == "host":
        yield f"{name} is not kept apart from this machine"
    if name in DAEMONS and not container["State"].get("Health"):
        yield f"{name} has no health check"


def mount_faults(containers: list[dict[str, Any]], project: str) -> Iterator[str]:
    """Check the mounts of each service, and that nothing on this machine can be written."""
    for container in containers:
        name = _service(container)
        for mount in container["Mounts"]:
            if mount["Type"] == "bind" and mount["RW"]:
                yield f"{name} can write to {mount['Source']} of this machine"
            if mount["Type"] == "volume":
                volume = mount["Name"].removeprefix(f"{project}_")
                if name not in OWNERS.get(volume, ()):
                    yield f"{name} mounts the volume {volume}, which is not its own"


def volume_faults(report: Mapping[str, Any]) -> Iterator[str]:
    """Check the findings of the examination of the volumes (``examine.py``)."""
    if left := set(report["exchange"]) - IN_EXCHANGE:
        yield f"the exchange holds what does not belong there: {', '.join(sorted(left))}"
    if missing := IN_EXCHANGE - set(report["exchange"]):
        yield f"the exchange lacks {', '.join(sorted(missing))}"
    expected = [f"{party}/federations/FOUNDER/shares/1.key" for party in PARTIES]
    found = [re.sub("/federations/[a-z2-7-]+/", "/federations/FOUNDER/", path) for path in report["locked_shares"]]
    if found != expected:
        yield f"locked shares are in {found}, expected {expected}"
    for party, files in report["in_clear"].items():
        if files:
            yield f"the share of {party} lies in clear in {', '.join(files)}"
    if set(report["in_clear"]) != set(PARTIES):
        yield "not every party's share was looked for"


def _process_faults(project: Project) -> Iterator[str]:
    """Inspect the daemons from inside: their actual state, not their settings."""
    for service in DAEMONS:
        status = dict(
            line.split(":\t", 1)
            for line in project.execute(service, "cat", "/proc/1/status").splitlines()
            if ":\t" in line
        )
        if set(status["Uid"].split()) != {USER}:
            yield f"{service} has the user ids {status['Uid']}"
        if any(int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd", "CapInh", "CapAmb")):
            yield f"{service} has capabilities"
        if status["NoNewPrivs"] != "1":
            yield f"{service} may gain privileges"
        if project.execute(service, "sh", "-c", "touch /opt/venv/x 2>&1 || true").find("Read-only file system") < 0:
            yield f"{service} can write to its root file system"


def _network_faults(project: Project) -> Iterator[str]:
    networks = project.networks()
    for network in json.loads(run("docker", "network", "inspect", *networks)) if networks else ():
        if not network["Internal"]:
            yield f"the network {network['Name']} leads outside"
    if len(networks) != 1:
        yield f"there are {len(networks)} networks, expected one"


def _image_faults() -> Iterator[str]:
    """Check that the image itself puts nothing into any member's folder."""
    brought = _apart("find", "/var/lib/coterie", "/etc/coterie", "/exchange", "-mindepth", "1").split()
    if brought:
        yield f"the image brings files into its members' folders: {', '.join(brought)}"


def _examination(project: Project) -> dict[str, Any]:
    mounts = [f"--volume={project.volume(short)}:/volumes/{short}:ro" for short in OWNERS]
    program = (ROOT / "scripts/coterie_lab/containers/examine.py").read_text("utf-8")
    report: dict[str, Any] = json.loads(
        _apart("python3", "-", "/volumes", *PARTIES, options=("-i", *mounts), given=program)
    )
    return report


def _apart(*command: object, options: tuple[str, ...] = (), given: str = "") -> str:
    """Run a command in a container without network, of the image as it is."""
    hardened = ("--rm", "--network=none", "--read-only", "--tmpfs=/tmp", "--cap-drop=ALL")
    return run("docker", "run", *hardened, *options, IMAGE, *command, given=given)


def _service(container: Mapping[str, Any]) -> str:
    return str(container["Config"]["Labels"]["com.docker.compose.service"])
