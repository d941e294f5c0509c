# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Fingerprints that people compare: 160 bits as eight groups of four base-32 characters, and a check character.

The form that people see and type ends in the check character: ``abcd-…-wxyz-c``. It finds every single mistyped
character and every pair of neighbours in the wrong order; of other mistakes, 31 in 32.

Invariant: a fingerprint in a variable is canonical (lower case, hyphens, without the check), so that two are compared
as text. Signed records and databases hold that form. ``printed_fingerprint`` makes the displayed form, and
``parse_fingerprint`` parses a typed one.
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
_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz234567"
_POLYNOMIAL: Final = 0b100101
"""x^5 + x^2 + 1 is primitive: the powers of x run through all 31 non-zero elements of GF(32)."""


def readable_fingerprint(label: Label, *items: Item) -> str:
    """Return the canonical fingerprint of a tuple, such as ``"abcd-efgh-…"`` (39 characters)."""
    text = base64.b32encode(tuple_hash(label, *items, digest_bytes=_BYTES)).decode("ascii").lower()
    return _grouped(text)


def printed_fingerprint(fingerprint: str) -> str:
    """Return a canonical fingerprint as people see it: with its check character."""
    return f"{fingerprint}-{_check_character(fingerprint.replace('-', ''))}"


def parse_fingerprint(text: str) -> str:
    """Return the canonical form of a fingerprint that a person typed, forgiving capitals, spaces and missing hyphens.

    Raises:
        ConfigurationError: another form, or the check character finds it mistyped.
    """
    return _parsed(text, lengths=(_CHARACTERS + 1,))


def read_fingerprint(text: str) -> str:
    """Return the canonical form of a fingerprint in a file; those of earlier versions have no check character.

    Raises:
        ConfigurationError: another form, or the check character finds it mistyped.
    """
    return _parsed(text, lengths=(_CHARACTERS, _CHARACTERS + 1))


def _parsed(text: str, lengths: tuple[int, ...]) -> str:
    bare = re.sub(r"[\s-]", "", text).lower()
    if len(bare) not in lengths or not re.fullmatch(r"[a-z2-7]+", bare):
        raise ConfigurationError(
            f"a fingerprint has {_CHARACTERS // _GROUP} groups of {_GROUP} letters and digits 2 to 7, and one more "
            "that checks them, as 'coterie found' prints it"
        )
    characters, check = bare[:_CHARACTERS], bare[_CHARACTERS:]
    if check and check != _check_character(characters):
        raise ConfigurationError(
            f"the fingerprint {_grouped(characters)}-{check} is mistyped: its last character does not fit the others; "
            "compare it with the original, character by character"
        )
    return _grouped(characters)


def _check_character(characters: str) -> str:
    """Return the check: Σ c_i · x^(n−i) over GF(32), for characters c_0 … c_(n−1).

    No weight is zero, so one wrong character changes the sum; neighbours, the check itself with weight 1 included, have
    different weights, so exchanging two that differ changes it too.
    """
    total = 0
    for character in characters:
        total = (total ^ _ALPHABET.index(character)) << 1
        if total >= len(_ALPHABET):
            total ^= _POLYNOMIAL
    return _ALPHABET[total]


def _grouped(text: str) -> str:
    return "-".join(text[start : start + _GROUP] for start in range(0, len(text), _GROUP))
