# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import contextlib
import dataclasses
import typing
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from coterie_common.errors import MalformedMessage
from coterie_common.identifiers import JobId, PartyId
from coterie_common.protocol import acceptance as a
from coterie_common.protocol import messages as m
from coterie_common.protocol.encrypted_reply import Contribution, EncryptedReply, KeyPart
from coterie_common.wire.federation import (
    aggregator_message_from_wire,
    aggregator_message_to_wire,
    is_former_query,
    party_message_from_wire,
    party_message_to_wire,
)
from coterie_common.wire.pb import federation_pb2 as pb
from coterie_common.wire.pb import types_pb2
from tests.support.former_files import former_query
from tests.support.message_strategies import aggregator_messages, decryption_requests, party_messages, queries

HELLO = m.Hello(protocol_version=1, party_id=PartyId("alpha"), roster_serial=3, roster_digest=bytes(32))
REPLY = EncryptedReply(
    job_id=JobId("job-1"),
    round_number=2,
    session_id=bytes(32),
    contribution=Contribution(
        party_id=PartyId("alpha"),
        key_part=KeyPart(ciphertexts=(b"\x01" * 16, b"\x02" * 16), proof=b"\x03" * 8),
        padded_digest=bytes(32),
        signature=bytes(64),
    ),
)
JOB_REPLY = a.JobReply(
    job_id=JobId("job-1"),
    party_id=PartyId("alpha"),
    spec_digest=bytes(32),
    terms_digest=bytes(32),
    decision=a.Decision.REFUSED,
    code="budget-exhausted",
    detail="ε 1 asked, 0.5 left",
    signature=bytes(64),
)

QUERY_OF_VERSION_1 = bytes.fromhex(
    "1af8030aa5030a20f285788c4283a45f538aa77229fb1b75c9b9be5c2c2f65a8062d95fb9116039d10031a056a6f622d312220c98efc"
    "5f4049c28f3234cfbc0317e9e5b07f4335f9e9526ffb018ea82a2071b328023220f7a5b747f61cb79ffc2a727b2b27d3237e70bfb910"
    "29ed822d2a2e371fe58d093a0770617274792d313a0770617274792d3240024afb017b226e6f697365223a7b226d656368616e69736d"
    "223a2264697363726574652d676175737369616e222c22706c6163656d656e74223a226469737472696275746564222c22726174696f"
    "223a6e756c6c2c22736861726573223a322c2276617269616e6365223a223330302f31227d2c227365616c696e67223a226469726563"
    "74222c22756e6974223a227265636f7264222c2276616c756573223a7b22656e636f64696e67223a7b226c656e677468223a322c226c"
    "6f776572223a302c227363616c655f62697473223a322c227570706572223a3130307d2c226b696e64223a22636f756e7473222c226c"
    "30223a322c226c696e66223a317d7d522087dbeac4e01f7618e55a0d180e99adb39ac750311a05a02533927b1146fe9de4120c7b226c"
    "656e677468223a327d1a40ad9a985923dd2073394c14940e917709bf19cfa21d808b24bde47ba7439b620bcd1e37160fb23d26c3bb9c"
    "7a13115f86c14e0bc5f0b28d2445b7db8bac703909"
)
"""As version 1 signed it; its vector."""


@given(party_messages)
def test_party_message_round_trip_is_equal(message):
    assert party_message_from_wire(party_message_to_wire(message)) == message


@given(aggregator_messages)
def test_aggregator_message_round_trip_is_equal(message):
    assert aggregator_message_from_wire(aggregator_message_to_wire(message)) == message


def test_every_message_class_has_a_converter():
    for union, to_wire in (
        (m.PartyMessage, pb.PartyEnvelope),
        (m.AggregatorMessage, pb.AggregatorEnvelope),
    ):
        fields = {field.message_type.name for field in to_wire.DESCRIPTOR.oneofs_by_name["message"].fields}
        assert {kind.__name__ for kind in typing.get_args(union)} == fields


@given(party_messages, st.data())
def test_truncated_party_message_is_malformed(message, data):
    wire = party_message_to_wire(message)
    cut = wire[: data.draw(st.integers(0, len(wire) - 1))]
    with pytest.raises(MalformedMessage):
        party_message_from_wire(cut)


@given(party_messages, st.data())
def test_party_message_with_flipped_bit_is_malformed_or_valid(message, data):
    _flip_and_parse(party_message_to_wire(message), data, party_message_from_wire, typing.get_args(m.PartyMessage))


@given(aggregator_messages, st.data())
def test_aggregator_message_with_flipped_bit_is_malformed_or_valid(message, data):
    wire = aggregator_message_to_wire(message)
    _flip_and_parse(wire, data, aggregator_message_from_wire, typing.get_args(m.AggregatorMessage))


@given(st.binary(max_size=300))
def test_arbitrary_bytes_are_malformed_or_valid(garbage):
    for parse in (party_message_from_wire, aggregator_message_from_wire):
        with contextlib.suppress(MalformedMessage):
            assert isinstance(parse(garbage), typing.get_args(m.Message))


def _flip_and_parse(wire: bytes, data: st.DataObject, parse: Callable[[bytes], object], kinds: Any) -> None:
    flipped = bytearray(wire)
    bit = data.draw(st.integers(0, 8 * len(wire) - 1))
    flipped[bit // 8] ^= 1 << bit % 8
    try:
        parsed = parse(bytes(flipped))
    except MalformedMessage:
        return
    assert isinstance(parsed, kinds)


def test_empty_envelope_is_malformed():
    with pytest.raises(MalformedMessage, match="unknown kind"):
        party_message_from_wire(b"")


def test_message_of_the_other_direction_is_malformed():
    welcome = m.Welcome(protocol_version=1, roster_serial=1, roster_digest=bytes(32))
    delivery = m.ModelDelivery(job_id=JobId("job-1"), model=b"{}", signature=bytes(64))
    for message in (welcome, delivery):
        with pytest.raises(MalformedMessage):
            party_message_from_wire(aggregator_message_to_wire(message))


def test_unknown_field_at_any_depth_is_malformed():
    unknown = b"\xf8\x07\x01"  # field 127, varint 1
    outer = party_message_to_wire(HELLO) + unknown
    hello = pb.PartyEnvelope.FromString(party_message_to_wire(HELLO)).hello.SerializeToString() + unknown
    inner = bytes([0x0A, len(hello)]) + hello
    for wire in (outer, inner):
        with pytest.raises(MalformedMessage, match="unknown or repeated"):
            party_message_from_wire(wire)


def test_field_set_twice_is_malformed():
    wire = party_message_to_wire(HELLO)
    with pytest.raises(MalformedMessage, match="unknown or repeated"):
        party_message_from_wire(wire + wire)


def test_number_with_needless_bytes_is_malformed():
    hello = pb.PartyEnvelope.FromString(party_message_to_wire(HELLO)).hello.SerializeToString()
    assert hello.startswith(b"\x08\x01")
    padded = b"\x08\x81\x00" + hello[2:]
    with pytest.raises(MalformedMessage, match="unknown or repeated"):
        party_message_from_wire(bytes([0x0A, len(padded)]) + padded)


@pytest.mark.parametrize(
    ("message", "change"),
    [
        (HELLO, {"party_id": "Alpha"}),
        (HELLO, {"party_id": ""}),
        (HELLO, {"roster_digest": bytes(31)}),
        (HELLO, {"protocol_version": 0}),
        (REPLY, {"job_id": "../etc"}),
        (REPLY, {"round_number": 0}),
        (REPLY, {"round_number": 11_001}),
        (REPLY, {"session_id": bytes(33)}),
        (JOB_REPLY, {"signature": bytes(63)}),
        (JOB_REPLY, {"code": ""}),
        (JOB_REPLY, {"code": "Not A Code"}),
        (JOB_REPLY, {"detail": "two\nlines"}),
        (JOB_REPLY, {"detail": "\x1b[31mred"}),
        (JOB_REPLY, {"detail": "x" * 501}),
    ],
)
def test_field_out_of_range_is_malformed(message, change):
    assert party_message_from_wire(party_message_to_wire(message)) == message
    with pytest.raises(MalformedMessage) as caught:
        party_message_from_wire(party_message_to_wire(dataclasses.replace(message, **change)))
    assert caught.value.code == "malformed-message"


@pytest.mark.parametrize(
    "key_part",
    [
        KeyPart(ciphertexts=(), proof=b"\x01"),
        KeyPart(ciphertexts=(b"",), proof=b"\x01"),
        KeyPart(ciphertexts=(b"\x01",), proof=b""),
        KeyPart(ciphertexts=(b"\x01" * 4097,), proof=b"\x01"),
        KeyPart(ciphertexts=(b"\x01",) * 1001, proof=b"\x01"),
        KeyPart(ciphertexts=(b"\x01",), proof=b"\x01" * (16 * 1024 + 1)),
    ],
)
def test_key_part_of_impossible_size_is_malformed(key_part):
    contribution = dataclasses.replace(REPLY.contribution, key_part=key_part)
    with pytest.raises(MalformedMessage):
        party_message_from_wire(party_message_to_wire(dataclasses.replace(REPLY, contribution=contribution)))


def test_unknown_enum_value_and_missing_part_are_malformed():
    envelope = pb.PartyEnvelope.FromString(party_message_to_wire(JOB_REPLY))
    for value in (0, 9):
        envelope.job_reply.decision = value  # type: ignore[assignment]  # out of the enumeration or unspecified
        with pytest.raises(MalformedMessage, match="decision"):
            party_message_from_wire(envelope.SerializeToString())
    envelope = pb.PartyEnvelope.FromString(party_message_to_wire(REPLY))
    envelope.encrypted_reply.ClearField("contribution")
    with pytest.raises(MalformedMessage, match="contribution is missing"):
        party_message_from_wire(envelope.SerializeToString())


@given(decryption_requests)
def test_contributor_named_twice_is_malformed(message):
    envelope = pb.AggregatorEnvelope.FromString(aggregator_message_to_wire(message))
    again: types_pb2.Contribution = envelope.decryption_request.contributions.add()
    again.CopyFrom(envelope.decryption_request.contributions[0])
    with pytest.raises(MalformedMessage, match="twice"):
        aggregator_message_from_wire(envelope.SerializeToString())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b'"length":', b'"length":-'),
        (b'"length":', b'"width":'),
        (b'"l0":', b'"l0":-'),
        (b'"scale_bits":', b'"scale_bits":9'),
        (b'"upper":', b'"upper":999999999999999999999999'),
        (b'"shares":', b'"shares":999'),
        (b'"direct"', b'"sealed"'),
        (b'"unit":"', b'"unit":"x'),
        (b'"variance":', b'"variance":"0",'),
    ],
)
@given(query=queries)
def test_terms_with_impossible_values_are_malformed(query, before, after):
    envelope = pb.AggregatorEnvelope.FromString(aggregator_message_to_wire(query))
    terms = envelope.query.fields.terms
    assume(before in terms)
    envelope.query.fields.terms = terms.replace(before, after)
    with pytest.raises(MalformedMessage):
        aggregator_message_from_wire(envelope.SerializeToString())


@given(queries)
def test_terms_that_are_not_canonical_are_malformed(message):
    envelope = pb.AggregatorEnvelope.FromString(aggregator_message_to_wire(message))
    envelope.query.fields.terms += b" "
    with pytest.raises(MalformedMessage, match="canonical"):
        aggregator_message_from_wire(envelope.SerializeToString())


def test_query_of_version_1_is_malformed_and_known_as_such():
    with pytest.raises(MalformedMessage, match="plan step"):
        aggregator_message_from_wire(QUERY_OF_VERSION_1)
    assert is_former_query(QUERY_OF_VERSION_1)
    assert not is_former_query(QUERY_OF_VERSION_1[:-1])


@given(aggregator_messages)
def test_no_message_of_this_version_is_a_former_query(message):
    data = aggregator_message_to_wire(message)
    assert not is_former_query(data)
    if isinstance(message, m.Query):
        assert is_former_query(former_query(data))
