# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import contextlib
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coterie_common import document
from coterie_common.errors import MalformedMessage
from coterie_common.limits import MAX_DOCUMENT_DEPTH

TEXT = st.text(st.characters(codec="utf-8"), max_size=8)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4), max_leaves=12
)


@given(DOCUMENTS)
@settings(max_examples=150)
def test_decode_of_encoded_document_returns_it(value):
    assert document.decode(document.encode(value), "it", maximum=1 << 20) == value


@given(DOCUMENTS)
@settings(max_examples=100)
def test_encode_of_decoded_bytes_returns_them(value):
    data = document.encode(value)
    assert document.encode(document.decode(data, "it", maximum=1 << 20)) == data


@given(DOCUMENTS, st.integers(0, 1 << 16), st.integers(1, 255))
@settings(max_examples=150)
def test_decode_of_changed_byte_never_returns_the_same_document(value, position, change):
    data = bytearray(document.encode(value))
    data[position % len(data)] ^= change
    try:
        other = document.decode(bytes(data), "it", maximum=1 << 20)
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
        document.decode(data, "the ask", maximum=1 << 20)
    assert caught.value.code == "malformed-message"
    assert "the ask" in str(caught.value)


def test_decode_of_too_many_bytes_raises_malformed_message():
    with pytest.raises(MalformedMessage, match="longer than 3 bytes"):
        document.decode(b'"abc"', "it", maximum=3)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_encode_of_non_finite_number_raises_value_error(value):
    with pytest.raises(ValueError, match="JSON"):
        document.encode({"a": value})


def _nested(depth: int, *, kind: str) -> bytes:
    if kind == "mixed":
        half = depth // 2
        return b'{"a":[' * half + b"[]" * (depth % 2) + b"]}" * half
    opening, closing = {"lists": (b"[", b"]"), "objects": (b'{"a":', b"}")}[kind]
    return opening * (depth - 1) + (b"[]" if kind == "lists" else b"{}") + closing * (depth - 1)


@pytest.mark.parametrize("kind", ["lists", "objects", "mixed"])
def test_decode_of_deepest_document_returns_it_and_of_a_deeper_one_raises(kind):
    deepest = _nested(MAX_DOCUMENT_DEPTH, kind=kind)
    assert document.encode(document.decode(deepest, "it", maximum=1 << 20)) == deepest
    with pytest.raises(MalformedMessage, match="nested more than 64 deep"):
        document.decode(_nested(MAX_DOCUMENT_DEPTH + 1, kind=kind), "it", maximum=1 << 20)


# Where json's own scanner, its encoder and Python functions give up differs; none of it may be reached.
@pytest.mark.parametrize("depth", [*range(65, 69), 331, 420, 500, 660, 900, 990, 5000, 100_000])
@pytest.mark.parametrize("kind", ["lists", "objects", "mixed"])
@pytest.mark.parametrize("parse", [document.decode, document.parse])
def test_any_deeper_document_is_malformed(parse, kind, depth):
    for data in (
        _nested(depth, kind=kind),
        _nested(depth, kind=kind)[: depth // 2],
        b"[1," + _nested(depth, kind=kind) + b"]",
    ):
        with pytest.raises(MalformedMessage):
            parse(data, "it", maximum=1 << 24)


@given(st.text(st.sampled_from('[]{}",\\\\'), max_size=12), st.integers(0, 3))
@example('\\\\"[' * 3, 2)
def test_brackets_commas_and_quotes_in_texts_are_not_counted(text, nesting):
    value = text * 100
    for _ in range(nesting):
        value = [value, {value if isinstance(value, str) else "a": value}]
    data = document.encode(value)
    parts = _parts(value)
    assert document.decode(data, "it", maximum=1 << 20, parts=parts) == value
    with pytest.raises(MalformedMessage, match="texts, lists and objects"):
        document.decode(data, "it", maximum=1 << 20, parts=parts - 1)


@given(DOCUMENTS)
def test_texts_lists_and_objects_are_counted_exactly(value):
    data, parts = document.encode(value), _parts(value)
    assert document.decode(data, "it", maximum=1 << 20, parts=parts) == value
    if parts:
        with pytest.raises(MalformedMessage, match="texts, lists and objects"):
            document.decode(data, "it", maximum=1 << 20, parts=parts - 1)


def _parts(value: Any) -> int:
    if isinstance(value, dict):
        return 1 + sum(1 + _parts(inner) for inner in value.values())
    if isinstance(value, list):
        return 1 + sum(map(_parts, value))
    return int(isinstance(value, str))


@pytest.mark.parametrize("many", [b"[],", b"{},", b'{"":0},', b'"ab",', b'[[[""]]],'])
def test_values_are_counted_before_any_is_made(many):
    data = b"[" + many * 300_000 + b"0]"

    def decode() -> None:
        with pytest.raises(MalformedMessage, match="texts, lists and objects"):
            document.decode(data, "it", maximum=1 << 24, parts=100_000)

    tracemalloc.start()
    try:
        decode()
        assert tracemalloc.get_traced_memory()[1] < 3 * len(data)
    finally:
        tracemalloc.stop()


def test_many_numbers_are_counted_before_any_is_made():
    with pytest.raises(MalformedMessage, match="holds more than 33554432 values"):
        document.decode(b"[" + b"0," * (1 << 25) + b"0,0]", "it", maximum=1 << 27)


@given(st.binary(max_size=60) | st.text(st.sampled_from('[]{}":,\\\\0a '), max_size=60).map(str.encode))
def test_arbitrary_bytes_are_malformed_or_a_document(data):
    with contextlib.suppress(MalformedMessage):
        assert document.encode(document.decode(data, "it", maximum=100)) == data
    with contextlib.suppress(MalformedMessage):
        document.parse(data, "it", maximum=100)
