# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Faults of one party while a job runs: it is paused, unplugged from the network, killed. The others go on without it.

Each fault comes with a new round, and the party is impaired from the first one on. While paused it misses the next
round, which waits for it until its deadline; meanwhile it goes on without a network and is certain to miss that round;
with the last round it is killed, plugged in and started again.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from coterie_lab.containers.docker import Project, run

VICTIM = "party-4"

_ROUND = re.compile(r": running, round (\d+)")


class Faults:
    """Injects the faults one after the other, driven by the lines that report the job's progress.

    Args:
        project: the testbed.
        say: reports each step to a person.
    """

    def __init__(self, project: Project, say: Callable[[str], None]) -> None:
        self._say = say
        self._victim = project.container(VICTIM)
        (self._network,) = project.networks()
        self._steps = [self._pause, self._unplug, self._kill]
        self._round = 0

    @property
    def to_come(self) -> int:
        """The number of faults that have not happened."""
        return len(self._steps)

    def see(self, line: str) -> None:
        """Take one line of the job's progress."""
        match = _ROUND.search(line)
        if match and int(match[1]) > self._round and self._steps:
            self._round = int(match[1])
            self._steps.pop(0)()

    def _pause(self) -> None:
        self._say(f"pausing {VICTIM}")
        run("docker", "pause", self._victim)

    def _unplug(self) -> None:
        self._say(f"unplugging {VICTIM} from the network, and letting it go on")
        run("docker", "network", "disconnect", self._network, self._victim)
        run("docker", "unpause", self._victim)

    def _kill(self) -> None:
        self._say(f"killing {VICTIM}, plugging it in, starting it again")
        run("docker", "kill", self._victim)
        run("docker", "network", "connect", "--alias", VICTIM, self._network, self._victim)
        run("docker", "start", self._victim)
