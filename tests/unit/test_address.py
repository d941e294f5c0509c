# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
import pytest

from coterie_common.address import Address, parse_host_name
from coterie_common.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("localhost", "localhost"),
        ("Aggregator.Example", "aggregator.example"),
        ("10.0.0.1", "10.0.0.1"),
        ("::1", "::1"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("a" * 63 + ".example", "a" * 63 + ".example"),
    ],
)
def test_parse_host_name_returns_one_spelling(text, canonical):
    assert parse_host_name(text) == canonical
    assert parse_host_name(canonical) == canonical


@pytest.mark.parametrize(
    "text", ["", ".", "a..b", "-a", "a-", "a b", "a_b", "a" * 64, "a." * 127 + "a", "a:1", "ä", "*.a"]
)
def test_parse_host_name_of_something_else_raises(text):
    with pytest.raises(ConfigurationError, match="neither a host name nor an IP address"):
        parse_host_name(text)


@pytest.mark.parametrize("text", ["localhost:8443", "10.0.0.1:0", "[::1]:65535"])
def test_address_round_trips(text):
    assert str(Address.parse(text)) == text


@pytest.mark.parametrize(
    "text",
    ["", "localhost", "localhost:", ":1", "localhost:65536", "localhost:-1", "::1:1", "[::1]", "a:b:1", "[a b]:1"],
)
def test_address_of_another_form_raises(text):
    with pytest.raises(ConfigurationError) as caught:
        Address.parse(text)
    assert caught.value.code == "configuration"
