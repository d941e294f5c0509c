# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A file of records as unchecked text, for adding predictions and for drafting a schema."""

from __future__ import annotations

from dataclasses import dataclass

from coterie_common.learning.data.cell import normal_text


@dataclass(frozen=True, slots=True)
class FileTable:
    """A file of records as text.

    Attributes:
        names: of all columns, in the form that comparisons use.
        columns: their cells, in the order of ``names``; bytes that are not UTF-8 are surrogates.
        rows: number of records.
    """

    names: tuple[str, ...]
    columns: tuple[list[str], ...]
    rows: int

    def column(self, name: str) -> list[str] | None:
        """Return the cells of the first column of that name; ``None`` if there is none."""
        wanted = normal_text(name)
        return next((cells for found, cells in zip(self.names, self.columns, strict=True) if found == wanted), None)
