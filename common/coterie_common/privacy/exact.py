# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Exact privacy parameters: spelling a ``Fraction`` as ``"a/b"``, rounding it one way.

Privacy parameters are hashed into session ids and compared between parties, so each has exactly one spelling: lowest
terms, decimal digits without leading zeros, denominator always written. Only non-negative numbers occur.
"""

from __future__ import annotations

import math
import re
from fractions import Fraction
from typing import Final

from coterie_common.errors import MalformedMessage

_MAX_DIGITS: Final = 40
"""More digits than any noise parameter needs (2^128 has 39), few enough that arithmetic on a peer's number is
cheap."""

_FRACTION: Final = re.compile(rf"(0|[1-9][0-9]{{0,{_MAX_DIGITS - 1}}})/([1-9][0-9]{{0,{_MAX_DIGITS - 1}}})", re.ASCII)


def fraction_to_text(value: Fraction) -> str:
    """Return the one spelling of ``value`` ≥ 0, for example ``"5/2"`` or ``"3/1"``."""
    return f"{value.numerator}/{value.denominator}"


def fraction_from_text(text: object, name: str) -> Fraction:
    """Parse the one spelling of a non-negative fraction.

    Args:
        text: the entry of the document.
        name: the entry's name, for the error.

    Raises:
        MalformedMessage: not a string, or not exactly in the form of ``fraction_to_text``.
    """
    match = _FRACTION.fullmatch(text) if isinstance(text, str) else None
    if match is None:
        raise MalformedMessage(f'{name} must be a fraction "a/b" of at most {_MAX_DIGITS} digits each')
    value = Fraction(int(match[1]), int(match[2]))
    if fraction_to_text(value) != text:
        raise MalformedMessage(f"{name} is not in lowest terms")
    return value


def float_above(value: Fraction) -> float:
    """Return the double nearest to ``value``, or its upper neighbour if that is below ``value``."""
    nearest = float(value)
    return nearest if nearest >= value else math.nextafter(nearest, math.inf)


def float_below(value: Fraction) -> float:
    """Return the double nearest to ``value``, or its lower neighbour if that is above ``value``."""
    nearest = float(value)
    return nearest if nearest <= value else math.nextafter(nearest, -math.inf)


def sqrt_above(value: Fraction) -> Fraction:
    """Return a number that is at least √value, for value ≥ 0, and above it by less than 2^−62."""
    return Fraction(math.isqrt(math.ceil(value * (1 << 128))) + 1, 1 << 64)


def short_above(value: Fraction, digits: int) -> Fraction:
    """Return a decimal number of about ``digits`` significant digits, at least ``value`` > 0."""
    unit = _unit(value, digits)
    return math.ceil(value / unit) * unit


def short_below(value: Fraction, digits: int) -> Fraction:
    """Return a decimal number of about ``digits`` significant digits, above 0 and at most ``value`` > 0."""
    unit = _unit(value, digits)
    return math.floor(value / unit) * unit


def _unit(value: Fraction, digits: int) -> Fraction:
    # Of value ≥ 10^d, d may be one too small next to a power of ten: then there is one digit more.
    return Fraction(10) ** (math.floor(math.log10(value)) - digits + 1)
