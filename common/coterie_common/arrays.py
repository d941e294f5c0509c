# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Documents with arrays: a JSON object and named arrays of numbers, in exactly one encoding, so that it can be hashed.

The container is a safetensors file, whose arrays any tool that reads this format can load; the JSON object is one entry
of its metadata. A document without arrays is plain canonical JSON, as ``document`` writes it.

Invariants:
- ``decode(encode(d, a))`` returns equal parts and ``encode`` of decoded parts gives the same bytes: anything in another
  form is refused.
- Arrays are little-endian, contiguous and aligned; their numbers are finite. Nothing is ever unpickled.
- Decoding does not copy: arrays are read-only views of the bytes.

Source: the format of https://github.com/huggingface/safetensors (README, "Format").
Deviation: of the many encodings that the format allows, one: keys sorted, arrays by descending size of their items and
then by name, header padded with spaces to a multiple of 8.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from coterie_common import document
from coterie_common.errors import MalformedMessage
from coterie_common.fields import Fields
from coterie_common.long_bytes import join_long

Array: TypeAlias = npt.NDArray[Any]

MAX_ARRAYS: Final = 10_000
"""Arrays of one container: layers of the largest networks have a few thousand."""

MAX_NAME_CHARACTERS: Final = 200

_MAX_HEADER_BYTES: Final = 64 << 20
"""Document and list of arrays; the bound limits the number that a peer can claim."""

_MAX_HEADER_PARTS: Final = 8 * MAX_ARRAYS + 8
"""Texts, lists and objects of a header: eight for each array, four for the document."""

_MAX_DIMENSIONS: Final = 8
_SIZE_LIMIT: Final = 1 << 40
_KINDS: Final[dict[str, np.dtype[Any]]] = {"F64": np.dtype("<f8"), "I64": np.dtype("<i8"), "F32": np.dtype("<f4")}
_NAMES: Final = {kind: name for name, kind in _KINDS.items()}
_METADATA: Final = "__metadata__"
_KEY: Final = "coterie"
_ALIGNMENT: Final = 8


class Content(NamedTuple):
    """The contents of a container.

    Attributes:
        document: a JSON object.
        arrays: by name; Float32, Float64 or Int64 of any shape.
    """

    document: dict[str, Any]
    arrays: dict[str, Array]

    def joined(self) -> dict[str, Any]:
        """Return both in one mapping, the inverse of ``split``.

        Raises:
            MalformedMessage: an entry and an array have the same name.
        """
        if self.document.keys() & self.arrays.keys():
            raise MalformedMessage("an entry of the document and an array have the same name")
        return {**self.document, **self.arrays}


def split(mapping: Mapping[str, Any]) -> Content:
    """Divide a mapping whose entries are JSON values or arrays; only top-level entries can be arrays."""
    arrays = {name: value for name, value in mapping.items() if isinstance(value, np.ndarray)}
    return Content({name: value for name, value in mapping.items() if name not in arrays}, arrays)


def encode(content: Mapping[str, Any], arrays: Mapping[str, Array]) -> bytes:
    """Return the one encoding.

    Args:
        content: a JSON object.
        arrays: Float32, Float64 or Int64; converted to little-endian and contiguous.

    Raises:
        ValueError: an array holds NaN or infinity, has another type or too long a name; or as ``document.encode``.
        TypeError: as ``document.encode``.
    """
    text = document.encode(content)
    if not arrays:
        return text
    if len(arrays) > MAX_ARRAYS:
        raise ValueError(f"a container has at most {MAX_ARRAYS} arrays, not {len(arrays)}")
    stored = {name: _stored(name, array) for name, array in arrays.items()}
    header = _header(text.decode("utf-8"), {name: (array.dtype, array.shape) for name, array in stored.items()})
    parts: list[bytes | memoryview] = [len(header).to_bytes(8, "little"), header]
    parts += (
        stored[name].reshape(-1).view(np.uint8).data
        for name in _order({name: array.dtype for name, array in stored.items()})
    )
    return join_long(parts)


def decode(data: bytes, what: str, *, maximum: int) -> Content:
    """Parse an encoded container.

    Args:
        data: the bytes; the arrays are views of them.
        what: the name of the data in errors.
        maximum: refuse anything longer, in bytes.

    Raises:
        MalformedMessage: too long, not in the one canonical form, or a number that is not finite.
    """
    if len(data) > maximum:
        raise MalformedMessage(f"{what} is longer than {maximum} bytes")
    if not is_container(data):
        value = document.decode(data, what, maximum=maximum)
        if not isinstance(value, dict):
            raise MalformedMessage(f"{what} must be an object")
        return Content(value, {})
    end = 8 + int.from_bytes(data[:8], "little")
    if end > min(len(data), _MAX_HEADER_BYTES):
        raise MalformedMessage(f"{what} has an impossible header")
    text, shapes = _parse_header(data[8:end], what)
    value = document.decode(text.encode("utf-8"), what, maximum=maximum)
    # Encoded again from the parsed values: only the canonical form compares equal.
    if not isinstance(value, dict) or _header(text, shapes) != data[8:end]:
        raise MalformedMessage(f"{what} is not in canonical form")
    arrays: dict[str, Array] = {}
    for name in _order({name: kind for name, (kind, _) in shapes.items()}):
        kind, shape = shapes[name]
        count = math.prod(shape)
        if end + count * kind.itemsize > len(data):
            raise MalformedMessage(f"{what} ends before its arrays do")
        array = np.frombuffer(data, kind, count, end).reshape(shape)
        if not _is_finite(array):
            raise MalformedMessage(f"{what} holds a number that is not finite")
        arrays[name], end = array, end + count * kind.itemsize
    if end != len(data):
        raise MalformedMessage(f"{what} goes on after its arrays")
    return Content(value, arrays)


def is_container(data: bytes) -> bool:
    """Return true for a container, false for plain JSON: no JSON text holds a zero byte."""
    return data[4:8] == bytes(4)


def _stored(name: str, array: Array) -> Array:
    kind = array.dtype.newbyteorder("<")
    if kind not in _NAMES or array.ndim > _MAX_DIMENSIONS:
        raise ValueError(f"array {name[:80]!r} of {array.dtype}: Float32, Float64 and Int64 can be stored, up to 8-D")
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS or name == _METADATA:
        raise ValueError(f"an array must have a name of 1 to {MAX_NAME_CHARACTERS} characters")
    stored = np.asarray(array, dtype=kind, order="C")
    if not _is_finite(stored):
        raise ValueError(f"array {name!r} holds a number that is not finite")
    return stored


def _is_finite(array: Array) -> bool:
    # Minimum and maximum propagate NaN, and need no memory.
    return not array.size or bool(np.isfinite(array.min()) and np.isfinite(array.max()))


def _order(kinds: Mapping[str, np.dtype[Any]]) -> list[str]:
    return sorted(kinds, key=lambda name: (-kinds[name].itemsize, name))


def _header(text: str, shapes: Mapping[str, tuple[np.dtype[Any], tuple[int, ...]]]) -> bytes:
    """Return the header, padded; ``text`` is the document's canonical JSON."""
    entries: dict[str, Any] = {_METADATA: {_KEY: text}}
    start = 0
    for name in _order({name: kind for name, (kind, _) in shapes.items()}):
        kind, shape = shapes[name]
        end = start + math.prod(shape) * kind.itemsize
        entries[name] = {"dtype": _NAMES[kind], "shape": list(shape), "data_offsets": [start, end]}
        start = end
    header = document.encode(entries)
    return header + b" " * (-len(header) % _ALIGNMENT)


def _parse_header(header: bytes, what: str) -> tuple[str, dict[str, tuple[np.dtype[Any], tuple[int, ...]]]]:
    entries = document.decode(
        header.rstrip(b" "), f"the header of {what}", maximum=_MAX_HEADER_BYTES, parts=_MAX_HEADER_PARTS
    )
    metadata = entries.pop(_METADATA, None) if isinstance(entries, dict) else None
    if not isinstance(metadata, dict) or not isinstance(text := metadata.get(_KEY), str):
        raise MalformedMessage(f"the header of {what} holds no document")
    if not 1 <= len(entries) <= MAX_ARRAYS:
        raise MalformedMessage(f"{what} must have 1 to {MAX_ARRAYS} arrays")
    return text, {name: _parse_entry(name, entry, what) for name, entry in entries.items()}


def _parse_entry(name: str, entry: Any, what: str) -> tuple[np.dtype[Any], tuple[int, ...]]:
    fields = Fields(entry, f"an array of {what}", ("dtype", "shape", "data_offsets"))
    kind = _KINDS.get(fields.text("dtype", longest=8))
    shape = fields.items("shape", maximum=_MAX_DIMENSIONS)
    if kind is None or not all(type(size) is int and 0 <= size < _SIZE_LIMIT for size in shape):
        raise MalformedMessage(f"an array of {what} has no type and shape that can be read")
    if not 1 <= len(name) <= MAX_NAME_CHARACTERS:
        raise MalformedMessage(f"an array of {what} must have a name of 1 to {MAX_NAME_CHARACTERS} characters")
    return kind, tuple(shape)
