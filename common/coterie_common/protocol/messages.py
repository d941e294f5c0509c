# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The messages of the protocol as values: their content, their sender and the items that their signature covers.

These are plain data, already parsed but not yet verified: ciphertexts, proofs and signatures are bytes as received.
``verification`` checks a message before anyone acts on it.

Invariants:
- A signed message signs itself and checks its own signature; nobody else writes out what the signature covers.
- Everything that a party sends in a round is bound to the session id, which covers the whole query.
- ``stored_as`` is how audit records name a message of the aggregator; it outlives the name of the class.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from coterie_common.crypto.hashing import Label, long_hash, tuple_hash
from coterie_common.crypto.identity import SigningKey, VerifyKey
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol.acceptance import Acceptances, Encapsulations, JobReply, RelayedEncapsulations
from coterie_common.protocol.encrypted_reply import Contribution, EncryptedReply
from coterie_common.protocol.masked_reply import MaskedReply, ReplyList
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.signed import Signed, SignedItems
from coterie_common.protocol.transcript import transcript_digest_of


class JobOutcome(StrEnum):
    """The outcome of a job."""

    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello:
    """First message of a party on its stream: its identity and its roster."""

    protocol_version: int
    party_id: PartyId
    roster_serial: int
    roster_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Welcome:
    """The aggregator's answer to ``Hello``; from here on messages of jobs may follow."""

    stored_as: ClassVar[str] = "Welcome"

    protocol_version: int
    roster_serial: int
    roster_digest: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class JobProposal(Signed):
    """Aggregator → parties: a job before its first round.

    Attributes:
        spec: canonical bytes of the ``JobSpec``.
        terms: canonical bytes of the ``JobTerms``: encoding and noise of every round that the job may have.
    """

    stored_as: ClassVar[str] = "JobProposal"

    job_id: JobId
    roster_digest: bytes
    spec: bytes
    terms: bytes

    @property
    def spec_digest(self) -> bytes:
        """Digest of the specification, as it enters session ids."""
        return tuple_hash(Label.JOB_SPEC, self.spec)

    @property
    def terms_digest(self) -> bytes:
        """Digest of the terms."""
        return tuple_hash(Label.JOB_TERMS, self.terms)

    @property
    def signed_items(self) -> SignedItems:
        """Label and items under the aggregator's signature."""
        return Label.PROPOSAL, (self.job_id, self.roster_digest, self.spec_digest, self.terms_digest)


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True)
class Query(Signed):
    """Aggregator → cohort: the query of one round.

    Attributes:
        fields: everything that the session id covers.
        body: canonical bytes of the ask; ``fields.body_digest`` is its digest.
        previous: of a round that is sealed completely and not the job's first release, the replies in the last release;
            ``fields.previous_transcript`` is its digest.
    """

    stored_as: ClassVar[str] = "Query"

    fields: SessionFields
    body: bytes
    previous: ReplyList | None = None

    @property
    def signed_items(self) -> SignedItems:
        """Label and items under the aggregator's signature."""
        return Label.QUERY_SIGNATURE, (self.fields.session_id,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaddedPart:
    """Party → aggregator: the padded part of a reply follows, as content of ``size`` bytes, then the reply.

    It is not signed: the contribution is signed, and names the content by its digest.
    """

    job_id: JobId
    round_number: int
    session_id: bytes
    party_id: PartyId
    size: int


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True)
class DecryptionRequest(Signed):
    """Aggregator → parties: open the sum of exactly these contributions.

    Attributes:
        fields: of the query, so that a party that did not answer can recompute the session id too.
        contributions: in roster order.
    """

    stored_as: ClassVar[str] = "DecryptionRequest"

    fields: SessionFields
    contributions: tuple[Contribution, ...]

    @property
    def transcript_digest(self) -> bytes:
        """Digest of the transcript of these contributions."""
        seen = [(each.party_id, each.key_part.digest, each.padded_digest) for each in self.contributions]
        return transcript_digest_of(self.fields.session_id, seen)

    @property
    def signed_items(self) -> SignedItems:
        """Label and items under the aggregator's signature."""
        return Label.TRANSCRIPT_SIGNATURE, (self.transcript_digest,)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartialDecryption(Signed):
    """Party → aggregator: its share of opening the sum, with the batched proof that it used its key share.

    Attributes:
        transcript_signature: over session and transcript alone. A member that holds no key is shown those of the
            holders who opened, without their partial decryptions. All members hold keys at present.
    """

    job_id: JobId
    round_number: int
    session_id: bytes
    transcript_digest: bytes
    party_id: PartyId
    values: tuple[bytes, ...]
    proof: bytes
    transcript_signature: bytes

    @property
    def signed_items(self) -> SignedItems:
        """Label and items under the party's signature."""
        opened = tuple_hash(Label.LIST, self.values, self.proof, self.transcript_signature)
        return Label.PARTIAL_DECRYPTION, (self.session_id, self.transcript_digest, self.party_id, opened)

    @staticmethod
    def sign_transcript(key: SigningKey, session_id: bytes, transcript_digest: bytes) -> bytes:
        """Return a holder's signature over session and transcript."""
        return key.sign(Label.TRANSCRIPT_RECEIPT, session_id, transcript_digest)

    def verify_transcript(self, key: VerifyKey) -> None:
        """Check the signature over session and transcript.

        Raises:
            InvalidSignature: not made by this key over exactly these two.
        """
        key.verify(self.transcript_signature, Label.TRANSCRIPT_RECEIPT, self.session_id, self.transcript_digest)


@dataclass(frozen=True, slots=True, weakref_slot=True, kw_only=True)
class ModelDelivery(Signed):
    """Aggregator → parties: the finished model's file."""

    stored_as: ClassVar[str] = "ModelDelivery"

    job_id: JobId
    model: bytes

    @property
    def model_digest(self) -> bytes:
        """Digest of the model's bytes."""
        return long_hash(Label.MODEL, self.model)

    @property
    def signed_items(self) -> SignedItems:
        """Label and items under the aggregator's signature."""
        return Label.MODEL_DELIVERY, (self.job_id, self.model_digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelReceipt(Signed):
    """Party → aggregator: the model is stored on this party's disk."""

    job_id: JobId
    party_id: PartyId
    model_digest: bytes

    @property
    def signed_items(self) -> SignedItems:
        """Label and items under the party's signature."""
        return Label.MODEL_RECEIPT, (self.job_id, self.party_id, self.model_digest)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobEnd(Signed):
    """Aggregator → parties: no further round of this job will come."""

    stored_as: ClassVar[str] = "JobEnd"

    job_id: JobId
    outcome: JobOutcome
    reason: str

    @property
    def signed_items(self) -> SignedItems:
        """Label and items under the aggregator's signature."""
        return Label.JOB_END, (self.job_id, self.outcome.value, self.reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejection:
    """Either side: a message was not accepted; ``code`` as in ``errors``, for the job and round named (0: none)."""

    stored_as: ClassVar[str] = "Rejection"

    code: str
    detail: str
    job_id: str
    round_number: int


Reply = EncryptedReply | MaskedReply
PartyMessage = Hello | JobReply | Encapsulations | PaddedPart | Reply | PartialDecryption | ModelReceipt | Rejection
AggregatorMessage = (
    Welcome
    | JobProposal
    | Acceptances
    | RelayedEncapsulations
    | Query
    | DecryptionRequest
    | ModelDelivery
    | JobEnd
    | Rejection
)
Message = PartyMessage | AggregatorMessage
