# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Documents: JSON values with exactly one encoding, so that they can be hashed and signed.

Invariants:
- ``decode(encode(d)) == d`` and ``encode(decode(b)) == b``: bytes in any other form are refused.
- Numbers are integers, or finite floats in Python's shortest form; exact fractions travel as text such as ``"5/3"``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias, Union

from coterie_common.errors import MalformedMessage

Document: TypeAlias = Union[str, int, float, bool, "Sequence[Document]", "Mapping[str, Document]", None]

_DEPTH_MOST = 64


def encode(document: Document) -> bytes:
    """Return the canonical UTF-8 JSON of ``document``: sorted keys, no spaces, no NaN.

    Raises:
        ValueError: a float is not finite.
        TypeError: a value is no JSON value.
    """
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def decode(data: bytes, what: str, *, most: int) -> Any:
    """Parse canonical JSON.

    Args:
        data: the bytes.
        what: how to call them in the error.
        most: refuse anything longer, in bytes.

    Raises:
        MalformedMessage: too long, too deep, no JSON, or not in the one canonical form.
    """
    if len(data) > most:
        raise MalformedMessage(f"{what} is longer than {most} bytes")
    try:
        document = json.loads(data.decode("utf-8"))
        canonical = encode(document)
    except (ValueError, RecursionError) as cause:
        raise MalformedMessage(f"{what} is no canonical JSON") from cause
    if canonical != data or _depth(document) > _DEPTH_MOST:
        raise MalformedMessage(f"{what} is not in canonical form")
    return document


def _depth(document: Any) -> int:
    if isinstance(document, dict):
        return 1 + max(map(_depth, document.values()), default=0)
    if isinstance(document, list):
        return 1 + max(map(_depth, document), default=0)
    return 0
