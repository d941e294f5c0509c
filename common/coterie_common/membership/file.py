# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The membership in a home folder, and the conditions for replacing it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from coterie_common.errors import (
    ConfigurationError,
    Equivocation,
    KeyFileError,
    OldKeyError,
    PeerError,
    WrongOrderError,
)
from coterie_common.files import read_bytes, write_atomically
from coterie_common.limits import KEY_FILE_BYTES
from coterie_common.membership.membership import FormerMembership, Membership

MEMBERSHIP_NAME: Final = "membership.json"


def read_membership(home: Path) -> Membership | None:
    """Read the membership without verifying it; ``None`` before the first import.

    Raises:
        OldKeyError: an earlier version wrote it.
        KeyFileError: it is damaged.
    """
    membership = read_any_membership(home)
    if isinstance(membership, FormerMembership):
        raise OldKeyError("the membership")
    return membership


def read_any_membership(home: Path) -> Membership | FormerMembership | None:
    """Read the membership, also one that an earlier version wrote, without verifying it; ``None`` if there is none.

    Raises:
        KeyFileError: it is damaged.
    """
    path = home / MEMBERSHIP_NAME
    if not path.is_file():
        return None
    data = read_bytes(path, "the membership", maximum=KEY_FILE_BYTES)
    try:
        try:
            return Membership.from_bytes(data)
        except OldKeyError:
            return FormerMembership.from_bytes(data)
    except (PeerError, KeyFileError) as cause:
        raise KeyFileError(f"{path} is damaged: {cause.message}; import the bundle again") from cause


def require_membership(home: Path, command: str) -> Membership:
    """Read the membership without verifying it.

    Args:
        home: the home folder.
        command: the command that imports a bundle, for the error.

    Raises:
        WrongOrderError: nothing was imported yet.
        OldKeyError: an earlier version wrote it.
        KeyFileError: it is damaged.
    """
    membership = read_membership(home)
    if membership is None:
        raise WrongOrderError(f"{home} holds no membership; first run '{command}' with the bundle from the founder")
    return membership


def require_no_membership(home: Path, configuration: Path) -> None:
    """Refuse to make new keys that would make an existing membership lose its own.

    Raises:
        ConfigurationError: the folder is a member's whose configuration alone is missing.
    """
    if (home / MEMBERSHIP_NAME).exists():
        raise ConfigurationError(
            f"{home} is a member's folder whose {configuration.name} is missing: restore that file; "
            "making new keys would destroy the ones that were admitted"
        )


def write_membership(home: Path, membership: Membership) -> None:
    """Keep a verified membership; raises ``StorageError``."""
    write_atomically(home / MEMBERSHIP_NAME, membership.to_bytes())


def is_successor(current: Membership | FormerMembership | None, offered: Membership) -> bool:
    """Return true if an offered, verified membership is newer than the current one, false if it is the same.

    Raises:
        ConfigurationError: it is older: a member never goes back.
        Equivocation: the founder signed two rosters with one serial.
    """
    if current is None:
        return True
    if isinstance(current, FormerMembership):
        if offered.roster.serial <= current.serial:
            raise ConfigurationError(_older(offered.roster.serial, current.serial))
        return True
    mine, theirs = current.roster, offered.roster
    if theirs.serial < mine.serial:
        raise ConfigurationError(_older(theirs.serial, mine.serial))
    if theirs.serial == mine.serial and theirs.digest != mine.digest:
        raise Equivocation(f"the founder signed two different rosters with the serial {mine.serial}")
    return theirs.serial > mine.serial


def _older(offered: int, in_force: int) -> str:
    return (
        f"the bundle's roster has the serial {offered}, but {in_force} is already in force here: "
        "a member never goes back to an older roster"
    )
