# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie.records import read_records, to_csv
from coterie_common.errors import ConfigurationError, DataError


def test_read_records_takes_a_header_and_rows(tmp_path):
    path = tmp_path / "data.csv"
    path.write_bytes('\ufeffa,b\r\n1,"x, y"\r\n\r\n2,\r\n'.encode())
    records = read_records(path)
    assert records.columns == ("a", "b")
    assert records.as_dicts() == [{"a": "1", "b": "x, y"}, {"a": "2", "b": ""}]
    assert records.column("b") == ("x, y", "")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"a,b\n", "no records"),
        (b"a,a\n1,2\n", "same name"),
        (b"a,b\n1,2\n1,2,3\n", "line 3: 3 values, but there are 2 columns"),
        (b"a,b\n1\n", "line 2: 1 values"),
        (b"a\n\xff\n", "not UTF-8 at byte 2"),
        (b'a\n"open\n', "line 2"),
    ],
)
def test_file_that_is_no_table_is_refused_with_the_place(tmp_path, content, words):
    path = tmp_path / "data.csv"
    path.write_bytes(content)
    with pytest.raises(DataError, match=words) as caught:
        read_records(path)
    assert caught.value.code == "data"


def test_missing_file_is_a_configuration_error(tmp_path):
    with pytest.raises(ConfigurationError, match="does not exist"):
        read_records(tmp_path / "none.csv")


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2), max_size=3))
def test_to_csv_is_read_back_the_same(rows):
    text = to_csv(("a", "b"), rows).decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "b"], *rows]
