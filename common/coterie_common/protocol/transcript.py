# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The transcript of a round: who contributed what, as one digest that all who open the sum must agree on."""

from __future__ import annotations

from collections.abc import Sequence

from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.protocol.messages import Contribution


def transcript_digest(session_id: bytes, contributions: Sequence[Contribution]) -> bytes:
    """Return the digest of session id and, per contributor in roster order, its id and both digests.

    Args:
        session_id: of the round.
        contributions: in roster order; the caller has checked that.
    """
    return transcript_digest_of(session_id, [(c.party_id, c.key_part.digest, c.padded_digest) for c in contributions])


def transcript_digest_of(session_id: bytes, contributions: Sequence[tuple[str, bytes, bytes]]) -> bytes:
    """Return the same of (party id, digest of the key part, digest of the padded part) per contributor."""
    return tuple_hash(Label.TRANSCRIPT, session_id, *contributions)
