# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The public description of a job's data; part of the job specification, and so of every session id.

It is parsed once, from the tables of a job file or their JSON form, into types that cannot be wrong.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any

from pydantic import Field

from coterie_common.errors import ConfigurationError, InvalidJob
from coterie_common.learning.data.column import CategoricalColumn, Column, Name, NumericColumn
from coterie_common.limits import MAX_RECORDS, MAX_SCHEMA_COLUMNS, MAX_SCHEMA_LEVELS
from coterie_common.strict_model import StrictModel, parse


class Schema(StrictModel):
    """Columns of a data set; make it with ``parse_schema``.

    Attributes:
        label: name of the column to be predicted, or ``None`` if there is none.
        max_records: public bound on one party's rows; it determines the size of sums, and a larger data set is refused.
        columns: in the order of the layout of vectors.
    """

    label: str | None
    max_records: int
    columns: tuple[Column, ...]

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """The columns by name."""
        return {column.name: column for column in self.columns}

    @cached_property
    def features(self) -> tuple[Column, ...]:
        """Every column but the label."""
        return tuple(column for column in self.columns if column.name != self.label)

    @property
    def label_name(self) -> str:
        """Name of the label.

        Raises:
            InvalidJob: there is none.
        """
        if self.label is None:
            raise InvalidJob("[schema] needs label = NAME: the column whose levels are the classes")
        return self.label

    @property
    def class_names(self) -> tuple[str, ...]:
        """Levels of the label.

        Raises:
            InvalidJob: there is no label, or it is not categorical.
        """
        label = self.by_name[self.label_name]
        if not isinstance(label, CategoricalColumn):
            raise InvalidJob(f"[schema] label {self.label!r} needs levels = [...]: they are the classes")
        return label.levels

    def cells_of(self, name: str) -> int:
        """Return the number of histogram cells of a column.

        Raises:
            InvalidJob: there is no such column, or it is numeric without bins.
        """
        column = self.by_name.get(name)
        if column is None:
            raise InvalidJob(f"[schema] has no column {name[:80]!r}; it has {', '.join(map(repr, self.by_name))}")
        if column.cells is None:
            raise InvalidJob(f"[schema] column {name!r} needs bins = NUMBER to be counted")
        return column.cells

    def covers(self, asked: Schema) -> bool:
        """Return true if all data that fit this schema fit ``asked`` too, because it asks for nothing else.

        Every column of ``asked`` must be one of this schema, in any order; its label may differ.
        """
        mine = self.by_name
        return asked.max_records >= self.max_records and all(mine.get(c.name) == c for c in asked.columns)

    def to_document(self) -> dict[str, Any]:
        """Return a JSON value from which ``parse_schema`` makes an equal schema."""
        return self.model_dump(mode="json", exclude_defaults=True)


class SchemaTable(StrictModel):
    """The table ``[schema]`` as a person writes it.

    Attributes:
        label: the column to be predicted.
        max_records: maximum number of records of one party.
        columns: each with ``name`` and either ``levels`` or ``lower`` and ``upper``; one with ``count`` stands for that
            number of columns, whose names end in 1, 2, ….
    """

    label: Name | None = None
    max_records: Annotated[int, Field(ge=1, le=MAX_RECORDS)]
    columns: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=MAX_SCHEMA_COLUMNS)]


def parse_schema(table: Mapping[str, Any]) -> Schema:
    """Check the ``[schema]`` table of a job.

    Args:
        table: ``label``, ``max_records`` and ``columns``: each with ``name`` and either ``levels`` or ``lower`` and
            ``upper``. An entry with ``count`` stands for that number of columns, their names ending in 1, 2, …. Real
            numbers may be int, float, ``Decimal`` or text such as ``"0.5"``.

    Raises:
        InvalidJob: the message names the offending entry and the allowed values.
    """
    try:
        outer = parse(SchemaTable, dict(table), "[schema]")
        # Before any column is built: one line of text stands for ``count`` columns.
        _check_counts(outer.columns)
        entries = [single for entry in outer.columns for single in _single_entries(entry)]
        columns = tuple(_parse_column(number, entry) for number, entry in enumerate(entries, start=1))
    except ConfigurationError as cause:
        raise InvalidJob(cause.message) from cause
    names = [column.name for column in columns]
    repeated = sorted(name for name, times in Counter(names).items() if times > 1)
    if repeated:
        raise InvalidJob(f"[schema] has two columns named {repeated[0]!r}")
    if outer.label is not None and outer.label not in names:
        raise InvalidJob(f"[schema] label {outer.label!r} is none of the columns {', '.join(map(repr, names))}")
    return Schema(label=outer.label, max_records=outer.max_records, columns=columns)


def _check_counts(entries: list[dict[str, Any]]) -> None:
    counts = [_count(entry) for entry in entries]
    if sum(counts) > MAX_SCHEMA_COLUMNS:
        raise InvalidJob(f"[schema] has {sum(counts)} columns, more than {MAX_SCHEMA_COLUMNS}")
    levels = [entry.get("levels", ()) for entry in entries]
    total = sum(count * len(some) for count, some in zip(counts, levels, strict=True) if isinstance(some, list | tuple))
    if total > MAX_SCHEMA_LEVELS:
        raise InvalidJob(f"[schema] has {total} levels in all its columns together, more than {MAX_SCHEMA_LEVELS}")


def _count(entry: dict[str, Any]) -> int:
    """Return the number of columns that an entry stands for."""
    if "count" not in entry:
        return 1
    name, count = entry.get("name"), entry["count"]
    if not isinstance(name, str) or type(count) is not int or not 1 <= count <= MAX_SCHEMA_COLUMNS:
        raise InvalidJob(f"[schema] a column's count must be a number from 1 to {MAX_SCHEMA_COLUMNS}, with a name")
    return count


def _single_entries(entry: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the entries that one with ``count`` stands for, or the entry itself."""
    if "count" not in entry:
        return [entry]
    same = {key: value for key, value in entry.items() if key != "count"}
    return [{**same, "name": f"{entry['name']}{number}"} for number in range(1, entry["count"] + 1)]


def _parse_column(number: int, entry: dict[str, Any]) -> Column:
    name = entry.get("name")
    where = f"[schema] column {name[:80]!r}" if isinstance(name, str) else f"[schema] column number {number}"
    if "levels" in entry:
        return parse(CategoricalColumn, entry, where)
    if "lower" in entry or "upper" in entry:
        return parse(NumericColumn, entry, where)
    raise InvalidJob(f"{where} needs either levels = [...] or lower and upper")
