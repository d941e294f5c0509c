# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Tables of text as CSV files, for people to open."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence


def to_csv(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> bytes:
    """Return a CSV file with a header; bytes that were not UTF-8 when read are written unchanged."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(columns)
    writer.writerows(rows)
    return text.getvalue().encode("utf-8", "surrogateescape")
