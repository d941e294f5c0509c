# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Fingerprints that people compare: 160 bits as eight groups of four base-32 characters.

Invariant: a fingerprint in a variable is canonical (lower case, hyphens); what a person types goes through
``parse_fingerprint`` first, so that comparing two is comparing text.
"""

from __future__ import annotations

import base64
import re
from typing import Final

from coterie_common.crypto.hashing import Item, Label, tuple_hash
from coterie_common.errors import ConfigurationError

_BYTES: Final = 20
"""Finding a second key with a given fingerprint costs 2^160 hashes; a clash of two own keys gains its maker nothing."""

_GROUP: Final = 4
_CHARACTERS: Final = _BYTES * 8 // 5


def readable_fingerprint(label: Label, *items: Item) -> str:
    """Return the fingerprint of a tuple, such as ``"abcd-efgh-…"`` (39 characters)."""
    text = base64.b32encode(tuple_hash(label, *items, digest_bytes=_BYTES)).decode("ascii").lower()
    return _grouped(text)


def parse_fingerprint(text: str) -> str:
    """Return the canonical form of a fingerprint that a person typed, forgiving capitals, spaces and missing hyphens.

    Raises:
        ConfigurationError: not 32 base-32 characters.
    """
    bare = re.sub(r"[\s-]", "", text).lower()
    if not re.fullmatch(rf"[a-z2-7]{{{_CHARACTERS}}}", bare):
        raise ConfigurationError(
            f"a fingerprint has {_CHARACTERS // _GROUP} groups of {_GROUP} letters and digits 2 to 7, "
            f"as 'coterie found' prints it"
        )
    return _grouped(bare)


def _grouped(text: str) -> str:
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))
