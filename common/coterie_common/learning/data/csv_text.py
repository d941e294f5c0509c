# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The bytes of a CSV file as UTF-8 text with a known header, before cells are read."""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coterie_common.errors import DataError
from coterie_common.learning.data.cell import normal_text, shown
from coterie_common.learning.data.file_format import SEPARATORS, FileFormat

_COLUMNS_SHOWN: Final = 20
_OTHER_KINDS: Final = {
    b"PK\x03\x04": "an Excel workbook or another ZIP archive; save the sheet as CSV",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook; save the sheet as CSV",
    b"PAR1": "a Parquet file; its name must end in .parquet",
    b"\x1f\x8b": "gzipped; its name must end in .csv.gz",
}
_UTF_16: Final = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


@dataclass(frozen=True, slots=True)
class CsvText:
    """A CSV file.

    Attributes:
        content: UTF-8, without a byte order mark and without blank lines at the end; it may contain other bytes.
        separator: between its cells.
        names: of its columns, in the form that comparisons use.
        lines: number of lines of the header.
    """

    content: bytes
    separator: str
    names: tuple[str, ...]
    lines: int


def read_csv_text(path: Path, form: FileFormat, needed: Sequence[str]) -> CsvText:
    """Read a file and its header.

    Args:
        path: gzipped if its name ends in ``.gz``.
        form: the format of the file.
        needed: names of columns; they reveal the separator if none was given.

    Raises:
        DataError: it is empty, damaged, of another kind or not in the stated encoding.
        OSError: it cannot be read.
    """
    content = path.read_bytes()
    if path.name.lower().endswith(".gz"):
        try:
            content = gzip.decompress(content)
        except (gzip.BadGzipFile, EOFError, zlib.error) as cause:
            raise DataError(f"{path}: cannot be read: {cause}") from cause
    kind = next((words for magic, words in _OTHER_KINDS.items() if content.startswith(magic)), None)
    if kind is not None:
        raise DataError(f"{path} is no CSV file but {kind}")
    content = _as_utf8(path, content, form)
    # Many programs leave blank lines at the end; others count as rows of empty cells.
    content = content.rstrip(b"\r\n")
    if not content or content.isspace():
        raise DataError(f"{path}: the file is empty")
    separator = form.separator or _separator(content, form, needed)
    names, lines = _header(path, content, separator, form)
    return CsvText(content + b"\n", separator, names, lines)


def needed_positions(path: Path, found: Sequence[str], needed: Sequence[str]) -> list[int]:
    """Return the positions of the needed columns in a file.

    Raises:
        DataError: one is missing, or there are two of one name.
    """
    wanted = [normal_text(name) for name in needed]
    have = set(found)
    missing = [name for name in wanted if name not in have]
    if missing:
        names = ", ".join(map(shown, found[:_COLUMNS_SHOWN])) + (", …" if len(found) > _COLUMNS_SHOWN else "")
        spaced = {name.strip() for name in found} >= set(wanted)
        hint = " (there are, without the spaces around their names: trim = true)" if spaced else ""
        raise DataError(f"{path}: no column {', '.join(map(shown, missing[:_COLUMNS_SHOWN]))}; there are {names}{hint}")
    positions: dict[str, int] = {}
    for position, name in enumerate(found):
        if name in positions and name in wanted:
            raise DataError(f"{path}: there are {list(found).count(name)} columns named {shown(name)}")
        positions[name] = position
    return [positions[name] for name in wanted]


def refuse_other_encodings(path: Path, content: bytes) -> None:
    """Raise ``DataError`` if bytes are not UTF-8 text; the message names the place."""
    try:
        content.decode("utf-8")
    except UnicodeDecodeError as cause:
        line = content.count(b"\n", 0, cause.start) + 1
        raise DataError(
            f"{path}: line {line} is not UTF-8 text; save the file as UTF-8, or state its encoding, "
            'such as "windows-1252"'
        ) from cause


def _as_utf8(path: Path, content: bytes, form: FileFormat) -> bytes:
    if codecs.lookup(form.encoding).name in ("utf-8", "utf-8-sig"):
        if content.startswith(_UTF_16):
            raise DataError(f'{path}: line 1 is not UTF-8 text but UTF-16; save the file as UTF-8, or say "utf-16"')
        return content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode(form.encoding).removeprefix("\ufeff").encode("utf-8")
    except (UnicodeError, ValueError) as cause:
        place = f" at byte {cause.start}" if isinstance(cause, UnicodeDecodeError) else ""
        raise DataError(f"{path} is not text in the encoding {form.encoding}{place}") from cause


def _separator(content: bytes, form: FileFormat, needed: Sequence[str]) -> str:
    """Return the separator under which the header has all needed columns; a comma if none or several do."""
    wanted = {normal_text(name) for name in needed}
    fitting = []
    for separator in SEPARATORS:
        try:
            row, _ = _first_row(content, separator)
        except (csv.Error, StopIteration):
            continue
        if wanted <= set(_names(row, form)) and (len(row) > 1 or separator == ","):
            fitting.append(separator)
    return fitting[0] if fitting else ","


def _header(path: Path, content: bytes, separator: str, form: FileFormat) -> tuple[tuple[str, ...], int]:
    try:
        row, lines = _first_row(content, separator)
    except (csv.Error, StopIteration) as cause:
        raise DataError(f"{path}: row 1 is no CSV header: {cause}") from cause
    names = _names(row, form)
    if any("\udc80" <= letter <= "\udcff" for name in names for letter in name):
        refuse_other_encodings(path, content)
    if any("\0" in name for name in names):
        raise DataError(f'{path}: row 1 holds NUL characters: is the file UTF-16? Save it as UTF-8, or say "utf-16"')
    return names, lines


def _first_row(content: bytes, separator: str) -> tuple[list[str], int]:
    reader = csv.reader(_lines(content), delimiter=separator, strict=True)
    return next(reader), reader.line_num


def _lines(content: bytes) -> Iterator[str]:
    # Line ends are kept: a quoted name may hold one, and each counts as a line.
    return iter(io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", errors="surrogateescape", newline=""))


def _names(row: Sequence[str], form: FileFormat) -> tuple[str, ...]:
    return tuple(normal_text(name.strip() if form.trim else name) for name in row)
