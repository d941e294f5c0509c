# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest

from coterie_common.errors import MalformedMessage
from coterie_common.limits import MAX_CIPHERTEXTS, MAX_PARTIES
from coterie_common.wire.counting import LISTS, check_counts
from coterie_common.wire.federation import aggregator_message_from_wire, party_message_from_wire
from coterie_common.wire.operator import job_id_from_wire
from coterie_common.wire.pb import enrolment_pb2, federation_pb2, operator_pb2, types_pb2
from coterie_common.wire.pb import federation_pb2 as pb

MIB = 1 << 20


def delimited(number: int, content: bytes) -> bytes:
    length, digits = len(content), bytearray()
    while length >= 0x80:
        digits.append(length & 0x7F | 0x80)
        length >>= 7
    digits.append(length)
    return bytes([number << 3 | 2]) + bytes(digits) + content


EMPTY = {number: bytes([number << 3 | 2, 0]) for number in range(1, 16)}


def nested(*numbers: int, content: bytes) -> bytes:
    for number in reversed(numbers):
        content = delimited(number, content)
    return content


FLOODS: dict[str, tuple[Callable[[Any], Any], bytes]] = {
    "contributions": (aggregator_message_from_wire, nested(4, content=EMPTY[2] * MIB)),
    "contributions after the fields": (aggregator_message_from_wire, nested(4, content=EMPTY[1] + EMPTY[2] * MIB)),
    "ciphertexts of one of them": (aggregator_message_from_wire, nested(4, 2, 2, content=EMPTY[1] * MIB)),
    "cohort of a query": (aggregator_message_from_wire, nested(3, 1, content=EMPTY[7] * MIB)),
    "cohort of a request": (aggregator_message_from_wire, nested(4, 1, content=b"\x3a\x01a" * MIB)),
    "fields of a query": (aggregator_message_from_wire, nested(3, content=EMPTY[1] * MIB)),
    "unknown fields of a query": (aggregator_message_from_wire, nested(3, content=EMPTY[9] * MIB)),
    "bodies of a query": (aggregator_message_from_wire, nested(3, content=EMPTY[2] * MIB)),
    "models": (aggregator_message_from_wire, nested(5, content=EMPTY[2] * MIB)),
    "envelopes": (aggregator_message_from_wire, EMPTY[3] * MIB),
    "numbers": (aggregator_message_from_wire, nested(1, content=b"\x08\x01" * MIB)),
    "values": (party_message_from_wire, nested(4, content=b"\x32\x02\x01\x02" * MIB)),
    "ciphertexts": (party_message_from_wire, nested(3, 4, 2, content=EMPTY[1] * MIB)),
    "key parts": (party_message_from_wire, nested(3, 4, content=EMPTY[2] * MIB)),
    "hellos": (party_message_from_wire, EMPTY[1] * MIB),
    "unknown fields": (party_message_from_wire, b"\xfa\x7f\x00" * MIB),
}


@pytest.mark.parametrize(("parse", "data"), FLOODS.values(), ids=FLOODS.keys())
def test_message_of_countless_entries_is_refused_before_any_is_made(parse, data):
    tracemalloc.start()
    try:
        with pytest.raises(MalformedMessage):
            parse(bytearray(data))
        # The copy that this test makes, and next to nothing else.
        assert tracemalloc.get_traced_memory()[1] < len(data) + MIB
    finally:
        tracemalloc.stop()


def test_every_list_of_every_message_has_a_limit():
    lists = {
        field.full_name
        for file in (enrolment_pb2, federation_pb2, operator_pb2, types_pb2)
        for message in file.DESCRIPTOR.message_types_by_name.values()
        for field in message.fields
        if field.is_repeated
    }
    assert lists == LISTS.keys()


@pytest.mark.parametrize(
    ("kind", "numbers", "maximum"),
    [
        (pb.AggregatorEnvelope, (4, 2), MAX_PARTIES),
        (pb.AggregatorEnvelope, (4, 2, 2, 1), MAX_CIPHERTEXTS),
        (pb.AggregatorEnvelope, (3, 1, 7), MAX_PARTIES),
        (pb.PartyEnvelope, (4, 6), MAX_CIPHERTEXTS),
        (operator_pb2.JobStatus, (10,), MAX_PARTIES),
    ],
)
def test_so_many_entries_pass_and_one_more_does_not(kind, numbers, maximum):
    *outer, last = numbers
    check_counts(kind, nested(*outer, content=EMPTY[last] * maximum), "it")
    with pytest.raises(MalformedMessage, match=f"must have at most {maximum} entries"):
        check_counts(kind, nested(*outer, content=EMPTY[last] * (maximum + 1)), "it")


@pytest.mark.parametrize("data", [b"\x80" * 12, b"\xff" * 9, b"\x0a", b"\x0a\x05abc", b"\x0a\xff\xff\xff\xff\x0f"])
def test_bytes_that_are_cut_off_are_malformed(data):
    with pytest.raises(MalformedMessage):
        check_counts(pb.PartyEnvelope, data, "it")


def test_request_of_the_operators_api_with_a_field_twice_is_left_to_its_converter():
    request = operator_pb2.WatchJobRequest.FromString(b"\x0a\x01a\x0a\x01b")
    assert job_id_from_wire(request) == "b"
