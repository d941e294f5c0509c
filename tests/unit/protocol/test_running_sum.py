# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import json
from collections.abc import Iterable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie_common.errors import MalformedMessage, StateError
from coterie_common.identifiers import PartyId
from coterie_common.protocol.padded_part import NOTHING_PADDED, PaddedDigest, PaddedFacts, PaddedSum, to_octets
from coterie_common.protocol.sealing.running_sum import RunningSum

SESSION, OTHER = bytes(range(32)), bytes(32)
LENGTH = 5
ALPHA, BRAVO, CHARLIE = map(PartyId, ("alpha", "bravo", "charlie"))
NOTHING = PaddedFacts(0, NOTHING_PADDED)


def vector(seed: int, length: int = LENGTH) -> bytes:
    return to_octets(np.random.Generator(np.random.PCG64(seed)).integers(0, 2**32, length, dtype=np.uint32))


def facts(content: bytes) -> PaddedFacts:
    digest = PaddedDigest()
    digest.update(content)
    return digest.facts()


def new(length: int = LENGTH, session_id: bytes = SESSION) -> RunningSum:
    return RunningSum(PaddedSum(session_id, length))


def add(running: RunningSum, party_id: PartyId, content: bytes, cut: int = 8) -> None:
    running.add(party_id, facts(content), [content[start : start + cut] for start in range(0, len(content), cut)])


def checkpoint(running: RunningSum) -> bytes:
    return b"".join(running.checkpoint())


def continued(data: bytes, length: int = LENGTH, session_id: bytes = SESSION, cut: int = 1 << 20) -> RunningSum:
    pieces = (data[start : start + cut] for start in range(0, len(data), cut))
    return RunningSum.continued(PaddedSum(session_id, length), pieces)


def with_heading(data: bytes, **changes: object) -> bytes:
    size = int.from_bytes(data[:8], "little")
    heading = json.loads(data[8 : 8 + size]) | changes
    text = json.dumps(heading, sort_keys=True, separators=(",", ":")).encode()
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def test_sum_holds_whom_it_was_given_and_nobody_else():
    running = new()
    add(running, ALPHA, vector(1))
    add(running, BRAVO, vector(2), cut=4)
    expected = PaddedSum(SESSION, LENGTH)
    expected.add(vector(1))
    expected.add(vector(2))
    assert running.total.values.tolist() == expected.values.tolist()
    assert running.members == {ALPHA: facts(vector(1)), BRAVO: facts(vector(2))}


def test_sum_without_padded_parts_keeps_its_members_only():
    running = new(0)
    running.add(ALPHA, NOTHING, ())
    again = continued(checkpoint(running), 0)
    assert again.members == {ALPHA: NOTHING}
    assert len(again.total.values) == 0


def test_member_is_never_added_twice_and_never_taken_out():
    running = new()
    add(running, ALPHA, vector(1))
    before = checkpoint(running)
    with pytest.raises(StateError, match="alpha is in the sum already"):
        add(running, ALPHA, vector(2))
    assert checkpoint(running) == before
    with pytest.raises(TypeError):
        del running.members[ALPHA]  # type: ignore[attr-defined]  # on purpose
    assert not [name for name in dir(RunningSum) if name.startswith(("remove", "subtract", "drop", "clear"))]


@pytest.mark.parametrize("content", [vector(1, LENGTH - 1), vector(1, LENGTH + 1), vector(1)[:-1], b""])
def test_part_of_another_length_spoils_the_sum_rather_than_being_half_in_it(content):
    running = new()
    add(running, ALPHA, vector(1))
    with pytest.raises(StateError):
        add(running, BRAVO, content)
    assert BRAVO not in running.members
    for use in (lambda: running.total, lambda: checkpoint(running), lambda: add(running, CHARLIE, vector(3))):
        with pytest.raises(StateError, match="half-way"):
            use()


def test_part_that_cannot_be_read_to_its_end_spoils_the_sum():
    def broken() -> Iterator[bytes]:
        yield vector(2)[:8]
        raise OSError("gone")

    running = new()
    with pytest.raises(OSError, match="gone"):
        running.add(BRAVO, facts(vector(2)), broken())
    with pytest.raises(StateError, match="half-way"):
        checkpoint(running)


def test_part_of_another_size_than_was_verified_is_refused():
    running = new()
    with pytest.raises(StateError):
        running.add(ALPHA, PaddedFacts(4 * LENGTH + 4, facts(vector(1)).digest), [vector(1)])


@given(
    st.lists(st.sampled_from([ALPHA, BRAVO, CHARLIE]), unique=True),
    st.integers(min_value=0, max_value=3),
    st.integers(min_value=4, max_value=400),
)
def test_sum_continued_from_any_checkpoint_is_that_of_one_that_never_stopped(order, stop, cut):
    whole, stopped = new(), new()
    for party_id in order:
        add(whole, party_id, vector(ord(party_id[0])))
    for party_id in order[:stop]:
        add(stopped, party_id, vector(ord(party_id[0])))
    again = continued(checkpoint(stopped), cut=cut)
    assert again.members == stopped.members
    for party_id in order[stop:]:
        add(again, party_id, vector(ord(party_id[0])))
    assert checkpoint(again) == checkpoint(whole)
    assert again.total.values.tolist() == whole.total.values.tolist()


def test_checkpoint_of_the_same_members_is_the_same_whatever_their_order():
    one, other = new(), new()
    for running, order in ((one, (ALPHA, BRAVO)), (other, (BRAVO, ALPHA))):
        for party_id in order:
            add(running, party_id, vector(ord(party_id[0])))
    assert checkpoint(one) == checkpoint(other)


def test_checkpoint_is_a_heading_and_the_values():
    running = new()
    add(running, ALPHA, vector(1))
    member = '{"digest":"' + facts(vector(1)).digest.hex() + '","party":"alpha","size":20}'
    heading = '{"members":[' + member + '],"session":"' + SESSION.hex() + '","values":5}'
    assert checkpoint(running) == len(heading).to_bytes(8, "little") + heading.encode() + vector(1)


def damaged() -> Iterable[object]:
    running = new()
    add(running, ALPHA, vector(1))
    data = checkpoint(running)
    size = int.from_bytes(data[:8], "little")
    member = {"party": "alpha", "size": 20, "digest": "ab" * 32}
    yield pytest.param(b"", id="nothing")
    yield pytest.param(data[:7], id="no length")
    yield pytest.param(data[: 8 + size - 1], id="half a heading")
    yield pytest.param((1 << 40).to_bytes(8, "little") + data[8:], id="impossible heading")
    yield pytest.param(data[:-1], id="a byte less")
    yield pytest.param(data[:-4], id="a value less")
    yield pytest.param(data + b"\0", id="a byte more")
    yield pytest.param(data[:8] + b"x" + data[9:], id="no document")
    yield pytest.param(with_heading(data, session=OTHER.hex()), id="another session")
    yield pytest.param(with_heading(data, values=LENGTH + 1), id="another length")
    yield pytest.param(with_heading(data, more=1), id="unknown key")
    yield pytest.param(with_heading(data, members={}), id="no list")
    yield pytest.param(with_heading(data, members=[member | {"size": -1}]), id="negative size")
    yield pytest.param(with_heading(data, members=[member | {"digest": "AB" * 32}]), id="digest in capitals")
    yield pytest.param(with_heading(data, members=[member, member]), id="a member twice")


@pytest.mark.parametrize("data", list(damaged()))
def test_checkpoint_that_is_damaged_is_refused(data):
    with pytest.raises(MalformedMessage):
        continued(data)
