# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A message that signs itself and checks its own signature: only the message states what its signature covers.

Audit records hold digests in place of contents; for them ``audit.evidence`` states the same.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, replace
from typing import Final, Self, TypeAlias

from coterie_common.crypto.hashing import Item, Label
from coterie_common.crypto.identity import SigningKey, VerifyKey

UNSIGNED: Final = b""
"""The signature of a message that ``signed_by`` is about to sign; no key verifies it, and no peer parses it."""

SignedItems: TypeAlias = tuple[Label, tuple[Item, ...]]
"""The content that a signature covers: a label, and the items of its tuple."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed(ABC):
    """A message under its sender's signature.

    Attributes:
        signature: over exactly the ``signed_items``; of a message from outside not yet verified.
    """

    signature: bytes

    @property
    @abstractmethod
    def signed_items(self) -> SignedItems:
        """Label and items under the signature."""

    def signed_by(self, key: SigningKey) -> Self:
        """Return the same message with this key's signature."""
        label, items = self.signed_items
        return replace(self, signature=key.sign(label, *items))

    def verify(self, key: VerifyKey) -> None:
        """Check the signature.

        Raises:
            InvalidSignature: not made by this key over exactly this message.
        """
        label, items = self.signed_items
        key.verify(self.signature, label, *items)
