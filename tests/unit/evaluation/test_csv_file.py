# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import pytest

from coterie_lab.evaluation.csv_file import read_csv, write_csv


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True)
class Kind:
    name: str
    colour: Colour
    count: int | None
    share: float | None
    is_new: bool


def test_rows_are_read_as_they_were_written_but_for_digits_beyond_the_fifth(tmp_path):
    rows = [Kind("a,b", Colour.RED, None, 0.1234567, is_new=True), Kind("", Colour.RED, 0, None, is_new=False)]
    write_csv(tmp_path / "rows.csv", rows)
    assert (tmp_path / "rows.csv").read_text() == 'name,colour,count,share,is_new\n"a,b",red,,0.12346,1\n,red,0,,0\n'
    first, second = read_csv(tmp_path / "rows.csv", Kind)
    assert first == Kind("a,b", Colour.RED, None, 0.12346, is_new=True)
    assert second == rows[1]


def test_value_that_its_field_cannot_have_raises(tmp_path):
    (tmp_path / "rows.csv").write_text("name,colour,count,share,is_new\na,blue,1,0.5,1\n")
    with pytest.raises(ValueError, match="blue"):
        read_csv(tmp_path / "rows.csv", Kind)
