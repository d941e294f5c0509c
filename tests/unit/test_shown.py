# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie_common.shown import LINE_CHARACTERS, MAX_LINES, counted, shown, shown_json, shown_lines
from tests.support.hostile import HOSTILE, assert_harmless

ANY_TEXT = st.text(st.characters(codec=None, categories=None), max_size=300)


@given(ANY_TEXT, st.integers(1, 400))
def test_shown_is_one_printable_line_of_bounded_length(text, longest):
    line = shown(text, longest)
    assert line.isprintable()
    assert len(line) <= longest


@given(st.text(st.characters(exclude_categories=("C", "Zl", "Zp", "Zs")), max_size=300))
def test_what_can_be_read_is_shown_as_it_is(text):
    assert shown(text) == shown_lines(text) == shown_json(text) == text


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_hostile_text_is_spelled_out(text):
    assert_harmless(shown(text), lines=0)
    assert len(shown(text)) <= LINE_CHARACTERS
    assert_harmless(shown_lines(text))
    assert_harmless(shown_json(json.dumps(text, ensure_ascii=False)), lines=0)


def test_escapes_name_what_they_stand_for():
    assert shown("a\x1b[31m\n\t\u202e\x9b\U000e0041") == r"a\x1b[31m\n\t\u202e\x9b\U000e0041"
    assert shown("Zürich\u00a0ε ≤ 1") == r"Zürich\xa0ε ≤ 1"


def test_what_is_cut_says_so():
    assert shown("x" * 10, 10) == "x" * 10
    assert shown("x" * 11, 10) == "x" * 9 + "…"
    assert shown("\x00" * 3, 10) == r"\x00\x00\…"


def test_lines_are_bounded_and_indented():
    assert shown_lines("a\nb\rc", "  ") == "a\n  b\\rc"
    many = shown_lines("\n" * (1 << 20))
    assert many.count("\n") == MAX_LINES
    assert many.endswith("…")


def test_what_is_no_text_is_shown_as_it_reads():
    assert shown(ValueError("a\nb")) == r"a\nb"
    assert shown(None) == "None"


@given(
    st.recursive(ANY_TEXT | st.none() | st.integers(), lambda inner: st.dictionaries(ANY_TEXT, inner) | st.lists(inner))
)
def test_shown_json_says_the_same(value):
    text = shown_json(json.dumps(value, ensure_ascii=False))
    assert text.isprintable()
    assert json.loads(text) == value


@pytest.mark.parametrize(
    ("count", "noun", "words"),
    [
        (0, "round", "0 rounds"),
        (1, "round", "1 round"),
        (2, "round", "2 rounds"),
        (1, "party", "1 party"),
        (1200, "party", "1,200 parties"),
        (3, "entry", "3 entries"),
        (30, "day", "30 days"),
    ],
)
def test_counted_is_a_number_of_things_in_words(count, noun, words):
    assert counted(count, noun) == words
