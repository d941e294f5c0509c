# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Makes the vectors in this folder: known answers, and bad inputs named by their defect.

Usage: python -m tests.vectors.crypto.make_vectors

Everything is reproducible: the keys are the published test keys, randomness is seeded. A change of a known answer is a
change of the protocol and needs a new version in the labels.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from coterie_common.crypto import keystore
from coterie_common.crypto.hashing import Label
from coterie_common.crypto.identity import SealingKey, SigningKey
from coterie_common.crypto.packing import Packing
from coterie_common.secret import Password
from tests.support.dealings import load_dealing
from tests.support.seeded_random import SeededRandom
from tests.vectors.crypto import opening_vectors, pad_vectors, proof_vectors
from tests.vectors.crypto.samples import DEALING, KEY, PUBLIC, Document, Documents, P, refused, sample

FOLDER = Path(__file__).parent
PASSWORD = b"correct horse battery staple"
SEALED = (
    "f7bbc28f43f406d76c37d91ba451a9c8dc6c7642a73e60553aa57111c378883a"
    "c9fb711a7a8dffe8dc9d7ef65cd3284c56e34950774b7b7eed8e45"
)
"""HPKE draws its ephemeral key from the operating system: sealed once and kept."""


def vectors() -> Documents:
    """Yield file name and content of every vector."""
    yield from encryption()
    yield from packing()
    yield from proof_vectors.vectors()
    yield from opening_vectors.vectors()
    yield from threshold_keys()
    yield from shares()
    yield from key_files()
    yield from identities()
    yield from pad_vectors.vectors()


def encryption() -> Documents:
    plaintexts, nonces, ciphertexts = sample()
    yield (
        "encryption",
        {
            "operation": "encrypt",
            "plaintexts": [f"{m:x}" for m in plaintexts],
            "nonces": [f"{nonce.reveal():x}" for nonce in nonces],
            "ciphertexts": [c.to_bytes().hex() for c in ciphertexts],
            "key_digest": PUBLIC.digest.hex(),
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


def packing() -> Documents:
    layout = Packing(length=11, lower=-300, upper=700, max_contributors=5, plaintext_bits=PUBLIC.plaintext_bits // 8)
    values = [-300, 700, 0, 1, -1, 5, 6, 7, 8, 9, 699]
    plaintexts = layout.pack(np.array(values))
    entries = {
        name: getattr(layout, name) for name in ("length", "lower", "upper", "max_contributors", "plaintext_bits")
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


def threshold_keys() -> Documents:
    """Yield changes to the document of the 2048-bit key of three parties."""
    document = load_dealing(3, 3, 2048).key.to_document()
    modulus, keys = document["modulus"], document["verification_keys"]
    yield (
        "threshold_key",
        {"operation": "read_key", "changes": {}, "key_digest": load_dealing(3, 3, 2048).key.digest.hex()},
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
        "kind_generated": {"kind": "generated"},
        "kind_unknown": {"kind": "made"},
        "nonce_bits_of_a_generated_key": {"nonce_bits": 2176},
        "root_factor_two": {"root_factor": "00" * 255 + "02"},
        "root_offset_one": {"root_offset": document["root_offset"][:-1] + "1"},
        "share_bits_too_many": {"share_bits": 2047},
        "holders_more_than_keys": {"holders": 4},
        "decryption_threshold_zero": {"decryption_threshold": 0},
        "decryption_threshold_above_holders": {"decryption_threshold": 4},
        "verification_base_one": {"verification_base": "00" * 255 + "01"},
        "verification_base_no_unit": {"verification_base": modulus},
        "verification_key_zero": {"verification_keys": [*keys[:2], "00" * 256]},
        "verification_key_out_of_range": {"verification_keys": [*keys[:2], "ff" * 256]},
        "verification_key_truncated": {"verification_keys": [*keys[:2], keys[2][2:]]},
        "verification_key_missing": {"verification_keys": keys[:2]},
        "unknown_entry": {"comment": "none"},
    }
    for defect, changes in bad.items():
        yield f"threshold_key_{defect}", refused("read_key", "key-file", changes=changes)


def shares() -> Documents:
    data = DEALING.shares[1].to_bytes(KEY)
    yield "share", {"operation": "read_share", "share": data.hex(), "index": 2}
    bad = {
        "altered": data[:-1] + bytes([data[-1] ^ 1]),
        "of_another_index": b"\0\3" + data[2:],
        "index_zero": b"\0\0" + data[2:],
        "index_above_holders": b"\0\6" + data[2:],
        "truncated": data[:-1],
        "padded": data + b"\0",
        "of_another_dealing": load_dealing(4, 3).shares[1].to_bytes(load_dealing(4, 3).key),
    }
    for defect, broken in bad.items():
        yield f"share_{defect}", refused("read_share", "key-file", share=broken.hex())


def key_files() -> Documents:
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


def identities() -> Documents:
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
