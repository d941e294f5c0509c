# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Parts for one holder alone, sealed to its ephemeral key of this run, with a salted hash that everybody sees.

- The key from holder i to holder j comes from X25519 between their ephemeral keys and from a secret that i encapsulated
  to j with ML-KEM-768; AES-256-GCM with the number of the step as nonce: one part per step and direction.
- What is sealed is a salt and the part. The sender broadcasts the hash of both: the recipient checks it at once, and
  can show later what it got.
- Ephemeral keys end with the run: who records it and gets all long-term keys later opens no part.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from coterie_common.crypto.hashing import Label, long_hash, tuple_hash
from coterie_common.crypto.masks.ephemeral import EncapsulatedSecret, EphemeralKey, EphemeralSecret, ExchangedSecret
from coterie_common.secret import Secret

SALT_BYTES: Final = 32
SEAL_BYTES: Final = 16
_NONCE_BYTES: Final = 12


class ChannelKey(Secret[bytes]):
    """The AES key from one holder to another."""


class Direction(NamedTuple):
    """From one holder to another, in one run.

    Attributes:
        session_id: of the generation.
        sender: its index.
        recipient: its index.
    """

    session_id: bytes
    sender: int
    recipient: int


@dataclass(frozen=True, slots=True)
class SaltedPart:
    """A part with its salt; ``Secret`` until the run has ended.

    Attributes:
        salt: ``SALT_BYTES``.
        content: the part.
    """

    salt: bytes
    content: bytes

    def __repr__(self) -> str:
        return "SaltedPart(<redacted>)"

    def hash(self, direction: Direction, step: int) -> bytes:
        """Return the salted hash that the sender broadcasts."""
        content = long_hash(Label.GENERATION_PART, self.content)
        return tuple_hash(Label.GENERATION_SALTED_PART, *direction, step, self.salt, content)


def derive(
    direction: Direction, exchanged: ExchangedSecret, encapsulated: EncapsulatedSecret, ciphertext: bytes
) -> ChannelKey:
    """Return the key of one direction; both ends compute the same.

    Args:
        direction: from whom to whom.
        exchanged: by X25519.
        encapsulated: by the sender to the recipient.
        ciphertext: in which it travelled.
    """
    return ChannelKey(
        tuple_hash(Label.GENERATION_CHANNEL, exchanged.reveal(), encapsulated.reveal(), *direction, ciphertext)
    )


def open_direction(direction: Direction, own: EphemeralSecret, other: EphemeralKey, ciphertext: bytes) -> ChannelKey:
    """Return the recipient's key of one direction.

    Raises:
        MalformedMessage: the ciphertext has another length.
    """
    return derive(direction, own.exchange(other), own.decapsulate(ciphertext), ciphertext)


def seal(key: ChannelKey, direction: Direction, step: int, part: SaltedPart) -> bytes:
    """Seal the one part of a step in one direction; ``SALT_BYTES`` + ``SEAL_BYTES`` longer than its content.

    Security: never two different parts with the same key and step.
    """
    return AESGCM(key.reveal()).encrypt(
        step.to_bytes(_NONCE_BYTES, "big"), part.salt + part.content, _associated(direction, step)
    )


def open_part(key: ChannelKey, direction: Direction, step: int, sealed: bytes) -> SaltedPart | None:
    """Open a sealed part; ``None`` for one that was altered or sealed for another step, direction or run."""
    try:
        opened = AESGCM(key.reveal()).decrypt(step.to_bytes(_NONCE_BYTES, "big"), sealed, _associated(direction, step))
    except (InvalidTag, ValueError):
        return None
    if len(opened) < SALT_BYTES:
        return None
    return SaltedPart(opened[:SALT_BYTES], opened[SALT_BYTES:])


def _associated(direction: Direction, step: int) -> bytes:
    return tuple_hash(Label.GENERATION_SEAL, *direction, step)
