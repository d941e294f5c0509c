# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie_common.limits import REASON_CHARACTERS
from coterie_common.protocol.reason import is_code, is_one_line, one_line


@given(st.text(max_size=2 * REASON_CHARACTERS))
def test_one_line_of_any_text_is_one_line(text):
    line = one_line(text)
    assert is_one_line(line)
    assert one_line(line) == line


def test_one_line_keeps_good_text_and_shortens_long_text():
    assert one_line("ε = 1 — no budget") == "ε = 1 — no budget"
    assert one_line("x" * REASON_CHARACTERS) == "x" * REASON_CHARACTERS
    assert one_line("x" * (REASON_CHARACTERS + 1)).endswith("x…")


@pytest.mark.parametrize("text", ["a\nb", "a\x1b[0m", "\ud800", "x" * (REASON_CHARACTERS + 1)])
def test_text_with_control_characters_or_too_long_is_not_one_line(text):
    assert not is_one_line(text)


@pytest.mark.parametrize(("text", "expected"), [("stale-round", True), ("", False), ("A", False), ("a" * 65, False)])
def test_code_has_one_form(text, expected):
    assert is_code(text) is expected
