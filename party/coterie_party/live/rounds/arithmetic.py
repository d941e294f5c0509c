# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The party's arithmetic for one round: answer a query, help to open a sum. Run on worker threads.

Here data becomes a sealed vector; nothing else in the party sends anything that depends on data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import structlog

from coterie_common.crypto import threshold
from coterie_common.crypto.masks.mask import SessionMasks
from coterie_common.crypto.paillier import Ciphertext
from coterie_common.crypto.proofs import partial_decryption
from coterie_common.errors import MalformedMessage, PeerError, RefusedError, StorageError
from coterie_common.identifiers import JobId
from coterie_common.learning.agreement import PlannedJob
from coterie_common.learning.algorithm import Ask, Int64
from coterie_common.limits import QUERY_BODY_BYTES
from coterie_common.privacy.noise.mechanisms import NoiseTerms
from coterie_common.protocol.encrypted_reply import Contribution, EncryptedReply
from coterie_common.protocol.masked_reply import MaskedReply
from coterie_common.protocol.messages import DecryptionRequest, PartialDecryption, Query, Reply
from coterie_common.protocol.sealing.choice import make_complete_sealing
from coterie_common.protocol.sealing.encrypted import EncryptedSealing
from coterie_common.protocol.session import SessionFields
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.verification.request import (
    OwnKnowledge,
    VerifiedRequest,
    shows_forgotten_reply,
    verify_request,
)
from coterie_common.randomness import RandomSource
from coterie_party.live.context import Context
from coterie_party.live.job_data import JobData
from coterie_party.round import PartyRound
from coterie_party.store import RecordedTranscript

log = structlog.get_logger(__name__)


def check_ask(query: Query, job: PlannedJob) -> Ask:
    """Return the ask of a query that passed ``verify_query``.

    Raises:
        MalformedMessage: it is outside the job's plan.
    """
    ask = Ask.from_bytes(query.fields.plan_step, query.body, maximum=QUERY_BODY_BYTES)
    if ask.length != query.fields.terms.encoding.length:
        raise MalformedMessage("the body of the query asks another number of values than its terms")
    try:
        job.algorithm.check_ask(job.config, job.schema, ask, job.plan)
    except (PeerError, RefusedError):
        raise
    except Exception as failure:  # a supervisor: what an algorithm did not expect must not stop the daemon
        log.exception("unforeseen failure", job=query.fields.job_id, round=query.fields.round_number)
        raise MalformedMessage("the algorithm of the job can make nothing of the body of the query") from failure
    return ask


def answer(
    context: Context,
    query: Query,
    data: JobData,
    write: Callable[[bytes], None],
    masks: SessionMasks | None = None,
) -> Reply:
    """Compute the exact answer, add the noise share, encode, seal, prove and sign.

    Args:
        context: of the party.
        query: that passed ``verify_query``.
        data: of its job.
        write: takes the pieces of the padded part, in order; not called where there is none.
        masks: of the session, if it is sealed completely.

    Raises:
        MalformedMessage: the ask is outside the job's plan.
        TrainingFailed: vectors could not be computed, or do not have the requested form.

    Privacy: draws fresh noise; the caller stores the result before it sends it and never calls this twice for
        a round whose result may have left.
    """
    terms, session_id = query.fields.terms, query.fields.session_id
    exact = data.exact(check_ask(query, data.job), terms.encoding, context.random)
    noised = _with_noise(exact, terms.noise, context.random)
    who = session_id, context.party_id, context.random
    job_id, number = query.fields.job_id, query.fields.round_number
    if terms.sealing.is_complete:
        complete = make_complete_sealing(terms, context.roster.parameters.parties, masks)
        masked, padded_digest = complete.seal_pieces(noised, *who, write)
        return MaskedReply(
            job_id=job_id,
            round_number=number,
            session_id=session_id,
            party_id=context.party_id,
            masked=masked,
            padded_digest=padded_digest,
            signature=UNSIGNED,
        ).signed_by(context.signing_key)
    key_part, padded_digest = _sealing(context, query.fields).seal_pieces(noised, *who, write)
    contribution = Contribution(
        party_id=context.party_id, key_part=key_part, padded_digest=padded_digest, signature=UNSIGNED
    )
    return EncryptedReply(
        job_id=job_id,
        round_number=number,
        session_id=session_id,
        contribution=contribution.signed_by(context.signing_key, session_id),
    )


def check_memory(context: Context, request: DecryptionRequest, state: PartyRound) -> None:
    """Check that this party remembers everything that a decryption request shows it to have signed.

    Raises:
        StorageError: it does not; it can no longer keep its promises, so it must not answer anything.
    """
    if shows_forgotten_reply(request, context.party_id, state.contribution_digest, context.roster):
        raise StorageError(
            f"this party signed a reply to round {request.fields.round_number} of job {request.fields.job_id} that its "
            "store does not know: the store was restored from a backup, or another daemon uses the same keys. Have the "
            "founder deal a new key epoch, and import the new bundle"
        )


def verify(context: Context, request: DecryptionRequest, own: OwnKnowledge) -> VerifiedRequest:
    """Check a decryption request against this party's own knowledge; raises as ``verify_request``."""
    return verify_request(request, own, _sealing(context, request.fields))


def recorded_request(context: Context, recorded: RecordedTranscript) -> VerifiedRequest:
    """Return the verified request that belongs to a recorded transcript."""
    public_key = context.key.public_key
    size = public_key.ciphertext_bytes
    total = tuple(
        Ciphertext(int.from_bytes(recorded.total[start : start + size], "big"), public_key)
        for start in range(0, len(recorded.total), size)
    )
    return VerifiedRequest(recorded.session_id, recorded.digest, total, recorded.contributors)


def decrypt_partially(
    context: Context, job_id: JobId, round_number: int, verified: VerifiedRequest
) -> PartialDecryption:
    """Decrypt a recorded transcript's sum with the own key share, prove it and sign.

    Privacy: the caller has recorded the transcript, and never records another one for this round.
    """
    key, total = context.key, verified.total
    values = threshold.partial_decrypt(key, context.share, total)
    statement = partial_decryption.Statement(
        session_id=verified.session_id,
        transcript_digest=verified.transcript_digest,
        index=context.share.index,
        key=key,
        ciphertexts=total,
        partials=values,
    )
    proof = partial_decryption.prove(statement, context.share, context.random).to_bytes(key)
    encoded = tuple(value.to_bytes(key.public_key.modulus_bytes, "big") for value in values)
    partial = PartialDecryption(
        job_id=job_id,
        round_number=round_number,
        session_id=verified.session_id,
        transcript_digest=verified.transcript_digest,
        party_id=context.party_id,
        values=encoded,
        proof=proof,
        transcript_signature=PartialDecryption.sign_transcript(
            context.signing_key, verified.session_id, verified.transcript_digest
        ),
        signature=UNSIGNED,
    )
    return partial.signed_by(context.signing_key)


def _with_noise(pieces: Iterator[Int64], noise: NoiseTerms, random: RandomSource) -> Iterator[Int64]:
    for piece in pieces:
        share = noise.draw_share(len(piece), random)
        share += piece
        yield share


def _sealing(context: Context, fields: SessionFields) -> EncryptedSealing:
    return context.make_sealing(fields.terms, context.roster.parameters.parties, context.encryptor)
