# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What holds for every test: how Hypothesis searches, which tests start processes, which worker takes what."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from coverage import Coverage
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_PROCESS_LAYER = Path(__file__).parent / "e2e"
_PROCESS_SECONDS = 900

# The tests that the coverage of cores and state machines is taken from. Tracing makes a test take almost twice as long,
# and what the tests of whole rounds reach besides would only hide a branch that no test of its own covers.
_TRACED = tuple(
    Path(__file__).parent / traced
    for traced in (
        "properties/test_state_machines.py",
        "unit/aggregator/test_job.py",
        "unit/aggregator/test_round.py",
        "unit/crypto",
        "unit/party/test_round.py",
        "unit/privacy",
        "unit/protocol",
    )
)

# Big-integer examples take as long as they take, and on a busy machine so do all others; a failing search must say how
# to repeat it.
settings.register_profile("search", deadline=None, print_blob=True, suppress_health_check=[HealthCheck.too_slow])
# The same examples in every run: a change is judged by what it does, not by the luck of the draw.
settings.register_profile("repeatable", settings.get_profile("search"), derandomize=True)
settings.load_profile("repeatable" if os.environ.get("CI") else "search")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark the tests of real processes, which a busy machine may hold up for minutes."""
    for item in items:
        if item.path.is_relative_to(_PROCESS_LAYER):
            item.add_marker(pytest.mark.e2e)
            if item.get_closest_marker("timeout") is None:
                item.add_marker(pytest.mark.timeout(_PROCESS_SECONDS))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Trace only the tests that coverage is taken from; modules are traced while the tests are collected."""
    tracing = Coverage.current()
    if tracing is None or any(item.path.is_relative_to(traced) for traced in _TRACED):
        return (yield)
    tracing.stop()
    try:
        return (yield)
    finally:
        tracing.start()


class _ProcessesTogether(LoadScopeScheduling):
    """Every test by itself to whichever worker is free, but those of real processes to one: they starve each other.

    NOTE: not by the mark ``xdist_group``: pytest-xdist 3.8 appends the group to an attribute of which pytest 9.2 does
    not make the test's id any more, so the group is lost.
    """

    def _split_scope(self, nodeid: str) -> str:
        return "processes" if nodeid.startswith("tests/e2e/") else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> LoadScopeScheduling:
    """Return how tests are dealt to workers; the largest group is begun first."""
    return _ProcessesTogether(config, log)
