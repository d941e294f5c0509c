# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The secret of two parties in one job, derived from what they exchanged and from everything that identifies it.

Invariant: different jobs, rosters, pairs, acceptances or ciphertexts have unrelated pair secrets.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.crypto.masks.ephemeral import EncapsulatedSecret, ExchangedSecret
from coterie_common.errors import StateError
from coterie_common.identifiers import JobId
from coterie_common.secret import Secret

SECRET_BYTES: Final = 32


class PairSecret(Secret[bytes]):
    """The 32 bytes s_ij of two parties in one job: the key of every mask between them."""

    def __init__(self, value: bytes) -> None:
        if len(value) != SECRET_BYTES:
            raise StateError(f"a pair secret must have {SECRET_BYTES} bytes, this one has {len(value)}")
        super().__init__(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """Two parties of one job, in the order of their ids.

    Attributes:
        job_id: the job.
        roster_digest: of the roster in force.
        lower: digest of the acceptance of the party with the lower id.
        higher: digest of the other's.
    """

    job_id: JobId
    roster_digest: bytes
    lower: bytes
    higher: bytes

    def derive(self, exchanged: ExchangedSecret, encapsulated: EncapsulatedSecret, ciphertext: bytes) -> PairSecret:
        """Return the pair secret; both parties compute the same.

        Args:
            exchanged: by X25519.
            encapsulated: by the lower party to the higher.
            ciphertext: in which it travelled.
        """
        return PairSecret(
            tuple_hash(
                Label.PAIR,
                exchanged.reveal(),
                encapsulated.reveal(),
                self.job_id,
                self.roster_digest,
                self.lower,
                self.higher,
                ciphertext,
                digest_bytes=SECRET_BYTES,
            )
        )
