# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Ephemeral keys of one job: X25519 and ML-KEM-768 side by side, the one place where either is called.

Two parties that know each other's keys share two secrets: the X25519 one, which both compute, and the ML-KEM one, which
the first encapsulates to the other. ``pairwise`` derives one pair secret from both, so that an adversary has to break
both.

- An ``EphemeralKey`` that exists is well formed: an ML-KEM key that passes the modulus check of FIPS 203, and an X25519
  point of large order, so that no exchange with it gives a secret that everybody knows.
- Whose key it is, nothing here says: the messages that carry keys and ciphertexts are signed.

Source: FIPS 203 (ML-KEM-768); RFC 7748 (X25519). Concatenating both before a hash that binds keys and ciphertext is the
construction of draft-irtf-cfrg-hybrid-kems.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.asymmetric.mlkem import MLKEM768PrivateKey, MLKEM768PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from coterie_common.errors import KeyFileError, MalformedMessage
from coterie_common.randomness import RandomSource
from coterie_common.secret import Secret

_X25519_BYTES: Final = 32
_LATTICE_SEED_BYTES: Final = 64
_LATTICE_KEY_BYTES: Final = 1184

SEED_BYTES: Final = _X25519_BYTES + _LATTICE_SEED_BYTES
PUBLIC_BYTES: Final = _X25519_BYTES + _LATTICE_KEY_BYTES
CIPHERTEXT_BYTES: Final = 1088

_PROBE: Final = X25519PrivateKey.from_private_bytes(bytes(_X25519_BYTES))
"""A scalar that everybody knows. X25519 makes every scalar a multiple of the cofactor: with points of small order, and
no others, the result is zero and the exchange refused."""


class ExchangedSecret(Secret[bytes]):
    """The 32 bytes that X25519 gives two parties."""


class EncapsulatedSecret(Secret[bytes]):
    """The 32 bytes that ML-KEM gives two parties."""


@dataclass(frozen=True)
class EphemeralKey:
    """The public keys of one party in one job.

    Attributes:
        encoded: the X25519 key (32 bytes), then the ML-KEM-768 encapsulation key (1,184 bytes).

    Raises:
        MalformedMessage: another length, an encapsulation key with numbers out of range, or an X25519 point of small
            order.
    """

    encoded: bytes
    _point: X25519PublicKey = field(init=False, repr=False, compare=False)
    _lattice: MLKEM768PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if len(self.encoded) != PUBLIC_BYTES:
            raise MalformedMessage(f"an ephemeral key must have {PUBLIC_BYTES} bytes, this one has {len(self.encoded)}")
        try:
            lattice = MLKEM768PublicKey.from_public_bytes(self.encoded[_X25519_BYTES:])
        except ValueError as cause:
            raise MalformedMessage("an ephemeral key holds no ML-KEM-768 key") from cause
        point = X25519PublicKey.from_public_bytes(self.encoded[:_X25519_BYTES])
        try:
            _PROBE.exchange(point)
        except ValueError as cause:
            raise MalformedMessage("an ephemeral key holds an X25519 point of small order") from cause
        object.__setattr__(self, "_point", point)
        object.__setattr__(self, "_lattice", lattice)

    def encapsulate(self) -> tuple[EncapsulatedSecret, bytes]:
        """Make a secret that only the owner of this key learns from the ciphertext.

        Returns:
            The secret, and a ciphertext of ``CIPHERTEXT_BYTES``; different ones at every call.

        Deviation: the library draws the randomness from the operating system, which its interface does not let us
            replace; no random source is taken.
        """
        secret, ciphertext = self._lattice.encapsulate()
        return EncapsulatedSecret(secret), ciphertext


class EphemeralSecret:
    """The secret keys of one party in one job.

    Security: the seed is the whole secret. It lies in one file, which is deleted when the job is over; with it, every
        mask of the job can be computed.
    """

    __slots__ = ("_lattice", "_point", "_seed", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise KeyFileError(f"an ephemeral secret must have {SEED_BYTES} bytes, this one has {len(seed)}")
        self._seed = Secret(seed)
        self._point = X25519PrivateKey.from_private_bytes(seed[:_X25519_BYTES])
        self._lattice = MLKEM768PrivateKey.from_seed_bytes(seed[_X25519_BYTES:])
        self.public = EphemeralKey(
            self._point.public_key().public_bytes_raw() + self._lattice.public_key().public_bytes_raw()
        )

    @classmethod
    def generate(cls, random: RandomSource) -> EphemeralSecret:
        """Make new keys."""
        return cls(random.token_bytes(SEED_BYTES))

    def seed(self) -> bytes:
        """Return the secret seed of ``SEED_BYTES``, for the file of the job's secrets."""
        return self._seed.reveal()

    def exchange(self, other: EphemeralKey) -> ExchangedSecret:
        """Return the X25519 secret shared with the owner of another key."""
        return ExchangedSecret(self._point.exchange(other._point))

    def decapsulate(self, ciphertext: bytes) -> EncapsulatedSecret:
        """Return the secret in a ciphertext; of one made for another key, a secret that nobody else has.

        Raises:
            MalformedMessage: not ``CIPHERTEXT_BYTES`` long.
        """
        if len(ciphertext) != CIPHERTEXT_BYTES:
            raise MalformedMessage(f"an encapsulation must have {CIPHERTEXT_BYTES} bytes, this has {len(ciphertext)}")
        return EncapsulatedSecret(self._lattice.decapsulate(ciphertext))
