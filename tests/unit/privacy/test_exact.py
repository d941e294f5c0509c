# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from fractions import Fraction

import pytest

from coterie_common.errors import MalformedMessage
from coterie_common.privacy.exact import (
    float_above,
    float_below,
    fraction_from_text,
    fraction_to_text,
    short_above,
    short_below,
    sqrt_above,
)


@pytest.mark.parametrize(("value", "text"), [(Fraction(5, 2), "5/2"), (Fraction(3), "3/1"), (Fraction(0), "0/1")])
def test_fraction_to_text_and_back_is_the_one_spelling(value, text):
    assert fraction_to_text(value) == text
    assert fraction_from_text(text, "value") == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "3",
        "3/0",
        "03/1",
        "10/4",
        "-1/2",
        "+1/2",
        " 1/2",
        "1/2\n",
        "1/2 ",
        "0/2",
        "1.5/2",
        "٣/١",
        "1/" + "1" * 41,
        3,
        None,
        1.5,
    ],
)
def test_fraction_from_text_in_any_other_form_raises(text):
    with pytest.raises(MalformedMessage) as raised:
        fraction_from_text(text, "the variance")
    assert "the variance" in str(raised.value)


@pytest.mark.parametrize("value", [Fraction(1, 10), Fraction(1, 3), Fraction(2, 3), Fraction(10**20 + 1), Fraction(1)])
def test_float_above_is_never_below_and_next_to_the_value(value):
    result = float_above(value)
    assert Fraction(result) >= value
    assert result <= float(value) * (1 + 2.0**-52)


@pytest.mark.parametrize("value", [Fraction(1, 10), Fraction(1, 3), Fraction(2, 3), Fraction(10**20 + 1), Fraction(1)])
def test_float_below_is_never_above_and_next_to_the_value(value):
    result = float_below(value)
    assert Fraction(result) <= value
    assert result >= float(value) * (1 - 2.0**-52)


@pytest.mark.parametrize(
    "value", [Fraction(0), Fraction(2), Fraction(1, 10**40), Fraction(10**30), Fraction(49, 4)], ids=str
)
def test_sqrt_above_is_never_below_and_next_to_the_root(value):
    root = sqrt_above(value)
    assert root**2 >= value
    assert max(Fraction(0), root - Fraction(1, 1 << 62)) ** 2 <= value


@pytest.mark.parametrize(
    ("value", "above", "below"),
    [
        (Fraction(1234567), Fraction(1235000), Fraction(1234000)),
        (Fraction(1, 3), Fraction(3334, 10_000), Fraction(3333, 10_000)),
        (Fraction(25), Fraction(25), Fraction(25)),
        (Fraction(10**6), Fraction(10**6), Fraction(10**6)),
    ],
)
def test_short_neighbours_have_four_digits(value, above, below):
    assert short_above(value, 4) == above
    assert short_below(value, 4) == below
