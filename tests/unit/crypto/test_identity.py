# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import pickle

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.crypto.identity import (
    SIGNATURE_BYTES,
    SealingKey,
    SigningKey,
    VerifyKey,
    seal_to,
)
from coterie_common.errors import InvalidSignature, KeyFileError, MalformedMessage
from tests.support.seeded_random import SeededRandom


@pytest.fixture(scope="module")
def signer() -> SigningKey:
    return SigningKey.generate(SeededRandom("signer"))


@pytest.fixture(scope="module")
def recipient() -> SealingKey:
    return SealingKey.generate(SeededRandom("recipient"))


def test_sign_then_verify_accepts(signer):
    signature = signer.sign(Label.ROSTER, b"roster", 7)
    assert len(signature) == SIGNATURE_BYTES
    signer.verify_key.verify(signature, Label.ROSTER, b"roster", 7)


def test_sign_agrees_with_another_ed25519_implementation(signer):
    other = Ed25519PrivateKey.from_private_bytes(signer.seed())
    assert signer.sign(Label.ROSTER, 1) == other.sign(tuple_hash(Label.ROSTER, 1))
    assert signer.verify_key.encoded == other.public_key().public_bytes_raw()


@pytest.mark.parametrize(
    ("label", "items"),
    [(Label.SESSION, (b"roster", 7)), (Label.ROSTER, (b"roster", 8)), (Label.ROSTER, (b"roster",))],
)
def test_verify_other_label_or_items_raises(signer, label, items):
    signature = signer.sign(Label.ROSTER, b"roster", 7)
    with pytest.raises(InvalidSignature) as raised:
        signer.verify_key.verify(signature, label, *items)
    assert raised.value.code == "invalid-signature"


def test_verify_under_another_key_raises(signer):
    stranger = SigningKey.generate(SeededRandom("stranger"))
    with pytest.raises(InvalidSignature):
        stranger.verify_key.verify(signer.sign(Label.ROSTER, 1), Label.ROSTER, 1)


@pytest.mark.parametrize("position", [0, 31, 32, 63])
def test_verify_altered_signature_raises(signer, position):
    signature = bytearray(signer.sign(Label.ROSTER, 1))
    signature[position] ^= 1
    with pytest.raises(InvalidSignature):
        signer.verify_key.verify(bytes(signature), Label.ROSTER, 1)


@pytest.mark.parametrize("length", [0, 63, 65])
def test_verify_signature_of_wrong_length_raises(signer, length):
    with pytest.raises(InvalidSignature):
        signer.verify_key.verify(signer.sign(Label.ROSTER, 1).ljust(65, b"\0")[:length], Label.ROSTER, 1)


@pytest.mark.parametrize(
    "encoded",
    [
        b"",
        bytes(31),
        bytes(33),
        bytes(57),
        bytes(32),  # order 4
        b"\1" + bytes(31),  # the neutral element
        b"\xee" + b"\xff" * 30 + b"\x7f",  # the neutral element, not canonical
        b"\2" + bytes(31),  # on the twist
    ],
)
def test_verify_key_that_is_no_point_of_large_order_raises(encoded):
    with pytest.raises(MalformedMessage) as raised:
        VerifyKey(encoded)
    assert raised.value.code == "malformed-message"


def test_verify_keys_are_equal_by_their_bytes(signer):
    assert VerifyKey(signer.verify_key.encoded) == signer.verify_key
    assert len({VerifyKey(signer.verify_key.encoded), signer.verify_key}) == 1


@pytest.mark.parametrize("kind", [SigningKey, SealingKey])
def test_secret_key_of_wrong_length_raises(kind):
    with pytest.raises(KeyFileError) as raised:
        kind(bytes(31))
    assert raised.value.code == "key-file"


@pytest.mark.parametrize("kind", [SigningKey, SealingKey])
def test_secret_key_comes_back_from_its_seed(kind):
    key = kind.generate(SeededRandom(1))
    again = kind(key.seed())
    assert (again.seed(), len(again.seed())) == (key.seed(), 32)


@pytest.mark.parametrize("kind", [SigningKey, SealingKey])
def test_secret_key_shows_nothing_and_is_not_pickled(kind):
    key = kind.generate(SeededRandom(1))
    shown = f"{key!r} {key!s} {key}"
    assert key.seed().hex() not in shown
    assert repr(key.seed()) not in shown
    with pytest.raises(TypeError):
        pickle.dumps(key)


def test_seal_then_open_returns_the_message(recipient):
    sealed = seal_to(recipient.public, b"a share", info=b"purpose", associated=b"context")
    assert len(sealed) == len(b"a share") + 48
    assert recipient.open(sealed, info=b"purpose", associated=b"context") == b"a share"


def test_seal_twice_gives_different_bytes(recipient):
    assert len({seal_to(recipient.public, b"x", info=b"", associated=b"") for _ in range(4)}) == 4


def test_sealing_key_public_half_is_the_one_of_rfc_9180():
    seed = bytes.fromhex("4612c550263fc8ad58375df3f557aac531d26850903e55a9f23f21d8534e8ac8")  # A.1.1, skRm and pkRm
    assert SealingKey(seed).public.hex() == "3948cfe0ad1ddb695d780e59077195da6c56506b027329794ab02bca80815c4d"


def test_seal_agrees_with_another_hpke_implementation(recipient):
    hpke = pytest.importorskip("cryptography.hazmat.primitives.hpke")
    suite = hpke.Suite(hpke.KEM.X25519, hpke.KDF.HKDF_SHA256, hpke.AEAD.AES_256_GCM)
    theirs = X25519PrivateKey.from_private_bytes(recipient.seed())
    ours = seal_to(recipient.public, b"a share", info=b"purpose", associated=b"")
    assert suite.decrypt(ours, theirs, info=b"purpose") == b"a share"
    sealed = suite.encrypt(b"a share", theirs.public_key(), info=b"purpose")
    assert recipient.open(sealed, info=b"purpose", associated=b"") == b"a share"


@pytest.mark.parametrize(("info", "associated"), [(b"other", b"context"), (b"purpose", b"other")])
def test_open_in_another_context_raises(recipient, info, associated):
    sealed = seal_to(recipient.public, b"a share", info=b"purpose", associated=b"context")
    with pytest.raises(KeyFileError) as raised:
        recipient.open(sealed, info=info, associated=associated)
    assert raised.value.code == "key-file"


def test_open_with_another_key_raises(recipient):
    sealed = seal_to(recipient.public, b"a share", info=b"", associated=b"")
    with pytest.raises(KeyFileError):
        SealingKey.generate(SeededRandom("other")).open(sealed, info=b"", associated=b"")


@pytest.mark.parametrize("length", [0, 16, 31, 32, 40, 47, 54])
def test_open_truncated_raises(recipient, length):
    sealed = seal_to(recipient.public, b"a share", info=b"", associated=b"")
    with pytest.raises(KeyFileError):
        recipient.open(sealed[:length], info=b"", associated=b"")


@pytest.mark.parametrize("position", [0, 31, 32, -1])
def test_open_altered_raises(recipient, position):
    sealed = bytearray(seal_to(recipient.public, b"a share", info=b"", associated=b""))
    sealed[position] ^= 1
    with pytest.raises(KeyFileError):
        recipient.open(bytes(sealed), info=b"", associated=b"")


@pytest.mark.parametrize("public", [b"", bytes(31), bytes(32), bytes(33)])
def test_seal_to_what_is_no_key_raises(public):
    with pytest.raises(KeyFileError):
        seal_to(public, b"x", info=b"", associated=b"")
