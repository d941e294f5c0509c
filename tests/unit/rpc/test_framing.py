# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import hashlib
import io
import tracemalloc
from collections.abc import Iterable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie_common.crypto.hashing import Label, tuple_hash
from coterie_common.errors import MalformedMessage, StateError, StorageError
from coterie_common.limits import FRAME_BYTES, TRANSFER_BYTES
from coterie_common.rpc import framing
from coterie_common.rpc.framing import Assembler, ContentFrames, split, split_content
from coterie_common.wire.types import Announcement, Frame, frame_from_wire, frame_to_wire

BIG = bytes(range(256)) * (FRAME_BYTES // 256) * 2 + b"end"


def assembled(frames: Iterable[Frame], **limits: Any) -> tuple[list[bytearray], Assembler]:
    assembler = Assembler(**limits)
    done = [data for frame in frames if (data := assembler.add(frame)) is not None]
    return done, assembler


@pytest.mark.parametrize("size", [1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, len(BIG)])
def test_split_then_assemble_gives_the_transfer(size):
    frames = list(split(BIG[:size]))
    assert all(1 <= len(frame.chunk) <= FRAME_BYTES for frame in frames)
    assert [frame.announcement is not None for frame in frames] == [True] + [False] * (len(frames) - 1)
    done, assembler = assembled(frames)
    assert done == [BIG[:size]]
    assert assembler.is_between_transfers


@given(st.lists(st.binary(min_size=1, max_size=50), max_size=5))
def test_transfers_follow_each_other_on_one_stream(transfers):
    done, _ = assembled([frame for data in transfers for frame in split(data)])
    assert done == transfers


@pytest.mark.parametrize("data", [b"", b"x" * 101], ids=["empty", "too-long"])
def test_split_of_impossible_length_is_our_fault(data, monkeypatch):
    monkeypatch.setattr(framing, "TRANSFER_BYTES", 100)
    with pytest.raises(StateError):
        next(split(data))


def test_digest_covers_length_and_content():
    (frame,) = split(b"content")
    assert frame.announcement == Announcement(7, tuple_hash(Label.FRAME, 7, hashlib.sha256(b"content").digest()))


def test_announcement_alone_makes_nobody_hold_anything():
    tracemalloc.start()
    try:
        assembler = Assembler()
        assert assembler.add(Frame(Announcement(TRANSFER_BYTES, bytes(32)), b"x")) is None
        assert tracemalloc.get_traced_memory()[1] < FRAME_BYTES
    finally:
        tracemalloc.stop()


def test_transfer_is_held_once_while_it_comes():
    frames = list(split(BIG * 8))
    tracemalloc.start()
    try:
        done, _ = assembled(frames)
        assert tracemalloc.get_traced_memory()[1] < 1.3 * len(BIG * 8)
    finally:
        tracemalloc.stop()
    assert done == [BIG * 8]


def test_announcement_over_the_limit_is_malformed_before_anything_is_kept():
    frame = Frame(Announcement(101, bytes(32)), b"x")
    with pytest.raises(MalformedMessage, match="1 to 100 bytes"):
        assembled([frame], maximum=100)
    with pytest.raises(MalformedMessage):
        assembled([Frame(Announcement(TRANSFER_BYTES + 1, bytes(32)), b"x")], maximum=2 * TRANSFER_BYTES)
    with pytest.raises(MalformedMessage):
        assembled([Frame(Announcement(0, bytes(32)), b"x")])


def test_other_digest_is_malformed():
    first, *rest = split(BIG)
    other = Frame(Announcement(len(BIG), bytes(32)), first.chunk)
    with pytest.raises(MalformedMessage, match="digest"):
        assembled([other, *rest])


def test_frames_in_other_order_are_malformed():
    first, second, third = split(BIG)
    for order, words in (
        ((second, first, third), "begin with its announcement"),
        ((first, first, third), "before the last one was complete"),
    ):
        with pytest.raises(MalformedMessage, match=words):
            assembled(order)
    one, two, *rest = split(BIG[: FRAME_BYTES + 1] + BIG)
    swapped = [Frame(one.announcement, two.chunk), Frame(None, one.chunk), *rest]
    with pytest.raises(MalformedMessage, match="digest"):
        assembled(swapped)


def test_longer_than_announced_is_malformed_and_shorter_is_not_over():
    first, second, third = split(BIG)
    with pytest.raises(MalformedMessage, match="longer than announced"):
        assembled([first, second, Frame(None, third.chunk + b"x")])
    done, assembler = assembled([first, second])
    assert done == []
    assert not assembler.is_between_transfers


def test_frame_round_trip_is_equal_and_bad_frames_are_malformed():
    for frame in (
        Frame(Announcement(3, bytes(32)), b"abc"),
        Frame(Announcement(1 << 40, bytes(32), is_content=True), b"abc"),
        Frame(None, b"x" * FRAME_BYTES),
    ):
        assert frame_from_wire(frame_to_wire(frame)) == frame
    for frame in (
        Frame(None, b""),
        Frame(Announcement(3, bytes(31)), b"abc"),
        Frame(None, b"x" * (FRAME_BYTES + 1)),
    ):
        with pytest.raises(MalformedMessage):
            frame_from_wire(frame_to_wire(frame))


DIGEST = bytes(range(32))


@pytest.mark.parametrize("size", [1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, len(BIG)])
def test_split_content_then_take_gives_the_content(size):
    frames = list(split_content(io.BytesIO(BIG).read, size, DIGEST))
    assert all(1 <= len(frame.chunk) <= FRAME_BYTES for frame in frames)
    assert frames[0].announcement == Announcement(size, DIGEST, is_content=True)
    assert {frame.announcement for frame in frames[1:]} <= {None}
    content = ContentFrames(frames[0].announcement, size)
    assert content.digest == DIGEST
    taken = []
    for frame in frames:
        assert not content.is_complete
        taken.append(content.take(frame))
    assert content.is_complete
    assert b"".join(taken) == BIG[:size]


def test_content_is_read_a_frame_at_a_time_and_not_beyond_its_length():
    asked = []

    def read(count: int) -> bytes:
        asked.append(count)
        return bytes(count)

    frames = split_content(read, 2 * FRAME_BYTES + 5, DIGEST)
    for expected in ([FRAME_BYTES], [FRAME_BYTES] * 2, [FRAME_BYTES] * 2 + [5]):
        next(frames)
        assert asked == expected
    assert next(frames, None) is None


def test_content_that_ends_early_is_our_storage_failing():
    frames = split_content(io.BytesIO(b"abc").read, 5, DIGEST)
    assert next(frames).chunk == b"abc"
    with pytest.raises(StorageError, match="ended 2 bytes early"):
        next(frames)


@pytest.mark.parametrize(
    "announced",
    [
        None,
        Announcement(5, DIGEST),
        Announcement(4, DIGEST, is_content=True),
        Announcement(6, DIGEST, is_content=True),
        Announcement(0, DIGEST, is_content=True),
    ],
    ids=["none", "of a message", "shorter", "longer", "empty"],
)
def test_content_other_than_its_message_announced_is_malformed(announced):
    with pytest.raises(MalformedMessage):
        ContentFrames(announced, 5)


def test_content_that_is_longer_or_begins_again_is_malformed():
    first, second, third = split_content(io.BytesIO(BIG).read, len(BIG), DIGEST)
    content = ContentFrames(first.announcement, len(BIG))
    content.take(first)
    with pytest.raises(MalformedMessage, match="before the last one was complete"):
        content.take(first)
    content.take(second)
    with pytest.raises(MalformedMessage, match="longer than announced"):
        content.take(Frame(None, third.chunk + b"x"))


def test_content_that_no_message_announced_is_malformed():
    with pytest.raises(MalformedMessage, match="without a message"):
        assembled(split_content(io.BytesIO(BIG).read, len(BIG), DIGEST))
