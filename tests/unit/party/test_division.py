# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A file that only grew at its end keeps its division; whatever else became of it begins another one."""

from __future__ import annotations

import gzip
from decimal import Decimal
from pathlib import Path

import pytest

from coterie_common.learning.data.file_format import FileFormat
from coterie_party.data.set_aside import division_of
from coterie_party.live.division import version_of
from coterie_party.store import DataVersion
from tests.support.seeded_random import SeededRandom

PLAIN = FileFormat()
ROWS = b"id\n1\n2\n3\n"
# Longer than what is read at once.
MANY = b"id\n" + b"".join(b"%d\n" % number for number in range(200_000))


def keeps(
    tmp_path: Path,
    before: bytes,
    after: bytes,
    *,
    name: str = "rows.csv",
    forms: tuple[FileFormat, FileFormat] = (PLAIN, PLAIN),
) -> bool:
    path, random = tmp_path / name, SeededRandom("generations")
    path.write_bytes(before)
    first = version_of(path, forms[0], None, random)
    path.write_bytes(after)
    second = version_of(path, forms[1], first, random)
    # What is kept is the file as it is now, whatever was known before.
    assert (second.length, second.digest) == (len(after), version_of(path, forms[1], None, random).digest)
    return second.generation == first.generation


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ROWS, ROWS),
        (ROWS, ROWS + b"4\n"),
        (ROWS, ROWS + b"4"),
        (b"id\n", ROWS),
        (ROWS[:-1], ROWS[:-1]),
        (ROWS[:-1], ROWS + b"4\n"),
        (ROWS.replace(b"\n", b"\r\n")[:-2], ROWS.replace(b"\n", b"\r\n")),
        (MANY, MANY + b"7\n"),
    ],
)
def test_file_that_grew_by_rows_keeps_its_generation(tmp_path, before, after):
    assert keeps(tmp_path, before, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (ROWS, b"id\n2\n3\n"),
        (ROWS, b"id\n0\n1\n2\n3\n"),
        (ROWS, b"id\n3\n2\n1\n"),
        (ROWS, b"id\n1\n2\n4\n"),
        (ROWS, b"id\n1\n2\n"),
        (ROWS, b""),
        (b"", ROWS),
        (ROWS[:-1], ROWS[:-1] + b"3\n4\n"),
        (MANY, MANY[:-2] + b"1\n"),
        (MANY, b"id\n" + MANY[5:]),
    ],
    ids=["first", "put in", "order", "last", "fewer", "none", "any", "last line", "last of many", "first of many"],
)
def test_file_that_changed_otherwise_has_another_generation(tmp_path, before, after):
    assert not keeps(tmp_path, before, after)


@pytest.mark.parametrize("name", ["rows.parquet", "rows.csv.gz"])
def test_file_without_lines_has_another_generation_with_any_change(tmp_path, name):
    packed = gzip.compress(ROWS, mtime=0)
    assert keeps(tmp_path, packed, packed, name=name)
    # Members of gzip add up to rows at the end, and are not looked into.
    assert not keeps(tmp_path, packed, packed + gzip.compress(b"4\n", mtime=0), name=name)
    assert not keeps(tmp_path, b"bytes\n", b"bytes\nmore\n", name=name)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-32", "cp037"])
def test_encoding_whose_line_ends_are_not_one_byte_has_another_generation_with_any_change(tmp_path, encoding):
    forms = (FileFormat(encoding=encoding),) * 2
    assert keeps(tmp_path, ROWS, ROWS, forms=forms)
    assert not keeps(tmp_path, ROWS, ROWS + b"4\n", forms=forms)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "windows-1252"])
def test_encoding_with_plain_line_ends_may_grow(tmp_path, encoding):
    assert keeps(tmp_path, ROWS, ROWS + b"4\n", forms=(FileFormat(encoding=encoding),) * 2)


@pytest.mark.parametrize("changed", [FileFormat(separator=";"), FileFormat(encoding="utf-16")])
def test_file_that_is_read_otherwise_has_another_generation(tmp_path, changed):
    assert not keeps(tmp_path, ROWS, ROWS, forms=(PLAIN, changed))


def test_file_that_cannot_be_read_is_another_one_before_and_after(tmp_path):
    path, random = tmp_path / "rows.csv", SeededRandom("generations")
    path.write_bytes(ROWS)
    there = version_of(path, PLAIN, None, random)
    path.unlink()
    gone = version_of(path, PLAIN, there, random)
    path.write_bytes(b"")
    back = version_of(path, PLAIN, gone, random)
    assert len({there.generation, gone.generation, back.generation}) == 3
    assert gone == DataVersion(generation=gone.generation, length=0, digest=b"")


def test_generations_of_two_folders_are_never_the_same(tmp_path):
    (tmp_path / "rows.csv").write_bytes(ROWS)
    made = {version_of(tmp_path / "rows.csv", PLAIN, None, SeededRandom(seed)).generation for seed in "ab"}
    assert len(made) == 2


def test_name_of_a_division_depends_on_all_that_decides_on_sides():
    salt = bytes(32)
    names = {
        division_of(Decimal("0.2"), salt, "a"),
        division_of(Decimal("0.2"), salt, "b"),
        division_of(Decimal("0.2"), bytes(31) + b"1", "a"),
        division_of(Decimal("0.3"), salt, "a"),
    }
    assert len(names) == 4
    assert division_of(Decimal("0.20"), salt, "a") in names
