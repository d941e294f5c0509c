# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Detection of changes to a data set's file that may have moved records from one side to the other.

A record's side is a coin drawn from its row number. So sides mean the same as long as every row keeps its number: a
file may grow at its end. Any other change may have moved rows from one side to the other. It begins a new
*generation*, which is a part of the division's name, and ledger lines under another name count on both sides.

Invariants:
- A version of a file is stored before anything is computed on it.
- Unless all rows demonstrably kept their numbers, a new generation begins.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from coterie_common.learning.data.file_format import FileFormat
from coterie_common.randomness import RandomSource
from coterie_party.data.bindings import BoundDataset
from coterie_party.data.set_aside import division_of
from coterie_party.live.context import Context
from coterie_party.store import DataVersion

if TYPE_CHECKING:
    from hashlib import _Hash

_BLOCK_BYTES: Final = 1 << 20
_GENERATION_BYTES: Final = 16
_LINE_ENDS: Final = (b"\n", b"\r")


@dataclass(frozen=True, slots=True)
class Division:
    """The current division of a data set's records.

    Attributes:
        salt: of the coins.
        name: of the division; the same exactly while every row keeps its side.
        known: the version of the file that was kept last.
        version: of the file now; ``None`` where every record is on the same side, regardless of its number.
    """

    salt: bytes
    name: str
    known: DataVersion | None
    version: DataVersion | None


async def division_in_force(bound: BoundDataset, context: Context) -> Division:
    """Return the current division of a data set's records; stores nothing but the salt."""
    salt = await context.on_writer(context.store.salt, bound.name, context.random)
    if Fraction(bound.set_aside) in (0, 1):
        return Division(salt, division_of(bound.set_aside, salt, ""), None, None)
    known = await context.on_writer(context.store.data_version, bound.name)
    version = await context.compute(version_of, bound.path, bound.form, known, context.random)
    return Division(salt, division_of(bound.set_aside, salt, version.generation), known, version)


def version_of(path: Path, form: FileFormat, known: DataVersion | None, random: RandomSource) -> DataVersion:
    """Return the version of a file: of the known generation if every row kept its number, else of a new one.

    Args:
        path: of the file; read in blocks.
        form: how it is written; another separator or encoding may end rows elsewhere.
        known: the version that was stored last.
        random: for a new generation's name; the operating system's, because folders on two machines must not agree.
    """
    hashed = hashlib.sha256(f"{form.separator!r} {form.encoding}\n".encode())
    try:
        with path.open("rb") as stream:
            head, last = _take(stream, hashed, 0 if known is None else known.length)
            begin = hashed.digest()
            following = stream.read(1)
            hashed.update(following)
            length = head + len(following) + _take(stream, hashed, None)[0]
    except OSError:
        # The job is refused where its data are read. The next file found here is another one.
        return DataVersion(generation=_new(random), length=0, digest=b"")
    is_kept = known is not None and begin == known.digest
    grew = not following or (_grows_by_lines(path, form) and (last in _LINE_ENDS or following in _LINE_ENDS))
    generation = known.generation if known is not None and is_kept and grew else _new(random)
    return DataVersion(generation=generation, length=length, digest=hashed.digest())


def _take(stream: BinaryIO, hashed: _Hash, maximum: int | None) -> tuple[int, bytes]:
    """Hash up to ``maximum`` bytes, or all; returns their number and the last one."""
    taken, last = 0, b""
    while block := stream.read(_BLOCK_BYTES if maximum is None else min(_BLOCK_BYTES, maximum - taken)):
        hashed.update(block)
        taken, last = taken + len(block), block[-1:]
    return taken, last


def _grows_by_lines(path: Path, form: FileFormat) -> bool:
    """Return whether bytes appended after a line end are further lines; not in Parquet, gzip or UTF-16."""
    try:
        return path.name.lower().endswith(".csv") and b"\n".decode(form.encoding) == "\n"
    except ValueError:
        return False


def _new(random: RandomSource) -> str:
    return random.token_bytes(_GENERATION_BYTES).hex()
