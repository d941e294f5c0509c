# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The cost of distrust: proofs and verifications of a round, in ms of one core. None depends on the vector's length."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from coterie_common.crypto import threshold
from coterie_common.crypto.pads.pad import key_packing
from coterie_common.crypto.proofs import partial_decryption, plaintext_knowledge
from coterie_common.protocol.encrypted_reply import Contribution
from coterie_common.protocol.messages import PartialDecryption
from coterie_common.protocol.padded_part import PaddedDigest, PaddedFacts
from coterie_common.protocol.parameters import choose_parameters
from coterie_common.protocol.signed import UNSIGNED
from coterie_common.protocol.terms import SealingKind
from coterie_common.protocol.verification.contribution import verify_reply
from coterie_common.protocol.verification.party_messages import verify_partial
from coterie_common.protocol.verification.request import OwnKnowledge, verify_request
from coterie_common.randomness import OsRandom
from coterie_lab.benchmarks.measuring import Work, Yardstick, measure
from coterie_lab.benchmarks.rows import CHECKING, Measured, Results, measured
from tests.support.federation import JOB, Federation, make_federation


def measure_checking(values: int, parties: int, key_bits: int, yardstick: Yardstick, turns: int) -> Iterator[Measured]:
    """Measure what one party, or the aggregator, proves and verifies in a round that all parties answered.

    Args:
        values: length to state in the rows; a short vector is sealed, as if it were padded.
        parties: members of the federation.
        key_bits: of the threshold key.
        yardstick: notes its own times.
        turns: repetitions.
    """
    random = OsRandom()
    federation = make_federation(parties, choose_parameters(parties).decryption_threshold, key_bits)
    fields = federation.fields(terms=replace(federation.terms(), sealing=SealingKind.PADDED))
    sealing, session_id = federation.sealing(fields.terms), fields.session_id
    contributions: list[Contribution] = []
    facts: list[PaddedFacts] = []
    for party_id in federation.parties:
        sealed = sealing.seal(np.arange(6, dtype=np.int64), session_id, party_id, random)
        contributions.append(federation.signed(party_id, session_id, sealed.key_part, sealed.padded))
        digest = PaddedDigest()
        digest.update(sealed.padded)
        facts.append(digest.facts())
    request = federation.request(fields, tuple(contributions))
    own = OwnKnowledge(
        party_id=federation.parties[0],
        roster=federation.roster,
        session_id=session_id,
        contribution_digest=contributions[0].digest,
        job=None,
        random=random,
    )
    reply = federation.reply(contributions[0], session_id)
    total = verify_request(request, own, sealing).total
    key, share = federation.dealing.key, federation.dealing.shares[0]
    partials = threshold.partial_decrypt(key, share, total)
    statement = partial_decryption.Statement(
        session_id=session_id,
        transcript_digest=request.transcript_digest,
        index=share.index,
        key=key,
        ciphertexts=total,
        partials=partials,
    )
    partial = signed_partial(federation, statement, partial_decryption.prove(statement, share, random).to_bytes(key))
    tasks: dict[str, Work] = {
        "prove": _proving(federation, session_id),
        "verify_reply": lambda: verify_reply(reply, facts[0], fields, federation.roster, sealing),
        "verify_request": lambda: verify_request(request, own, sealing),
        "prove_partial": lambda: partial_decryption.prove(statement, share, random),
        "verify_partial": lambda: verify_partial(
            partial, session_id, statement.transcript_digest, total, key, federation.roster
        ),
    }
    for metric, figures in measure(tasks, yardstick, turns).items():
        yield measured(metric, values, parties, figures)


def share_of_round(results: Results, parties: int, values: int) -> tuple[float, float] | None:
    """Return the time of all proofs and verifications of a round, absolute and relative to the rest of the round.

    Args:
        results: of the run.
        parties: members, all of whom contribute; as many as needed, and one spare, are asked to decrypt.
        values: length of the vector.

    Returns:
        Total ms of one core, and its ratio to the time of the sealed round without them; None if not measured.
    """
    figures = [results.figure(metric, values, parties) for metric in CHECKING]
    whole = results.find("round_sealed", values, parties)
    if whole is None or whole.core_ms is None or None in figures:
        return None
    prove, reply, request, prove_partial, partial = (figure or 0.0 for figure in figures)
    opening = choose_parameters(parties).decryption_threshold + 1
    total = parties * (prove + reply) + opening * (request + prove_partial + partial)
    return total, total / (whole.core_ms - total)


def _proving(federation: Federation, session_id: bytes) -> Work:
    """Return a function that makes one party's proof of plaintext knowledge for the key of a pad."""
    random, encryptor = OsRandom(), federation.encryptor
    packing = key_packing(len(federation.parties), encryptor.public_key.plaintext_bits)
    plaintexts = packing.pack(np.arange(packing.length, dtype=np.int64) % 100 - 50)
    nonces = tuple(encryptor.draw_nonce(random) for _ in plaintexts)
    statement = plaintext_knowledge.Statement(
        session_id=session_id,
        party_id=federation.parties[0],
        public_key=encryptor.public_key,
        padded_digest=session_id,
        ciphertexts=tuple(map(encryptor.encrypt, plaintexts, nonces)),
    )
    witness = plaintext_knowledge.Witness(plaintexts=plaintexts, nonces=nonces)
    return lambda: plaintext_knowledge.prove(statement, witness, encryptor, random)


def signed_partial(federation: Federation, statement: partial_decryption.Statement, proof: bytes) -> PartialDecryption:
    """Return the message with which a party sends its partial decryption."""
    party_id, key = federation.parties[statement.index - 1], statement.key
    values = tuple(value.to_bytes(key.public_key.modulus_bytes, "big") for value in statement.partials)
    partial = PartialDecryption(
        job_id=JOB,
        round_number=1,
        session_id=statement.session_id,
        transcript_digest=statement.transcript_digest,
        party_id=party_id,
        values=values,
        proof=proof,
        transcript_signature=PartialDecryption.sign_transcript(
            federation.party_keys[party_id], statement.session_id, statement.transcript_digest
        ),
        signature=UNSIGNED,
    )
    return partial.signed_by(federation.party_keys[party_id])
