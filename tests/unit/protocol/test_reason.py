# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie_common.limits import CODE_CHARACTERS, REASON_CHARACTERS
from coterie_common.protocol.reason import is_code, is_one_line, one_line


@given(st.text(max_size=2 * REASON_CHARACTERS))
def test_one_line_makes_one_line_and_leaves_one_alone(text):
    line = one_line(text)
    assert is_one_line(line)
    assert one_line(line) == line
    assert (line == text) == is_one_line(text)


def test_one_line_of_forged_log_lines_is_one_line():
    assert one_line("no such file\n2026-01-01 all is well\x1b[2K") == "no such file 2026-01-01 all is well [2K"


def test_one_line_of_a_long_text_ends_with_an_ellipsis():
    line = one_line("x" * (REASON_CHARACTERS + 1))
    assert (len(line), line[-1]) == (REASON_CHARACTERS, "…")


@pytest.mark.parametrize("text", ["a", "already-answered", "x9", "a" * CODE_CHARACTERS])
def test_codes_are_recognised(text):
    assert is_code(text)


@pytest.mark.parametrize("text", ["", "A", "9", "-a", "a b", "a\n", "ä", "a" * (CODE_CHARACTERS + 1)])
def test_other_texts_are_no_codes(text):
    assert not is_code(text)
