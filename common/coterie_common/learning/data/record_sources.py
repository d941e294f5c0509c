# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Raw columns from the records of programs: frames of any library, Arrow tables, dictionaries and arrays.

No library is imported: the attributes of an object identify a table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np
import numpy.typing as npt

from coterie_common.errors import DataError
from coterie_common.learning.data.cell import normal_text, shown

RawColumn: TypeAlias = Sequence[Any] | npt.NDArray[Any]

_WHAT: Final = "records to predict"
_NAMES_SHOWN: Final = 20
_ARROW_NUMBERS: Final = frozenset(
    {"halffloat", "float", "double", "bool"} | {f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)}
)


def raw_columns(records: Any, features: Sequence[str]) -> dict[str, RawColumn]:
    """Return the raw cells of some columns.

    Args:
        records: a DataFrame (anything with ``columns`` and ``frame[name]``), a pyarrow table, a list of dictionaries,
            or a two-dimensional array or list of rows whose columns are ``features`` in order.
        features: names of the columns.

    Raises:
        DataError: it is none of these, lacks a column, or has one twice.
    """
    if hasattr(records, "tocsr"):
        raise DataError(f"{_WHAT}: a sparse matrix; give its records as a table, such as matrix.toarray()")
    if hasattr(records, "column_names"):
        names = _names(features, records.column_names)
        return _of_one_length({name: _arrow_cells(records[found]) for name, found in names.items()})
    if hasattr(records, "columns"):
        names = _names(features, list(records.columns))
        return _of_one_length({name: raw_cells(records[found]) for name, found in names.items()})
    if isinstance(records, (Mapping, str, bytes)) or not hasattr(records, "__len__"):
        raise DataError(f"{_WHAT} must be a table, a list of dictionaries or a two-dimensional array")
    if len(records) and all(isinstance(record, Mapping) for record in records):
        names = _names(features, list(set.intersection(*(set(record) for record in records))))
        return {name: [record[found] for record in records] for name, found in names.items()}
    if getattr(records, "ndim", 2) != 2 or any(not hasattr(r, "__len__") or len(r) != len(features) for r in records):
        raise DataError(f"{_WHAT} must have {len(features)} values each: {_listed(features, quoted=False)}")
    if isinstance(records, np.ndarray):
        return {name: records[:, position] for position, name in enumerate(features)}
    return {name: [record[position] for record in records] for position, name in enumerate(features)}


def raw_cells(column: Any) -> RawColumn:
    """Return the cells of one column of a frame, or of any sequence."""
    dtype = getattr(column, "dtype", None)
    is_plain = isinstance(dtype, np.dtype) and dtype.kind in "iufb" and not np.ma.isMaskedArray(column)
    return np.asarray(column) if is_plain else list(column)


def _arrow_cells(column: Any) -> RawColumn:
    try:
        # Whole numbers with gaps would become floats.
        if str(column.type) in _ARROW_NUMBERS and not column.null_count:
            return np.asarray(column)
        return list(column.to_pylist())
    except (ValueError, OverflowError) as cause:
        raise DataError(f"{_WHAT}: a column of type {column.type} has values that cannot be read") from cause


def _names(features: Sequence[str], found: Iterable[Any]) -> dict[str, Any]:
    """Return, by feature, its name in the source."""
    places: dict[str, list[Any]] = {}
    others = []
    for name in found:
        if isinstance(name, str):
            places.setdefault(normal_text(name), []).append(name)
        else:
            others.append(name)
    for feature in features:
        there = places.get(normal_text(feature), [])
        if len(there) > 1:
            raise DataError(f"{_WHAT}: there are {len(there)} columns named {shown(feature)}")
        if not there and others:
            raise DataError(
                f"{_WHAT}: no column {shown(feature)}; there are {_listed([*places, *others])}, some of which are not "
                "names but numbers or other values: name the columns by text"
            )
        if not there:
            raise DataError(f"{_WHAT}: no column {shown(feature)}; there are {_listed(sorted(places))}")
    return {feature: places[normal_text(feature)][0] for feature in features}


def _of_one_length(columns: dict[str, RawColumn]) -> dict[str, RawColumn]:
    if len({len(cells) for cells in columns.values()}) > 1:
        raise DataError(f"{_WHAT}: columns of different lengths")
    return columns


def _listed(names: Sequence[Any], *, quoted: bool = True) -> str:
    words = [shown(name) if quoted else str(name)[:40] for name in names[:_NAMES_SHOWN]]
    return ", ".join(words) + (", …" if len(names) > _NAMES_SHOWN else "")
