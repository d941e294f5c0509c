# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from datetime import UTC, datetime
from typing import Any

import pytest

from coterie_common.errors import MalformedMessage
from coterie_common.fields import Fields


def field(value: Any) -> Fields:
    return Fields({"x": value}, "the thing", ("x",))


@pytest.mark.parametrize("value", [None, [], "x", 1, {}, {"x": 1, "y": 2}, {"y": 1}])
def test_fields_of_another_shape_raises(value):
    with pytest.raises(MalformedMessage, match="the thing must be an object with exactly the keys x") as caught:
        Fields(value, "the thing", ("x",))
    assert caught.value.code == "malformed-message"


def test_fields_return_what_fits():
    assert field("abc").text("x", longest=3) == "abc"
    assert field(3).integer("x", minimum=3, maximum=3) == 3
    assert field("00ff").octets("x", minimum=2, maximum=2) == b"\x00\xff"
    assert field([1, 2]).items("x", maximum=2) == [1, 2]
    assert field(["a", "b"]).texts("x", maximum=2, longest=1) == ("a", "b")
    assert field("2026-10-01T12:30:05+00:00").moment("x") == datetime(2026, 10, 1, 12, 30, 5, tzinfo=UTC)
    assert field({"y": 1}).value("x") == {"y": 1}
    field("coterie").constant("x", "coterie")
    field(1).constant("x", 1)


@pytest.mark.parametrize(
    "read",
    [
        lambda: field(7).text("x", longest=3),
        lambda: field("abcd").text("x", longest=3),
        lambda: field(True).integer("x", minimum=0, maximum=3),
        lambda: field(1.0).integer("x", minimum=0, maximum=3),
        lambda: field(4).integer("x", minimum=0, maximum=3),
        lambda: field(-1).integer("x", minimum=0, maximum=3),
        lambda: field("0").octets("x", minimum=0, maximum=3),
        lambda: field("FF").octets("x", minimum=1, maximum=1),
        lambda: field("ff ff").octets("x", minimum=2, maximum=3),
        lambda: field("zz").octets("x", minimum=1, maximum=1),
        lambda: field("ff").octets("x", minimum=2, maximum=2),
        lambda: field("ffff").octets("x", minimum=1, maximum=1),
        lambda: field(b"ff").octets("x", minimum=1, maximum=1),
        lambda: field("ab").items("x", maximum=2),
        lambda: field([1, 2, 3]).items("x", maximum=2),
        lambda: field(["a", 1]).texts("x", maximum=2, longest=1),
        lambda: field(["ab"]).texts("x", maximum=2, longest=1),
        lambda: field("other").constant("x", "coterie"),
        lambda: field(True).constant("x", 1),
        lambda: field(None).moment("x"),
        lambda: field(1790000000).moment("x"),
        lambda: field("").moment("x"),
        lambda: field("2026-10-01").moment("x"),
        lambda: field("2026-10-01T12:30:05").moment("x"),
        lambda: field("2026-10-01T12:30:05Z").moment("x"),
        lambda: field("2026-10-01T12:30:05.5+00:00").moment("x"),
        lambda: field("2026-10-01 12:30:05+00:00").moment("x"),
        lambda: field("2026-10-01T14:30:05+02:00").moment("x"),
        lambda: field("2026-10-01T25:30:05+00:00").moment("x"),
    ],
)
def test_fields_refuse_what_does_not_fit_and_say_where(read):
    with pytest.raises(MalformedMessage, match="x of the thing must be"):
        read()
