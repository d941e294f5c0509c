# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from coterie_aggregator.service.federation import _Converter
from coterie_common.wire.federation import aggregator_message_from_wire
from tests.support.rounds import make_query, make_request


def test_query_is_converted_once_for_all_parties() -> None:
    convert, query = _Converter(), make_query(b'{"length":6}')
    first = convert(query)
    assert aggregator_message_from_wire(first) == query
    assert convert(query) is first


def test_other_messages_between_and_other_queries_are_converted_as_they_are() -> None:
    convert, query, other = _Converter(), make_query(b'{"length":6}'), make_query(b'{"length":5}')
    convert(query)
    request = make_request(query, ())
    for message in (request, other, query):
        assert convert(message) == _Converter()(message)
    assert aggregator_message_from_wire(convert(other)) == other
