# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Long fields mean on the wire what protocol buffers say: with and without them the same bytes, the same refusals."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coterie_common.errors import MalformedMessage
from coterie_common.limits import FRAME_BYTES, MODEL_BYTES, QUERY_BODY_BYTES
from coterie_common.protocol.messages import AggregatorMessage, ModelDelivery, Query
from coterie_common.wire import federation
from coterie_common.wire.federation import aggregator_message_from_wire, aggregator_message_to_wire
from coterie_common.wire.pb import federation_pb2 as pb
from tests.support.message_strategies import aggregator_messages
from tests.support.rounds import make_query

DELIVERY = ModelDelivery(job_id="job-1", model=b"model", signature=bytes(64))  # type: ignore[arg-type]  # as short
QUERY = make_query(b'{"length":6}')


@contextmanager
def long_from(size: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(federation, "_LONG_BYTES", size)
        yield


def outcome(data: bytes) -> AggregatorMessage | str:
    try:
        return aggregator_message_from_wire(data)
    except MalformedMessage:
        return "malformed"


@given(aggregator_messages)
def test_same_bytes_with_and_without_protocol_buffers_alone(message):
    plain = aggregator_message_to_wire(message)
    with long_from(1):
        assert aggregator_message_to_wire(message) == plain
        assert aggregator_message_from_wire(plain) == message
        assert aggregator_message_from_wire(bytearray(plain)) == message


@given(
    st.sampled_from([aggregator_message_to_wire(DELIVERY), aggregator_message_to_wire(QUERY)]),
    st.lists(st.tuples(st.integers(0, 1 << 16), st.integers(0, 255)), max_size=3),
    st.integers(0, 40),
    st.integers(1, 8),
)
def test_same_refusals_with_and_without_protocol_buffers_alone(data, changes, cut, minimum):
    changed = bytearray(data)
    for place, value in changes:
        changed[place % len(changed)] = value
    damaged = bytes(changed[: len(changed) - cut])
    plain = outcome(damaged)
    with long_from(minimum):
        assert outcome(damaged) == plain


def record(number: int, content: bytes) -> bytes:
    length = len(content)
    return bytes([number << 3 | 2, *([length] if length < 128 else [length & 127 | 128, length >> 7])]) + content


JOB_ID, MODEL, SIGNATURE = record(1, b"job-1"), record(2, b"model"), record(3, bytes(64))


def delivered(*records: bytes) -> bytes:
    return record(5, b"".join(records))


@pytest.mark.parametrize(
    "data",
    [
        delivered(JOB_ID, MODEL, MODEL, SIGNATURE),
        delivered(JOB_ID, MODEL, record(2, b""), SIGNATURE),
        delivered(JOB_ID, MODEL, record(2, b"m"), SIGNATURE),
        delivered(JOB_ID, MODEL, SIGNATURE, SIGNATURE),
        delivered(JOB_ID, MODEL, SIGNATURE, record(9, b"unknown")),
        delivered(JOB_ID, b"\x12\x85\x00model", SIGNATURE),
        delivered(JOB_ID, b"\x92\x00\x05model", SIGNATURE),
        delivered(JOB_ID, MODEL, SIGNATURE) * 2,
        delivered(JOB_ID, MODEL, SIGNATURE) + record(7, b""),
        delivered(JOB_ID, MODEL, SIGNATURE)[:-1],
        delivered(MODEL, SIGNATURE),
    ],
    ids=[
        "two models",
        "and an empty one",
        "and a short one",
        "two signatures",
        "unknown field",
        "needless byte in the length",
        "needless byte in the tag",
        "two messages",
        "another message after it",
        "cut short",
        "no job",
    ],
)
def test_unusual_messages_are_malformed(data):
    for minimum in (1, 3, 1 << 20):
        with long_from(minimum), pytest.raises(MalformedMessage):
            aggregator_message_from_wire(data)


def test_order_of_fields_does_not_matter():
    with long_from(1):
        assert aggregator_message_from_wire(delivered(SIGNATURE, MODEL, JOB_ID)) == DELIVERY


@pytest.mark.parametrize(
    ("make", "maximum"),
    [
        (lambda content: pb.AggregatorEnvelope(model_delivery=pb.ModelDelivery(model=content)), MODEL_BYTES),
        (lambda content: pb.AggregatorEnvelope(query=pb.Query(body=content)), QUERY_BODY_BYTES),
    ],
    ids=["model", "body"],
)
def test_longer_than_any_model_is_malformed(monkeypatch, make, maximum):
    assert {limit for _, limit in federation._LONG.values()} == {maximum}
    monkeypatch.setattr(federation, "_LONG", {name: (field, 2000) for name, (field, _) in federation._LONG.items()})
    with long_from(1000), pytest.raises(MalformedMessage, match="2000 bytes"):
        aggregator_message_from_wire(make(bytes(2001)).SerializeToString())


@pytest.mark.parametrize("kind", [Query, ModelDelivery])
def test_long_model_is_copied_once_each_way(kind):
    content = bytes(range(256)) * (16 * FRAME_BYTES // 256)
    if kind is Query:
        message: AggregatorMessage = make_query(content)
    else:
        message = ModelDelivery(job_id=DELIVERY.job_id, model=content, signature=bytes(64))
    tracemalloc.start()
    try:
        data = aggregator_message_to_wire(message)
        written = tracemalloc.get_traced_memory()[1]
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        parsed = aggregator_message_from_wire(data)
        read = tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()
    assert parsed == message
    assert max(written, read) < len(content) + FRAME_BYTES
