# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What every holder signs when a key has been generated: the one place where its label and its items are.

A roster carries these signatures; ``protocol.roster.key_making`` verifies them for parties that took no part.
"""

from __future__ import annotations

from coterie_common.crypto.hashing import Item, Label


def signed_items(key_digest: bytes, draft_digest: bytes, steps_digest: bytes) -> tuple[Label, tuple[Item, ...]]:
    """Return label and items under each holder's signature.

    Args:
        key_digest: of the key record.
        draft_digest: of the draft roster.
        steps_digest: of everything that was broadcast until the trial.
    """
    return Label.KEY_MAKING, (key_digest, draft_digest, steps_digest)
