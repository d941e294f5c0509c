# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Landlock: the kernel lets a process see some files only, and change none. Standard library only.

Source: ``Documentation/userspace-api/landlock.rst`` of Linux. Landlock came with 5.13; what later versions of its
interface add is taken where the kernel has it: truncation (3), TCP ports (4), devices (5), signals and abstract
sockets (6). A confined process cannot trace one outside either, nor read its ``/proc`` entries.

What Landlock does not restrict (changing a file's mode or owner, sockets by path, other system calls on processes) is
refused by ``system_calls``.
"""

from __future__ import annotations

import ctypes
import os
import stat
import struct
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Final

# The same on every architecture.
_CREATE_RULESET: Final = 444
_ADD_RULE: Final = 445
_RESTRICT_SELF: Final = 446
_VERSION_FLAG: Final = 1
_PATH_BENEATH: Final = 1

_WRITE_FILE: Final = 1 << 1
_READ_FILE: Final = 1 << 2
_READ_DIR: Final = 1 << 3
_TCP: Final = 0b11
_SCOPES: Final = 0b11

TRUNCATION: Final = 3
"""First version of the interface that restricts truncating a file."""

_RIGHTS: Final = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""The number of rights on files in each version; later versions have as many as the last."""

SYSTEM: Final = (
    # shared libraries, and how the loader finds them
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/local/lib",
    "/etc/ld.so.cache",
    # time zones
    "/etc/localtime",
    "/usr/share/zoneinfo",
    # randomness, and nothing
    "/dev/urandom",
    "/dev/random",
    "/dev/zero",
    "/dev/null",
    # what the processor can do: torch chooses its kernels by it
    "/proc/cpuinfo",
    "/sys/devices/system/cpu",
)
"""The paths that a process sees besides its code. None of them is secret on the machine."""


def version() -> int:
    """Return the version of the kernel's interface; 0 where there is none."""
    try:
        return max(0, int(_libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint(_VERSION_FLAG))))
    except (OSError, AttributeError):  # no Linux
        return 0


def code_folders() -> list[Path]:
    """Return the paths where this interpreter finds modules and the libraries that they need."""
    beside = [os.path.join(prefix, "lib") for prefix in (sys.prefix, sys.base_prefix)]
    libraries = os.environ.get("LD_LIBRARY_PATH", "").split(":")
    found = dict.fromkeys(os.path.realpath(name) for name in (*sys.path, *beside, *libraries) if os.path.isabs(name))
    return [Path(name) for name in found if name != "/"]


def hide_files(visible: Collection[Path], hidden: Collection[Path]) -> bool:
    """Let this process and what it starts read ``visible`` and ``SYSTEM``, and change nothing. For good.

    Args:
        visible: files and folders with all their contents; missing ones are left out.
        hidden: files and folders that stay unreadable even inside a visible folder. Anything put into such a visible
            folder later is unreadable, too.

    Returns:
        Whether the kernel enforces it; needs ``no_new_privs``.
    """
    known = version()
    if not known:
        return False
    rights = (1 << _RIGHTS.get(known, 16)) - 1
    attributes = struct.pack("=QQQ", rights, _TCP, _SCOPES)[: 8 if known < 4 else 16 if known < 6 else 24]
    libc = _libc()
    ruleset = libc.syscall(_CREATE_RULESET, attributes, ctypes.c_size_t(len(attributes)), ctypes.c_uint(0))
    if ruleset < 0:
        return False
    try:
        held = [Path(os.path.realpath(path)) for path in hidden]
        for path in (*visible, *map(Path, SYSTEM)):
            for shown, allowed in _rules(Path(os.path.realpath(path)), held):
                if not _add(libc, ruleset, shown, allowed):
                    return False
        return bool(libc.syscall(_RESTRICT_SELF, ctypes.c_int(ruleset), ctypes.c_uint(0)) == 0)
    finally:
        os.close(ruleset)


def _rules(path: Path, hidden: Collection[Path]) -> Iterator[tuple[Path, int]]:
    """Yield the paths to allow so that ``path`` can be read except for the hidden ones."""
    if path in hidden:
        return
    # An environment inside a hidden folder, such as a party's own, must still be readable.
    if not any(other.is_relative_to(path) for other in hidden):
        yield path, _READ_FILE | _READ_DIR
        return
    # The names in it can be seen, or nothing could be imported from it.
    yield path, _READ_DIR
    try:
        inside = list(path.iterdir())
    except OSError:
        return
    for each in inside:
        if not each.is_symlink():
            yield from _rules(each, hidden)


def _add(libc: ctypes.CDLL, ruleset: int, path: Path, allowed: int) -> bool:
    try:
        folder = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except OSError:
        return True  # missing: nothing to allow
    try:
        if not stat.S_ISDIR(os.fstat(folder).st_mode):
            allowed &= ~_READ_DIR
            if str(path) == "/dev/null":
                allowed |= _WRITE_FILE
        rule = struct.pack("=Qi", allowed, folder)
        added = libc.syscall(_ADD_RULE, ctypes.c_int(ruleset), ctypes.c_int(_PATH_BENEATH), rule, ctypes.c_uint(0))
        return not allowed or bool(added == 0)
    finally:
        os.close(folder)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)
