# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import base64
import json

import pytest

from coterie_common.crypto.keystore import lock
from coterie_common.secret import Password
from coterie_lab.containers.examine import found_in, locked_shares
from tests.support.seeded_random import SeededRandom

RANDOM = SeededRandom("examine")
SHARE = RANDOM.randbits(4096) | 1 << 4095
BYTES = SHARE.to_bytes(512, "big")


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"\0\1" + BYTES, id="bytes behind an index"),
        pytest.param(SHARE.to_bytes(600, "big"), id="padded bytes"),
        pytest.param(SHARE.to_bytes(600, "little"), id="bytes in the other order"),
        pytest.param(json.dumps({"share": f"{SHARE:x}"}).encode(), id="hexadecimal"),
        pytest.param(f"{SHARE:#0X}".encode(), id="hexadecimal in capitals"),
        pytest.param(f"KeyShare(index=1, value={SHARE})".encode(), id="decimal"),
        *(pytest.param(base64.b64encode(b"i" * shift + BYTES), id=f"base64 behind {shift}") for shift in range(4)),
        pytest.param(base64.urlsafe_b64encode(b"ii" + BYTES), id="base64 for addresses"),
    ],
)
def test_found_in_file_with_the_share_names_it(tmp_path, content):
    (tmp_path / "party-1").mkdir()
    (tmp_path / "party-1/log").write_bytes(b"before " + content + b" after")
    assert found_in(tmp_path, SHARE) == ["party-1/log"]


def test_found_in_files_with_other_numbers_names_none(tmp_path):
    (tmp_path / "other").write_bytes(RANDOM.token_bytes(4096))
    (tmp_path / "another").write_text(str(SHARE + 1 << 1))
    assert found_in(tmp_path, SHARE) == []


def test_locked_share_is_seen_as_one_and_holds_the_share_in_no_writing(tmp_path):
    (tmp_path / "1.key").write_bytes(lock(BYTES, Password(b"password"), kind="key-share", random=RANDOM))
    (tmp_path / "member.key").write_bytes(lock(BYTES, Password(b"password"), kind="party-keys", random=RANDOM))
    assert locked_shares(tmp_path) == ["1.key"]
    assert found_in(tmp_path, SHARE) == []
