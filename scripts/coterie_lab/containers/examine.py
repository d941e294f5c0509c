# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Looks for key shares where none may be. Runs in a container of its own, with every volume of the testbed mounted.

It opens each party's share with that party's own password, and searches all files of all volumes for its value, in
every form in which it could have been written. It also lists the files in the exchange, and every locked share.

usage: examine.py FOLDER PARTY...   with volumes FOLDER/PARTY, FOLDER/PARTY-password, FOLDER/exchange and any others
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path


def writings(value: int) -> Iterator[bytes]:
    """Every form in which a number might have been written to a file."""
    big = value.to_bytes((value.bit_length() + 7) // 8, "big")
    yield big
    yield big[::-1]
    yield b"%x" % value
    yield b"%X" % value
    yield b"%d" % value
    # Base64 depends on where in a group of three bytes the number begins: the middle of each way is the same.
    for shift in range(3):
        encoded = base64.b64encode(bytes(shift) + big)[4:-4]
        yield encoded
        yield encoded.replace(b"+", b"-").replace(b"/", b"_")


def found_in(folder: Path, value: int) -> list[str]:
    """The files below ``folder`` that hold the number, by path relative to it."""
    needles = tuple(writings(value))
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and any(needle in path.read_bytes() for needle in needles)
    ]


def locked_shares(folder: Path) -> list[str]:
    """The files below ``folder`` that are locked key shares, by path relative to it."""
    return [
        str(path.relative_to(folder))
        for path in sorted(folder.rglob("*"))
        if path.is_file() and b"key-share" in path.read_bytes()[:200]
    ]


def share_of(volumes: Path, party: str) -> int:
    """The value of a party's key share, opened with its own password."""
    from coterie_common.host.passwords import read_password
    from coterie_party.home.home import PartyHome

    folder = PartyHome(volumes / party).federation()
    membership = folder.require_membership()
    password = read_password(volumes / f"{party}-password" / "password", what=party)
    return folder.unlock_share(membership.key, membership.roster.key_epoch, password).value.reveal()


def main() -> None:
    volumes, *parties = map(Path, sys.argv[1:])
    names = [party.name for party in parties]
    report = {
        "exchange": sorted(str(path.relative_to(volumes / "exchange")) for path in (volumes / "exchange").rglob("*")),
        "locked_shares": locked_shares(volumes),
        "in_clear": {name: found_in(volumes, share_of(volumes, name)) for name in names},
    }
    print(json.dumps(report))


if __name__ == "__main__":
    main()
