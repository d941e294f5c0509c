# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The transcript of a round: its contributions as one digest, on which all parties that open the sum must agree."""

from __future__ import annotations

from collections.abc import Sequence

from coterie_common.crypto.hashing import Label, tuple_hash


def transcript_digest_of(session_id: bytes, contributions: Sequence[tuple[str, bytes, bytes]]) -> bytes:
    """Return the digest of session id and contributions.

    Args:
        session_id: of the round.
        contributions: per contributor (party id, digest of the key part, digest of the padded part), in roster order;
            the caller has checked that.
    """
    return tuple_hash(Label.TRANSCRIPT, session_id, *contributions)
