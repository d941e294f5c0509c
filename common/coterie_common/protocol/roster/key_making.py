# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""How a generated key was made, under the signatures of all its holders.

A dealt key has none of this: for it, the founder's word counts. Every member checks all signatures before it uses the
key; no version makes such a key yet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from coterie_common.crypto.generation.record_signature import signed_items
from coterie_common.crypto.hashing import DIGEST_BYTES
from coterie_common.crypto.identity import SIGNATURE_BYTES, SigningKey, VerifyKey
from coterie_common.errors import InvalidSignature, MalformedMessage
from coterie_common.fields import Fields
from coterie_common.limits import MAX_PARTIES
from coterie_common.protocol.signed import SignedItems

_WHAT: Final = "the making of the roster's key"


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyMaking:
    """The holders' word on a key that they made together.

    Attributes:
        draft_digest: digest of the draft roster, under which they made it.
        steps_digest: digest of everything that they sent each other in all steps.
        signatures: Ed25519, of the holders in the order of their indices 1..k.

    Raises:
        MalformedMessage: a digest or a signature of another length.
    """

    draft_digest: bytes
    steps_digest: bytes
    signatures: tuple[bytes, ...]

    def __post_init__(self) -> None:
        if not len(self.draft_digest) == len(self.steps_digest) == DIGEST_BYTES:
            raise MalformedMessage(f"the digests in {_WHAT} must have {DIGEST_BYTES} bytes")
        if any(len(signature) != SIGNATURE_BYTES for signature in self.signatures):
            raise MalformedMessage(f"the signatures in {_WHAT} must have {SIGNATURE_BYTES} bytes")

    def signed_items(self, key_digest: bytes) -> SignedItems:
        """Return label and items under each holder's signature, for the key record with this digest."""
        return signed_items(key_digest, self.draft_digest, self.steps_digest)

    def sign(self, key_digest: bytes, holder: SigningKey) -> bytes:
        """Return a holder's signature over the key record with this digest, the draft and all steps."""
        label, items = self.signed_items(key_digest)
        return holder.sign(label, *items)

    def verify(self, key_digest: bytes, holders: Sequence[VerifyKey]) -> None:
        """Check that every holder signed.

        Args:
            key_digest: digest of the key record.
            holders: their keys, in the order of their indices.

        Raises:
            MalformedMessage: there are not as many signatures as holders.
            InvalidSignature: one of them is not that holder's over exactly this.
        """
        if len(self.signatures) != len(holders):
            raise MalformedMessage(f"{_WHAT} must be signed by {len(holders)} key holders, not {len(self.signatures)}")
        label, items = self.signed_items(key_digest)
        for index, (holder, signature) in enumerate(zip(holders, self.signatures, strict=True), start=1):
            try:
                holder.verify(signature, label, *items)
            except InvalidSignature as cause:
                raise InvalidSignature(f"{_WHAT} is not signed by the holder of the key share {index}") from cause

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value from which ``from_document`` makes an equal object."""
        return {
            "draft_digest": self.draft_digest.hex(),
            "steps_digest": self.steps_digest.hex(),
            "signatures": [signature.hex() for signature in self.signatures],
        }

    @classmethod
    def from_document(cls, value: Any) -> KeyMaking:
        """Parse; raises ``MalformedMessage``."""
        fields = Fields(value, _WHAT, cls.__slots__)
        entries = (
            Fields({"signature": entry}, "a key holder's word", ("signature",))
            for entry in fields.items("signatures", maximum=MAX_PARTIES)
        )
        return cls(
            draft_digest=fields.octets("draft_digest", minimum=DIGEST_BYTES, maximum=DIGEST_BYTES),
            steps_digest=fields.octets("steps_digest", minimum=DIGEST_BYTES, maximum=DIGEST_BYTES),
            signatures=tuple(
                entry.octets("signature", minimum=SIGNATURE_BYTES, maximum=SIGNATURE_BYTES) for entry in entries
            ),
        )
