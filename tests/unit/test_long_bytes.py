# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import pytest

from coterie_common.long_bytes import PIECE_BYTES, join_long
from coterie_party.training.frames import zeros


@pytest.mark.parametrize(
    "parts",
    [[], [b""], [b"one", bytearray(b"two"), memoryview(b"three")], [bytes(range(256)) * (PIECE_BYTES // 100), b"end"]],
    ids=["nothing", "empty", "of every kind", "longer than a piece"],
)
def test_join_long_returns_what_join_does(parts):
    assert join_long(parts) == b"".join(parts)
    assert type(join_long(parts)) is bytes


@pytest.mark.parametrize("count", [0, 1, PIECE_BYTES, 2 * PIECE_BYTES + 1])
def test_zeros_are_as_many_as_asked_for(count):
    assert zeros(count) == bytearray(count)
