# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The messages by which parties take a job, and agree on secrets if it is sealed completely.

One exchange before the first round: the acceptances, which carry ephemeral keys, are relayed to everybody who takes
part; each party checks them all and answers with one encapsulation for everybody with a higher id; these are relayed.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.signed import Signed, SignedItems


class Decision(StrEnum):
    """A party's answer to a job."""

    ACCEPTED = "accepted"
    HELD = "held"
    REFUSED = "refused"


@dataclass(frozen=True, slots=True, kw_only=True)
class JobReply(Signed):
    """Party → aggregator: accepted, held or refused, with the error code and numbers of a refusal.

    Attributes:
        ephemeral_key: public keys of this party for this job alone, if it accepts one that is sealed completely;
            otherwise empty.
    """

    job_id: JobId
    party_id: PartyId
    spec_digest: bytes
    terms_digest: bytes
    decision: Decision
    code: str
    detail: str
    ephemeral_key: bytes = b""

    @property
    def signed_items(self) -> SignedItems:
        """Label and items under the party's signature."""
        digests = (self.spec_digest, self.terms_digest)
        decided = (self.decision.value, self.code, self.detail)
        return Label.JOB_REPLY, (self.job_id, self.party_id, *digests, *decided, self.ephemeral_key)

    @property
    def acceptance_digest(self) -> bytes:
        """Digest of all that the signature of an acceptance covers, as it enters pair secrets and session ids."""
        return tuple_hash(Label.ACCEPTANCE, *self.signed_items[1])


@dataclass(frozen=True, slots=True, kw_only=True)
class Acceptances(Signed):
    """Aggregator → parties: how everybody accepted a job that is sealed completely, before its first round.

    Attributes:
        replies: signed by their parties, in the order of their ids.
    """

    stored_as: ClassVar[str] = "Acceptances"

    job_id: JobId
    replies: tuple[JobReply, ...]

    @property
    def digest(self) -> bytes:
        """Digest of all acceptances, as it enters session ids."""
        return tuple_hash(Label.ACCEPTANCES, self.job_id, *((r.party_id, r.acceptance_digest) for r in self.replies))

    @property
    def signed_items(self) -> SignedItems:
        """Label and items under the aggregator's signature."""
        return Label.ACCEPTANCES_SIGNATURE, (self.job_id, self.digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encapsulation(Signed):
    """A secret of one party for another with a higher id: the lattice half of their pair secret.

    Attributes:
        sender: who made it.
        recipient: who alone can open it.
        acceptances: digests of the sender's acceptance and of the recipient's.
        ciphertext: of ML-KEM-768, under the key in the recipient's acceptance.
    """

    job_id: JobId
    sender: PartyId
    recipient: PartyId
    acceptances: tuple[bytes, bytes]
    ciphertext: bytes

    @property
    def signed_items(self) -> SignedItems:
        """Label and items under the sender's signature."""
        ends = (self.sender, self.recipient, *self.acceptances)
        return Label.ENCAPSULATION, (self.job_id, *ends, self.ciphertext)


@dataclass(frozen=True, slots=True, kw_only=True)
class Encapsulations:
    """Party → aggregator: it agrees with the acceptances, and these are its encapsulations, one for each higher id."""

    job_id: JobId
    party_id: PartyId
    encapsulations: tuple[Encapsulation, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RelayedEncapsulations:
    """Aggregator → party: what those with lower ids encapsulated to it, in the order of their ids."""

    stored_as: ClassVar[str] = "RelayedEncapsulations"

    job_id: JobId
    encapsulations: tuple[Encapsulation, ...]
