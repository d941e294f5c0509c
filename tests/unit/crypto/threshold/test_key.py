# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import json
from dataclasses import replace
from typing import Any

import pytest

from coterie_common.crypto.threshold import KeyKind, ThresholdPublicKey
from coterie_common.errors import KeyFileError, OldKeyError
from tests.support.dealings import load_dealing
from tests.support.generated_keys import make_generated


def test_digest_depends_on_every_part():
    key = load_dealing().key
    generated = make_generated(5, 4).key
    others = [
        replace(key, decryption_threshold=3),
        generated,
        replace(generated, root_factor=generated.root_factor - 1),
        replace(generated, root_offset=generated.root_offset - 1),
        replace(generated, share_bits=generated.share_bits + 1),
        replace(key, verification_base=key.verification_keys[0]),
        replace(key, verification_keys=key.verification_keys[::-1]),
        load_dealing(4, 3).key,
    ]
    assert len({key.digest, *(other.digest for other in others)}) == 9


def test_document_comes_back_through_json():
    key = load_dealing(key_bits=2048).key
    again = ThresholdPublicKey.from_document(json.loads(json.dumps(key.to_document())))
    assert again == key
    assert again.digest == key.digest


def test_document_of_a_small_key_is_refused():
    with pytest.raises(KeyFileError):
        ThresholdPublicKey.from_document(load_dealing().key.to_document())


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("modulus", lambda d: d["modulus"].upper()),
        ("modulus", lambda d: "00" + d["modulus"]),
        ("modulus", lambda d: "0x" + d["modulus"][2:]),
        ("modulus", lambda d: int(d["modulus"], 16)),
        ("modulus", lambda d: d["modulus"][:-1] + "e"),
        ("modulus", lambda d: "0" + d["modulus"][1:]),
        ("s", lambda d: 0),
        ("s", lambda d: 2),
        ("s", lambda d: True),
        ("s", lambda d: "1"),
        ("generator", lambda d: "00" * 256),
        ("generator", lambda d: "00" * 255 + "01"),
        ("generator", lambda d: d["modulus"]),
        ("generator", lambda d: d["generator"].lstrip("0")[1:]),
        ("holders", lambda d: 4),
        ("holders", lambda d: 0),
        ("holders", lambda d: 201),
        ("decryption_threshold", lambda d: 0),
        ("decryption_threshold", lambda d: 6),
        ("decryption_threshold", lambda d: 4.0),
        ("kind", lambda d: "generated"),
        ("kind", lambda d: "made"),
        ("kind", lambda d: None),
        ("nonce_bits", lambda d: 1023),
        ("nonce_bits", lambda d: 2048 + 128),
        ("root_factor", lambda d: "00" * 255 + "02"),
        ("root_factor", lambda d: "00" * 256),
        ("root_factor", lambda d: "01"),
        ("root_offset", lambda d: d["root_offset"][:-1] + "1"),
        ("root_offset", lambda d: "ff" * (len(d["root_offset"]) // 2)),
        ("root_offset", lambda d: d["root_offset"][2:]),
        ("root_offset", lambda d: ""),
        ("share_bits", lambda d: 2047),
        ("share_bits", lambda d: 2045),
        ("verification_base", lambda d: "00" * 256),
        ("verification_base", lambda d: "00" * 255 + "01"),
        ("verification_base", lambda d: d["modulus"]),
        ("verification_base", lambda d: "00" * 256 + d["modulus"]),
        ("verification_keys", lambda d: d["verification_keys"][:-1]),
        ("verification_keys", lambda d: [*d["verification_keys"][:-1], "00" * 256]),
        ("verification_keys", lambda d: [*d["verification_keys"][:-1], "ff" * 256]),
        ("verification_keys", lambda d: [*d["verification_keys"][:-1], d["verification_keys"][-1][2:]]),
        ("verification_keys", lambda d: [*d["verification_keys"][:-1], None]),
        ("verification_keys", lambda d: "".join(d["verification_keys"])),
        ("unknown", lambda d: 1),
    ],
)
def test_document_with_a_defect_raises(change, value):
    document = load_dealing(key_bits=2048).key.to_document()
    document[change] = value(document)
    with pytest.raises(KeyFileError) as raised:
        ThresholdPublicKey.from_document(document)
    assert raised.value.code == "key-file"


def test_document_without_an_entry_or_no_object_raises():
    document = load_dealing(key_bits=2048).key.to_document()
    del document["verification_base"]
    bads: tuple[object, ...] = (document, [], None, "key")
    for bad in bads:
        with pytest.raises(KeyFileError):
            ThresholdPublicKey.from_document(bad)


def generated_document() -> dict[str, Any]:
    """The document of a record of the generated kind of full size."""
    return make_generated(3, 2, key_bits=2048).key.to_document()


def test_document_of_a_generated_key_comes_back_through_json():
    key = make_generated(3, 2, key_bits=2048).key
    document = json.loads(json.dumps(key.to_document()))
    again = ThresholdPublicKey.from_document(document)
    assert (again, again.digest) == (key, key.digest)
    assert (again.kind, again.root_offset < 0) == (KeyKind.GENERATED, True)


@pytest.mark.parametrize(
    ("change", "value"),
    [
        ("kind", lambda d: "dealt"),
        ("nonce_bits", lambda d: 1024),
        ("nonce_bits", lambda d: d["nonce_bits"] + 1),
        ("root_factor", lambda d: "00" * 256),
        ("root_factor", lambda d: d["modulus"]),
        ("root_offset", lambda d: "80" + d["root_offset"][2:]),
        ("root_offset", lambda d: "00" + d["root_offset"]),
        ("share_bits", lambda d: 2047),
        ("share_bits", lambda d: 2048 + 4097),
    ],
)
def test_document_of_a_generated_key_with_a_defect_raises(change, value):
    document = generated_document()
    document[change] = value(document)
    with pytest.raises(KeyFileError) as raised:
        ThresholdPublicKey.from_document(document)
    assert raised.value.code == "key-file"


def test_record_of_an_earlier_version_is_refused_with_the_way_out():
    document = load_dealing(key_bits=2048).key.to_document()
    former = {name: document[name] for name in ("modulus", "s", "generator", "decryption_threshold")}
    former |= {"parties": 5, "verification_base": "00" * 512, "verification_keys": ["00" * 512] * 5}
    with pytest.raises(OldKeyError, match="coterie keys deal --new-epoch") as raised:
        ThresholdPublicKey.from_document(former)
    assert raised.value.code == "old-key"
