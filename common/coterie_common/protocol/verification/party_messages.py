# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What the aggregator checks of a job reply, a partial decryption and a model receipt."""

from __future__ import annotations

from collections.abc import Sequence

from coterie_common.crypto.paillier import Ciphertext
from coterie_common.crypto.proofs import partial_decryption
from coterie_common.crypto.threshold import ThresholdPublicKey
from coterie_common.errors import MalformedMessage, ParameterMismatch, PeerError
from coterie_common.protocol.messages import JobProposal, JobReply, ModelReceipt, PartialDecryption
from coterie_common.protocol.roster import Roster


def verify_job_reply(reply: JobReply, proposal: JobProposal, roster: Roster) -> None:
    """Check that a member replies to exactly this proposal.

    Raises:
        ParameterMismatch: it replies to another specification or other terms.
        InvalidSignature: not signed by that member.
    """
    digests = (reply.spec_digest, reply.terms_digest)
    if digests != (proposal.spec_digest, proposal.terms_digest):
        raise ParameterMismatch("the reply is to another specification or other terms", culprits=(reply.party_id,))
    label, items = JobReply.signed_items(
        reply.job_id, reply.party_id, digests, reply.decision, (reply.code, reply.detail)
    )
    roster.member(reply.party_id).verify_key.verify(reply.signature, label, *items)


def verify_partial(
    partial: PartialDecryption,
    session_id: bytes,
    transcript_digest: bytes,
    total: Sequence[Ciphertext],
    key: ThresholdPublicKey,
    roster: Roster,
) -> tuple[int, ...]:
    """Check one partial decryption of a transcript and return its values.

    Args:
        partial: as it came.
        session_id: of the round.
        transcript_digest: of the transcript that was fixed.
        total: the ciphertexts of the sum.
        key: the threshold key.
        roster: in force.

    Raises:
        PeerError: one of the numbered checks fails; the sender is the culprit, provably once check 2 passed.
    """
    try:
        # 1. It is for this transcript.
        if (partial.session_id, partial.transcript_digest) != (session_id, transcript_digest):
            raise ParameterMismatch("the partial decryption is of another transcript")
        # 2. The sender signed it.
        member = roster.member(partial.party_id)
        label, items = PartialDecryption.signed_items(
            session_id, transcript_digest, partial.party_id, partial.values, partial.proof
        )
        member.verify_key.verify(partial.signature, label, *items)
        # 3. One unit of the ciphertext group per ciphertext.
        if len(partial.values) != len(total):
            raise MalformedMessage(f"{len(partial.values)} partial decryptions instead of {len(total)}")
        values = tuple(key.public_key.check(value).value for value in partial.values)
        # 4. The proof that the member's own key share made them.
        statement = partial_decryption.Statement(
            session_id=session_id,
            transcript_digest=transcript_digest,
            index=member.index,
            key=key,
            ciphertexts=tuple(total),
            partials=values,
        )
        partial_decryption.verify(statement, partial_decryption.Proof.from_bytes(key, partial.proof))
    except PeerError as error:
        error.culprits = (partial.party_id,)
        raise
    return values


def verify_receipt(receipt: ModelReceipt, model_digest: bytes, roster: Roster) -> None:
    """Check that a member holds exactly this model.

    Raises:
        ParameterMismatch: it holds another one.
        InvalidSignature: not signed by that member.
    """
    if receipt.model_digest != model_digest:
        raise ParameterMismatch("the receipt is for another model", culprits=(receipt.party_id,))
    label, items = ModelReceipt.signed_items(receipt.job_id, receipt.party_id, receipt.model_digest)
    roster.member(receipt.party_id).verify_key.verify(receipt.signature, label, *items)
