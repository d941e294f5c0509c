# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as np_st

from coterie_common import document
from coterie_common.arrays import Content, decode, encode, split
from coterie_common.errors import MalformedMessage

DOCUMENT: Any = {"rounds": 3, "text": "naïve", "list": [1, 2.5, None]}
ARRAYS = {
    "weights": np.arange(6, dtype=np.float32).reshape(2, 3),
    "bias": np.array([0.1, -0.0]),
    "codes": np.array([2**62, -1], np.int64),
    "nothing": np.zeros((0, 4), np.float32),
    "one": np.array(1.5, np.float32),
}
MAX = 1 << 20


def read(data: bytes, maximum: int = MAX) -> Content:
    return decode(data, "the test", maximum=maximum)


def rebuilt(header: Any, rest: bytes) -> bytes:
    """A container around a changed header."""
    text = document.encode(header)
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text + rest


def parts_of(data: bytes) -> tuple[dict[str, Any], bytes]:
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def assert_refused(data: bytes, words: str = "the test") -> None:
    with pytest.raises(MalformedMessage, match=words) as caught:
        read(data)
    assert caught.value.code == "malformed-message"


def test_decode_of_encoded_content_returns_it_as_read_only_views():
    content = read(encode(DOCUMENT, ARRAYS))
    assert content.document == DOCUMENT
    assert content.arrays.keys() == ARRAYS.keys()
    for name, array in ARRAYS.items():
        found = content.arrays[name]
        assert (found.dtype, found.shape) == (array.dtype, array.shape)
        assert found.tobytes() == array.tobytes()
        assert not found.flags.writeable
        assert found.flags.aligned


@given(
    st.dictionaries(
        st.text(st.characters(codec="utf-8"), min_size=1, max_size=20).filter(lambda name: name != "__metadata__"),
        np_st.arrays(
            st.sampled_from([np.float32, np.float64, np.int64]),
            np_st.array_shapes(min_dims=0, max_dims=3, max_side=4),
            elements={"allow_nan": False, "allow_infinity": False},
        ),
        max_size=4,
    ),
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=5), st.integers(), max_size=3),
)
def test_decode_and_encode_are_inverse_for_any_content(arrays, content):
    data = encode(content, arrays)
    again = read(data)
    assert encode(*again) == data
    assert again.document == content


def test_encode_is_the_same_whatever_the_order_and_memory_layout():
    turned = {name: np.array(ARRAYS[name], order="F") for name in reversed(ARRAYS)}
    turned["bias"] = ARRAYS["bias"].astype(">f8")
    assert encode(DOCUMENT, turned) == encode(dict(reversed(DOCUMENT.items())), ARRAYS)


def test_encode_without_arrays_is_plain_canonical_json():
    assert encode(DOCUMENT, {}) == document.encode(DOCUMENT)
    assert read(document.encode(DOCUMENT)) == Content(DOCUMENT, {})


def test_encode_is_a_safetensors_file():
    safetensors = pytest.importorskip("safetensors.numpy", reason="the package safetensors is not installed")
    loaded = safetensors.load(encode(DOCUMENT, ARRAYS))
    assert loaded.keys() == ARRAYS.keys()
    assert all(np.array_equal(loaded[name], array) for name, array in ARRAYS.items())


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"a": np.array([1.0, np.nan])}, "not finite"),
        ({"a": np.array([np.inf], np.float32)}, "not finite"),
        ({"a": np.zeros(2, np.int32)}, "Float32, Float64 and Int64"),
        ({"a": np.zeros(2, complex)}, "Float32, Float64 and Int64"),
        ({"a": np.zeros((1,) * 9)}, "8-D"),
        ({"": np.zeros(1)}, "name"),
        ({"a" * 201: np.zeros(1)}, "name"),
        ({"__metadata__": np.zeros(1)}, "name"),
        ({str(number): np.zeros(1) for number in range(10_001)}, "10000"),
    ],
)
def test_encode_of_what_cannot_be_stored_raises_value_error(arrays, words):
    with pytest.raises(ValueError, match=words):
        encode({}, arrays)


def test_decode_of_any_changed_header_byte_is_refused_or_other_content():
    data = encode({"a": 1}, {"b": np.array([1.0, 2.0])})
    for position in range(len(data) - 16):
        changed = bytearray(data)
        changed[position] ^= 1
        try:
            content = read(bytes(changed))
        except MalformedMessage:
            continue
        assert encode(*content) == bytes(changed) != data


@pytest.mark.parametrize("length", [0, 4, 8, 20, 100, -8, -1])
def test_decode_of_cut_container_raises_malformed_message(length):
    assert_refused(encode(DOCUMENT, ARRAYS)[:length])


def test_decode_of_container_with_more_at_its_end_raises_malformed_message():
    assert_refused(encode(DOCUMENT, ARRAYS) + b"\0", "goes on")


def test_decode_beyond_the_limit_raises_malformed_message():
    data = encode(DOCUMENT, ARRAYS)
    assert read(data, maximum=len(data)).document == DOCUMENT
    with pytest.raises(MalformedMessage, match="longer"):
        read(data, maximum=len(data) - 1)


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_decode_of_number_that_is_not_finite_raises_malformed_message(value):
    data = encode({}, {"a": np.array([1.0, 2.0])})
    assert_refused(data[:-8] + np.array([value]).tobytes(), "not finite")


@pytest.mark.parametrize("value", [b"[]", b"1", b'"text"', b'{"a": 1}', b'{"a":NaN}'])
def test_decode_of_other_json_raises_malformed_message(value):
    assert_refused(value)


def entry(**changes: Any) -> dict[str, Any]:
    return {"dtype": "F64", "shape": [2], "data_offsets": [0, 16], **changes}


@pytest.mark.parametrize(
    "header",
    [
        [],
        {},
        {"a": entry()},
        {"__metadata__": {}, "a": entry()},
        {"__metadata__": {"coterie": 1}, "a": entry()},
        {"__metadata__": {"coterie": "{}"}},
        {"__metadata__": {"coterie": "{}", "more": ""}, "a": entry()},
        {"__metadata__": {"coterie": "[]"}, "a": entry()},
        {"__metadata__": {"coterie": "{ }"}, "a": entry()},
        {"__metadata__": {"coterie": "{}"}, "": entry()},
        {"__metadata__": {"coterie": "{}"}, "a" * 201: entry()},
        *(
            {"__metadata__": {"coterie": "{}"}, "a": wrong}
            for wrong in (
                None,
                entry(dtype="F16"),
                entry(dtype=8),
                entry(shape=[-2]),
                entry(shape=[2.0]),
                entry(shape=[True, 2]),
                entry(shape=2),
                entry(shape=[1] * 8 + [2]),
                entry(shape=[2**40]),
                entry(shape=[3], data_offsets=[0, 24]),
                entry(data_offsets=[0, 8]),
                entry(data_offsets=[8, 24]),
                entry(more=1),
            )
        ),
    ],
)
def test_decode_of_wrong_header_raises_malformed_message(header):
    good = {"__metadata__": {"coterie": "{}"}, "a": entry()}
    assert read(rebuilt(good, bytes(16))).arrays["a"].tolist() == [0.0, 0.0]
    assert_refused(rebuilt(header, bytes(16)))


def test_decode_of_header_in_another_order_or_padding_raises_malformed_message():
    header, rest = parts_of(encode({}, {"a": np.zeros(1), "b": np.zeros(1)}))
    header["a"], header["b"] = header["b"], header["a"]
    assert_refused(rebuilt(header, rest))
    data = encode({}, {"a": np.zeros(1)})
    end = 8 + int.from_bytes(data[:8], "little")
    padded = data[8:end] + b" " * 8
    assert_refused(len(padded).to_bytes(8, "little") + padded + data[end:])


def test_split_and_joined_are_inverse():
    mapping = {"length": 2, "weights": np.zeros(2), "name": "x"}
    content = split(mapping)
    assert content.document == {"length": 2, "name": "x"}
    assert content.arrays.keys() == {"weights"}
    assert content.joined().keys() == mapping.keys()


def test_joined_of_entry_and_array_of_one_name_raises_malformed_message():
    with pytest.raises(MalformedMessage, match="same name") as caught:
        Content({"a": 1}, {"a": np.zeros(1)}).joined()
    assert caught.value.code == "malformed-message"
