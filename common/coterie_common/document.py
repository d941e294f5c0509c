# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Documents: JSON values with exactly one encoding, so that they can be hashed and signed.

Every JSON text that comes from outside is parsed here (``tests/packaging/test_sources.py`` keeps it so). Its depth and
its number of values are counted on the bytes before anything is parsed: two bytes of text can become a hundred of
memory, and a recursive parser ends the process at some depth.

Invariants:
- ``decode(encode(d)) == d`` and ``encode(decode(b)) == b``: bytes in any other form are refused.
- Numbers are integers, or finite floats in Python's shortest form; exact fractions travel as text such as ``"5/3"``.
- No bytes make these functions raise anything but ``MalformedMessage``.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, TypeAlias, Union

from coterie_common.errors import MalformedMessage
from coterie_common.limits import MAX_DOCUMENT_DEPTH, MAX_DOCUMENT_PARTS, MAX_DOCUMENT_VALUES

Document: TypeAlias = Union[str, int, float, bool, "Sequence[Document]", "Mapping[str, Document]", None]

_TEXT: Final = re.compile(rb'"[^"]*"')
_STEPS: Final = bytes.maketrans(b"[]{}", b"\x01\xff\x01\xff")
"""One level down and, as a signed byte, one up."""

_NO_BRACKETS: Final = bytes(byte for byte in range(256) if byte not in b"[]{}")


def encode(document: Document) -> bytes:
    """Return the canonical UTF-8 JSON of ``document``: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: a float is not finite.
        TypeError: a value is not a JSON value.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def decode(data: bytes, what: str, *, maximum: int, parts: int = MAX_DOCUMENT_PARTS) -> Any:
    """Parse canonical JSON.

    Args:
        data: the bytes.
        what: the name of the data in errors.
        maximum: refuse anything longer, in bytes.
        parts: refuse more texts, lists and objects than that.

    Raises:
        MalformedMessage: too long, too deep, too many values, not JSON, or not in the one canonical form.
    """
    document = parse(data, what, maximum=maximum, parts=parts)
    try:
        canonical = encode(document)
    except (ValueError, RecursionError) as cause:
        raise MalformedMessage(f"{what} is no canonical JSON") from cause
    if canonical != data:
        raise MalformedMessage(f"{what} is not in canonical form")
    return document


def parse(data: bytes, what: str, *, maximum: int, parts: int = MAX_DOCUMENT_PARTS) -> Any:
    """Parse JSON in any form; arguments and errors as for ``decode``."""
    if len(data) > maximum:
        raise MalformedMessage(f"{what} is longer than {maximum} bytes")
    _check_counts(data, what, parts)
    try:
        return json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as cause:
        raise MalformedMessage(f"{what} is no canonical JSON") from cause


def _check_counts(data: bytes, what: str, maximum: int) -> None:
    """Refuse a text that is nested too deep or holds too many values, without building any of them.

    The counts are exact up to the first byte that is not JSON; the parser gets no further than that.
    """
    # Backslashes pair up from the left, so an unpaired one escapes the next character.
    bare = data.replace(b"\\\\", b"").replace(b'\\"', b"") if b"\\" in data else data
    texts = bare.count(b'"') // 2
    if texts > maximum:
        raise MalformedMessage(f"{what} holds more than {maximum} texts, lists and objects")
    bare = _TEXT.sub(b"", bare)
    steps = array("b", bare.translate(_STEPS, _NO_BRACKETS))
    if texts + steps.count(1) > maximum:
        raise MalformedMessage(f"{what} holds more than {maximum} texts, lists and objects")
    if bare.count(b",") > MAX_DOCUMENT_VALUES:
        raise MalformedMessage(f"{what} holds more than {MAX_DOCUMENT_VALUES} values")
    if max(accumulate(steps), default=0) > MAX_DOCUMENT_DEPTH:
        raise MalformedMessage(f"{what} is nested more than {MAX_DOCUMENT_DEPTH} deep")
