# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A party's records in memory: one array per column, already checked against the schema.

Invariants:
- every column of the schema is present, all of one length, in the column's stored type;
- stored values are allowed by their column: code that counts or sums them relies on it for the sensitivity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from coterie_common.errors import StateError
from coterie_common.learning.data.column import CategoricalColumn, Cells
from coterie_common.learning.data.schema import Schema


@dataclass(frozen=True, eq=False)
class Dataset:
    """Records of one party; an empty data set is allowed, and its reply is noise alone.

    Attributes:
        schema: of the columns.
        columns: by name; Int32[rows] positions for levels, Float64[rows] for numbers.
        rows: number of records.
    """

    schema: Schema
    columns: Mapping[str, npt.NDArray[Any]]
    rows: int

    def __post_init__(self) -> None:
        if self.columns.keys() != self.schema.by_name.keys():
            raise StateError("a data set must have exactly the columns of its schema")
        for name, column in self.schema.by_name.items():
            values = self.columns[name]
            if values.shape != (self.rows,) or values.dtype != column.dtype:
                raise StateError(
                    f"column {name!r} of a data set must have {self.rows} values of {column.dtype.__name__}"
                )
            lower, upper = (
                (0, len(column.levels) - 1) if isinstance(column, CategoricalColumn) else (column.lower, column.upper)
            )
            # written so that NaN fails
            if self.rows and not (values.min() >= lower and values.max() <= upper):
                raise StateError(f"column {name!r} of a data set holds values that its schema does not allow")

    def cells(self, name: str) -> Cells:
        """Return the histogram cell of every record in a column, Int32[rows]."""
        return self.schema.by_name[name].to_cells(self.columns[name])

    def seen_as(self, schema: Schema) -> Dataset:
        """Return the same records with the columns of a schema that this one covers."""
        return Dataset(schema, {column.name: self.columns[column.name] for column in schema.columns}, self.rows)

    def select(self, mask: npt.NDArray[np.bool_]) -> Dataset:
        """Return the records where ``mask``, Bool[rows], is true."""
        rows = np.flatnonzero(mask)  # once for all columns: images have hundreds
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Dataset(self.schema, columns, len(rows))
