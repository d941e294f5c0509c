# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The aggregator's checks of a job reply, a partial decryption and a model receipt.

The checks of a partial decryption, ``PARTIAL_CHECKS``, cheap ones first:

1. of the transcript that was fixed
2. signed by its sender for that transcript
3. with its sender's signature over the transcript alone
4. one unit modulo N for each ciphertext of the sum
5. the sender's own key share made it

Check 5 is made only where the sum does not open with it: whether it opens shows without any proof. The sender is the
culprit of any that fails, provably once check 2 has passed. Check 3 is for members that hold no key: they are shown
that signature of every holder who opened, and nothing else of a partial decryption.

A job reply and a model receipt have two checks each: it is about the proposal, or the model, that was sent (1), and
signed by the member that it names (2).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from coterie_common.crypto.paillier import Ciphertext
from coterie_common.crypto.proofs import partial_decryption
from coterie_common.crypto.threshold import ThresholdPublicKey
from coterie_common.errors import MalformedMessage, ParameterMismatch
from coterie_common.protocol.acceptance import JobReply
from coterie_common.protocol.messages import JobProposal, ModelReceipt, PartialDecryption
from coterie_common.protocol.roster import Roster
from coterie_common.protocol.verification.check import Check, run_checks
from coterie_common.protocol.verification.contribution import blaming


def verify_job_reply(reply: JobReply, proposal: JobProposal, roster: Roster) -> None:
    """Check that a member replies to exactly this proposal (1), and signed that (2).

    Raises:
        ParameterMismatch: it replies to another specification or other terms.
        InvalidSignature: not signed by that member.
    """
    digests = (reply.spec_digest, reply.terms_digest)
    if digests != (proposal.spec_digest, proposal.terms_digest):
        raise ParameterMismatch("the reply is to another specification or other terms", culprits=(reply.party_id,))
    reply.verify(roster.member(reply.party_id).verify_key)


@dataclass(slots=True, kw_only=True)
class PartialReceived:
    """A received partial decryption, and the sum that it decrypts.

    Attributes:
        partial: as it came.
        session_id: of the round.
        transcript_digest: of the transcript that was fixed.
        total: the ciphertexts of the sum.
        key: the threshold key.
        roster: in force.
        values: of the partial decryption, once their form was checked.
    """

    partial: PartialDecryption
    session_id: bytes
    transcript_digest: bytes
    total: tuple[Ciphertext, ...]
    key: ThresholdPublicKey
    roster: Roster
    values: tuple[int, ...] = ()


def verify_partial(
    partial: PartialDecryption,
    session_id: bytes,
    transcript_digest: bytes,
    total: Sequence[Ciphertext],
    key: ThresholdPublicKey,
    roster: Roster,
) -> tuple[int, ...]:
    """Make all checks but the last, that of the proof, and return the values.

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
    received = PartialReceived(
        partial=partial,
        session_id=session_id,
        transcript_digest=transcript_digest,
        total=tuple(total),
        key=key,
        roster=roster,
    )
    return _verify_partial(received, PARTIAL_CHECKS[:-1])


def verify_partial_proof(
    partial: PartialDecryption,
    session_id: bytes,
    transcript_digest: bytes,
    total: Sequence[Ciphertext],
    key: ThresholdPublicKey,
    roster: Roster,
) -> None:
    """Make all checks, that of the proof included; arguments and errors as ``verify_partial``."""
    received = PartialReceived(
        partial=partial,
        session_id=session_id,
        transcript_digest=transcript_digest,
        total=tuple(total),
        key=key,
        roster=roster,
    )
    _verify_partial(received, PARTIAL_CHECKS)


def _verify_partial(received: PartialReceived, checks: tuple[Check[PartialReceived], ...]) -> tuple[int, ...]:
    """Run ``checks`` only: private, so that nobody but a test of the checks themselves can leave one out."""
    with blaming(received.partial.party_id):
        run_checks(checks, received)
    return received.values


def verify_receipt(receipt: ModelReceipt, model_digest: bytes, roster: Roster) -> None:
    """Check that a member holds exactly this model (1), and signed that (2).

    Raises:
        ParameterMismatch: it holds another one.
        InvalidSignature: not signed by that member.
    """
    if receipt.model_digest != model_digest:
        raise ParameterMismatch("the receipt is for another model", culprits=(receipt.party_id,))
    receipt.verify(roster.member(receipt.party_id).verify_key)


# Check 1.
def _transcript(v: PartialReceived) -> None:
    if (v.partial.session_id, v.partial.transcript_digest) != (v.session_id, v.transcript_digest):
        raise ParameterMismatch("the partial decryption is of another transcript")


# Check 2.
def _signature(v: PartialReceived) -> None:
    v.partial.verify(v.roster.member(v.partial.party_id).verify_key)


# Check 3.
def _transcript_signature(v: PartialReceived) -> None:
    v.partial.verify_transcript(v.roster.member(v.partial.party_id).verify_key)


# Check 4.
def _form(v: PartialReceived) -> None:
    if len(v.partial.values) != len(v.total):
        raise MalformedMessage(f"{len(v.partial.values)} partial decryptions instead of {len(v.total)}")
    v.values = tuple(v.key.public_key.check_residue(value) for value in v.partial.values)


# Check 5.
def _proof(v: PartialReceived) -> None:
    statement = partial_decryption.Statement(
        session_id=v.partial.session_id,
        transcript_digest=v.partial.transcript_digest,
        index=v.roster.holder_index(v.partial.party_id),
        key=v.key,
        ciphertexts=v.total,
        partials=v.values,
    )
    partial_decryption.verify(statement, partial_decryption.Proof.from_bytes(v.key, v.partial.proof))


PARTIAL_CHECKS: Final[tuple[Check[PartialReceived], ...]] = (
    Check(1, "of the transcript that was fixed", _transcript),
    Check(2, "signed by its sender for that transcript", _signature),
    Check(3, "with its sender's signature over the transcript alone", _transcript_signature),
    Check(4, "one unit modulo N for each ciphertext of the sum", _form),
    Check(5, "the sender's own key share made it", _proof),
)
