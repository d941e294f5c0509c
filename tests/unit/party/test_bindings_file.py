# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from pathlib import Path

import pytest
from structlog.testing import capture_logs

from coterie_common.errors import ConfigurationError
from coterie_common.host.config import load
from coterie_party.data.bindings_file import BindingsFile
from coterie_party.home.config import PartyConfig

START = f'id = "p1"\nfounder = "{"-".join(["abcd"] * 8)}"\n'
BINDING = '[datasets.play]\npath = "play.csv"\nschemas = ["play.toml"]\n'
SCHEMA = '[schema]\nmax_records = 9\n[[schema.columns]]\nname = "x"\nlower = 0\nupper = 9\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "party.toml").write_text(START + BINDING)
    (tmp_path / "play.toml").write_text(SCHEMA)
    return tmp_path


def bindings_of(folder: Path) -> BindingsFile:
    return BindingsFile(folder, load(PartyConfig, folder / "party.toml", "the configuration").datasets)


def test_current_is_what_the_file_binds_now(folder):
    bindings = bindings_of(folder)
    assert bindings.current()["play"].set_aside == 0
    (folder / "party.toml").write_text(START + BINDING + 'set_aside = 0.5\nmissing = ["NA", ""]\ndecimal = ","\n')
    with capture_logs() as logs:
        assert float(bindings.current()["play"].set_aside) == 0.5
        assert bindings.current()["play"].form.missing == ("NA", "")
        assert bindings.current()["play"].form.decimal == ","
    assert [line["event"] for line in logs] == ["data sets changed"]
    (folder / "party.toml").write_text(START)
    assert bindings.current() == {}


def test_current_takes_another_schema_under_the_same_name(folder):
    bindings = bindings_of(folder)
    (folder / "play.toml").write_text(SCHEMA.replace("upper = 9", "upper = 8"))
    assert bindings.current()["play"].schemas[0].by_name["x"].upper == 8


def test_current_takes_a_schema_that_was_named_first_and_written_later(folder):
    bindings = bindings_of(folder)
    (folder / "party.toml").write_text(START + BINDING.replace('"play.toml"', '"play.toml", "late.toml"'))
    assert len(bindings.current()["play"].schemas) == 1
    (folder / "late.toml").write_text(SCHEMA.replace('"x"', '"y"'))
    assert len(bindings.current()["play"].schemas) == 2


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("party.toml", "["),
        ("party.toml", START + BINDING + 'separator = "ab"\n'),
        ("party.toml", START + BINDING + BINDING.replace("play]", "again]")),
        ("party.toml", None),
        ("play.toml", "[schema]\n"),
        ("play.toml", None),
    ],
)
def test_current_keeps_the_data_sets_before_while_a_file_cannot_be_used_and_says_so_once(folder, name, content):
    bindings = bindings_of(folder)
    before = bindings.current()
    text = (folder / name).read_text()
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_text(content)
    with capture_logs() as logs:
        assert bindings.current() == bindings.current() == before
    assert [(line["log_level"], line["code"]) for line in logs] == [("error", "configuration")]
    assert bindings.warning() == f"{logs[0]['why']}; the data sets before stay bound"
    (folder / name).write_text(text)
    assert bindings.warning() == ""
    assert bindings.current() == before


def test_bindings_that_cannot_be_used_at_the_start_raise(folder):
    (folder / "play.toml").write_text("[schema]\n")
    with pytest.raises(ConfigurationError, match=r"play\.toml"):
        bindings_of(folder)


@pytest.mark.parametrize("name", ["play.csv", "play.toml", "party.toml"])
def test_circle_of_links_leaves_the_data_sets_before_bound_and_is_a_warning(folder, name):
    (folder / "play.csv").write_text("x\n1\n")
    bindings = bindings_of(folder)
    before = bindings.current()
    (folder / "circle").symlink_to(name)
    (folder / name).unlink()
    (folder / name).symlink_to("circle")
    if name == "play.csv":  # a data file is looked at when the configuration changes
        (folder / "party.toml").write_text(START + BINDING + "set_aside = 0.5\n")
    assert bindings.current() == before
    assert name in bindings.warning()
    assert "the data sets before stay bound" in bindings.warning()
