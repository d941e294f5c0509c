# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Programs that are killed while they write."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def reported_before_kill(program: str, folder: Path, lines: int) -> list[str]:
    """Run ``program FOLDER``, kill it (SIGKILL) once it printed so many lines, and return all that it printed.

    The program goes on while it is being killed, so it may be anywhere in the step after the last line returned.
    """
    with subprocess.Popen(
        [sys.executable, "-c", program, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        printed = []
        for line in process.stdout:
            printed.append(line.rstrip("\n"))
            if len(printed) == lines:
                process.kill()
        _, errors = process.communicate()
        # A line without its end was cut off by the kill: its step was reported all the same.
        assert process.returncode == -9, errors
    return printed
