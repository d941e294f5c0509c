# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The public elements a_0, a_1, … of one session's pad, expanded from its session id.

They are the keystream of AES-256 in counter mode, with the 32-byte key TupleHash("coterie/pad", session id) and
counter 0 at its beginning. Block j of the keystream, N·4 = 8,192 bytes from j·8,192 on, is a_j: N little-endian
integers of 32 bits in the folded order of ``ring``. So every block can be computed without those before it.

- Everybody who knows the session id has the same elements; two sessions have unrelated ones.
- Nothing here is secret.
"""

from __future__ import annotations

import sys
from typing import Final

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.crypto.pads.ring import DEGREE, Int32Array

_CIPHER_BYTES: Final = 16
_COUNTS_PER_BLOCK: Final = DEGREE * 4 // _CIPHER_BYTES
_ZEROS: Final = bytes(1 << 16)


class PublicElements:
    """The elements of one session. May be used from several threads."""

    def __init__(self, session_id: bytes) -> None:
        self._cipher_key: Final = AES(tuple_hash(Label.PAD, session_id))

    def expand(self, first: int, elements: Int32Array) -> None:
        """Fill Int32[count, N] with a_first, a_{first+1}, …: numbers modulo 2^32 in signed form, folded."""
        counter = (first * _COUNTS_PER_BLOCK).to_bytes(_CIPHER_BYTES, "big")
        encryptor = Cipher(self._cipher_key, CTR(counter)).encryptor()
        keystream = elements.reshape(-1).view(np.uint8).data
        for start in range(0, len(keystream), len(_ZEROS)):
            part = keystream[start : start + len(_ZEROS)]
            encryptor.update_into(memoryview(_ZEROS)[: len(part)], part)
        if sys.byteorder == "big":
            elements.byteswap(inplace=True)
