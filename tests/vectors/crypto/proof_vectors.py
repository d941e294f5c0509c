# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Vectors of both proofs: what must be accepted, and every defect with the number of the check that finds it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from coterie_common.crypto.proofs import partial_decryption, plaintext_knowledge
from coterie_common.crypto.threshold import KeyShare, partial_decrypt
from tests.support.cheating_provers import prove_off_by, proven, sealed, with_factors
from tests.support.powers import power
from tests.support.seeded_random import SeededRandom
from tests.vectors.crypto.samples import DEALING, ENCRYPTOR, KEY, PUBLIC, Document, Documents, P, Q, refused, sample

Claim: TypeAlias = tuple[plaintext_knowledge.Statement, plaintext_knowledge.Proof]


def vectors() -> Documents:
    """Yield file name and content of every vector."""
    yield from plaintext_knowledge_vectors()
    yield from partial_decryption_vectors()


def plaintext_knowledge_vectors() -> Documents:
    plaintexts, nonces, ciphertexts = sample()
    honest = plaintext_knowledge.Statement(b"session", "hospital-a", PUBLIC, b"padded digest", ciphertexts)
    witness = plaintext_knowledge.Witness(tuple(plaintexts), tuple(nonces))
    proof = plaintext_knowledge.prove(honest, witness, ENCRYPTOR, SeededRandom("plaintext knowledge"))
    first, second, third = ciphertexts

    def document(statement: plaintext_knowledge.Statement, data: bytes) -> Document:
        return {
            "session_id": statement.session_id.hex(),
            "party_id": statement.party_id,
            "padded_digest": statement.padded_digest.hex(),
            "ciphertexts": [c.to_bytes().hex() for c in statement.ciphertexts],
            "proof": data.hex(),
        }

    good = proof.to_bytes(PUBLIC)
    yield "plaintext_knowledge", {"operation": "verify_plaintext_knowledge", **document(honest, good)}
    bad: dict[str, tuple[plaintext_knowledge.Statement, plaintext_knowledge.Proof, int]] = {
        "wrong_session": (replace(honest, session_id=b"another session"), proof, 4),
        "wrong_party": (replace(honest, party_id="hospital-b"), proof, 4),
        "wrong_padded_digest": (replace(honest, padded_digest=b"another digest"), proof, 4),
        "ciphertexts_swapped": (replace(honest, ciphertexts=(second, first, third)), proof, 4),
        "ciphertext_missing": (replace(honest, ciphertexts=(first, second)), proof, 4),
        "ciphertext_repeated": (replace(honest, ciphertexts=(first, second, third, third)), proof, 4),
        "ciphertext_inverted": (replace(honest, ciphertexts=(first, second, power(third, -1))), proof, 4),
        "ciphertext_negated": (
            replace(honest, ciphertexts=(first, second, PUBLIC.check(PUBLIC.ciphertext_modulus - third.value))),
            proof,
            4,
        ),
        "commitment_zero": (honest, replace(proof, commitment=0), 1),
        "commitment_modulus": (honest, replace(proof, commitment=PUBLIC.ciphertext_modulus), 1),
        "commitment_multiple_of_p": (honest, replace(proof, commitment=P), 1),
        "commitment_altered": (honest, replace(proof, commitment=proof.commitment - 1), 4),
        "plaintext_response_not_reduced": (honest, replace(proof, plaintext_response=PUBLIC.plaintext_modulus), 2),
        "plaintext_response_altered": (honest, replace(proof, plaintext_response=proof.plaintext_response ^ 1), 4),
        "nonce_response_too_long": (honest, replace(proof, nonce_response=1 << (honest.nonce_bits + 1)), 3),
        "nonce_response_altered": (honest, replace(proof, nonce_response=proof.nonce_response ^ 1), 4),
    }
    for defect, (statement, broken, check) in bad.items():
        values = document(statement, broken.to_bytes(PUBLIC))
        yield (
            f"plaintext_knowledge_{defect}",
            refused("verify_plaintext_knowledge", "invalid-proof", check, **values),
        )
    for defect, data in {"truncated": good[:-1], "padded": good + b"\0", "empty": b""}.items():
        values = document(honest, data)
        yield f"plaintext_knowledge_{defect}", refused("verify_plaintext_knowledge", "malformed-message", **values)
    off = prove_off_by(honest, witness, ENCRYPTOR, PUBLIC.ciphertext_modulus - 1, "other sign")
    # No defect: a sign says nothing about a plaintext, and every verifier must accept it, alone and together.
    yield (
        "plaintext_knowledge_commitment_of_the_other_sign",
        {"operation": "verify_plaintext_knowledge", **document(honest, off.to_bytes(PUBLIC))},
    )
    yield from knowledge_together_vectors(document)


def knowledge_together_vectors(document: Callable[[plaintext_knowledge.Statement, bytes], Document]) -> Documents:
    """Yield claims of three parties, and what may be wrong with the second; ``culprit`` is who must be named."""
    claims = [proven(ENCRYPTOR, count, f"together {count}", f"hospital-{count}") for count in (1, 2, 3)]
    space = PUBLIC.plaintext_modulus

    def documents(changed: list[Claim]) -> list[Document]:
        return [document(statement, proof.to_bytes(PUBLIC)) for statement, proof in changed]

    def shifted(claim: Claim, by: int) -> Claim:
        statement, proof = claim
        return statement, replace(proof, plaintext_response=(proof.plaintext_response + by) % space)

    first, (statement, proof), third = claims
    yield "knowledge_together", {"operation": "verify_knowledge_together", "claims": documents(claims)}
    _, witness = sealed(ENCRYPTOR, 2, "together 2", "hospital-2")
    off = prove_off_by(statement, witness, ENCRYPTOR, PUBLIC.ciphertext_modulus - 1, "other sign")
    yield (
        "knowledge_together_commitment_of_the_other_sign",
        {"operation": "verify_knowledge_together", "claims": documents([first, (statement, off), third])},
    )
    first_statement, first_proof = first
    bad: dict[str, tuple[list[Claim], int, str]] = {
        "one_altered": ([first, shifted(claims[1], 1), third], 4, "hospital-2"),
        "errors_that_cancel": ([first, shifted(claims[1], 1), shifted(third, -1)], 4, "hospital-2"),
        "proofs_exchanged": ([(first_statement, proof), (statement, first_proof), third], 4, "hospital-1"),
        "statement_of_another_party": (
            [first, (replace(statement, party_id="hospital-9"), proof), third],
            4,
            "hospital-9",
        ),
        "statement_of_another_session": (
            [first, (replace(statement, session_id=b"another"), proof), third],
            4,
            "hospital-2",
        ),
        "commitment_multiple_of_q": ([first, (statement, replace(proof, commitment=Q)), third], 1, "hospital-2"),
        "plaintext_response_not_reduced": (
            [first, (statement, replace(proof, plaintext_response=space)), third],
            2,
            "hospital-2",
        ),
        "nonce_response_too_long": (
            [first, (statement, replace(proof, nonce_response=1 << (statement.nonce_bits + 1))), third],
            3,
            "hospital-2",
        ),
    }
    for defect, (changed, check, culprit) in bad.items():
        yield (
            f"knowledge_together_{defect}",
            refused("verify_knowledge_together", "invalid-proof", check, claims=documents(changed), culprit=culprit),
        )


def partial_decryption_vectors() -> Documents:
    plaintexts, _, ciphertexts = sample()
    partials = {share.index: partial_decrypt(KEY, share, ciphertexts) for share in DEALING.shares}
    yield (
        "partial_decryption",
        {
            "operation": "combine",
            "ciphertexts": [c.to_bytes().hex() for c in ciphertexts],
            "partials": {str(index): [f"{value:x}" for value in values] for index, values in partials.items()},
            "plaintexts": [f"{m:x}" for m in plaintexts],
        },
    )
    honest = partial_decryption.Statement(b"session", b"transcript", 2, KEY, ciphertexts, partials[2])
    proof = partial_decryption.prove(honest, DEALING.shares[1], SeededRandom("partial decryption"))
    one, two, three = partials[2]
    first, second, third = ciphertexts
    modulus = PUBLIC.modulus
    doubled = replace(honest, partials=(one, two, pow(three, 2, modulus)))
    cancelling = with_factors(honest, (4, pow(4, -1, modulus), 1))
    stolen = replace(honest, partials=partials[3])
    thief = KeyShare(2, DEALING.shares[2].value)

    def document(statement: partial_decryption.Statement, data: bytes) -> Document:
        return {
            "session_id": statement.session_id.hex(),
            "transcript_digest": statement.transcript_digest.hex(),
            "index": statement.index,
            "ciphertexts": [c.to_bytes().hex() for c in statement.ciphertexts],
            "partials": [f"{value:x}" for value in statement.partials],
            "proof": data.hex(),
        }

    good = proof.to_bytes(KEY)
    yield "partial_decryption_proof", {"operation": "verify_partial_decryption", **document(honest, good)}
    longest = 1 << (partial_decryption.nonce_bits(KEY) + 1)
    bad: dict[str, tuple[partial_decryption.Statement, partial_decryption.Proof, int]] = {
        "wrong_session": (replace(honest, session_id=b"another session"), proof, 5),
        "wrong_transcript": (replace(honest, transcript_digest=b"another transcript"), proof, 5),
        "wrong_index": (replace(honest, index=3), proof, 5),
        "other_partys_values": (replace(honest, partials=partials[3]), proof, 5),
        "ciphertexts_swapped": (replace(honest, ciphertexts=(second, first, third)), proof, 5),
        "values_swapped": (replace(honest, partials=(two, one, three)), proof, 5),
        "value_missing": (replace(honest, partials=(one, two)), proof, 1),
        "value_zero": (replace(honest, partials=(one, two, 0)), proof, 2),
        "value_modulus": (replace(honest, partials=(one, two, modulus)), proof, 2),
        "value_multiple_of_q": (replace(honest, partials=(one, two, Q)), proof, 2),
        "value_inverted": (replace(honest, partials=(one, two, pow(three, -1, modulus))), proof, 5),
        "value_wrong_but_proven": (
            doubled,
            partial_decryption.prove(doubled, DEALING.shares[1], SeededRandom("doubled")),
            6,
        ),
        "errors_that_cancel": (
            cancelling,
            partial_decryption.prove(cancelling, DEALING.shares[1], SeededRandom("cancelling")),
            6,
        ),
        "other_partys_share": (stolen, partial_decryption.prove(stolen, thief, SeededRandom("stolen")), 5),
        "commitments_exchanged": (
            honest,
            replace(proof, commitment_x=proof.commitment_v, commitment_v=proof.commitment_x),
            5,
        ),
        "commitment_x_modulus": (honest, replace(proof, commitment_x=modulus), 3),
        "commitment_x_multiple_of_q": (honest, replace(proof, commitment_x=Q), 3),
        "commitment_v_modulus": (honest, replace(proof, commitment_v=modulus), 3),
        "commitment_v_altered": (honest, replace(proof, commitment_v=proof.commitment_v - 1), 5),
        "commitment_x_zero": (honest, replace(proof, commitment_x=0), 3),
        "commitment_v_zero": (honest, replace(proof, commitment_v=0), 3),
        "commitment_v_multiple_of_p": (honest, replace(proof, commitment_v=P), 3),
        "commitment_x_altered": (honest, replace(proof, commitment_x=proof.commitment_x - 1), 5),
        "response_altered": (honest, replace(proof, response=proof.response ^ 1), 5),
        "response_too_long": (honest, replace(proof, response=longest), 4),
    }
    for defect, (statement, broken, check) in bad.items():
        values = document(statement, broken.to_bytes(KEY))
        yield (
            f"partial_decryption_proof_{defect}",
            refused("verify_partial_decryption", "invalid-proof", check, **values),
        )
    for defect, data in {"truncated": good[:-1], "padded": good + b"\0", "empty": b""}.items():
        values = document(honest, data)
        yield f"partial_decryption_proof_{defect}", refused("verify_partial_decryption", "malformed-message", **values)
    # No defect: combining raises to an even power, so that both signs are the same partial decryption.
    negated = with_factors(honest, (1, 1, -1))
    signed = partial_decryption.prove(negated, DEALING.shares[1], SeededRandom("negated"))
    yield (
        "partial_decryption_proof_value_of_the_other_sign",
        {"operation": "verify_partial_decryption", **document(negated, signed.to_bytes(KEY))},
    )
