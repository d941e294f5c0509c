# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""What holds for every test: how Hypothesis searches, which tests start processes, which worker takes what."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import settings

_PROCESS_LAYER = Path(__file__).parent / "e2e"

# Big-integer examples take as long as they take; a failing search must say how to repeat it.
settings.register_profile("search", deadline=None, print_blob=True)
# The same examples in every run: a change is judged by what it does, not by the luck of the draw.
settings.register_profile("repeatable", settings.get_profile("search"), derandomize=True)
settings.load_profile("repeatable" if os.environ.get("CI") else "search")


# First, because xdist reads the groups in this same hook.
@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark the tests of real processes, and keep them on one worker so that they do not starve each other."""
    for item in items:
        if item.path.is_relative_to(_PROCESS_LAYER):
            item.add_marker(pytest.mark.e2e)
            item.add_marker(pytest.mark.xdist_group("processes"))
    if hasattr(config, "workerinput"):
        # The group takes longest: begun first, it ends while the other workers still share out the rest.
        items.sort(key=lambda item: item.get_closest_marker("e2e") is None)
