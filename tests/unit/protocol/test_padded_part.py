# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import hashlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.errors import StateError
from coterie_common.protocol.padded_part import NOTHING_PADDED, PaddedDigest, PaddedSum, padded_digest, to_octets

SESSION = bytes(range(32))


@given(st.lists(st.binary(max_size=40), max_size=6))
def test_digest_does_not_depend_on_the_cut(pieces):
    digest = PaddedDigest()
    for piece in pieces:
        digest.update(piece)
    assert digest.digest() == padded_digest(b"".join(pieces))


def test_digest_is_the_labelled_hash_of_length_and_content():
    content = bytes(range(12))
    assert padded_digest(content) == tuple_hash(Label.PADDED_PART, 12, hashlib.sha256(content).digest())
    assert padded_digest(b"") == NOTHING_PADDED


def test_digest_of_another_content_differs():
    assert len({padded_digest(content) for content in (b"", b"\0", b"\0\0", b"\1")}) == 4


def test_digest_of_a_memoryview_is_that_of_its_bytes():
    assert padded_digest(b"abcdefgh") == padded_digest(memoryview(b"abcdefgh"))  # type: ignore[arg-type]  # on purpose


def test_octets_are_little_endian_and_four_a_value():
    assert to_octets(np.array([1, 2**32 - 2], dtype=np.uint32)) == b"\1\0\0\0\xfe\xff\xff\xff"


def test_sum_of_parts_and_of_their_pieces_is_modulo_two_to_the_32():
    total = PaddedSum(SESSION, 3)
    total.add(to_octets(np.array([1, 2, 2**32 - 1], dtype=np.uint32)))
    total.add(to_octets(np.array([5, 7], dtype=np.uint32)), first=1)
    total.add(memoryview(to_octets(np.array([9], dtype=np.uint32))))
    assert total.values.tolist() == [10, 7, 6]
    assert total.session_id == SESSION


def test_sum_of_no_values_takes_empty_parts():
    total = PaddedSum(SESSION, 0)
    total.add(b"")
    assert len(total.values) == 0


@pytest.mark.parametrize(("size", "first"), [(1, 0), (5, 0), (16, 0), (12, 1), (4, 3), (4, -1), (0, 4)])
def test_piece_that_does_not_lie_within_the_vector_raises(size, first):
    total = PaddedSum(SESSION, 3)
    with pytest.raises(StateError, match="no piece of 3 values") as refusal:
        total.add(bytes([255]) * size, first)
    assert refusal.value.code == "state"
    assert not total.values.any()
