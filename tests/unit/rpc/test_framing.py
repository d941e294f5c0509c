# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie_common.errors import MalformedMessage, StateError
from coterie_common.limits import FRAME_BYTES, TRANSFER_BYTES
from coterie_common.rpc.framing import Assembler, split
from coterie_common.wire.types import Announcement, Frame, frame_from_wire, frame_to_wire

BIG = bytes(range(256)) * (FRAME_BYTES // 256) * 2 + b"end"


def assembled(frames, **limits):
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


@pytest.mark.parametrize("data", [b"", b"x" * (TRANSFER_BYTES + 1)], ids=["empty", "too-long"])
def test_split_of_impossible_length_is_our_fault(data):
    with pytest.raises(StateError):
        next(split(data))


def test_announcement_over_the_limit_is_malformed_before_anything_is_kept():
    frame = Frame(Announcement(101, bytes(32)), b"x")
    with pytest.raises(MalformedMessage, match="1 to 100 bytes"):
        assembled([frame], most=100)
    with pytest.raises(MalformedMessage):
        assembled([Frame(Announcement(TRANSFER_BYTES + 1, bytes(32)), b"x")], most=2 * TRANSFER_BYTES)
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
    for frame in (Frame(Announcement(3, bytes(32)), b"abc"), Frame(None, b"x" * FRAME_BYTES)):
        assert frame_from_wire(frame_to_wire(frame)) == frame
    for frame in (
        Frame(None, b""),
        Frame(Announcement(3, bytes(31)), b"abc"),
        Frame(None, b"x" * (FRAME_BYTES + 1)),
    ):
        with pytest.raises(MalformedMessage):
            frame_from_wire(frame_to_wire(frame))
