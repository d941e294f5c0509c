# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coterie_common import document
from coterie_common.errors import MalformedMessage

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)


@given(DOCUMENTS)
@settings(max_examples=150)
def test_decode_of_encoded_document_returns_it(value):
    assert document.decode(document.encode(value), "it", most=1 << 20) == value


@given(DOCUMENTS)
@settings(max_examples=100)
def test_encode_of_decoded_bytes_returns_them(value):
    data = document.encode(value)
    assert document.encode(document.decode(data, "it", most=1 << 20)) == data


@given(DOCUMENTS, st.integers(0, 1 << 16), st.integers(1, 255))
@settings(max_examples=150)
def test_decode_of_changed_byte_never_returns_the_same_document(value, position, change):
    data = bytearray(document.encode(value))
    data[position % len(data)] ^= change
    try:
        other = document.decode(bytes(data), "it", most=1 << 20)
    except MalformedMessage:
        return
    assert document.encode(other) == bytes(data)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b'{"a":1 }',
        b'{"b":1,"a":2}',
        b'{"a":1,"a":1}',
        b"1.0e0",
        b"NaN",
        b"1e999",
        b'"\\u0041"',
        b"\xff",
        b"[1]x",
        b"\xef\xbb\xbf1",
        b"[" * 100 + b"]" * 100,
        b"[" * 100_000,
    ],
)
def test_decode_of_other_form_raises_malformed_message(data):
    with pytest.raises(MalformedMessage) as caught:
        document.decode(data, "the ask", most=1 << 20)
    assert caught.value.code == "malformed-message"
    assert "the ask" in str(caught.value)


def test_decode_of_too_many_bytes_raises_malformed_message():
    with pytest.raises(MalformedMessage, match="longer than 3 bytes"):
        document.decode(b'"abc"', "it", most=3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_encode_of_non_finite_number_raises_value_error(value):
    with pytest.raises(ValueError, match="JSON"):
        document.encode({"a": value})
