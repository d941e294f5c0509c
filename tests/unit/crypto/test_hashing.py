# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import hashlib

from coterie_common.crypto.hashing import Label, long_hash, tuple_hash


def test_long_hash_is_the_hash_of_length_and_sha256():
    content = b"content" * 1000
    assert long_hash(Label.MODEL, content) == tuple_hash(Label.MODEL, 7000, hashlib.sha256(content).digest())


def test_long_hash_of_the_same_content_under_another_label_differs():
    assert long_hash(Label.MODEL, b"content") != long_hash(Label.QUERY_BODY, b"content")
