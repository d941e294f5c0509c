# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Every vector of this folder, run through the function that its ``operation`` names."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coterie_common.crypto import keystore
from coterie_common.crypto.hashing import Label
from coterie_common.crypto.identity import SealingKey, SigningKey, VerifyKey
from coterie_common.crypto.packing import Packing
from coterie_common.crypto.paillier import Nonce
from coterie_common.crypto.proofs import partial_decryption, plaintext_knowledge
from coterie_common.crypto.proofs.plaintext_knowledge import Proof, Statement
from coterie_common.crypto.threshold import KeyShare, ThresholdPublicKey, combine, partial_decrypt
from coterie_common.errors import CoterieError, InvalidProof
from coterie_common.secret import Password
from tests.support.dealings import load_dealing, load_encryptor
from tests.support.seeded_random import SeededRandom
from tests.vectors.crypto import opening_vectors, pad_vectors
from tests.vectors.crypto.make_vectors import vectors

FOLDER = Path(__file__).parent
DEALING = load_dealing()
KEY = DEALING.key
PUBLIC = KEY.public_key


Vector = dict[str, Any]


def encrypt(vector: Vector) -> None:
    n, s = PUBLIC.modulus, PUBLIC.s
    cases = zip(vector["plaintexts"], vector["nonces"], vector["ciphertexts"], strict=True)
    for plaintext, nonce, ciphertext in cases:
        m, alpha = int(plaintext, 16), int(nonce, 16)
        made = load_encryptor().encrypt(m, Nonce(alpha))
        assert made.to_bytes().hex() == ciphertext
        # The same by the definition, with nothing of ours.
        blinding = pow(PUBLIC.generator, n**s * alpha, n ** (s + 1))
        assert made.value == pow(1 + n, m, n ** (s + 1)) * blinding % n ** (s + 1)
    assert PUBLIC.digest.hex() == vector["key_digest"]


def check_ciphertext(vector: Vector) -> None:
    PUBLIC.check(bytes.fromhex(vector["ciphertext"]))


def pack(vector: Vector) -> None:
    layout = Packing(**vector["packing"])
    plaintexts = [int(m, 16) for m in vector["plaintexts"]]
    assert list(layout.pack(np.array(vector["values"]))) == plaintexts
    assert layout.unpack(plaintexts, 1).tolist() == vector["values"]
    # The same by the definition, value by value.
    for position, value in enumerate(vector["values"]):
        number, slot = divmod(position, layout.slots_per_plaintext)
        mask = (1 << layout.slot_bits) - 1
        assert plaintexts[number] >> slot * layout.slot_bits & mask == value - layout.lower


def unpack(vector: Vector) -> None:
    plaintexts = [int(m, 16) for m in vector["plaintexts"]]
    Packing(**vector["packing"]).unpack(plaintexts, vector["contributors"])


def knowledge_claim(vector: Vector) -> tuple[Statement, Proof]:
    statement = plaintext_knowledge.Statement(
        session_id=bytes.fromhex(vector["session_id"]),
        party_id=vector["party_id"],
        public_key=PUBLIC,
        padded_digest=bytes.fromhex(vector["padded_digest"]),
        ciphertexts=tuple(PUBLIC.check(bytes.fromhex(c)) for c in vector["ciphertexts"]),
    )
    return statement, plaintext_knowledge.Proof.from_bytes(PUBLIC, bytes.fromhex(vector["proof"]))


def verify_plaintext_knowledge(vector: Vector) -> None:
    plaintext_knowledge.verify(*knowledge_claim(vector), load_encryptor())


def verify_knowledge_together(vector: Vector) -> None:
    claims = [knowledge_claim(claim) for claim in vector["claims"]]
    refusals = []
    for seed in range(8):
        try:
            plaintext_knowledge.verify_together(claims, load_encryptor(), SeededRandom(seed))
        except InvalidProof as error:
            refusals.append(error)
    # The verdict must not depend on the weights.
    named = [(vector["culprit"],)] * 8 if "culprit" in vector else []
    assert [refusal.culprits for refusal in refusals] == named
    if refusals:
        raise refusals[0]


def verify_partial_decryption(vector: Vector) -> None:
    statement = partial_decryption.Statement(
        session_id=bytes.fromhex(vector["session_id"]),
        transcript_digest=bytes.fromhex(vector["transcript_digest"]),
        index=vector["index"],
        key=KEY,
        ciphertexts=tuple(PUBLIC.check(bytes.fromhex(c)) for c in vector["ciphertexts"]),
        partials=tuple(int(value, 16) for value in vector["partials"]),
    )
    proof = partial_decryption.Proof.from_bytes(KEY, bytes.fromhex(vector["proof"]))
    partial_decryption.verify(statement, proof)


def combine_partials(vector: Vector) -> None:
    ciphertexts = [PUBLIC.check(bytes.fromhex(c)) for c in vector["ciphertexts"]]
    partials = {int(i): tuple(int(value, 16) for value in values) for i, values in vector["partials"].items()}
    assert {share.index: partial_decrypt(KEY, share, ciphertexts) for share in DEALING.shares} == partials
    assert combine(KEY, ciphertexts, partials) == tuple(int(m, 16) for m in vector["plaintexts"])


def read_key(vector: Vector) -> None:
    document = {**load_dealing(3, 3, 2048).key.to_document(), **vector["changes"]}
    assert ThresholdPublicKey.from_document(document).digest.hex() == vector["key_digest"]


def read_share(vector: Vector) -> None:
    assert KeyShare.from_bytes(KEY, bytes.fromhex(vector["share"])).index == vector["index"]


def unlock(vector: Vector) -> None:
    password = Password(vector["password"].encode())
    content = keystore.unlock(bytes.fromhex(vector["file"]), password, kind=vector["kind"])
    assert content.hex() == vector["content"]


def verify_signature(vector: Vector) -> None:
    items = (b"roster", 7, ["a", None])
    signature, label = bytes.fromhex(vector["signature"]), Label(vector["label"])
    VerifyKey(bytes.fromhex(vector["verify_key"])).verify(signature, label, *items)
    assert SigningKey(bytes.fromhex(vector["seed"])).sign(label, *items) == signature


def open_sealed(vector: Vector) -> None:
    info, associated = bytes.fromhex(vector["info"]), bytes.fromhex(vector["associated"])
    key = SealingKey(bytes.fromhex(vector["seed"]))
    assert key.open(bytes.fromhex(vector["sealed"]), info=info, associated=associated).hex() == vector["content"]


OPERATIONS = {
    "encrypt": encrypt,
    "check_ciphertext": check_ciphertext,
    "pack": pack,
    "unpack": unpack,
    "verify_plaintext_knowledge": verify_plaintext_knowledge,
    "verify_knowledge_together": verify_knowledge_together,
    "verify_partial_decryption": verify_partial_decryption,
    "combine": combine_partials,
    "open_key": opening_vectors.run_open,
    "read_key": read_key,
    "read_share": read_share,
    "unlock": unlock,
    "verify_signature": verify_signature,
    "open": open_sealed,
    "expand": pad_vectors.run_expand,
    "uncover": pad_vectors.run_uncover,
}
FILES = sorted(FOLDER.glob("*.json"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_vector(file):
    vector = json.loads(file.read_text())
    run = OPERATIONS[vector["operation"]]
    if "expected" not in vector:
        run(vector)
        return
    with pytest.raises(CoterieError) as raised:
        run(vector)
    found: dict[str, Any] = {"code": raised.value.code}
    if isinstance(raised.value, InvalidProof):
        found["check"] = raised.value.check
    assert found == vector["expected"]


def test_vectors_cover_every_operation_with_a_known_answer():
    positive = {json.loads(file.read_text())["operation"] for file in FILES if "expected" not in file.read_text()}
    assert positive == set(OPERATIONS) - {"check_ciphertext", "unpack"}


def test_generator_makes_exactly_these_vectors():
    made = {name: json.loads(json.dumps(document)) for name, document in vectors()}
    assert made == {file.stem: json.loads(file.read_text()) for file in FILES}
