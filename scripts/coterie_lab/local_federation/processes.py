# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Commands and daemons as real processes, all stopped at the end, even after a failure."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

BIN = Path(sys.executable).parent
STOP_SECONDS = 10
ENDING = (signal.SIGINT, signal.SIGTERM)


class CommandError(Exception):
    """A command failed; its words are in the text."""


def command(program: str, *arguments: object, folder: Path) -> str:
    """Run one of Coterie's commands to its end in ``folder`` and return what it printed."""
    done = subprocess.run(
        [BIN / program, *map(str, arguments)],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise CommandError(f"{program} {' '.join(map(str, arguments))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def commands(program: str, calls: Sequence[tuple[Path, tuple[object, ...]]]) -> None:
    """Run the same kind of command in several folders, as many at a time as there are cores."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for result in [pool.submit(command, program, *arguments, folder=folder) for folder, arguments in calls]:
            result.result()


class Daemons:
    """The daemons of one demonstration."""

    def __init__(self) -> None:
        self._running: list[tuple[str, subprocess.Popen[bytes], Path]] = []
        self._files = ExitStack()

    def start(
        self,
        name: str,
        program: str,
        *arguments: object,
        folder: Path,
        environment: Mapping[str, str] | None = None,
    ) -> int:
        """Start a daemon in ``folder``; its log goes to ``NAME.log`` there. Returns the number of its process."""
        log = folder / f"{name}.log"
        stream = self._files.enter_context(log.open("ab"))
        with _signals_held_back() as held:
            process = subprocess.Popen(
                [BIN / program, *map(str, arguments)],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=stream,
                stderr=stream,
                env=environment,
                # Ctrl-C reaches this process only, which then stops the daemons in order.
                start_new_session=True,
            )
            self._running.append((name, process, log))
        for number in held:
            signal.raise_signal(number)
        return process.pid

    def kill(self, name: str) -> None:
        """End one daemon at once, as a power failure would."""
        for entry in [entry for entry in self._running if entry[0] == name]:
            entry[1].kill()
            entry[1].wait()
            self._running.remove(entry)

    def check(self) -> None:
        """Raise ``CommandError`` with the end of its log if a daemon has died."""
        for name, process, log in self._running:
            if process.poll() is not None:
                lines = log.read_text(errors="replace").splitlines()[-3:]
                raise CommandError(f"{name} ended with status {process.returncode}: {' | '.join(lines)}")

    def stop(self) -> None:
        """Ask all to end, and end those that do not. A second Ctrl-C does not keep it from that."""
        with _signals_held_back():
            for _, process, _ in self._running:
                if process.poll() is None:
                    process.send_signal(signal.SIGTERM)
            deadline = time.monotonic() + STOP_SECONDS
            for _, process, _ in self._running:
                try:
                    process.wait(max(0.1, deadline - time.monotonic()))
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()
            self._running.clear()
            self._files.close()


@contextmanager
def _signals_held_back() -> Iterator[list[int]]:
    """Note signals that ask to end instead of obeying them: one that struck between the start of a process and its
    being known here would leave the process behind. Yields those that came, for the caller to raise again.
    """
    held: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield held  # signals strike the main thread only
        return
    before = {number: signal.signal(number, lambda came, _: held.append(came)) for number in ENDING}
    try:
        yield held
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
