# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What code in a training process may try: each attempt says whether it worked. Standard library only.

``python attempts.py HOME PID SOCKET PORT`` makes all of them and prints the names of those that worked.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

_PTRACE_SEIZE = 0x4206
_CALLS = {"x86_64": {"io_uring_setup": 425, "ptrace": 101}, "aarch64": {"io_uring_setup": 425, "ptrace": 117}}

_SHARED: dict[str, tuple[Callable[[ctypes.CDLL], object], ...]] = {
    "shared memory": (lambda libc: libc.shmat(-1, None, 0), lambda libc: libc.shmctl(-1, 0, None)),
    "semaphores": (
        lambda libc: libc.semop(-1, ctypes.create_string_buffer(6), ctypes.c_size_t(1)),
        lambda libc: libc.semtimedop(-1, ctypes.create_string_buffer(6), ctypes.c_size_t(1), None),
        lambda libc: libc.semctl(-1, 0, 0),
    ),
    "message queues": (
        lambda libc: libc.msgsnd(-1, ctypes.create_string_buffer(8), ctypes.c_size_t(0), 0),
        lambda libc: libc.msgrcv(-1, ctypes.create_string_buffer(8), ctypes.c_size_t(0), ctypes.c_long(0), 0),
        lambda libc: libc.msgctl(-1, 0, None),
    ),
}
"""Calls on what is shared by number: with a number that nobody has, they fail otherwise where they are not refused."""


def make_home(folder: Path) -> Path:
    """Make what looks like a party's folder."""
    home = folder / "party"
    for name in ("party.toml", "member.key", "password", "shares/1.key", "store/party.db", "data/records.csv"):
        path = home / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(b"secret")
        path.chmod(0o600)
    return home


def reached(home: Path, daemon: int, listening: Path, port: int) -> list[str]:
    """Return the names of all attempts that worked.

    Args:
        home: as ``make_home`` makes it; what can be destroyed in it is.
        daemon: id of a process of the same user that must be out of reach; it is not harmed.
        listening: path of a socket on which somebody listens; beside it, ``datagrams`` takes datagrams.
        port: on which somebody listens on the loopback interface.
    """
    names = "member.key", "password", "shares/1.key", "store/party.db", "data/records.csv"
    attempts: dict[str, Callable[[], object]] = {
        **{f"read {name}": (home / name).read_bytes for name in names},
        "list the folder": lambda: os.listdir(home),
        "list the keys": lambda: os.listdir(home / "shares"),
        "read /etc/passwd": Path("/etc/passwd").read_bytes,
        "make a key readable": lambda: (home / "member.key").chmod(0o644),
        "change its times": lambda: os.utime(home / "member.key", (0, 0)),
        "truncate the database": lambda: os.truncate(home / "store/party.db", 0),
        "truncate it while it is opened": lambda: os.close(os.open(home / "store/party.db", os.O_RDONLY | os.O_TRUNC)),
        "write to the database": lambda: (home / "store/party.db").open("r+b").close(),
        "replace the database": lambda: os.rename(home / "member.key", home / "store/party.db"),
        "delete the database": (home / "store/party.db").unlink,
        "make a file": lambda: os.close(os.open(home / "new", os.O_WRONLY | os.O_CREAT)),
        "make a folder": (home / "folder").mkdir,
        "link to a file": lambda: os.symlink("member.key", home / "link"),
        "signal the daemon": lambda: os.kill(daemon, 0),
        "signal a thread of it": lambda: _call(lambda libc: libc.tgkill(daemon, daemon, 0)),
        "signal it by descriptor": lambda: signal.pidfd_send_signal(os.pidfd_open(daemon), 0),
        "have it signalled": lambda: _own_signals_to(daemon),
        "limit it": lambda: resource.prlimit(daemon, resource.RLIMIT_CORE, resource.prlimit(daemon, 4)),
        "slow it down": lambda: os.setpriority(os.PRIO_PROCESS, daemon, os.getpriority(os.PRIO_PROCESS, daemon)),
        "trace it": lambda: _trace(daemon),
        "read its memory": lambda: os.close(os.open(f"/proc/{daemon}/mem", os.O_RDONLY)),
        "read its environment": Path(f"/proc/{daemon}/environ").read_bytes,
        "see its files": lambda: os.readlink(f"/proc/{daemon}/fd/0"),
        "open a socket": lambda: socket.create_connection(("127.0.0.1", port), timeout=5).close(),
        "open a socket by path": lambda: _connect(listening),
        "send a datagram by path": lambda: _send(listening.with_name("datagrams")),
        "connect a pair to a socket by path": lambda: _connect_pair(listening.with_name("datagrams")),
        "make a pair of sockets": socket.socketpair,
        **{f"reach {name}": partial(_reach, *calls) for name, calls in _SHARED.items()},
        "watch files": lambda: os.close(_call(lambda libc: libc.inotify_init1(0))),
        "start a process": lambda: os.waitpid(os.fork() or os._exit(0), 0),
        "run a program": lambda: subprocess.run(["/bin/true"], check=True),
        "take requests around the filter": _io_uring,
    }
    worked = []
    for name, attempt in attempts.items():
        try:
            attempt()
        except (OSError, ValueError):
            continue
        worked.append(name)
    return worked


def _call(function: Callable[[ctypes.CDLL], int]) -> int:
    result = function(ctypes.CDLL(None, use_errno=True))
    if result < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return result


def _reach(*calls: Callable[[ctypes.CDLL], object]) -> None:
    """Raise unless the kernel looks at one of these calls."""
    libc = ctypes.CDLL(None, use_errno=True)
    for call in calls:
        ctypes.set_errno(0)
        call(libc)
        if ctypes.get_errno() != errno.EPERM:
            return
    raise PermissionError(errno.EPERM, "refused")


def _own_signals_to(daemon: int) -> None:
    reading, writing = os.pipe()
    try:
        fcntl.fcntl(reading, fcntl.F_SETOWN, daemon)
    finally:
        os.close(reading)
        os.close(writing)


def _trace(daemon: int) -> None:
    number = _CALLS[platform.machine()]["ptrace"]
    nothing = ctypes.c_void_p(0)
    _call(lambda libc: libc.syscall(number, ctypes.c_long(_PTRACE_SEIZE), ctypes.c_long(daemon), nothing, nothing))


def _io_uring() -> None:
    number = _CALLS[platform.machine()]["io_uring_setup"]
    os.close(_call(lambda libc: libc.syscall(number, ctypes.c_uint(1), ctypes.create_string_buffer(120))))


def _connect(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as end:
        end.connect(str(path))


def _send(path: Path) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        one.sendto(b"a record", str(path))


def _connect_pair(path: Path) -> None:
    one, other = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with one, other:
        one.connect(str(path))


if __name__ == "__main__":
    print("\n".join(reached(Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]))))
