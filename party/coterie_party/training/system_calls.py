# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A seccomp filter: the system calls that a process computing vectors may not make. Standard library only.

Source: ``Documentation/userspace-api/seccomp_filter.rst`` of Linux. It refuses with ``EPERM``

- sockets of every kind: a network namespace would leave sockets by path, of a database or a container engine, and many
  containers forbid namespaces. A pair is refused too, since its ends send to sockets by path, and no socket that the
  process was given can be bound or connected;
- other processes: signals, tracing, scheduling, limits, and new processes; memory, semaphores and queues that are
  shared by number, including those that exist: anyone who guesses the number needs no ``get``;
- operations on files that Landlock does not restrict: changes of mode, owner, times and attributes, ways around paths,
  and notifications when a file is opened or written. ``stat`` stays allowed, and no filter sees a path: see the
  security model;
- ``io_uring``, whose requests no filter sees.

It lists refused calls, not allowed ones: the calls of libraries differ from version to version. Landlock, which allows
only what it names, is the fence for files.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Sequence
from typing import Final

_PR_SET_SECCOMP: Final = 22
_MODE_FILTER: Final = 2

_ARCHITECTURES: Final = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column in the tables, and the number of the architecture in ``linux/audit.h``."""

_X32: Final = 0x40000000
"""Second set of numbers for the calls of x86-64."""

# Numbers on x86-64 and aarch64; -1 where there is no such call.
_REFUSED: Final = {
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "bind": (49, 200),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "process_madvise": (440, 440),
    "process_mrelease": (448, 448),
    "kcmp": (312, 272),
    "tkill": (200, 130),
    "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    "pidfd_send_signal": (424, 424),
    "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438),
    "setpriority": (141, 140),
    "ioprio_set": (251, 30),
    "sched_setparam": (142, 118),
    "sched_setscheduler": (144, 119),
    "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274),
    "migrate_pages": (256, 238),
    "move_pages": (279, 239),
    "fork": (57, -1),
    "vfork": (58, -1),
    "execve": (59, 221),
    "execveat": (322, 281),
    "shmget": (29, 194),
    "shmat": (30, 196),
    "shmctl": (31, 195),
    "semget": (64, 190),
    "semop": (65, 193),
    "semtimedop": (220, 192),
    "semctl": (66, 191),
    "msgget": (68, 186),
    "msgsnd": (69, 189),
    "msgrcv": (70, 188),
    "msgctl": (71, 187),
    "mq_open": (240, 180),
    "mq_unlink": (241, 181),
    "chmod": (90, -1),
    "fchmod": (91, 52),
    "fchmodat": (268, 53),
    "fchmodat2": (452, 452),
    "chown": (92, -1),
    "fchown": (93, 55),
    "lchown": (94, -1),
    "fchownat": (260, 54),
    "utime": (132, -1),
    "utimes": (235, -1),
    "futimesat": (261, -1),
    "utimensat": (280, 88),
    "setxattr": (188, 5),
    "lsetxattr": (189, 6),
    "fsetxattr": (190, 7),
    "setxattrat": (463, 463),
    "removexattr": (197, 14),
    "lremovexattr": (198, 15),
    "fremovexattr": (199, 16),
    "removexattrat": (466, 466),
    "file_setattr": (469, 469),
    "truncate": (76, 45),
    "creat": (85, -1),
    "inotify_init": (253, -1),
    "inotify_init1": (294, 26),
    "inotify_add_watch": (254, 27),
    "fanotify_init": (300, 262),
    "fanotify_mark": (301, 263),
    "open_by_handle_at": (304, 265),
    "setns": (308, 268),
    "unshare": (272, 97),
    "add_key": (248, 217),
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
}
_ABSENT: Final = {"clone3": (435, 435), "openat2": (437, 437)}
"""Their arguments are in memory, where no filter sees them; the C library does without them where they do not exist."""

_CLONE: Final = (56, 220)
_OPEN: Final = (2, -1)
_OPENAT: Final = (257, 56)
_KILL: Final = (62, 129)
_TGKILL: Final = (234, 131)
_PRLIMIT64: Final = (302, 261)
_PRCTL: Final = (157, 167)
_FCNTL: Final = (72, 25)
_IOCTL: Final = (16, 29)

_CLONE_THREAD: Final = 0x10000
_O_TRUNC: Final = 0o1000
_PR_SET_PDEATHSIG: Final = 1
_OWNER_OF_SIGNALS: Final = (8, 10, 15)
"""``F_SETOWN``, ``F_SETSIG``, ``F_SETOWN_EX``: whom the kernel signals when a descriptor becomes ready."""
_OWNER_BY_IOCTL: Final = (0x8901, 0x8902)
"""``FIOSETOWN``, ``SIOCSPGRP``: the same."""

_LOAD: Final = 0x20
_EQUAL: Final = 0x15
_AT_LEAST: Final = 0x35
_ANY_BIT: Final = 0x45
_RETURN: Final = 0x06

_ALLOW: Final = 0x7FFF0000
_KILL_PROCESS: Final = 0x80000000
_EPERM: Final = 0x00050000 | 1
_ENOSYS: Final = 0x00050000 | 38

_Instruction = tuple[int, int, int, int]


def refuse_calls(*, truncation: bool) -> bool:
    """Refuse this process and its threads the calls that the module's docstring names. For good.

    Args:
        truncation: refuse it also while a file is opened; needed where Landlock does not restrict it.

    Returns:
        Whether the kernel enforces it; needs ``no_new_privs``. Only on x86-64 and aarch64.
    """
    architecture = _ARCHITECTURES.get(platform.machine())
    if architecture is None:
        return False
    program = b"".join(struct.pack("=HBBI", *step) for step in _program(*architecture, truncation))
    filters = ctypes.create_string_buffer(program, len(program))
    header = struct.pack("@HP", len(program) // 8, ctypes.addressof(filters))
    try:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
    except (OSError, AttributeError):  # no Linux
        return False
    return bool(prctl(ctypes.c_int(_PR_SET_SECCOMP), ctypes.c_ulong(_MODE_FILTER), header) == 0)


def _program(column: int, architecture: int, truncation: bool) -> list[_Instruction]:
    own = os.getpid()
    steps: list[_Instruction] = [
        (_LOAD, 0, 0, 4),
        (_EQUAL, 1, 0, architecture),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, 0),
        (_AT_LEAST, 0, 1, _X32),
        (_RETURN, 0, 0, _EPERM),
    ]
    for verdict, table in ((_EPERM, _REFUSED), (_ENOSYS, _ABSENT)):
        for numbers in table.values():
            steps += [(_EQUAL, 0, 1, numbers[column] & 0xFFFFFFFF), (_RETURN, 0, 0, verdict)]
    # Signals to itself are how a program aborts.
    steps += _depending(_KILL[column], 0, _EQUAL, (own,), _ALLOW, _EPERM)
    steps += _depending(_TGKILL[column], 0, _EQUAL, (own,), _ALLOW, _EPERM)
    steps += _depending(_PRLIMIT64[column], 0, _EQUAL, (0, own), _ALLOW, _EPERM)
    steps += _depending(_CLONE[column], 0, _ANY_BIT, (_CLONE_THREAD,), _ALLOW, _EPERM)
    steps += _depending(_PRCTL[column], 0, _EQUAL, (_PR_SET_PDEATHSIG,), _EPERM, _ALLOW)
    steps += _depending(_FCNTL[column], 1, _EQUAL, _OWNER_OF_SIGNALS, _EPERM, _ALLOW)
    steps += _depending(_IOCTL[column], 1, _EQUAL, _OWNER_BY_IOCTL, _EPERM, _ALLOW)
    if truncation:
        steps += _depending(_OPEN[column], 1, _ANY_BIT, (_O_TRUNC,), _EPERM, _ALLOW)
        steps += _depending(_OPENAT[column], 2, _ANY_BIT, (_O_TRUNC,), _EPERM, _ALLOW)
    return [*steps, (_RETURN, 0, 0, _ALLOW)]


def _depending(
    number: int, argument: int, test: int, values: Sequence[int], if_any: int, otherwise: int
) -> list[_Instruction]:
    """Return a call's verdict by one of its arguments, of which all that are tested here have 32 bits."""
    steps: list[_Instruction] = [(_LOAD, 0, 0, 16 + 8 * argument)]
    for position, value in enumerate(values):
        steps.append((test, len(values) - position, 0, value))
    steps += [(_RETURN, 0, 0, otherwise), (_RETURN, 0, 0, if_any)]
    return [(_EQUAL, 0, len(steps), number & 0xFFFFFFFF), *steps]
