# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import copy
from typing import Any

import pytest

from coterie_lab.containers.checks import IN_EXCHANGE, OWNERS, PARTIES, container_faults, mount_faults, volume_faults

GOOD: dict[str, Any] = {
    "Config": {"User": "10001:10001", "Labels": {"com.docker.compose.service": "party-1"}},
    "State": {"Health": {"Status": "healthy"}},
    "HostConfig": {
        "ReadonlyRootfs": True,
        "CapDrop": ["ALL"],
        "CapAdd": None,
        "Privileged": False,
        "SecurityOpt": ["no-new-privileges:true"],
        "Memory": 536870912,
        "NanoCpus": 1000000000,
        "PidsLimit": 128,
        "PortBindings": {},
        "NetworkMode": "coterie-testbed_federation",
        "PidMode": "",
        "IpcMode": "private",
    },
    "Mounts": [
        {"Type": "volume", "Name": "coterie-testbed_party-1", "RW": True, "Source": "/v"},
        {"Type": "bind", "RW": False, "Source": "/examples"},
    ],
}
REPORT: dict[str, Any] = {
    "exchange": sorted(IN_EXCHANGE),
    "locked_shares": [f"{party}/federations/e5pu-zugb-s/shares/1.key" for party in PARTIES],
    "in_clear": {party: [] for party in PARTIES},
}


def test_checks_of_what_is_as_it_should_be_find_nothing():
    assert list(container_faults(GOOD)) == []
    assert list(mount_faults([GOOD], "coterie-testbed")) == []
    assert list(volume_faults(REPORT)) == []


@pytest.mark.parametrize(
    ("part", "entry", "value", "fault"),
    [
        ("Config", "User", "", "runs as 'root'"),
        ("Config", "User", "0:0", "runs as '0:0'"),
        ("HostConfig", "ReadonlyRootfs", False, "can write to its root file system"),
        ("HostConfig", "CapDrop", ["NET_RAW"], "keeps capabilities"),
        ("HostConfig", "CapAdd", ["SYS_ADMIN"], "keeps capabilities"),
        ("HostConfig", "Privileged", True, "keeps capabilities"),
        ("HostConfig", "SecurityOpt", None, "may gain privileges"),
        ("HostConfig", "Memory", 0, "no limit on Memory"),
        ("HostConfig", "NanoCpus", 0, "no limit on NanoCpus"),
        ("HostConfig", "PidsLimit", None, "no limit on PidsLimit"),
        ("HostConfig", "PidsLimit", -1, "no limit on PidsLimit"),
        ("HostConfig", "PortBindings", {"8443/tcp": [{}]}, "not kept apart"),
        ("HostConfig", "NetworkMode", "host", "not kept apart"),
        ("State", "Health", None, "no health check"),
    ],
)
def test_container_with_one_thing_wrong_has_one_fault(part, entry, value, fault):
    container = copy.deepcopy(GOOD)
    container[part][entry] = value
    (found,) = container_faults(container)
    assert fault in found


@pytest.mark.parametrize(
    ("mount", "fault"),
    [
        ({"Type": "bind", "RW": True, "Source": "/etc"}, "can write to /etc of this machine"),
        ({"Type": "volume", "Name": "coterie-testbed_party-2", "RW": False}, "mounts the volume party-2"),
        ({"Type": "volume", "Name": "coterie-testbed_exchange", "RW": False}, "mounts the volume exchange"),
        ({"Type": "volume", "Name": "coterie-testbed_founder", "RW": False}, "mounts the volume founder"),
    ],
)
def test_mount_of_what_is_somebody_elses_is_a_fault(mount, fault):
    container = {**GOOD, "Mounts": [mount]}
    (found,) = mount_faults([container], "coterie-testbed")
    assert fault in found


def test_no_volume_with_keys_has_owners_of_two_members():
    for volume, owners in OWNERS.items():
        if volume != "exchange":
            assert len({owner.removeprefix("join-") for owner in owners}) == 1


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"exchange": [*IN_EXCHANGE, "1.key"]}, "the exchange holds what does not belong there: 1.key"),
        ({"exchange": sorted(IN_EXCHANGE - {"party-1.bundle"})}, "the exchange lacks party-1.bundle"),
        ({"locked_shares": [*REPORT["locked_shares"], "founder/1.key"]}, "founder/1.key"),
        (
            {"in_clear": {**REPORT["in_clear"], "party-2": ["exchange/x"]}},
            "the share of party-2 lies in clear in exchange/x",
        ),
        ({"in_clear": {"party-1": []}}, "not every party's share was looked for"),
    ],
)
def test_examination_with_one_thing_wrong_has_one_fault(change, fault):
    (found,) = volume_faults({**REPORT, **change})
    assert fault in found
