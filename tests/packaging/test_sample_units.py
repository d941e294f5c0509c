# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The units in examples/systemd start what is installed, as docs/deployment.md installs it."""

from __future__ import annotations

import configparser
import shlex
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import typer

from coterie_common.host.console import CONFIGURATION_STATUS
from tests.support.repository import ROOT

UNITS = sorted((ROOT / "examples/systemd").iterdir())


def service(unit: Path) -> configparser.SectionProxy:
    parser = configparser.ConfigParser(interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # names of entries have capitals
    parser.read_string(unit.read_text("utf-8"))
    return parser["Service"]


def test_there_is_a_unit_for_each_daemon():
    assert [unit.name for unit in UNITS] == ["coterie-aggregator.service", "coterie-party.service"]


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_starts_a_command_that_exists_with_options_that_exist(unit):
    program, name, *options = shlex.split(service(unit)["ExecStart"])
    assert Path(program).parent == Path("/opt/coterie/bin")
    (entry,) = metadata.entry_points(group="console_scripts", name=Path(program).name)
    group: Any = typer.main.get_command(entry.load().app)
    command = group.commands[name]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word for word in options if word.startswith("--")} <= known
    assert options[options.index("--home") + 1] == service(unit)["WorkingDirectory"] == "/var/lib/coterie"


@pytest.mark.parametrize("unit", UNITS, ids=lambda unit: unit.name)
def test_unit_keeps_the_daemon_small_and_leaves_a_persons_errors_to_a_person(unit):
    entries = service(unit)
    assert entries["User"] == "coterie"
    assert entries["RestartPreventExitStatus"] == str(CONFIGURATION_STATUS)
    assert (entries["NoNewPrivileges"], entries["ProtectSystem"], entries["CapabilityBoundingSet"]) == (
        "yes",
        "strict",
        "",
    )
    assert (entries["StateDirectory"], entries["StateDirectoryMode"], entries["UMask"]) == ("coterie", "0700", "0077")
