# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""A person at a terminal: runs a command line, types a password where one is asked for, and agrees to questions."""

from __future__ import annotations

import codecs
import contextlib
import os
import pty
import re
import signal
import subprocess
import termios
import threading
from collections.abc import Mapping
from pathlib import Path

# Only what a program prints once it is ready to read: a prompt's last blank comes after its terminal hides the typing.
_ASKS_FOR_A_PASSWORD = re.compile(r"(?:Password for [^\n]*|Repeat for confirmation): $")
_ASKS_A_QUESTION = re.compile(r"\[y/N\]: $")
_SECONDS = 300
_SIZE = (100, 250)  # wide enough for every table
_COLOURS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


class Terminal:
    """One command line at a terminal of its own.

    Args:
        command: as it is typed into a shell.
        folder: where it is typed.
        password: typed wherever one is asked for.
        environment: of the shell.
    """

    def __init__(self, command: str, folder: Path, password: str, environment: Mapping[str, str]) -> None:
        self._password = password
        self._text = ""
        self._mine, theirs = pty.openpty()
        termios.tcsetwinsize(theirs, _SIZE)
        # A session of its own has no other terminal: nothing is asked at that of whoever runs the tests.
        self._process = subprocess.Popen(
            ["bash", "-c", command],  # whichever bash people have
            cwd=folder,
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**environment, "TERM": "xterm"},
            start_new_session=True,
        )
        os.close(theirs)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def text(self) -> str:
        """What was printed so far."""
        return _COLOURS.sub("", self._text)

    @property
    def is_over(self) -> bool:
        return self._process.poll() is not None

    def wait(self) -> int:
        """Wait for the end and return the exit status."""
        try:
            return self._process.wait(_SECONDS)
        finally:
            self.end()

    def end(self) -> str:
        """End the command in order, as a service manager does, and return what it printed."""
        if not self.is_over:
            os.killpg(self._process.pid, signal.SIGTERM)
            try:
                self._process.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()
        if self._mine >= 0:
            self._reader.join()
            os.close(self._mine)
            self._mine = -1
        return self.text

    def _read(self) -> None:
        answered, decoder = 0, codecs.getincrementaldecoder("utf-8")("replace")
        # Linux answers EIO once nobody has the other end open.
        with contextlib.suppress(OSError):
            while data := os.read(self._mine, 65536):
                self._text += decoder.decode(data).replace("\r", "")
                asked = self._text[answered:]
                if _ASKS_FOR_A_PASSWORD.search(asked):
                    answer = self._password
                elif _ASKS_A_QUESTION.search(asked):
                    answer = "y"
                else:
                    continue
                answered = len(self._text)
                os.write(self._mine, f"{answer}\n".encode())
