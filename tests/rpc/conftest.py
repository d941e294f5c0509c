# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
from __future__ import annotations

import pytest

from tests.support.tls import Federation


@pytest.fixture(scope="session")
def federation() -> Federation:
    return Federation()
