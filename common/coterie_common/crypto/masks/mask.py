# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Masks of one session: pseudorandom vectors that cancel in the sum over a whole cohort.

The party i adds Σ_{j>i} F(s_ij) − Σ_{j<i} F(s_ij), so every F occurs once with each sign. F is the keystream of
AES-256 in counter mode from counter 0, under the key TupleHash("coterie/mask", s_ij, session id, purpose), read as
little-endian integers.

- A session id covers the whole query, so another query has unrelated masks, and nothing cancels.
- One purpose covers one vector: a ``SessionMasks`` refuses a second one.
- Masks modulo 2^64 cover values, masks modulo 2^32 the key of a pad.

Source: Bonawitz et al., CCS 2017, pairwise masks without their recovery: if one member is away, nothing opens.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from enum import StrEnum
from threading import Lock
from typing import Final

import numpy as np
import numpy.typing as npt
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.crypto.masks.pairwise import PairSecret
from coterie_common.crypto.pads.pad import MaskablePadKey
from coterie_common.errors import StateError
from coterie_common.identifiers import PartyId

Int64Array = npt.NDArray[np.int64]
UInt32Array = npt.NDArray[np.uint32]
UInt64Array = npt.NDArray[np.uint64]

_COUNTER_BYTES: Final = 16


class Purpose(StrEnum):
    """The masked vector of a reply; part of the mask's key."""

    VALUES = "values"
    PAD_KEY = "pad-key"


class PairSecrets:
    """The pair secrets of one party with every other member of a job's cohort.

    Args:
        own: id of the party.
        secrets: by the other's id; at least one.
    """

    __slots__ = ("_own", "_secrets")

    def __init__(self, own: PartyId, secrets: Mapping[PartyId, PairSecret]) -> None:
        if own in secrets or not secrets:
            raise StateError(f"{own} needs a secret with every other party, and none with itself")
        self._own = own
        self._secrets = dict(secrets)

    @property
    def cohort(self) -> tuple[PartyId, ...]:
        """Sorted ids of all parties whose replies the masks cancel in, this one's among them."""
        return tuple(sorted((self._own, *self._secrets)))

    def masks_for(self, session_id: bytes, cohort: Collection[PartyId]) -> SessionMasks:
        """Return the masks of one session, each to be used once.

        Args:
            session_id: of the session; it covers the cohort.
            cohort: whose replies the masks cancel in: this party, and others with which it shares a secret.

        Raises:
            StateError: another cohort.
        """
        others = set(cohort) - {self._own}
        if self._own not in cohort or not others or not others <= self._secrets.keys():
            raise StateError(f"{self._own} has not a secret with every other party of the cohort, or is alone in it")
        return SessionMasks(self._own, {other: self._secrets[other] for other in sorted(others)}, session_id)


class SessionMasks:
    """The masks of one party in one session; made by ``PairSecrets``."""

    def __init__(self, own: PartyId, secrets: Mapping[PartyId, PairSecret], session_id: bytes) -> None:
        self._own: Final = own
        self._secrets: Final = secrets
        self._session_id: Final = session_id
        self._used: Final[set[Purpose]] = set()
        self._lock: Final = Lock()

    def cover_values(self, values: Int64Array) -> UInt64Array:
        """Mask a vector modulo 2^64.

        Args:
            values: Int64[length].

        Returns:
            UInt64[length].

        Raises:
            StateError: a vector was masked before, or this is none.
        """
        self._use(Purpose.VALUES, values)
        covered: UInt64Array = values.astype(np.uint64)
        for other, stream in self._streams(Purpose.VALUES, 8 * len(values)):
            mask = np.frombuffer(stream, dtype="<u8")
            covered = covered + mask if self._own < other else covered - mask
        return covered

    def cover_key(self, key: MaskablePadKey) -> UInt32Array:
        """Mask the key of a pad modulo 2^32.

        Returns:
            UInt32[N], folded.

        Raises:
            StateError: a key was masked before.
        """
        numbers = key.reveal()
        self._use(Purpose.PAD_KEY, numbers)
        covered: UInt32Array = numbers.astype(np.uint32)
        for other, stream in self._streams(Purpose.PAD_KEY, 4 * len(numbers)):
            mask = np.frombuffer(stream, dtype="<u4")
            covered = covered + mask if self._own < other else covered - mask
        return covered

    def _use(self, purpose: Purpose, vector: Int64Array) -> None:
        if vector.ndim != 1 or vector.dtype != np.int64:
            raise StateError(f"masks cover int64 vectors, not {vector.dtype} of shape {vector.shape}")
        with self._lock:
            if purpose in self._used:
                raise StateError(f"a mask of this session covered another vector before: {purpose}")
            self._used.add(purpose)

    def _streams(self, purpose: Purpose, size: int) -> list[tuple[PartyId, bytes]]:
        return [(other, keystream(self._secrets[other], self._session_id, purpose, size)) for other in self._secrets]


def keystream(secret: PairSecret, session_id: bytes, purpose: Purpose, size: int) -> bytes:
    """Return F(s_ij), ``size`` bytes; everybody with the pair secret computes the same."""
    key = tuple_hash(Label.MASK, secret.reveal(), session_id, purpose.value)
    encryptor = Cipher(AES(key), CTR(bytes(_COUNTER_BYTES))).encryptor()
    return encryptor.update(bytes(size))


def add_masked(total: UInt32Array | UInt64Array, covered: UInt32Array | UInt64Array) -> None:
    """Add one masked vector to ``total``, in place, modulo its word.

    Raises:
        StateError: another length or type.
    """
    if total.shape != covered.shape or total.dtype != covered.dtype:
        raise StateError(f"masked vectors of shapes {total.shape} and {covered.shape} cannot be added")
    total += covered
