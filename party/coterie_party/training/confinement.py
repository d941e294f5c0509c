# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Confinement of a process that runs other people's networks. Standard library only.

On Linux the training process

- sees its code, the libraries that it needs and nothing else, and changes no file (``landlock``);
- opens no socket, and signals, traces and starts no process (``system_calls``);
- is in a network namespace of its own without any interface, where the system allows that, and has no capability;
- can neither grow a file nor take more memory than it is given, and ends with its party.

Restrictions that the kernel does not offer are reported, and the policy decides whether the rest is enough. This is no
defence against bugs in the kernel.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coterie_party.training.landlock import TRUNCATION, code_folders, hide_files, version
from coterie_party.training.system_calls import refuse_calls

_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38
_CAPABILITIES_3: Final = 0x20080522

MAX_FILES: Final = 256
"""Open files: a library opens a few dozen while it is loaded."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confinement:
    """The restrictions on a process.

    Attributes:
        network: it cannot open a connection.
        files: it sees its code and libraries only, and changes nothing.
        processes: it cannot signal, trace or start another process.
    """

    network: bool = False
    files: bool = False
    processes: bool = False

    @property
    def missing(self) -> str:
        """The missing restrictions, in words; empty if the confinement is complete."""
        open_ways = {
            "use the network": self.network,
            "read and delete the party's files": self.files,
            "signal the party's processes": self.processes,
        }
        return ", ".join(words for words, is_closed in open_ways.items() if not is_closed)


def confine(memory_bytes: int, *, hidden: Sequence[Path] = (), code: Sequence[Path] = ()) -> Confinement:
    """Restrict this process for good. Call it first of all: it must have one thread only.

    Args:
        memory_bytes: most memory of its own; more is refused to it.
        hidden: files and folders of the party that must not be readable; this is verified by trying.
        code: folders with code of users, readable in addition to the interpreter's module paths.

    Returns:
        The restrictions in force on this system.
    """
    secret = list(_files_of(hidden))
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    has_left = _leave_network()
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _drop_capabilities()
    forbid_tracing()
    # Private writable memory; the address space as such is no measure, libraries map much more than they use.
    _limit(resource.RLIMIT_DATA, memory_bytes)
    _limit(resource.RLIMIT_NOFILE, MAX_FILES)
    # No file can grow: nothing computed from records is left on a disk, not even in a memory dump.
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    known = version()
    are_hidden = hide_files([*code_folders(), *code], hidden)
    # Last: the steps before need some of these calls.
    are_refused = refuse_calls(truncation=known < TRUNCATION)
    return Confinement(
        network=has_left or are_refused,
        files=are_hidden and are_refused and not any(map(_is_readable, secret)),
        processes=are_hidden and are_refused,
    )


def forbid_tracing() -> None:
    """Keep processes of the same user from reading this one's memory, and the kernel from writing it to a disk."""
    _prctl(_PR_SET_DUMPABLE, 0)


def _files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """Yield the files among some paths, and those directly in the folders among them."""
    for path in paths:
        try:
            yield from (each for each in path.iterdir() if each.is_file()) if path.is_dir() else (path,)
        except OSError:
            continue


def _is_readable(path: Path) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def _leave_network() -> bool:
    # A user namespace first: in it a process of root has no power over the network that it left.
    return any(_unshare(flags) for flags in (_CLONE_NEWUSER | _CLONE_NEWNET, _CLONE_NEWNET))


def _unshare(flags: int) -> bool:
    try:
        return bool(ctypes.CDLL(None, use_errno=True).unshare(flags) == 0)
    except (OSError, AttributeError):  # no Linux
        return False


def _drop_capabilities() -> None:
    # Root's power over files of others, for example in a container.
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).capset(struct.pack("=Ii", _CAPABILITIES_3, 0), bytes(24))


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(option, ctypes.c_ulong(value), *(ctypes.c_ulong(0),) * 3)


def _limit(kind: int, maximum: int) -> None:
    _, hard = resource.getrlimit(kind)
    maximum = maximum if hard == resource.RLIM_INFINITY else min(maximum, hard)
    resource.setrlimit(kind, (maximum, maximum))
