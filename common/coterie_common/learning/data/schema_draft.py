# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A first draft of a schema, derived from a file, for a person to edit.

A schema is public and the same for all parties, so its content must not come from anyone's records. The content of a
draft does: it saves the typing of names and kinds, and states that its levels and bounds have to be replaced by public
knowledge.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Any, Final

from coterie_common.errors import DataError
from coterie_common.learning.data.cell import as_decimal, normal_text, shown
from coterie_common.learning.data.file_format import PLAIN, FileFormat
from coterie_common.learning.data.file_table import FileTable

MAX_LEVELS: Final = 100
"""A column with more distinct values is a name, a record number or free text."""

BINS: Final = 8
_MIN_RECORDS: Final = 1000
_MAX_EXPONENT: Final = 20
_LARGEST: Final = Decimal(10) ** 300

_HEAD: Final = """\
# Drafted from {source}. Levels and bounds were read off its records: replace them by what everybody may know, such as
# a code book or a laboratory's range, before this leaves your machine. All parties need the same schema.
"""


def draft_schema(table: FileTable, *, label: str | None = None, form: FileFormat = PLAIN) -> dict[str, Any]:
    """Return the ``[schema]`` table of a job on data like these.

    Args:
        table: at least one record.
        label: name of the column to be predicted; it gets levels if it has at most ``MAX_LEVELS`` values.
        form: the format of the file.

    Returns:
        ``label``, ``max_records`` and ``columns``, with numbers as text. Columns that cannot be used (free text, one
        value only, no name) are under ``left_out``, with name and reason.

    Raises:
        DataError: there are no records, or no column of the label's name.
    """
    if not table.rows:
        raise DataError("a schema cannot be drafted from a file without records")
    wanted = None if label is None else normal_text(label)
    if wanted is not None and wanted not in table.names:
        raise DataError(f"there is no column {shown(label)}; there are {', '.join(map(shown, table.names[:20]))}")
    columns, left_out = [], []
    for name, cells in zip(table.names, table.columns, strict=True):
        column = _column(name, cells, form, is_label=name == wanted)
        why = column if isinstance(column, str) else ""
        if not name or table.names.count(name) > 1:
            why = "its name is empty, or another column's too"
        if why:
            left_out.append((name, why))
        else:
            columns.append(column)
    records = max(_MIN_RECORDS, 10 ** len(str(table.rows - 1)))
    draft: dict[str, Any] = {} if wanted is None else {"label": wanted}
    return {**draft, "max_records": records, "columns": columns, "left_out": left_out}


def to_toml(draft: Mapping[str, Any], source: str) -> str:
    """Return a draft as a TOML file with comments; ``source`` names its origin."""
    return "\n".join([_HEAD.format(source=shown(source, maximum=200)), *_lines(draft)]) + "\n"


def _column(name: str, cells: Sequence[str], form: FileFormat, *, is_label: bool) -> dict[str, Any] | str:
    """Return the entry of a column, or the reason why there is none."""
    values = {cell.strip() if form.trim else cell for cell in cells}
    texts = {normal_text(value) for value in values if value and value not in form.missing_words}
    if any("\ud800" <= letter <= "\udfff" for text in texts for letter in text):
        return "its text is in another encoding"
    has_gaps = any(not value or value in form.missing_words for value in values)
    found = [as_decimal(form.as_number_text(text)) for text in texts]
    numbers = sorted({number for number in found if number is not None})
    are_numbers = bool(texts) and None not in found
    if numbers and max(abs(numbers[0]), abs(numbers[-1])) > _LARGEST:
        return "it has a number that is too large"
    if are_numbers and len(numbers) > (MAX_LEVELS if is_label else BINS):
        return _number_column(name, numbers, has_gaps=has_gaps)
    levels = [_digits(number) for number in numbers] if are_numbers else sorted(texts)
    if has_gaps:
        levels.insert(0, "")
    if len(levels) < 2:
        return "all its cells are the same"
    if len(levels) > MAX_LEVELS:
        return f"it has {len(levels)} different values"
    return {"name": name, "levels": levels}


def _number_column(name: str, numbers: Sequence[Decimal], *, has_gaps: bool) -> dict[str, Any]:
    # Bounds of two digits reveal less about the records, and resemble those that a person would write.
    step = Decimal(1).scaleb((numbers[-1] - numbers[0]).adjusted() - 1)
    is_integer = all(number == number.to_integral_value() for number in numbers)
    step = max(step, Decimal(1)) if is_integer else step
    lower = (numbers[0] / step).to_integral_value(ROUND_FLOOR) * step
    upper = (numbers[-1] / step).to_integral_value(ROUND_CEILING) * step
    column: dict[str, Any] = {"name": name, "lower": _digits(lower), "upper": _digits(upper), "bins": BINS}
    if is_integer:
        column["integer"] = True
    if has_gaps:
        middle = (lower + upper) / 2
        column["missing"] = _digits(middle.to_integral_value(ROUND_FLOOR) if is_integer else middle)
    return column


def _digits(number: Decimal) -> str:
    plain = number.normalize() if number else Decimal(0)
    return format(plain, "f") if abs(plain.adjusted()) < _MAX_EXPONENT else str(plain)


def _lines(draft: Mapping[str, Any]) -> Iterator[str]:
    yield "[schema]"
    if "label" in draft:
        yield f"label = {_text(draft['label'])}"
    yield f"max_records = {draft['max_records']}"
    for column in draft["columns"]:
        yield "\n[[schema.columns]]"
        for key, value in column.items():
            comment = "  # what an empty cell counts as: decide" if key == "missing" else ""
            yield f"{key} = {_value(key, value)}{comment}"
    for name, why in draft["left_out"]:
        yield f"\n# Left out: {_text(name[:60])}: {why}."


def _value(key: str, value: Any) -> str:
    if key in ("lower", "upper", "missing"):
        return str(value)
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return _text(value) if isinstance(value, str) else json.dumps(value)


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
