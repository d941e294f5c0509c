# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.running import RunningFederation


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningFederation]:
    """Five parties and an aggregator as real processes at 2048 bits; founding takes 15 s, so all tests share it."""
    federation = RunningFederation(tmp_path_factory.mktemp("federation"))
    try:
        federation.begin()
        yield federation
    finally:
        federation.stop()
