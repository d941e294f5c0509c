# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What holds for every test: how Hypothesis searches, which tests start processes, which worker takes what."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from xdist.remote import Producer
from xdist.scheduler import LoadScopeScheduling

_PROCESS_LAYER = Path(__file__).parent / "e2e"
_PROCESS_SECONDS = 900

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
