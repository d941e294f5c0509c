# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from hashlib import sha256, shake_256

import pytest

from coterie_common.crypto.generation.leaves import Leaves, Opening, context, root, stream, streams
from coterie_common.crypto.hashing import Label, tuple_hash
from tests.support.seeded_random import SeededRandom


def digests(count: int) -> list[bytes]:
    return [sha256(bytes([n % 256, n // 256])).digest() for n in range(count)]


def test_stream_is_the_hash_of_context_position_and_leaf():
    leaf_context = context(b"draft", b"nonce", 3, 2)
    assert leaf_context == tuple_hash(Label.GENERATION_LEAF, b"draft", b"nonce", 3, 2)
    leaf = bytes(range(16))
    expected = shake_256(leaf_context + b"\0\0\1\2" + leaf).digest(100)
    assert stream(leaf_context, 258, leaf, 100) == expected
    assert streams(leaf_context, 257, [leaf, leaf], 100) == [stream(leaf_context, 257, leaf, 100), expected]


@pytest.mark.parametrize("other", [(b"other", b"n", 1, 1), (b"d", b"o", 1, 1), (b"d", b"n", 2, 1), (b"d", b"n", 1, 2)])
def test_context_separates_runs_holders_and_batches(other):
    assert context(*other) != context(b"d", b"n", 1, 1)


def test_root_is_that_of_two_levels_computed_by_hand():
    level = digests(130)
    nodes = [sha256(b"\1" + b"".join(level[start : start + 64])).digest() for start in (0, 64, 128)]
    top = sha256(b"\2" + b"".join(nodes)).digest()
    assert root(level) == tuple_hash(Label.GENERATION_LEAVES, 130, top)
    assert root(level[:1]) == tuple_hash(Label.GENERATION_LEAVES, 1, sha256(b"\1" + level[0]).digest())


def test_root_changes_with_every_leaf_and_with_their_number():
    level = digests(70)
    found = {root(level), root(level[:-1]), root([*level, level[-1]]), root([level[1], level[0], *level[2:]])}
    for position in range(70):
        found.add(root([*level[:position], bytes(32), *level[position + 1 :]]))
    assert len(found) == 74


def test_opening_keeps_leaves_closed_and_restores_the_rest():
    leaves = Leaves.generate(10, SeededRandom("opening")).split()
    marks = digests(10)
    opening = Opening.of(leaves, marks, {7, 2})
    data = opening.to_bytes()
    assert leaves[2] not in data
    assert leaves[7] not in data
    assert len(data) == 8 * 16 + 2 * 32
    parsed = Opening.from_bytes(data, 10, [2, 7])
    assert parsed == opening
    assert parsed.closed == (marks[2], marks[7])
    assert [parsed.leaves[n] for n in (0, 1, 9)] == [leaves[0], leaves[1], leaves[9]]
    assert parsed.leaves[2] == b""


@pytest.mark.parametrize("change", [-16, -1, 1, 32])
def test_opening_of_another_length_is_refused(change):
    data = Opening.of([bytes(16)] * 5, digests(5), {1}).to_bytes()
    assert Opening.from_bytes((data + bytes(32))[: len(data) + change], 5, {1}) is None


def test_leaves_reveal_nothing_when_printed():
    assert repr(Leaves(b"secret")) == "Leaves(<redacted>)"
