# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Makes the vectors in this folder: known answers, and bad inputs named by their defect.

Usage: python -m tests.vectors.crypto.make_vectors

Everything is reproducible: the keys are the published test keys, randomness is seeded. A change of a known answer is a
change of the protocol and needs a new version in the labels.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from coterie_common.crypto import keystore
from coterie_common.crypto.hashing import Label
from coterie_common.crypto.identity import SealingKey, SigningKey
from coterie_common.crypto.packing import Packing
from coterie_common.crypto.proofs import partial_decryption, plaintext_knowledge
from coterie_common.crypto.threshold import partial_decrypt
from coterie_common.secret import Password
from tests.support.dealings import load_dealing, load_encryptor, load_primes
from tests.support.seeded_random import SeededRandom
from tests.vectors.crypto import pad_vectors

FOLDER = Path(__file__).parent
PASSWORD = b"correct horse battery staple"
SEALED = (
    "f7bbc28f43f406d76c37d91ba451a9c8dc6c7642a73e60553aa57111c378883a"
    "c9fb711a7a8dffe8dc9d7ef65cd3284c56e34950774b7b7eed8e45"
)
"""HPKE draws its ephemeral key from the operating system: sealed once and kept."""

DEALING = load_dealing()
KEY = DEALING.key
PUBLIC = KEY.public_key
ENCRYPTOR = load_encryptor()
P, Q = load_primes()

Document = dict[str, Any]


def vectors() -> Iterator[tuple[str, Document]]:
    """Yield file name and content of every vector."""
    yield from encryption()
    yield from packing()
    yield from plaintext_knowledge_vectors()
    yield from partial_decryption_vectors()
    yield from threshold_keys()
    yield from shares()
    yield from key_files()
    yield from identities()
    yield from pad_vectors.vectors()


def refused(operation: str, code: str, check: int | None = None, **values: Any) -> Document:
    expected: Document = {"code": code} if check is None else {"code": code, "check": check}
    return {"operation": operation, **values, "expected": expected}


def sample() -> tuple[list[int], list[Any], tuple[Any, ...]]:
    random = SeededRandom("vectors")
    plaintexts = [0, 1, random.randbelow(PUBLIC.modulus)]
    nonces = [ENCRYPTOR.draw_nonce(random) for _ in plaintexts]
    return plaintexts, nonces, tuple(map(ENCRYPTOR.encrypt, plaintexts, nonces))


def encryption() -> Iterator[tuple[str, Document]]:
    plaintexts, nonces, ciphertexts = sample()
    yield (
        "encryption",
        {
            "operation": "encrypt",
            "plaintexts": [f"{m:x}" for m in plaintexts],
            "nonces": [f"{nonce.reveal():x}" for nonce in nonces],
            "ciphertexts": [c.to_bytes().hex() for c in ciphertexts],
            "key_digest": PUBLIC.digest().hex(),
        },
    )
    size = PUBLIC.ciphertext_bytes
    bad = {
        "zero": bytes(size),
        "modulus": PUBLIC.ciphertext_modulus.to_bytes(size, "big"),
        "above_modulus": b"\xff" * size,
        "multiple_of_p": (P * 4711).to_bytes(size, "big"),
        "multiple_of_n": PUBLIC.modulus.to_bytes(size, "big"),
        "truncated": ciphertexts[0].to_bytes()[:-1],
        "leading_zero_byte": b"\0" + ciphertexts[0].to_bytes(),
        "empty": b"",
    }
    for defect, data in bad.items():
        yield f"ciphertext_{defect}", refused("check_ciphertext", "invalid-ciphertext", ciphertext=data.hex())


def packing() -> Iterator[tuple[str, Document]]:
    layout = Packing(length=11, lower=-300, upper=700, contributors_most=5, plaintext_bits=PUBLIC.plaintext_bits // 8)
    values = [-300, 700, 0, 1, -1, 5, 6, 7, 8, 9, 699]
    plaintexts = layout.pack(np.array(values))
    entries = {
        name: getattr(layout, name) for name in ("length", "lower", "upper", "contributors_most", "plaintext_bits")
    }
    document = {"operation": "pack", "packing": entries, "values": values, "plaintexts": [f"{m:x}" for m in plaintexts]}
    yield "packing", document
    first = plaintexts[0]
    bad = {
        "slot_too_large": ([first + (1 << layout.slot_bits) - 1, *plaintexts[1:]], 1),
        "negative": ([-1, *plaintexts[1:]], 1),
        "bits_above_slots": ([first + (1 << layout.slots_per_plaintext * layout.slot_bits), *plaintexts[1:]], 1),
        "missing_plaintext": (list(plaintexts[1:]), 1),
        "value_behind_the_end": ([*plaintexts[:-1], plaintexts[-1] + (1 << 3 * layout.slot_bits)], 1),
        "no_contributors": (list(plaintexts), 0),
        "too_many_contributors": (list(plaintexts), 6),
    }
    for defect, (numbers, contributors) in bad.items():
        yield (
            f"packing_{defect}",
            refused(
                "unpack",
                "plaintext-out-of-range",
                packing=entries,
                plaintexts=[f"{m:x}" for m in numbers],
                contributors=contributors,
            ),
        )


def plaintext_knowledge_vectors() -> Iterator[tuple[str, Document]]:
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
        "ciphertext_inverted": (replace(honest, ciphertexts=(first, second, PUBLIC.multiply(third, -1))), proof, 4),
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


def partial_decryption_vectors() -> Iterator[tuple[str, Document]]:
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
    modulus = PUBLIC.ciphertext_modulus
    doubled = replace(honest, partials=(one, two, pow(three, 2, modulus)))

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


def threshold_keys() -> Iterator[tuple[str, Document]]:
    """Yield changes to the document of the 2048-bit key of three parties."""
    document = load_dealing(3, 3, 2048).key.to_document()
    modulus, keys = document["modulus"], document["verification_keys"]
    yield (
        "threshold_key",
        {"operation": "read_key", "changes": {}, "key_digest": load_dealing(3, 3, 2048).key.digest().hex()},
    )
    bad: dict[str, Document] = {
        "too_short": KEY.to_document(),
        "modulus_even": {"modulus": modulus[:-1] + "0"},
        "modulus_prime": {"modulus": f"{2**2048 - 1557:x}"},
        "modulus_with_a_small_factor": {"modulus": f"{int(modulus, 16) // 6 * 6 + 3:x}"},
        "modulus_one_bit_short": {"modulus": "7" + modulus[1:]},
        "modulus_in_capitals": {"modulus": modulus.upper()},
        "modulus_with_a_zero_in_front": {"modulus": "00" + modulus, "generator": "00" + document["generator"]},
        "modulus_a_number": {"modulus": 65537},
        "s_zero": {"s": 0},
        "s_too_large": {"s": 9},
        "s_not_the_keys": {"s": 2},
        "generator_zero": {"generator": "00" * 256},
        "generator_one": {"generator": "00" * 255 + "01"},
        "generator_minus_one": {"generator": f"{int(modulus, 16) - 1:x}"},
        "generator_modulus": {"generator": modulus},
        "parties_more_than_keys": {"parties": 4},
        "decryption_threshold_zero": {"decryption_threshold": 0},
        "decryption_threshold_above_parties": {"decryption_threshold": 4},
        "verification_base_one": {"verification_base": "00" * 511 + "01"},
        "verification_base_no_unit": {"verification_base": "00" * 256 + modulus},
        "verification_key_zero": {"verification_keys": [*keys[:2], "00" * 512]},
        "verification_key_out_of_range": {"verification_keys": [*keys[:2], "ff" * 512]},
        "verification_key_truncated": {"verification_keys": [*keys[:2], keys[2][2:]]},
        "verification_key_missing": {"verification_keys": keys[:2]},
        "unknown_entry": {"comment": "none"},
    }
    for defect, changes in bad.items():
        yield f"threshold_key_{defect}", refused("read_key", "key-file", changes=changes)


def shares() -> Iterator[tuple[str, Document]]:
    data = DEALING.shares[1].to_bytes(KEY)
    yield "share", {"operation": "read_share", "share": data.hex(), "index": 2}
    bad = {
        "altered": data[:-1] + bytes([data[-1] ^ 1]),
        "of_another_index": b"\0\3" + data[2:],
        "index_zero": b"\0\0" + data[2:],
        "index_above_parties": b"\0\6" + data[2:],
        "truncated": data[:-1],
        "padded": data + b"\0",
        "of_another_dealing": load_dealing(4, 3).shares[1].to_bytes(load_dealing(4, 3).key),
    }
    for defect, broken in bad.items():
        yield f"share_{defect}", refused("read_share", "key-file", share=broken.hex())


def key_files() -> Iterator[tuple[str, Document]]:
    content = b"a secret of some length"
    data = keystore._lock(
        content, Password(PASSWORD), kind="key-share", random=SeededRandom("key file"), scrypt_n=1 << 14
    )
    line, _, body = data.partition(b"\n")

    def document(file: bytes, password: bytes = PASSWORD, kind: str = "key-share") -> Document:
        return {"file": file.hex(), "password": password.decode(), "kind": kind}

    yield "key_file", {"operation": "unlock", **document(data), "content": content.hex()}
    bad = {
        "wrong_password": document(data, b"incorrect horse"),
        "wrong_kind": document(data, kind="signing-key"),
        "wrong_version": document(data.replace(b'"version":1', b'"version":2')),
        "truncated": document(data[:-1]),
        "body_altered": document(data[:-1] + bytes([data[-1] ^ 1])),
        "header_only": document(line),
        "header_with_a_space": document(line.replace(b",", b", ", 1) + b"\n" + body),
        "scrypt_too_cheap": document(data.replace(b'"scrypt_n":16384', b'"scrypt_n":8192')),
        "scrypt_too_costly": document(data.replace(b'"scrypt_n":16384', b'"scrypt_n":1073741824')),
        "not_one": document(b"-----BEGIN PRIVATE KEY-----\n"),
    }
    for defect, values in bad.items():
        yield f"key_file_{defect}", refused("unlock", "key-file", **values)


def identities() -> Iterator[tuple[str, Document]]:
    signer = SigningKey.generate(SeededRandom("signer"))
    signature = signer.sign(Label.ROSTER, b"roster", 7, ["a", None])

    def document(key: bytes, label: Label, made: bytes) -> Document:
        return {"verify_key": key.hex(), "label": str(label), "signature": made.hex()}

    encoded = signer.verify_key.encoded
    yield (
        "signature",
        {"operation": "verify_signature", "seed": signer.seed().hex(), **document(encoded, Label.ROSTER, signature)},
    )
    stranger = SigningKey.generate(SeededRandom("stranger")).verify_key.encoded
    bad = {
        "other_label": document(encoded, Label.SESSION, signature),
        "other_key": document(stranger, Label.ROSTER, signature),
        "altered": document(encoded, Label.ROSTER, signature[:-1] + bytes([signature[-1] ^ 1])),
        "truncated": document(encoded, Label.ROSTER, signature[:-1]),
        "all_zero": document(encoded, Label.ROSTER, bytes(64)),
    }
    for defect, values in bad.items():
        yield f"signature_{defect}", refused("verify_signature", "invalid-signature", **values)
    for defect, key in {
        "small_order": bytes(32),
        "neutral": b"\1" + bytes(31),
        "not_canonical": b"\xee" + b"\xff" * 30 + b"\x7f",
        "truncated": encoded[:-1],
    }.items():
        values = document(key, Label.ROSTER, signature)
        yield f"verify_key_{defect}", refused("verify_signature", "malformed-message", **values)

    recipient = SealingKey.generate(SeededRandom("recipient"))
    sealed = bytes.fromhex(SEALED)

    def envelope(data: bytes, info: bytes = b"purpose", associated: bytes = b"context") -> Document:
        return {
            "seed": recipient.seed().hex(),
            "sealed": data.hex(),
            "info": info.hex(),
            "associated": associated.hex(),
        }

    yield "sealed", {"operation": "open", **envelope(sealed), "content": b"a key share".hex()}
    spoilt = {
        "for_another_purpose": envelope(sealed, info=b"other"),
        "in_another_context": envelope(sealed, associated=b"other"),
        "altered": envelope(sealed[:-1] + bytes([sealed[-1] ^ 1])),
        "truncated": envelope(sealed[:-1]),
        "encapsulated_key_zero": envelope(bytes(32) + sealed[32:]),
        "empty": envelope(b""),
    }
    for defect, values in spoilt.items():
        yield f"sealed_{defect}", refused("open", "key-file", **values)


def write(name: str, document: Document) -> None:
    (FOLDER / f"{name}.json").write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    for file in FOLDER.glob("*.json"):
        file.unlink()
    for name, document in vectors():
        write(name, document)
