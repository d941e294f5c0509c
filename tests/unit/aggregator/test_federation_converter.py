# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import gc
import weakref

import pytest

from coterie_aggregator.service import federation
from coterie_aggregator.service.federation import Converter
from coterie_common.identifiers import JobId
from coterie_common.protocol.messages import ModelDelivery
from coterie_common.wire.federation import aggregator_message_from_wire, aggregator_message_to_wire
from tests.support.rounds import make_query, make_request

DELIVERY = ModelDelivery(job_id=JobId("job-1"), model=b"model", signature=bytes(64))


@pytest.mark.parametrize("message", [make_query(b'{"length":6}'), DELIVERY], ids=["query", "delivery"])
def test_what_may_hold_a_model_is_converted_once_while_it_is_being_sent(message):
    convert = Converter()
    first = convert(message)
    assert aggregator_message_from_wire(first) == message
    assert convert(message) is first
    # Nobody holds it any longer than it is being sent.
    gone = weakref.ref(first)
    del first
    assert gone() is None
    assert aggregator_message_from_wire(convert(message)) == message


def test_bytes_that_outlive_their_message_are_not_taken_for_those_of_another():
    convert = Converter()
    held, seen = [], set()
    for number in range(50):
        message = ModelDelivery(job_id=JobId(f"job-{number}"), model=b"model", signature=bytes(64))
        # Messages come and go at the same few addresses, while a slow stream still holds the bytes of each.
        seen.add(id(message))
        held.append(convert(message))
        assert aggregator_message_from_wire(held[-1]) == message
        del message
    assert len(seen) < 50


def test_decryption_request_is_converted_once_as_long_as_its_round_holds_it(monkeypatch):
    convert, request = Converter(), make_request(make_query(b'{"length":6}'), ())
    first = bytes(convert(request))
    assert first == aggregator_message_to_wire(request)
    # Parties are asked one after the other, when nobody writes it to another any more.
    gc.collect()
    monkeypatch.setattr(federation, "aggregator_message_to_wire", lambda message: b"converted again")
    assert convert(request) == first
    del request
    gc.collect()
    assert convert(make_request(make_query(b'{"length":6}'), ())) == b"converted again"


def test_other_messages_between_and_other_queries_are_converted_as_they_are():
    convert, query, other = Converter(), make_query(b'{"length":6}'), make_query(b'{"length":5}')
    first = convert(query)
    request = make_request(query, ())
    for message in (request, other, query):
        assert convert(message) == Converter()(message)
    assert aggregator_message_from_wire(convert(other)) == other
    assert convert(query) is first
