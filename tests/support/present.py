# SPDX-License-Identifier: Apache-2.0
# Copyright The Coterie authors
"""An optional value that a test expects to be there."""

from __future__ import annotations

from typing import TypeVar

T = TypeVar("T")


def present(value: T | None) -> T:
    """Return the value; fails where there is none."""
    assert value is not None
    return value
