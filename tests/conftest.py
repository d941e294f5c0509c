# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What holds for every test: how Hypothesis searches, which tests start processes, which worker takes what."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
import structlog
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

from coterie_common.host.one_thread import keep_to_one_thread

_PROCESS_LAYER = Path(__file__).parent / "e2e"
_PROCESS_SECONDS = 900
_LONG = ("tests/protocol/", "tests/properties/", "tests/statistical/", "tests/attacks/")

# As the daemons do, and before anything loads NumPy: threads of a library that wait for each other take the processor
# from the other worker, and from the processes that tests start.
keep_to_one_thread()

# Plain tracebacks, as the daemons write them: structlog's own print the values of all variables, which takes seconds
# for the messages of a round.
structlog.configure(
    processors=[
        *structlog.get_config()["processors"][:-1],
        structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback),
    ]
)

# Big-integer examples take as long as they take, and on a busy machine so do all others; a failing search must say how
# to repeat it.
settings.register_profile("search", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
# The same examples in every run: a change is judged by what it does, not by the luck of the draw.
settings.register_profile("repeatable", settings.get_profile("search"), derandomize=True)
settings.load_profile("repeatable" if os.environ.get("CI") else "search")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of real processes, which a busy machine may hold up for minutes; workers take long files first."""
    for item in items:
        if item.path.is_relative_to(_PROCESS_LAYER):
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(_PROCESS_SECONDS))
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: (not item.nodeid.startswith("tests/e2e/"), not item.nodeid.startswith(_LONG)))


@pytest.fixture
def interruptible() -> Iterator[None]:
    """Let SIGINT interrupt this process and those that it starts; a shell ignores it for its jobs in the background."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


class _FilesTogether(LoadScopeScheduling):
    """A file at a time to whichever worker is free, but all tests of real processes to one: they starve each other.

    Not test by test: that takes the processor 3 ms for each, and the fixtures of a module are made in every worker.

    NOTE: not by the mark ``xdist_group``: pytest-xdist 3.8 appends the group to an attribute of which pytest 9.2 does
    not make the test's id any more, so the group is lost.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "processes" if nodeid.startswith("tests/e2e/") else nodeid.partition("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Return how tests are dealt to workers: in the order in which these have them."""
    config.option.loadscopereorder = False
    return _FilesTogether(config, log)
