# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Signing keys (Ed25519) and sealing keys (X25519 with HPKE) of members and of the founder.

Signatures always cover the TupleHash of a labelled tuple, never raw bytes, so that a signature made for one purpose
cannot be used for another. Certificates and their TLS keys are elsewhere.

- A secret key reveals nothing when printed and cannot be pickled.
- A verify key that exists is a point of large order in its canonical encoding.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from Crypto.Protocol import HPKE
from Crypto.Protocol.DH import import_x25519_private_key, import_x25519_public_key
from Crypto.Signature import eddsa
from cryptography import exceptions
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from coterie_common.crypto.hashing import Item, Label, tuple_hash
from coterie_common.errors import InvalidSignature, KeyFileError, MalformedMessage
from coterie_common.randomness import RandomSource
from coterie_common.secret import Secret

SEED_BYTES: Final = 32
PUBLIC_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64

_SMALL_ORDER: Final = 8


@dataclass(frozen=True)
class VerifyKey:
    """Checks the signatures of one signer.

    Attributes:
        encoded: the Ed25519 public key, 32 bytes (RFC 8032).

    Raises:
        MalformedMessage: not the canonical encoding of a point of large order; under a point of small order
            signatures of anything verify.
    """

    encoded: bytes
    _key: Ed25519PublicKey = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        try:
            key = eddsa.import_public_key(self.encoded)
        except ValueError as cause:
            raise MalformedMessage(f"a signing key must be an Ed25519 point of {PUBLIC_BYTES} bytes") from cause
        if len(self.encoded) != PUBLIC_BYTES or (key.pointQ * _SMALL_ORDER).is_point_at_infinity():
            raise MalformedMessage(f"a signing key must be an Ed25519 point of large order, {PUBLIC_BYTES} bytes")
        # The key was checked above; this object verifies a signature in a third of the time, and a round has many.
        object.__setattr__(self, "_key", Ed25519PublicKey.from_public_bytes(self.encoded))

    def verify(self, signature: bytes, label: Label, *items: Item) -> None:
        """Check a signature over a labelled tuple.

        Raises:
            InvalidSignature: not made by this key over exactly this tuple.
        """
        try:
            self._key.verify(signature, tuple_hash(label, *items))
        except exceptions.InvalidSignature as cause:
            raise InvalidSignature(f"the signature over {label} does not verify") from cause


class SigningKey:
    """An Ed25519 signing key.

    Security: the seed is the whole secret; keep it in a key file only.
    """

    __slots__ = ("_key", "_seed", "verify_key")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise KeyFileError(f"a signing key must have {SEED_BYTES} bytes, this one has {len(seed)}")
        self._seed = Secret(seed)
        self._key = eddsa.import_private_key(seed)
        self.verify_key = VerifyKey(self._key.public_key().export_key(format="raw"))

    @classmethod
    def generate(cls, random: RandomSource) -> SigningKey:
        """Make a new key."""
        return cls(random.token_bytes(SEED_BYTES))

    def seed(self) -> bytes:
        """Return the secret seed of 32 bytes, for a key file."""
        return self._seed.reveal()

    def derive(self, label: Label, *items: Item, digest_bytes: int) -> bytes:
        """Return bytes that look random to everybody else: a secret that its owner can make again and need not store.

        Args:
            label: the purpose; no other use of the seed has it.
            items: what the secret is for.
            digest_bytes: length of the result.

        Source: TupleHash with the seed as its first item, a pseudorandom function as KMAC is one (NIST SP 800-185).
        """
        return tuple_hash(label, self._seed.reveal(), *items, digest_bytes=digest_bytes)

    def sign(self, label: Label, *items: Item) -> bytes:
        """Sign a labelled tuple; returns 64 bytes, always the same ones for the same tuple.

        Source: RFC 8032, Ed25519, over the TupleHash of the tuple.
        """
        return eddsa.new(self._key, "rfc8032").sign(tuple_hash(label, *items))


class SealingKey:
    """An X25519 key to which others seal messages that only its owner opens.

    Security: no forward secrecy: anyone who obtains the seed later can open earlier messages.
    """

    __slots__ = ("_key", "_seed", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise KeyFileError(f"a sealing key must have {SEED_BYTES} bytes, this one has {len(seed)}")
        self._seed = Secret(seed)
        self._key = import_x25519_private_key(seed)
        self.public: bytes = self._key.public_key().export_key(format="raw")

    @classmethod
    def generate(cls, random: RandomSource) -> SealingKey:
        """Make a new key."""
        return cls(random.token_bytes(SEED_BYTES))

    def seed(self) -> bytes:
        """Return the secret seed of 32 bytes, for a key file."""
        return self._seed.reveal()

    def open(self, sealed: bytes, *, info: bytes, associated: bytes) -> bytes:
        """Open a message that ``seal_to`` sealed to this key.

        Raises:
            KeyFileError: sealed to another key, for another purpose or context, or altered on the way.
        """
        try:
            context = HPKE.new(
                receiver_key=self._key, aead_id=HPKE.AEAD.AES256_GCM, enc=sealed[:PUBLIC_BYTES], info=info
            )
            return context.unseal(sealed[PUBLIC_BYTES:], associated)
        except ValueError as cause:
            raise KeyFileError(
                "the sealed content does not open: it was sealed to another key or for another purpose, or altered"
            ) from cause


def seal_to(public: bytes, plaintext: bytes, *, info: bytes, associated: bytes) -> bytes:
    """Seal a message to the owner of a sealing key.

    Args:
        public: the recipient's public key, 32 bytes.
        plaintext: the message.
        info: the purpose; the recipient must name the same.
        associated: the context that is authenticated with the message but not sent.

    Returns:
        48 bytes more than the plaintext: encapsulated key, ciphertext, tag.

    Raises:
        KeyFileError: ``public`` is no X25519 key, or one of small order.

    Source: RFC 9180, base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, AES-256-GCM.
    Deviation: the ephemeral key is drawn by pycryptodome from the operating system, which its interface does not let us
        replace; no random source is taken.
    """
    try:
        recipient = import_x25519_public_key(public)
        context = HPKE.new(receiver_key=recipient, aead_id=HPKE.AEAD.AES256_GCM, info=info)
        return context.enc + context.seal(plaintext, associated)
    except ValueError as cause:
        raise KeyFileError(f"a public sealing key must be an X25519 key of {PUBLIC_BYTES} bytes") from cause
