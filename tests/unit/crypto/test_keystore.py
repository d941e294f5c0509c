# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import json

import pytest

from coterie_common.crypto import keystore
from coterie_common.crypto.keystore import lock, unlock
from coterie_common.errors import KeyFileError
from coterie_common.limits import KEY_FILE_BYTES
from coterie_common.secret import Password
from tests.support.seeded_random import SeededRandom

PASSWORD = Password(b"correct horse")


def cheaply_locked(content: bytes = b"the share", kind: str = "key-share") -> bytes:
    return keystore._lock(content, PASSWORD, kind=kind, random=SeededRandom("keystore"), scrypt_n=1 << 14)


@pytest.fixture(scope="module")
def locked() -> bytes:
    return cheaply_locked()


def with_header(locked: bytes, **changes: object) -> bytes:
    line, _, body = locked.partition(b"\n")
    return json.dumps({**json.loads(line), **changes}).encode() + b"\n" + body


def refusal(data: bytes, password: Password = PASSWORD, kind: str = "key-share") -> str:
    with pytest.raises(KeyFileError) as raised:
        unlock(data, password, kind=kind)
    assert raised.value.code == "key-file"
    return raised.value.message


@pytest.mark.slow  # two runs of scrypt at its real cost
def test_lock_then_unlock_returns_the_content_at_full_cost():
    data = lock(b"the share", PASSWORD, kind="key-share", random=SeededRandom(1))
    assert json.loads(data.partition(b"\n")[0])["scrypt_n"] == 1 << 17
    assert unlock(data, PASSWORD, kind="key-share") == b"the share"
    assert b"the share" not in data


def test_lock_of_nothing_unlocks_to_nothing():
    assert unlock(cheaply_locked(b""), PASSWORD, kind="key-share") == b""


def test_lock_twice_shares_no_salt_nonce_or_ciphertext():
    random = SeededRandom(2)
    first, second = (
        keystore._lock(b"x" * 32, PASSWORD, kind="k", random=random, scrypt_n=1 << 14).partition(b"\n") for _ in "12"
    )
    one, two = json.loads(first[0]), json.loads(second[0])
    assert all(one[name] != two[name] for name in ("salt", "nonce", "password_check"))
    assert first[2] != second[2]


def test_lock_with_empty_password_raises():
    with pytest.raises(KeyFileError, match="empty"):
        lock(b"x", Password(b""), kind="key-share", random=SeededRandom(1))


def test_lock_of_too_much_raises():
    with pytest.raises(KeyFileError, match="at most"):
        lock(bytes(KEY_FILE_BYTES + 1), PASSWORD, kind="key-share", random=SeededRandom(1))


def test_unlock_with_wrong_password_says_so(locked):
    assert "wrong password" in refusal(locked, Password(b"incorrect horse"))


def test_unlock_of_another_kind_names_both(locked):
    message = refusal(locked, kind="signing-key")
    assert "key-share" in message
    assert "signing-key" in message


@pytest.mark.parametrize("cut", [1, 16, 24])
def test_unlock_truncated_says_so(locked, cut):
    assert "cut short" in refusal(locked[:-cut])


def test_unlock_with_bytes_added_says_so(locked):
    assert "added to" in refusal(locked + b"\n")


@pytest.mark.parametrize("position", [-1, -17, -25])
def test_unlock_altered_body_says_damaged(locked, position):
    data = bytearray(locked)
    data[position] ^= 1
    assert "damaged" in refusal(bytes(data))


def test_unlock_altered_nonce_says_damaged(locked):
    assert "damaged" in refusal(with_header(locked, nonce="00" * 12))


def test_unlock_reordered_header_says_damaged(locked):
    line, _, body = locked.partition(b"\n")
    reordered = dict(reversed(json.loads(line).items()))
    assert "damaged" in refusal(json.dumps(reordered).encode() + b"\n" + body)


def test_unlock_altered_salt_says_wrong_password(locked):
    assert "wrong password" in refusal(with_header(locked, salt="00" * 16))


def test_unlock_another_version_says_so(locked):
    assert "version" in refusal(with_header(locked, version=2))


@pytest.mark.parametrize(
    "changes",
    [
        {"scrypt_n": 1 << 13},
        {"scrypt_n": 1 << 21},
        {"scrypt_n": (1 << 17) + 1},
        {"scrypt_n": True},
        {"scrypt_p": 5},
        {"scrypt_r": 16},
        {"salt": "00" * 15},
        {"salt": "AA" * 16},
        {"content_bytes": -1},
        {"content_bytes": KEY_FILE_BYTES + 1},
        {"comment": "unknown"},
    ],
)
def test_unlock_header_outside_its_bounds_raises(locked, changes):
    assert "header is damaged" in refusal(with_header(locked, **changes))


def test_unlock_header_without_an_entry_raises(locked):
    line, _, body = locked.partition(b"\n")
    document = json.loads(line)
    del document["salt"]
    assert "header is damaged" in refusal(json.dumps(document).encode() + b"\n" + body)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"-----BEGIN PRIVATE KEY-----\n",
        b"[]\n",
        b"{}\n",
        b"\xff\xfe\n",
        b"[" * 1000 + b"\n",
        b'{"format":"coterie-key-file"' + b" " * 1024 + b"}\n",
        b'{"format":"coterie-key-file","version":1}',
    ],
)
def test_unlock_what_is_no_key_file_says_so(data):
    assert "no key file" in refusal(data)
