# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""Key files at the lowest cost that is read: 0.04 s of one core for each password instead of 0.3 s.

That the product locks them at its full cost is tested where it locks them: tests/unit/crypto/test_keystore.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest

from coterie_common.crypto import keystore

_LOWEST_COST: Final = 1 << 14


@contextmanager
def cheap_passwords() -> Iterator[None]:
    """Lock key files cheaply; they are opened at the cost that their header states."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(keystore, "_DEFAULT_COST", _LOWEST_COST)
        yield
