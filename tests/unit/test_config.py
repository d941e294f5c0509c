# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import pytest

from coterie_common.errors import ConfigurationError
from coterie_common.host.config import load_toml


@pytest.mark.parametrize("depth", [40, 400, 700, 1100])
@pytest.mark.parametrize(
    "write",
    [
        lambda depth: "a = " + "[" * depth + "]" * depth,
        lambda depth: "a = " + "{a = " * depth + "1" + "}" * depth,
        lambda depth: ".".join("a" * depth) + " = 1",
        lambda depth: "[" + ".".join("a" * depth) + "]\nb = 1",
    ],
    ids=["lists", "inline tables", "dotted key", "table header"],
)
def test_file_that_is_nested_too_deep_is_named(tmp_path, write, depth):
    path = tmp_path / "job.toml"
    path.write_text(write(depth))
    with pytest.raises(ConfigurationError, match=r"the job .*job\.toml") as caught:
        load_toml(path, "the job")
    assert caught.value.code == "configuration"
    assert "\n" not in caught.value.message


def test_file_as_deep_as_a_job_may_be_is_read(tmp_path):
    path = tmp_path / "job.toml"
    path.write_text("a = " + "[" * 31 + "1" + "]" * 31)
    value = load_toml(path, "the job")["a"]
    for _ in range(31):
        (value,) = value
    assert value == 1
