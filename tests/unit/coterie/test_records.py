# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import csv
import io

from hypothesis import given
from hypothesis import strategies as st

from coterie.records import to_csv


@given(st.lists(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=2, max_size=2), max_size=3))
def test_to_csv_is_read_back_the_same(rows):
    text = to_csv(("a", "b"), rows).decode()
    assert list(csv.reader(io.StringIO(text, newline=""))) == [["a", "b"], *rows]


def test_to_csv_gives_bytes_back_that_were_no_utf_8():
    assert to_csv(("a",), [[b"Z\xfcrich".decode("utf-8", "surrogateescape")]]) == b"a\r\nZ\xfcrich\r\n"
