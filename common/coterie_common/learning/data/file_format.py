# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The format of a person's files: stated once for a file, and never guessed from its records.

Only the separator may be left open: it is then the one under which the header has all columns that are needed.
"""

from __future__ import annotations

from functools import cached_property
from typing import Annotated, Final, Literal

from pydantic import Field, field_validator

from coterie_common.learning.data.cell import as_decimal
from coterie_common.strict_model import StrictModel

SEPARATORS: Final = (",", ";", "\t", "|")

_MAX_MISSING: Final = 100
_SWAPPED: Final = str.maketrans(",.", ".,")


class FileFormat(StrictModel):
    """The format of a file.

    Attributes:
        separator: between the cells of a CSV file; without it, the comma, semicolon, tab or bar found in the header.
        decimal: mark before the decimals of a number that is written as text.
        encoding: of a CSV file, by one of the names that Python has for it.
        trim: strip spaces around names and text; around numbers they are always stripped.
        missing: texts for a missing value besides an empty cell, such as "NA" or "-9". A number is compared as a
            number. In a column that has the same text as a level, it is that level.
    """

    separator: Annotated[str, Field(min_length=1, max_length=1)] | None = None
    decimal: Literal[".", ","] = "."
    encoding: str = "utf-8"
    trim: bool = False
    missing: Annotated[tuple[str, ...], Field(strict=False, max_length=_MAX_MISSING)] = ()

    @field_validator("separator")
    @classmethod
    def _check_separator(cls, separator: str | None) -> str | None:
        if separator is not None and (separator in '"\r\n\0' or separator.isalnum() or not separator.isascii()):
            raise ValueError("must be one character such as ';' or a tab: no letter, digit, quote or end of a line")
        return separator

    @field_validator("encoding")
    @classmethod
    def _check_encoding(cls, encoding: str) -> str:
        try:
            "a".encode(encoding).decode(encoding)
        except (LookupError, ValueError, TypeError) as cause:
            raise ValueError('must be an encoding of text such as "utf-8", "utf-16" or "windows-1252"') from cause
        return encoding

    @cached_property
    def missing_words(self) -> frozenset[str]:
        """The texts for a missing value, except empty text."""
        return frozenset(self.missing) - {""}

    @cached_property
    def missing_numbers(self) -> tuple[float, ...]:
        """The numbers among them."""
        found = (as_decimal(word.translate(_SWAPPED) if self.decimal == "," else word) for word in self.missing_words)
        return tuple(sorted({float(number) for number in found if number is not None}))

    def as_number_text(self, text: str) -> str:
        """Return the text of a number with a point as its decimal mark; text that is no number does not become one."""
        return text.translate(_SWAPPED) if self.decimal == "," else text


PLAIN: Final = FileFormat()
"""Separator from the header or a comma, decimal point, UTF-8; only empty cells are missing."""
