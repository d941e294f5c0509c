# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator's opening of a round's sum with the partial decryptions of enough key holders.

What opens is right, so no proof is verified for it. Only where it does not open:

1. every proof is verified, and the senders of wrong ones are named;
2. if all hold, other sets of the partial decryptions are tried.
"""

from __future__ import annotations

from collections.abc import Sequence

from coterie_common.crypto import threshold
from coterie_common.crypto.paillier import Ciphertext
from coterie_common.crypto.threshold import ThresholdPublicKey
from coterie_common.errors import InvalidProof, NotOpened, PeerError
from coterie_common.identifiers import PartyId
from coterie_common.protocol.messages import PartialDecryption
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.verification.party_messages import PARTIAL_CHECKS, verify_partial_proof


def open_total(
    partials: Sequence[PartialDecryption],
    session_id: bytes,
    transcript_digest: bytes,
    total: Sequence[Ciphertext],
    key: ThresholdPublicKey,
    roster: Roster,
) -> tuple[int, ...]:
    """Return the plaintexts of a sum.

    Args:
        partials: at least ``decryption_threshold``, each of another party; passed ``verify_partial``.
        session_id: of the round.
        transcript_digest: of the transcript that was fixed.
        total: the ciphertexts of the sum.
        key: the threshold key.
        roster: in force.

    Raises:
        InvalidProof: the sum does not open, and these partial decryptions are wrong; ``culprits`` are all their
            senders.
        NotOpened: the sum does not open with any set of them, although all proofs hold.
        InsufficientShares: fewer than the decryption threshold.
    """
    values = {
        roster.holder_index(partial.party_id): tuple(int.from_bytes(value, "big") for value in partial.values)
        for partial in partials
    }
    try:
        return threshold.combine(key, total, values)
    except NotOpened as failure:
        culprits: list[PartyId] = []
        for partial in partials:
            try:
                verify_partial_proof(partial, session_id, transcript_digest, total, key, roster)
            except PeerError:
                culprits.append(partial.party_id)
        if culprits:
            raise InvalidProof(
                "the sum does not open, and partial decryptions are not proven to be right",
                check=PARTIAL_CHECKS[-1].number,
                culprits=tuple(culprits),
            ) from failure
        return threshold.combine_any(key, total, values)
