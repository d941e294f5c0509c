# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""The source of a password: a file that an option or the configuration names, otherwise the person at the terminal."""

from __future__ import annotations

import getpass
import os
import stat
import warnings
from pathlib import Path
from typing import Final

import typer

from coterie_common.errors import ConfigurationError, KeyFileError
from coterie_common.files import OTHERS, read_bytes
from coterie_common.secret import Password

_MAX_BYTES: Final = 1024


def read_password(file: Path | None, *, what: str, is_new: bool = False) -> Password:
    """Return the password for a key file.

    Args:
        file: its first line is the password; ``None`` asks the person at the terminal.
        what: its purpose, such as ``"the party's keys"``.
        is_new: ask twice, because a mistyped new password locks its owner out.

    Raises:
        ConfigurationError: no such file, empty, more than one line, or nobody answers the prompt.
        KeyFileError: others may read the file.
    """
    if file is not None:
        return Password(_from_file(file))
    try:
        # Without a terminal, Python's own prompt would print an unhelpful warning and echo the typed password.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", getpass.GetPassWarning)
            typed = typer.prompt(f"Password for {what}", hide_input=True, confirmation_prompt=is_new, err=True)
    except typer.Abort as cause:
        raise ConfigurationError(f"no password for {what} was typed; give one, or use --password-file") from cause
    return Password(str(typed).encode("utf-8"))


def _from_file(file: Path) -> bytes:
    lines = read_bytes(file, "the password file", maximum=_MAX_BYTES).splitlines()
    # As ssh does with private keys: a file that another user owns and lends to this one, such as a secret that root
    # mounted, has the mode that its owner chose. A pipe is gone once it is read.
    status = file.stat()
    if stat.S_ISREG(status.st_mode) and status.st_uid == os.getuid() and status.st_mode & OTHERS:
        raise KeyFileError(f"the password file {file} may be read by others; correct it with: chmod 600 {file}")
    if len(lines) > 1:
        raise ConfigurationError(f"the password file {file} must have one line, not {len(lines)}")
    if not lines or not lines[0]:
        raise ConfigurationError(f"the password file {file} is empty: an empty password protects nothing")
    return lines[0]
