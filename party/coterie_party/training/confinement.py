# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What a process that runs other people's networks may do, and what it may not. Standard library only.

On Linux the training process is put into a network namespace of its own, without any interface: it can reach neither
the network nor services of the same machine. Where the system forbids that (many containers do), it says so, and its
party's steward decides whether that is enough; the container's own network rules then have to do it.

What this does not do: hide files. The process runs as the party's user and can read what that user can; keys lie
encrypted, but a file with the password beside them would give them away. Nor is it a defence against bugs in the
kernel.
"""

from __future__ import annotations

import contextlib
import ctypes
import resource
import signal
from typing import Final

_CLONE_NEWUSER: Final = 0x10000000
_CLONE_NEWNET: Final = 0x40000000
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4
_PR_SET_NO_NEW_PRIVS: Final = 38

FILES_MOST: Final = 256
"""Open files: a library opens a few dozen while it is loaded."""


def confine(memory_bytes: int) -> bool:
    """Restrict this process for good. Call it first of all: it must have one thread only.

    Args:
        memory_bytes: most memory of its own; more is refused to it.

    Returns:
        Whether it is cut off from the network.
    """
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    is_isolated = _leave_network()
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    # Private writable memory; the address space as such is no measure, libraries map much more than they use.
    _limit(resource.RLIMIT_DATA, memory_bytes)
    _limit(resource.RLIMIT_NOFILE, FILES_MOST)
    # No file can grow: nothing computed from records is left behind on a disk. Nor in a dump of memory.
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    return is_isolated


def forbid_tracing() -> None:
    """Keep processes of the same user from reading this one's memory, and the kernel from writing it to a disk."""
    _prctl(_PR_SET_DUMPABLE, 0)


def _leave_network() -> bool:
    # A user namespace first: in it a process of root has no power over the network that it left.
    return any(_unshare(flags) for flags in (_CLONE_NEWUSER | _CLONE_NEWNET, _CLONE_NEWNET))


def _unshare(flags: int) -> bool:
    try:
        return bool(ctypes.CDLL(None, use_errno=True).unshare(flags) == 0)
    except (OSError, AttributeError):  # no Linux
        return False


def _prctl(option: int, value: int) -> None:
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0)


def _limit(kind: int, most: int) -> None:
    _, hard = resource.getrlimit(kind)
    most = most if hard == resource.RLIM_INFINITY else min(most, hard)
    resource.setrlimit(kind, (most, most))
